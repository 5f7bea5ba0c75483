"""Estimates and what they are made with: resampling, weighted covariances and quantiles, the tally."""

from typing import Any

import jax.random as jr
import numpy as np
import pytest

from populace._results import quantiles
from populace.calibration.estimates import Point, Posterior, systematic, weighted_covariance
from populace.calibration.tally import Tally
from populace.problem.problem import Simulated

ERRORS = 4.0
WEIGHTS = np.array([0.5, 0.0, 0.3, 0.15, 0.05])


def test_systematic_resampling_takes_each_its_share_but_for_one():
    for seed in range(20):
        counts = np.bincount(systematic(jr.key(seed), WEIGHTS, 33), minlength=5)
        assert (np.abs(counts - 33 * WEIGHTS) < 1.0).all() and counts[1] == 0


def test_systematic_resampling_is_unbiased_and_shuffled():
    times = 2_000
    drawn = np.array([systematic(jr.key(seed), WEIGHTS, 3) for seed in range(times)])
    shares = np.stack([(drawn == i).mean(0) for i in range(5)], axis=1)
    error = np.sqrt(WEIGHTS * (1 - WEIGHTS) / times)
    assert (np.abs(shares - WEIGHTS) <= ERRORS * error + 1e-12).all()  # at each of the three places


@pytest.mark.parametrize("weights", [np.array([1.0]), np.array([0.0, 1.0, 0.0]), np.full(7, 1 / 7)])
def test_systematic_resampling_at_the_edges(weights: np.ndarray):
    drawn = systematic(jr.key(0), weights, 14)
    assert drawn.shape == (14,) and (weights[drawn] > 0).all()
    if weights.size == 7:
        assert (np.bincount(drawn) == 2).all()


def test_weighted_covariance():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(40, 3))
    np.testing.assert_allclose(weighted_covariance(rows, np.full(40, 1 / 40)), np.cov(rows, rowvar=False), rtol=1e-12)
    # Whole-number weights as repeats: the same up to the correction, 1 - sum w^2 against 1 - 1 / total.
    counts = rng.integers(1, 4, size=40)
    weights = counts / counts.sum()
    plain = np.cov(np.repeat(rows, counts, axis=0), rowvar=False, ddof=0)
    np.testing.assert_allclose(weighted_covariance(rows, weights), plain / (1 - (weights**2).sum()), rtol=1e-12)


def test_weighted_quantiles():
    rng, probabilities = np.random.default_rng(1), np.array([0.1, 0.5, 0.9])
    sample = rng.normal(size=(500, 2))
    np.testing.assert_array_equal(quantiles(sample, probabilities), np.quantile(sample, probabilities, axis=0))
    even = quantiles(sample, probabilities, np.full(500, 0.2))
    np.testing.assert_allclose(even, np.quantile(sample, probabilities, axis=0, method="hazen"), atol=1e-12)
    twice = quantiles(sample[:, 0], probabilities, np.where(np.arange(500) < 250, 2.0, 1.0))
    repeated = np.quantile(np.concatenate([sample[:, 0], sample[:250, 0]]), probabilities, method="hazen")
    gaps = np.diff(np.sort(sample[:, 0])).max()
    np.testing.assert_allclose(twice, repeated, atol=gaps)


def test_a_posterior_is_drawn_from_by_weight(normal: Any):
    problem, _ = normal
    real = np.arange(5.0)[:, None]
    posterior = Posterior(real, WEIGHTS, np.zeros((5, 1)), ("A note.",))
    draws = posterior.draws(problem, jr.key(0), 100)
    assert draws.shape == (100, 1)
    np.testing.assert_allclose(np.bincount(draws[:, 0].astype(int), minlength=5), 100 * WEIGHTS, atol=1.0)
    np.testing.assert_allclose(posterior.centre(problem), [WEIGHTS @ np.arange(5.0)])
    np.testing.assert_allclose(posterior.effective_size, 1 / (WEIGHTS**2).sum())
    assert posterior.notes() == ("A note.",)


def test_a_point_is_drawn_from_with_its_covariance(linear: Any):
    problem, case = linear
    covariance, count = np.linalg.inv(case.gram), 20_000
    point = Point(case.minimum, covariance, 1.0, ())
    draws = point.draws(problem, jr.key(0), count)
    error = np.sqrt(np.diag(covariance) / count)
    assert (np.abs(draws.mean(0) - case.minimum) < ERRORS * error).all()
    np.testing.assert_allclose(np.cov(draws.T), covariance, atol=ERRORS * np.sqrt(2 / count) * covariance.max())
    unknown = Point(case.minimum, np.full((2, 2), np.nan), 1.0, ())
    assert (unknown.draws(problem, jr.key(0), 3) == case.minimum).all()


def answer(excluded: int, of: int, **reasons: int) -> Simulated:
    return Simulated(np.zeros((of, 1)), np.arange(of) < excluded, reasons)


def test_the_tally_adds_up():
    tally = Tally.empty()
    assert tally.sentence() == "No run was excluded." and tally.excluded == 0
    tally = tally.with_(answer(3, 10, broken=2, late=1)).with_(answer(1, 5, broken=1))
    assert tally.excluded == 4 and tally.reasons == {"broken": 3, "late": 1}
    assert tally.sentence() == "4 of 15 runs were excluded: 3 x broken; 1 x late."


def test_a_message_a_run_does_not_fill_the_tally():
    """A simulator that puts its parameters into what it raises: the first kinds are told, the rest are counted."""
    tally = Tally.empty()
    for i in range(300):
        tally = tally.with_(answer(1, 1, **{f"x = {i}": 1}))
    assert tally.excluded == 300 and sum(tally.reasons.values()) == 300 and len(tally.reasons) < 30
    assert len(tally.sentence()) < 300
