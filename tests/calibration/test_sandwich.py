"""Products of expectations, rank, sandwich and J, against enumeration, closed forms and repetition."""

import itertools
from typing import Any

import numpy as np
import pytest

from populace.calibration.pairs import products
from populace.calibration.sandwich import Linearised, linearised, overidentification, sandwich

ERRORS = 4.0


def replicates(
    rng: np.random.Generator, slope: np.ndarray, gap: np.ndarray, count: int, noise: float = 1.0, shaken: float = 0.0
) -> np.ndarray:
    """Derivatives and gaps (count, k, d + 1) around a slope and a gap; `shaken`: the noise of derivatives."""
    k, d = slope.shape
    slopes = slope + shaken * rng.normal(size=(count, k, d))
    gaps = gap + noise * rng.normal(size=(count, k))
    return np.concatenate([slopes, gaps[:, :, None]], axis=2)


def of_rank(rng: np.random.Generator, k: int, d: int, rank: int, size: float = 3.0) -> np.ndarray:
    left, _, right = np.linalg.svd(rng.normal(size=(k, d)), full_matrices=False)
    return (left * np.where(np.arange(min(k, d)) < rank, size, 0.0)) @ right


def test_products_are_the_sum_over_different_replicates_and_over_all_halvings():
    rows = np.random.default_rng(0).normal(size=(6, 3, 2))
    found = products(rows).value
    pairs = [rows[r].T @ rows[s] for r in range(6) for s in range(6) if r != s]
    np.testing.assert_allclose(found, np.mean(pairs, axis=0), rtol=1e-12)
    halves = []
    for half in itertools.combinations(range(6), 3):
        other = [r for r in range(6) if r not in half]
        halves.append(rows[list(half)].mean(0).T @ rows[other].mean(0))
    np.testing.assert_allclose(found, np.mean(halves, axis=0), rtol=1e-12)


def test_leaving_a_replicate_out_is_what_is_said():
    rows = np.random.default_rng(1).normal(size=(5, 3, 2))
    found = products(rows)
    again = [products(np.delete(rows, r, axis=0)).value - found.value for r in range(5)]
    np.testing.assert_allclose(found.changes, again, atol=1e-12)
    np.testing.assert_allclose(found.changes.sum(0), 0.0, atol=1e-12)


def test_products_have_no_noise_bias_and_an_error_that_holds():
    rng, mean, times = np.random.default_rng(2), np.array([[1.0, 0.5], [0.0, -1.0], [0.3, 0.2]]), 4_000
    found = [products(mean + rng.normal(size=(8, 3, 2))) for _ in range(times)]
    values = np.array([one.value for one in found])
    error = values.std(0) / np.sqrt(times)
    assert (np.abs(values.mean(0) - mean.T @ mean) < ERRORS * error).all()
    # Means over all replicates would be off by 3 moments' variance / 8 on the diagonal: 20 errors.
    assert (5 * ERRORS * np.diag(error) < 3.0 / 8.0).all()
    said = np.mean([one.variance(one.changes) for one in found], axis=0)
    assert (said > (1 - ERRORS * np.sqrt(2 / times)) * values.var(0)).all() and (said < 2 * values.var(0)).all()


@pytest.mark.parametrize("count", [3, 6, 30])
def test_the_error_is_at_most_so_much_too_large(count: int):
    """Where both expectations are 0: 2 (R - 1) / (R - 2) times the variance."""
    rng, times = np.random.default_rng(11), 6_000
    found = [products(rng.normal(size=(count, 2, 2))) for _ in range(times)]
    said = np.mean([one.variance(one.changes) for one in found], axis=0)
    ratio = said / np.var([one.value for one in found], axis=0)
    np.testing.assert_allclose(ratio, 2 * (count - 1) / (count - 2), rtol=ERRORS * np.sqrt(4 / times))


@pytest.mark.parametrize(("k", "d", "rank"), [(5, 2, 2), (5, 2, 1), (6, 4, 1), (6, 4, 3), (2, 3, 2), (4, 2, 0)])
@pytest.mark.parametrize("shaken", [0.0, 1.0])
def test_the_rank_is_found_under_noise(k: int, d: int, rank: int, shaken: float):
    rng = np.random.default_rng(3)
    for _ in range(30):
        slope = of_rank(rng, k, d, rank)
        at = linearised(replicates(rng, slope, np.zeros(k), 100, shaken=shaken))
        assert at.rank == rank
        flat = at.directions[:, rank:]
        allowed = 1e-9 if shaken == 0 else ERRORS * shaken * np.sqrt(k * d / 100)
        assert np.linalg.norm(slope @ flat) < allowed
        assert np.isnan(sandwich(at, 100)).all() == (rank < d)


