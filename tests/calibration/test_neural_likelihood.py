"""A learned likelihood, where the exact posterior is known: an autoregression seen for sixty times."""

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy.stats import norm

import populace as pop
from populace.calibration import nuts, population

TIMES = 60
SMALL = pop.Transitions(lags=2, memory=4, members=2, components=1, width=32, depth=2, steps=400)


def walk(parameters, key):
    """x' = a x + b + noise, from 0."""

    def step(x, noise):
        x = parameters["a"] * x + parameters["b"] + 0.5 * noise
        return x, x

    return {"x": jax.lax.scan(step, jnp.float32(0.0), jr.normal(key, (TIMES,)))[1]}


DATA = np.asarray(walk({"a": 0.6, "b": 0.3}, jr.key(5))["x"], np.float64)


def problem(data=DATA):
    target = pop.Target({"x": data}, [pop.mean("x"), pop.standard_deviation("x")])
    return pop.Problem(pop.Traceable(walk), pop.Space(a=dist.Uniform(0.0, 1.0), b=dist.Normal(0.0, 1.0)), target)


def exact():
    """Mean and standard deviation of (a, b) by a fine grid."""
    a, b = np.meshgrid(np.linspace(0.0, 1.0, 301), np.linspace(-1.5, 1.5, 301), indexing="ij")
    before = np.append(0.0, DATA[:-1])
    logs = norm.logpdf(DATA, a[..., None] * before + b[..., None], 0.5).sum(-1) + norm.logpdf(b)
    weights = np.exp(logs - logs.max())
    weights /= weights.sum()
    means = [(weights * one).sum() for one in (a, b)]
    return np.array(means), np.sqrt([(weights * (one - m) ** 2).sum() for one, m in zip((a, b), means, strict=True)])


@pytest.fixture(scope="module")
def fit():
    method = pop.NeuralLikelihood(SMALL, rounds=1, draws=150)
    return pop.calibrate(problem(), method, jr.key(1), budget=400, predictive=400)


def test_the_posterior_is_the_exact_one(fit):
    means, spreads = exact()
    draws = np.stack([fit.draws["a"], fit.draws["b"]], axis=1)
    assert (np.abs(draws.mean(0) - means) < 0.5 * spreads).all()
    assert draws.std(0) == pytest.approx(spreads, rel=0.3)
    assert fit.done.code is pop.Code.CONVERGED and fit.calls == 400


def test_what_it_rests_on_is_said(fit):
    first, *others = fit.estimate.notes()
    assert "learned from 400 of 400 runs" in first and "4 chains of NUTS" in first
    assert not any("do not agree" in note or "less likely" in note for note in others)
    assert pop.identify(fit.problem, fit, jr.key(3)).sections()


def test_with_one_round_it_is_read_off_at_other_data(fit):
    other = np.asarray(walk({"a": 0.3, "b": -0.5}, jr.key(6))["x"], np.float64)
    real = fit.estimate.draws(problem(other), jr.key(2), 500)
    b = np.asarray(problem().space.from_real(jnp.asarray(real, jnp.float32))["b"])
    assert abs(b.mean() + 0.5) < 4 * b.std() and b.mean() < 0.0


def test_series_that_the_model_does_not_make_are_named(fit):
    """White noise of another width, told by no parameters; the law has been learned, nothing is trained anew."""
    odd = 3.0 * np.random.default_rng(0).standard_normal(TIMES)
    likelihood = fit.estimate.law.at(odd[:, None])
    at = jnp.zeros((1, 2), jnp.float32)
    mine = float(likelihood(at[0]))
    made = np.asarray(walk({"a": 0.5, "b": 0.0}, jr.key(9))["x"], np.float64)
    assert mine < float(fit.estimate.law.at(made[:, None])(at[0])) - 50.0


def test_what_cannot_be_read_is_refused():
    missing = np.ma.masked_array(DATA, np.arange(TIMES) == 3)
    with pytest.raises(pop.TargetError, match="'x' misses some"):
        pop.calibrate(problem(missing), pop.NeuralLikelihood(SMALL), jr.key(0), budget=400)
    with pytest.raises(pop.MethodError, match="too small for 2 rounds"):
        pop.calibrate(problem(), pop.NeuralLikelihood(SMALL), jr.key(0), budget=150)
    two = pop.Target({"x": DATA, "y": DATA[:5]}, [pop.mean("x"), pop.mean("y")])
    with pytest.raises(pop.TargetError, match="of one length"):
        pop.calibrate(problem().with_target(two), pop.NeuralLikelihood(SMALL), jr.key(0), budget=400)
    told = problem().target.with_values(np.array([0.0, 1.0]))
    with pytest.raises(pop.TargetError, match="give `with_values` the run"):
        pop.calibrate(problem().with_target(told), pop.NeuralLikelihood(SMALL), jr.key(0), budget=400)


class Two(eqx.Module):
    """Two Gaussians of unequal weight, far apart, in two dimensions."""

    def __call__(self, x):
        one, other = jnp.array([3.0, 0.0]), jnp.array([-3.0, 1.0])
        logs = jnp.stack([jnp.log(0.3) - 2.0 * ((x - one) ** 2).sum(), jnp.log(0.7) - 2.0 * ((x - other) ** 2).sum()])
        return jax.scipy.special.logsumexp(logs) + jnp.log(2.0 / jnp.pi)


class Wide(eqx.Module):
    def __call__(self, x):
        return -0.5 * ((x / 4.0) ** 2).sum() - jnp.log(2.0 * jnp.pi * 16.0)


def drawn(density):
    """By importance sampling, from a wide Gaussian."""
    rng = np.random.default_rng(0)
    levels = [functools.partial(nuts.levels, one) for one in (density, Wide())]
    return population.found(*levels, lambda n: 4.0 * rng.standard_normal((n, 2)), jr.key(0))


def test_two_hills_are_found_with_their_weights_and_the_integral():
    found = drawn(Two())
    right = float(found.weights[found.points[:, 0] > 0].sum())
    assert abs(right - 0.3) < 4 * np.sqrt(0.21 / found.effective)
    assert abs(found.log_integral) < 4 / np.sqrt(found.effective)


def test_chains_have_the_law_of_a_gaussian():
    found = drawn(Gauss())
    chains = nuts.walked(Gauss(), found, jr.key(1), 4, 300)
    r_hat, size = chains.worst()
    draws = chains.path.reshape(-1, 2)
    assert r_hat < 1.05 and size > 300 and chains.divergent == 0.0
    assert (np.abs(draws.mean(0) - [1.0, -1.0]) < 4 * np.array([0.1, 2.0]) / np.sqrt(size)).all()
    assert draws.std(0) == pytest.approx([0.1, 2.0], rel=4 / np.sqrt(2 * size))


class Gauss(eqx.Module):
    """Two numbers of very different spreads."""

    def __call__(self, x):
        return -0.5 * (((x - jnp.array([1.0, -1.0])) / jnp.array([0.1, 2.0])) ** 2).sum()
