"""Credible sets that keep their promise, where posterior, coverage and volume are known in closed form."""

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy.stats import binom, norm

import populace as pop
from populace.calibration.credible import Scores, scores
from populace.core.noise import host_generator

NOISE = 0.5
SHRINK = 1.0 / (1.0 + NOISE**2)
SPREAD = NOISE * np.sqrt(SHRINK)
DATA = 0.8


class Believed(pop.Density):
    """The exact posterior of a Gaussian mean, its spread multiplied by `factor`."""

    def __init__(self, factor):
        self.spread = factor * SPREAD

    def sample(self, given, key, count):
        return SHRINK * given + self.spread * host_generator(key).standard_normal((count, 1))

    def log_prob(self, values, given):
        return norm.logpdf(values[:, 0], SHRINK * given[:, 0], self.spread)


def problem(data=DATA):
    def seen(parameters, key):
        y = parameters["m"] + NOISE * jr.normal(key)
        return {"y": jnp.where(y > 2.5, jnp.nan, y)}  # one run in a hundred fails

    return pop.Problem(
        pop.Traceable(seen), pop.Space(m=dist.Normal(0.0, 1.0)), pop.Target({"y": data}, [pop.final("y")])
    )


def posterior(factor):
    return pop.LearnedPosterior(Believed(factor), None, ())


@pytest.mark.parametrize(
    ("factor", "code"),
    [(1.0, pop.Code.CALIBRATED), (0.7, pop.Code.OVER_CONFIDENT), (1.5, pop.Code.TOO_WIDE)],
)
def test_a_promise_is_kept_whatever_the_density_is_worth(factor, code):
    n = 800
    found = pop.credible_set(problem(), posterior(factor), jr.key(0), datasets=n)
    edge = norm.ppf(0.95)
    nominal = 2.0 * norm.cdf(edge * factor) - 1.0  # what its own sets hold
    assert abs(found.held - nominal) < 4.0 * np.sqrt(nominal * (1 - nominal) / n) + 0.01
    assert found.verdict().code is code and "keeps the promise" in found.verdict().sentence
    assert found.level == pytest.approx(2.0 * norm.cdf(edge / factor) - 1.0, abs=0.06)
    assert found.log_volume() == pytest.approx(np.log(2.0 * edge * SPREAD), abs=0.15)
    middle, half = SHRINK * DATA, edge * SPREAD
    points = {"m": jnp.array([middle, middle + 0.7 * half, middle + 1.4 * half, middle - 1.4 * half])}
    assert found.holds(points).tolist() == [True, True, False, False]
    assert found.within.mean() == pytest.approx(found.level, abs=0.04)


def test_fresh_truths_lie_in_the_repaired_sets():
    """Calibrated on some data sets, kept on others."""
    some = scores(problem(), posterior(0.7), jr.key(1), datasets=600)
    others = scores(problem(), posterior(0.7), jr.key(2), datasets=1_000)
    n = others.own.size
    assert 950 < n < 1_000  # those that failed are left out
    kept = (others.own >= some.least(0.9)).sum()
    assert binom.ppf(1e-3, n, 0.88) < kept < binom.ppf(1 - 1e-3, n, 0.92)
    assert np.abs(np.histogram(others.places, 10, (0.0, 1.0))[0][:8].std()) < 30  # its ranks among draws


def test_the_level_is_the_rank_that_conformal_prediction_asks_for():
    own = np.random.default_rng(3).permutation(np.arange(1.0, 100.0))
    assert Scores(own, own).least(0.9) == 10.0
    assert Scores(own, own).least(0.95) == 5.0
    with pytest.raises(pop.MethodError, match=r"cannot promise 99\.5 %: give 199 or more"):
        Scores(own, own).least(0.995)


def test_what_cannot_be_promised_is_refused():
    with pytest.raises(pop.MethodError, match="between 0 and 1"):
        pop.credible_set(problem(), posterior(1.0), jr.key(0), probability=1.0)
    bound = pop.LearnedPosterior(Believed(1.0), np.array([DATA]), ())
    with pytest.raises(pop.MethodError, match="NeuralPosterior\\(rounds=1\\)"):
        pop.credible_set(problem(), bound, jr.key(0))


def test_a_learned_density_is_repaired_and_reported():
    fit = pop.calibrate(problem(), pop.NeuralPosterior(rounds=1), jr.key(4), budget=400, predictive=10)
    found = pop.credible_set(fit.problem, fit.estimate, jr.key(5), datasets=100)
    section = found.sections()[0]
    label, middle, low, high = section.tables[0].rows[0]
    assert label == "m" and low < middle < high
    assert high - low == pytest.approx(2.0 * norm.ppf(0.95) * SPREAD, rel=0.35)
    assert found.record()["verdict"]["class"] == found.verdict().code.value
