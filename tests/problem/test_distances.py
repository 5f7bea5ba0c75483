"""Distances against scipy, closed forms and their own definitions."""

import functools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from scipy import stats
from scipy.spatial.distance import cdist

from populace._errors import TargetError
from populace.problem import distances as d
from populace.problem.covariance import Given
from populace.problem.moments import final, level
from populace.problem.target import Target

samples = some.lists(some.integers(-50, 50).map(lambda i: i / 8), min_size=1, max_size=12).map(np.array)


def target(covariance: np.ndarray | None, values: list[float], held_out: bool = False) -> Target:
    more = {"y": 1.0} if held_out else {}
    known = None if covariance is None else Given(covariance)
    return Target({"x": values, **more}, [level("x")], [final("y")] if held_out else [], known)


def test_quadratic_is_the_mahalanobis_distance_of_the_fitted_moments():
    rng = np.random.default_rng(0)
    root = rng.normal(size=(4, 4)) * np.array([1e-3, 1.0, 50.0, 1.0])[:, None]
    covariance = root @ root.T
    goal = target(covariance, [1.0, 2.0, 3.0], held_out=True)
    runs = rng.normal(size=(5, 4))
    runs[:, 3] = np.nan  # held out: not looked at
    gaps = runs[:, :3] - goal.values[:3]
    expected = np.sqrt(np.einsum("ni,ij,nj->n", gaps, np.linalg.inv(covariance[:3, :3]), gaps))
    np.testing.assert_allclose(d.Quadratic()(runs, goal), expected, rtol=1e-8)


def test_quadratic_counts_standard_errors():
    goal = target(np.array([2.0, 5.0]), [10.0, 20.0])
    runs = np.array([[14.0, 20.0], [10.0, 35.0], [14.0, 35.0]])
    np.testing.assert_allclose(d.Quadratic()(runs, goal), [2.0, 3.0, np.sqrt(13.0)], rtol=1e-12)


def test_standardised_leaves_correlations_aside():
    covariance = np.array([[4.0, 5.9], [5.9, 9.0]])
    goal = target(np.block([[covariance, np.zeros((2, 1))], [np.zeros((1, 2)), np.ones((1, 1))]]), [10.0, 20.0], True)
    runs = np.array([[12.0, 20.0, 99.0], [12.0, 17.0, np.nan], [np.nan, 20.0, 1.0]])
    np.testing.assert_allclose(d.Standardised()(runs, goal), [np.sqrt(0.5), 1.0, np.inf], rtol=1e-12)
    with pytest.raises(TargetError, match=r"standard errors.*not known"):
        d.Standardised()(runs[:, :2], target(None, [1.0, 2.0]))


def test_the_square_of_quadratic_is_chi_squared_at_the_truth():
    rng = np.random.default_rng(1)
    covariance = np.array([[2.0, 1.0, 0.0], [1.0, 1.0, 0.3], [0.0, 0.3, 1.0]])
    runs = rng.multivariate_normal([1.0, 2.0, 3.0], covariance, size=4000)
    j = d.Quadratic()(runs, target(covariance, [1.0, 2.0, 3.0])) ** 2
    assert stats.kstest(j, stats.chi2(3).cdf).pvalue > 1e-3


def test_a_run_that_is_not_finite_is_infinitely_far():
    goal = target(np.array([1.0, 1.0]), [0.0, 0.0])
    assert d.Quadratic()(np.array([[np.nan, 0.0], [3.0, 4.0], [0.0, np.inf]]), goal).tolist() == [np.inf, 5.0, np.inf]


def test_an_unknown_covariance_is_refused():
    with pytest.raises(TargetError, match="with_covariance"):
        d.Quadratic()(np.zeros((1, 2)), target(None, [1.0, 2.0]))


def test_moments_that_repeat_each_other_are_named_and_never_inverted():
    a = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 1e3, 0.0], [0.0, 0.0, 1.0]])
    goal = target(a @ a.T + 0.0, [1.0, 2.0, 3.0, 4.0])
    with pytest.raises(TargetError, match=r"rank 3: 'x\[[23]\]', 'x\[[23]\]' repeat each other"):
        d.Quadratic()(np.zeros((1, 4)), goal)


@settings(max_examples=60, deadline=None)
@given(samples, samples)
def test_on_the_line_they_are_scipys(x: np.ndarray, y: np.ndarray):
    assert d.wasserstein(x, y) == pytest.approx(stats.wasserstein_distance(x, y), abs=1e-12)
    assert d.energy(x, y) == pytest.approx(stats.energy_distance(x, y), abs=1e-7)
    pooled = np.concatenate([x, y])
    apart = max(abs((x <= at).mean() - (y <= at).mean()) for at in pooled)  # scipy's test warns of some of these
    assert d.kolmogorov_smirnov(x, y) == pytest.approx(apart, abs=1e-12)


@pytest.mark.parametrize("level", [0.01, 0.05, 0.2])
def test_the_critical_distance_decides_as_the_exact_test_does(level):
    for n, m in ((100, 100), (30, 45), (7, 11)):
        shifted = [(np.arange(n) / n, np.arange(m) / m + s) for s in np.linspace(0.0, 1.0, 61)]
        exact = [stats.ks_2samp(x, y, method="exact").pvalue > level for x, y in shifted]
        critical = d.kolmogorov_smirnov_critical(n, m, level)
        assert [d.kolmogorov_smirnov(x, y) <= critical for x, y in shifted] == exact