def test_mean_derivatives_would_make_any_model_look_identified():
    """What the debiasing is for: the plain squared singular value of pure noise is far above what would count."""
    rng = np.random.default_rng(4)
    rows = replicates(rng, np.zeros((5, 2)), np.zeros(5), 50, shaken=3.0)
    plain = np.linalg.svd(rows[:, :, :-1].mean(0))[1] ** 2
    assert plain.min() > 0.1 and linearised(rows).rank == 0


def test_the_sandwich_is_the_covariance_of_the_minimiser():
    """Over repetitions of data (variance 1) and simulation (variance 0.25, R = 5)."""
    rng, times, behind = np.random.default_rng(5), 20_000, 5
    slope = of_rank(rng, 5, 2, 2)
    at = linearised(replicates(rng, slope, np.zeros(5), 2_000, noise=0.5))
    said = sandwich(at, behind)
    gaps = rng.normal(size=(times, 5)) * np.sqrt(1.0 + 0.25 / behind)
    minimisers = -np.linalg.lstsq(slope, gaps.T, rcond=None)[0]
    error = np.sqrt(2.0 / times) + 0.25 / behind * np.sqrt(2.0 / 2_000)
    np.testing.assert_allclose(said, np.cov(minimisers), atol=ERRORS * error * np.abs(said).max())
    even = Linearised(slope, at.gap, np.eye(5), at.products, at.squares, at.errors, at.directions, 2, 100)
    np.testing.assert_allclose(sandwich(even, 10), 1.1 * sandwich(even, 1e12), rtol=1e-3, atol=1e-9)


def test_j_is_the_least_gap_and_does_not_ask_for_the_minimum():
    rng = np.random.default_rng(6)
    slope = of_rank(rng, 6, 3, 2)
    rows = replicates(rng, slope, rng.normal(size=6), 200)
    at = linearised(rows)
    found = overidentification(at)
    assert found.freedom == 4
    lower = np.linalg.cholesky(np.eye(6) + at.noise / 200)
    left = np.linalg.lstsq(np.linalg.solve(lower, slope), np.linalg.solve(lower, at.gap), rcond=1e-10)[0]
    least = np.linalg.solve(lower, at.gap - slope @ left)
    np.testing.assert_allclose(found.statistic, least @ least, rtol=1e-9)
    moved = rows.copy()
    moved[:, :, -1] += slope @ np.array([0.3, -0.7, 2.0])
    np.testing.assert_allclose(overidentification(linearised(moved)).statistic, found.statistic, rtol=1e-9)


def test_as_many_moments_as_combinations_leave_nothing_to_test():
    rng = np.random.default_rng(7)
    found = overidentification(linearised(replicates(rng, np.diag([3.0, 4.0]), np.ones(2), 50)))
    assert found.freedom == 0 and np.isnan(found.statistic) and np.isnan(found.p)


@pytest.mark.parametrize(("d", "rank", "shaken"), [(2, 2, 0.0), (2, 1, 0.3), (3, 1, 1.0)])
def test_j_has_its_size_on_the_true_model(d: int, rank: int, shaken: float):
    """1,000 repetitions: data, replicates and a point near the minimum, all by chance. The freedom is k - rank."""
    rng, times, k = np.random.default_rng(8), 1_000, 5
    slope = of_rank(rng, k, d, rank)
    chances = []
    for _ in range(times):
        away = slope @ (0.1 * rng.normal(size=d))
        at = linearised(replicates(rng, slope, rng.normal(size=k) + away, 50, shaken=shaken))
        found = overidentification(at)
        assert found.freedom == k - rank
        chances.append(found.p)
    for size in (0.05, 0.2, 0.5):
        error = np.sqrt(size * (1 - size) / times)
        assert abs(np.mean(np.array(chances) < size) - size) < ERRORS * error


def test_a_wrong_model_is_contradicted():
    rng = np.random.default_rng(9)
    slope = of_rank(rng, 5, 2, 2)
    away = np.linalg.svd(slope)[0][:, -1] * 8.0
    assert overidentification(linearised(replicates(rng, slope, away, 50))).p < 1e-6


def test_the_loss_has_no_noise_bias():
    rng, times = np.random.default_rng(10), 2_000
    slope, gap, step = of_rank(rng, 4, 2, 2), np.array([1.0, 0.0, -1.0, 2.0]), np.array([0.1, -0.2])
    found: Any = np.array([linearised(replicates(rng, slope, gap, 10, noise=2.0)).loss(step) for _ in range(times)])
    exact = ((gap + slope @ step) ** 2).sum()
    assert abs(found[:, 0].mean() - exact) < ERRORS * found[:, 0].std() / np.sqrt(times)
    assert 0.95 < np.sqrt((found[:, 1] ** 2).mean()) / found[:, 0].std() < 1.3
