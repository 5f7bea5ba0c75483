"""A learned ratio, where the exact one is known."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from scipy.stats import norm

import populace as pop
from populace.surrogates.conditional import Line
from populace.surrogates.ratio import ContrastiveRatio, Frame, Start, _contrasted

SMALL = {"members": 2, "width": 16, "depth": 2, "steps": 300}


def pairs(rng, n):
    """Values N(0, 1), seen with noise whose spread hangs on the second of what is given: 0.3 or 1."""
    values, wide = rng.standard_normal((n, 1)), rng.integers(2, size=n)
    seen = values[:, 0] + np.where(wide == 1, 1.0, 0.3) * rng.standard_normal(n)
    return values, np.stack([seen, wide], axis=1)


def exact(values, given):
    """log p(values | given) / p(values)."""
    noise = np.where(given[:, 1] == 1, 1.0, 0.3)
    gain = 1.0 / (1.0 + noise**2)
    return norm.logpdf(values[:, 0], gain * given[:, 0], np.sqrt(gain) * noise) - norm.logpdf(values[:, 0])


@pytest.fixture(scope="module")
def learned():
    return ContrastiveRatio(**SMALL).fit(*pairs(np.random.default_rng(0), 1_500), jr.key(1))


def test_the_ratio_is_the_exact_one(learned):
    for seed in range(4):
        _, given = pairs(np.random.default_rng(10 + seed), 1)
        grid = np.linspace(-2.5, 2.5, 201)[:, None]
        found = np.asarray(jax.vmap(learned.at(given[0]))(jnp.asarray(grid, jnp.float32)), np.float64)
        known = exact(grid, np.repeat(given, len(grid), axis=0))
        mass = np.exp(known) * norm.pdf(grid[:, 0])  # the posterior: apart from it a ratio does not matter
        gap = np.average(found - known, weights=mass)
        assert abs(gap) < 0.35 and np.sqrt(np.average((found - known - gap) ** 2, weights=mass)) < 0.5
        total = np.trapezoid(np.exp(found) * norm.pdf(grid[:, 0]), grid[:, 0])
        assert abs(np.log(total)) < 0.35  # it is right on its own: prior times ratio is a density


def test_what_is_minimised_is_least_at_the_exact_ratio():
    """By networks that say nothing, or something, beside the exact ratio of Gaussians."""
    rng = np.random.default_rng(2)
    values = rng.standard_normal((4_000, 1))
    given = values + 0.5 * rng.standard_normal((4_000, 1))
    ones = np.ones(4_000)
    frame = Frame.of(Line.of(values, given, ones), Line.of(values, 0.0 * given, ones))
    rows = tuple(jnp.asarray(part, jnp.float32) for part in (*frame.of_values(values), *frame.of_given(given)))
    moves, adds = Start(1, 1, (4,))(jr.key(0))

    def loss(extra):
        each, out = _contrasted(3, (moves, [*adds[:-1], (adds[-1][0], adds[-1][1] + extra)]), rows)
        return float(each.mean()), float(out)

    best, out = loss(0.0)
    assert best < min(loss(0.5)[0], loss(-0.5)[0]) and best < np.log(4.0)
    assert abs(out) < 0.02  # the exact ratio is balanced
    assert loss(1.0)[1] > 0.05


def test_what_cannot_be_learned_is_refused():
    values, given = pairs(np.random.default_rng(0), 60)
    with pytest.raises(pop.MethodError, match="from 40 valid runs: give 50"):
        ContrastiveRatio().fit(values[:40], given[:40], jr.key(0))
    with pytest.raises(pop.MethodError, match="60 contrasts of a batch of 60"):
        ContrastiveRatio(contrasts=60).fit(values, given, jr.key(0))
