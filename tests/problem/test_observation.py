"""Observation models against the distributions that they are named after."""

from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from scipy import stats

from populace._errors import DomainError, SimulatorError, SiteError
from populace.core.draw import Draw
from populace.core.model import bind, parameters
from populace.problem.observation import (
    Aggregate,
    Delay,
    ExpectedDelay,
    ObservationModel,
    OverDispersion,
    Reporting,
    Subsample,
)

RUNS = 4000
CASES = jnp.array([0.0, 3.0, 10.0, 40.0, 7.0, 0.0])


def record(model: ObservationModel, seed: int = 0, runs: int = RUNS, **series: Any) -> np.ndarray:
    series = {"cases": CASES, "other": jnp.arange(4.0), **series}

    def one(key: Any) -> Any:
        seen = model(series, Draw(key))
        assert set(seen) == set(series)
        return seen["cases"], seen["other"]

    cases, other = jax.jit(jax.vmap(one))(jr.split(jr.key(seed), runs))
    np.testing.assert_array_equal(other[0], series["other"])
    return np.asarray(cases, np.float64)


def check_mean(samples: np.ndarray, mean: Any, variance: Any) -> None:
    """Within 5 standard errors, entry by entry; the error of a variance from the samples' own fourth moment."""
    n = samples.shape[0]
    variance = np.broadcast_to(np.asarray(variance, float), samples.shape[1:])
    assert np.all(np.abs(samples.mean(0) - mean) <= 5 * np.sqrt(variance / n) + 1e-6)
    spread = ((samples - samples.mean(0)) ** 2).std(0) / np.sqrt(n)
    assert np.all(np.abs(samples.var(0) - variance) <= 5 * spread + 1e-6)


def chi_squared(samples: np.ndarray, law: Any) -> float:
    """p-value of whole numbers under a distribution, in bins of at least 20 expected."""
    edges = [-1]
    while edges[-1] < 10_000:
        more = np.arange(edges[-1] + 1, 10_002)
        enough = more[law.cdf(more) - law.cdf(edges[-1]) > 20 / len(samples)]
        if not len(enough) or law.sf(enough[0]) < 20 / len(samples):
            break
        edges.append(int(enough[0]))
    cuts = np.array([*edges, 10**9])
    found = np.histogram(samples, cuts + 0.5)[0]
    expected = np.diff(np.append(law.cdf(cuts[:-1]), 1.0)) * len(samples)
    return float(stats.chisquare(found, expected).pvalue)


def test_reporting_is_binomial():
    seen = record(Reporting("cases", 0.3))
    check_mean(seen, 0.3 * CASES, 0.21 * CASES)
    assert chi_squared(seen[:, 2], stats.binom(10, 0.3)) > 1e-4
    np.testing.assert_array_equal(record(Reporting("cases", 1.0), runs=3), np.tile(CASES, (3, 1)))
    assert not record(Reporting("cases", 0.0), runs=3).any()


def test_delays_split_a_count_multinomially():
    p = np.array([0.5, 0.3, 0.2])
    pulse = jnp.array([20.0, 0, 0, 0, 0])
    seen = record(Delay("cases", p), cases=pulse)
    check_mean(seen, [10.0, 6.0, 4.0, 0, 0], [5.0, 4.2, 3.2, 0, 0])
    assert (seen.sum(1) == 20).all()
    covariance = np.cov(seen[:, :2], rowvar=False)[0, 1]
    assert abs(covariance + 20 * 0.5 * 0.3) < 5 * 5 / np.sqrt(RUNS) * 2
    assert chi_squared(seen[:, 1], stats.binom(20, 0.3)) > 1e-4


def test_delays_that_lack_to_one_lose_reports():
    seen = record(Delay("cases", [0.2, 0.4]), cases=jnp.array([50.0, 0.0, 0.0]))
    check_mean(seen, [10.0, 20.0, 0.0], [8.0, 12.0, 0.0])


def test_reports_after_the_end_are_not_seen():
    cut = record(Delay("cases", [0.0, 0.0, 0.0, 0.0, 0.0, 0.5, 0.5]), runs=50)
    assert not cut[:, :5].any()
    beyond = record(Delay("cases", [0.25] * 4), cases=jnp.array([0.0, 8.0]))
    check_mean(beyond, [0.0, 2.0], [0.0, 1.5])


def test_the_expected_delay_is_a_convolution_and_the_mean_of_delays():
    p = [0.5, 0.3, 0.1]
    smooth = record(ExpectedDelay("cases", p), runs=1)[0]
    np.testing.assert_allclose(smooth, np.convolve(CASES, p)[:6], rtol=1e-6)
    chance = record(Delay("cases", p))
    check_mean(chance, smooth, chance.var(0))
    slope = jax.grad(lambda q: ExpectedDelay("cases", q)({"cases": CASES}, Draw(jr.key(0)))["cases"][3])(jnp.array(p))
    np.testing.assert_allclose(slope, [40.0, 10.0, 3.0])


