"""Conditional densities: closed forms of a linear Gaussian and of two ridges, and what they refuse."""

import jax.random as jr
import numpy as np
import pytest
from scipy.stats import norm

import populace as pop
from populace.surrogates.conditional import Line, Squashed

ROWS = 1_000


@pytest.fixture(scope="module")
def linear():
    """V ~ N(0, I) in two dimensions, seen through noise of variance 1/2 and together with a number about nothing."""
    rng = np.random.default_rng(0)
    values = rng.standard_normal((ROWS, 2))
    given = np.concatenate([values + np.sqrt(0.5) * rng.standard_normal((ROWS, 2)), rng.standard_normal((ROWS, 1))], 1)
    return pop.FlowMatching().fit(values, given, np.ones(ROWS), jr.key(0))


def test_a_gaussian_posterior_is_found(linear):
    at = np.array([0.6, -0.9, 1.0])
    draws = linear.sample(at, jr.key(1), 4_000)
    np.testing.assert_allclose(draws.mean(0), at[:2] / 1.5, atol=0.12)
    np.testing.assert_allclose(np.cov(draws.T), np.eye(2) / 3.0, atol=0.07)


def test_its_density_is_that_of_the_gaussian(linear):
    rng = np.random.default_rng(1)
    at = rng.standard_normal((300, 3)) * [1.2, 1.2, 1.0]
    values = at[:, :2] / 1.5 + np.sqrt(1 / 3) * rng.standard_normal((300, 2))
    exact = norm.logpdf(values, at[:, :2] / 1.5, np.sqrt(1 / 3)).sum(1)
    gap = linear.log_prob(values, at) - exact
    assert abs(gap.mean()) < 0.1 and np.abs(gap).mean() < 0.2


def test_two_ridges_hold_half_each_and_the_density_sums_to_one():
    """What is given is |v| with noise: the posterior has two modes, which no regression sees."""
    rng = np.random.default_rng(2)
    values = rng.standard_normal((ROWS, 2))
    given = np.abs(values[:, :1]) + 0.1 * rng.standard_normal((ROWS, 1))
    density = pop.FlowMatching().fit(values, np.repeat(given, 3, axis=1), np.ones(ROWS), jr.key(3))
    draws = density.sample(np.full(3, 1.0), jr.key(4), 4_000)[:, 0]
    assert 0.4 < (draws > 0).mean() < 0.6
    assert (np.abs(np.abs(draws) - 1.0) < 0.4).mean() > 0.9
    axis = np.linspace(-4.0, 4.0, 90)
    grid = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    heights = np.exp(density.log_prob(grid, np.full((len(grid), 3), 1.0)))
    assert heights.sum() * (axis[1] - axis[0]) ** 2 == pytest.approx(1.0, abs=0.05)


def test_a_line_takes_out_what_is_linear_and_puts_it_back():
    rng = np.random.default_rng(5)
    given, noise = rng.standard_normal((500, 3)), rng.standard_normal((500, 2))
    values = given @ rng.standard_normal((3, 2)) + noise @ np.array([[0.5, 0.2], [0.0, 0.1]]) + 3.0
    line = Line.of(values, given, np.ones(500))
    left = line.off(values, given)
    np.testing.assert_allclose(np.cov(left.T), np.eye(2), atol=0.02)
    np.testing.assert_allclose(np.corrcoef(left.T, given.T)[:2, 2:], 0.0, atol=0.01)
    np.testing.assert_allclose(line.on(left, given), values)


def test_tails_are_squashed_and_all_else_stays_linear():
    heavy = np.random.default_rng(6).standard_cauchy(2_000) * 1e6
    squashed = Squashed.of(np.stack([heavy, np.full(2_000, 7.0)], axis=1))
    seen = squashed(np.stack([heavy, np.full(2_000, 7.0)], axis=1))
    assert np.abs(seen).max() < 12 and np.ptp(heavy) > 1e8
    np.testing.assert_array_equal(seen[:, 1], 0.0)
    near = np.abs(seen[:, 0]) < 3.0
    np.testing.assert_allclose(np.polyfit(heavy[near], seen[near, 0], 1)[0] * squashed.spread[0], 1.0)
    assert near.mean() > 0.7
    order = np.argsort(heavy)
    assert (np.diff(seen[order, 0]) >= 0).all()


def test_too_few_rows_are_refused():
    with pytest.raises(pop.MethodError, match="cannot learn from 20 valid runs: give 50"):
        pop.FlowMatching().fit(np.zeros((20, 1)), np.zeros((20, 1)), np.ones(20), jr.key(0))