def test_they_know_closed_forms():
    x = np.array([0.0, 1.0, 5.0, 7.5])
    assert d.wasserstein(x, x + 3.0) == pytest.approx(3.0)
    assert d.energy(np.array([0.0]), np.array([2.0])) == pytest.approx(2.0)  # sqrt(2 |0 - 2|)
    one, other = np.array([[0.0, 0.0]]), np.array([[3.0, 4.0]])
    assert d.mmd_squared(one, other, bandwidth=5.0) == pytest.approx(2.0 - 2.0 * np.exp(-0.5))
    assert d.energy(one, other) == pytest.approx(np.sqrt(10.0))


def test_the_discrepancy_of_two_gaussians_is_the_integral():
    rng = np.random.default_rng(2)
    n, h, shift, repeats = 100, 1.0, 0.5, 200
    k = lambda m: h / np.sqrt(h**2 + 2) * np.exp(-(m**2) / (2 * (h**2 + 2)))  # noqa: E731 : E k(X, Y), X - Y ~ N(m, 2)
    draws = [(rng.normal(size=n), shift + rng.normal(size=n)) for _ in range(repeats)]
    unbiased = np.array([d.mmd_squared_unbiased(x, y, h) for x, y in draws])
    biased = np.array([d.mmd_squared(x, y, h) for x, y in draws])
    exact = 2 * k(0.0) - 2 * k(shift)
    error = unbiased.std() / np.sqrt(repeats)
    assert abs(unbiased.mean() - exact) < 4 * error
    assert abs(biased.mean() - exact - 2 * (1 - k(0.0)) / n) < 4 * error
    null = np.array([d.mmd_squared_unbiased(rng.normal(size=n), rng.normal(size=n), h) for _ in range(repeats)])
    assert abs(null.mean()) < 4 * null.std() / np.sqrt(repeats) and null.min() < 0


def test_in_the_plane_energy_is_its_definition_in_any_number_of_blocks(monkeypatch: pytest.MonkeyPatch):
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(7, 2)), rng.normal(size=(5, 2)) + 1
    expected = np.sqrt(2 * cdist(x, y).mean() - cdist(x, x).mean() - cdist(y, y).mean())
    assert d.energy(x, y) == pytest.approx(expected)
    monkeypatch.setattr(d, "_BLOCK", 11)
    assert d.energy(x, y) == pytest.approx(expected)


def test_the_median_bandwidth_is_the_median_distance():
    x, y = np.array([0.0, 1.0]), np.array([3.0])
    assert d.median_bandwidth(x, y) == 2.0  # distances 1, 3, 2
    wide = np.random.default_rng(4).normal(size=5000)
    normal_apart = np.sqrt(2) * stats.norm.ppf(0.75)
    assert d.median_bandwidth(wide) == pytest.approx(normal_apart, rel=0.1)
    assert d.mmd_squared(x, y) == d.mmd_squared(x, y, bandwidth=2.0)
    with pytest.raises(TargetError, match="give a bandwidth"):
        d.median_bandwidth(np.ones(9))


def test_between_samples_forgets_the_order_of_a_series():
    values = [3.0, 1.0, 2.0, 8.0]
    goal = target(None, values, held_out=True)
    runs = np.array([[8.0, 1.0, 2.0, 3.0, 0.0], [4.0, 2.0, 3.0, 9.0, 0.0], [np.nan, 1.0, 2.0, 3.0, 0.0]])
    far = d.BetweenSamples(d.wasserstein, ("level(x)",))(runs, goal)
    assert far.tolist() == [0.0, 1.0, np.inf]


def test_between_samples_takes_points_of_several_series():
    rng = np.random.default_rng(5)
    data = {"x": rng.normal(size=20), "y": rng.normal(size=20)}
    goal = Target(data, [level("x"), level("y")])
    points = np.stack([goal.values[:20], goal.values[20:]], axis=1)
    run = rng.normal(size=(1, 40))
    measure = functools.partial(d.mmd_squared, bandwidth=d.median_bandwidth(points))
    far = d.BetweenSamples(measure, ("level(x)", "level(y)"))(run, goal)
    assert far[0] == pytest.approx(measure(run[0].reshape(2, 20).T, points))


def test_what_cannot_be_compared_is_refused_in_words():
    goal = target(None, [1.0, 2.0], held_out=True)
    runs = np.zeros((1, 3))
    for of, words in [
        (("final(y)",), "held out"),
        (("level(x)", "final(y)"), "equal length"),
        ((), "equal length"),
        (("level(z)",), r"did you mean 'level\(x\)'"),
    ]:
        with pytest.raises(TargetError, match=words):
            d.BetweenSamples(d.wasserstein, of)(runs, goal)
    with pytest.raises(TargetError, match="take energy"):
        d.wasserstein(np.ones((3, 2)), np.ones((3, 2)))
    with pytest.raises(TargetError, match="two points"):
        d.mmd_squared_unbiased(np.ones(1), np.arange(3.0))