@pytest.mark.parametrize("dispersion", [0.05, 0.7, 4.0])
def test_over_dispersion_is_negative_binomial(dispersion: float):
    seen = record(OverDispersion("cases", dispersion))
    check_mean(seen, CASES, CASES + dispersion * CASES**2)
    law = stats.nbinom(1 / dispersion, 1 / (1 + 10 * dispersion))
    assert chi_squared(seen[:, 2], law) > 1e-4
    assert not seen[:, 0].any()


def test_little_over_dispersion_is_poisson():
    seen = record(OverDispersion("cases", 1e-6))
    check_mean(seen, CASES, CASES)
    assert chi_squared(seen[:, 2], stats.poisson(10)) > 1e-4


def test_blocks_are_summed_or_thinned():
    np.testing.assert_array_equal(record(Aggregate("cases", 3), runs=1)[0], [13.0, 47.0])
    np.testing.assert_array_equal(record(Subsample("cases", 2), runs=1)[0], [3.0, 40.0, 0.0])
    table = jnp.arange(12.0).reshape(4, 3)
    both = Aggregate(("a", "b"), 2)({"a": table, "b": table[:, 0], "c": table}, Draw(jr.key(0)))
    np.testing.assert_array_equal(both["a"], table[:2].at[0].set(table[0] + table[1]).at[1].set(table[2] + table[3]))
    np.testing.assert_array_equal(both["b"], [3.0, 15.0])
    assert both["c"] is table


def test_groups_are_recorded_one_by_one():
    table = jnp.array([[5.0, 0.0], [9.0, 30.0], [0.0, 2.0]])
    for model, mean in [
        (Reporting("cases", 0.5), 0.5 * table),
        (OverDispersion("cases", 0.2), table),
        (Delay("cases", [0.0, 1.0]), jnp.array([[0.0, 0.0], [5.0, 0.0], [9.0, 30.0]])),
    ]:
        seen = record(model, cases=table, runs=1000)
        check_mean(seen, mean, seen.var(0))


def test_they_compose_each_with_numbers_of_its_own():
    """A binomial share of a delayed count, summed over weeks: means multiply."""
    models = [Delay("cases", [0.5, 0.5]), Reporting("cases", 0.4), Aggregate("cases", 3)]

    def one(key: Any) -> Any:
        seen, draw = {"cases": CASES}, Draw(key)
        for model in models:
            seen = model(seen, draw)
        return seen["cases"]

    seen = np.asarray(jax.vmap(one)(jr.split(jr.key(3), RUNS)), np.float64)
    delayed = np.convolve(CASES, [0.5, 0.5])[:6]
    check_mean(seen, 0.4 * delayed.reshape(2, 3).sum(1), seen.var(0))


def test_two_of_a_kind_on_one_series_need_different_draws():
    share, draw = Reporting("cases", 0.5), Draw(jr.key(0))
    once = share({"cases": CASES}, draw)
    with pytest.raises(SiteError, match="twice"):
        share(once, draw)
    a, b = (share({"cases": CASES * 100}, Draw(jr.key(0)).child(i))["cases"] for i in (0, 1))
    assert not np.array_equal(a, b)


def test_their_parameters_can_be_fitted():
    found = parameters(OverDispersion("cases", 0.5))
    assert list(found) == ["dispersion"] and str(found["dispersion"].domain) == "(0, inf)"
    assert list(parameters(Delay("cases", [0.5, 0.5]))) == ["probabilities"]
    bound = bind(Reporting("cases", 0.5), {"share": 0.25})
    assert float(bound.share) == 0.25
    seen = jax.vmap(lambda s: bind(bound, {"share": s})({"cases": CASES}, Draw(jr.key(0)))["cases"])(
        jnp.array([0.0, 1.0])
    )
    np.testing.assert_array_equal(seen, [0 * CASES, CASES])


def test_what_cannot_be_is_refused_in_words():
    for make, words in [
        (lambda: Reporting("cases", 1.5), "share"),
        (lambda: OverDispersion("cases", 0.0), "dispersion"),
        (lambda: Delay("cases", [0.7, 0.7]), "sum 1.4"),
        (lambda: ExpectedDelay("cases", 0.5), r"shape \(\)"),
        (lambda: Delay("cases", [-0.5, 0.5]), "probabilities"),
    ]:
        with pytest.raises(DomainError, match=words):
            make()
    for model, words in [
        (Reporting("case", 0.5), "reads 'case'; did you mean 'cases'"),
        (Reporting("one", 0.5), "is one number"),
        (Aggregate("cases", 4), "6 times, which are no blocks of 4"),
        (Subsample("cases", 0), "no blocks of 0"),
    ]:
        with pytest.raises(SimulatorError, match=words):
            model({"cases": CASES, "one": jnp.float32(1)}, Draw(jr.key(0)))
