"""Covariances: what is given, resampled or replicated, against cases whose covariance is known."""

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from scipy import stats

from populace._errors import TargetError
from populace.problem.covariance import BlockBootstrap, FromReplicates, Given, checked, factor, shrunk
from populace.problem.moments import autocorrelation, derived, final, level, maximum, mean, peak_time, variance
from populace.problem.target import Target


def autoregression(key: int, times: int, phi: float, runs: int = 1) -> np.ndarray:
    """Stationary x_t = phi x_{t-1} + e_t, (runs, times)."""
    rng = np.random.default_rng(key)
    x = rng.normal(size=runs) / np.sqrt(1 - phi**2)
    out = np.empty((runs, times))
    for t in range(times):
        out[:, t] = x
        x = phi * x + rng.normal(size=runs)
    return out


def with_correlation(rho: float, k: int, units: np.ndarray) -> np.ndarray:
    correlation = np.where(np.eye(k) > 0, 1.0, rho)
    return correlation * np.outer(units, units)


def two(values: tuple[float, float] = (1.0, 2.0)) -> Target:
    return Target({"x": values}, [level("x")])


def test_standard_errors_and_a_matrix_say_the_same():
    matrix = Given([2.0, 3.0]).matrix(two())
    np.testing.assert_array_equal(matrix, [[4.0, 0.0], [0.0, 9.0]])
    np.testing.assert_array_equal(Given(matrix).matrix(two()), matrix)
    assert matrix.dtype == np.float64 and not matrix.flags.writeable
    assert Given([1.0, 2.0], "counting errors").source() == "counting errors"


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([1.0, 0.0], "above 0"),
        ([1.0, np.nan], "above 0"),
        ([1.0, 2.0, 3.0], "does not fit 2 moments"),
        ([[1.0, 0.0], [0.0, 0.0]], r"'x\[2\]' has no variance"),
        ([[1.0, np.inf], [np.inf, 1.0]], "not finite"),
        ([[1.0, 0.5], [0.4, 1.0]], "not symmetric"),
        ([[1.0, 2.0], [2.0, 1.0]], "negative eigenvalue"),
    ],
)
def test_what_is_no_covariance_is_refused_in_words(values: list[float], words: str):
    with pytest.raises(TargetError, match=words):
        Given(values).matrix(two())


def test_factor_is_cholesky_in_any_units():
    units = np.array([1e-6, 1.0, 1e5])
    matrix = with_correlation(0.6, 3, units)
    lower = factor(matrix, "abc")
    np.testing.assert_allclose(lower @ lower.T, matrix, rtol=1e-12)
    assert np.array_equal(lower, np.tril(lower))


def test_factor_refuses_lower_rank_and_names_who_repeats_whom():
    s, i = np.random.default_rng(0).normal(size=(2, 50))
    rows = np.stack([s, i, np.random.default_rng(1).normal(size=50), 1000.0 - s - i])
    with pytest.raises(TargetError) as error:
        factor(checked(np.cov(rows), ["S", "I", "other", "R"]), ["S", "I", "other", "R"])
    assert "rank 3" in str(error.value)
    assert all(name in str(error.value) for name in ("'S'", "'I'", "'R'")) and "'other'" not in str(error.value)


def test_shrinkage_is_the_published_formula():
    """Schaefer and Strimmer (2005), box 1 and appendix, written out with loops."""
    rng = np.random.default_rng(2)
    x = rng.normal(size=(11, 4)) * np.array([1.0, 10.0, 0.1, 3.0])
    n, k = x.shape
    z = (x - x.mean(0)) / x.std(0, ddof=1)
    top = bottom = 0.0
    for i in range(k):
        for j in range(k):
            if i != j:
                w = [z[q, i] * z[q, j] for q in range(n)]
                r = n / (n - 1) * np.mean(w)
                top += n / (n - 1) ** 3 * sum((one - np.mean(w)) ** 2 for one in w)
                bottom += r**2
    intensity = min(1.0, top / bottom)
    matrix, got = shrunk(x)
    assert got == pytest.approx(intensity, rel=1e-12) and got > 0
    plain = np.cov(x, rowvar=False)
    np.testing.assert_allclose(np.diag(matrix), np.diag(plain), rtol=1e-12)
    off = ~np.eye(k, dtype=bool)
    np.testing.assert_allclose(matrix[off], (1 - intensity) * plain[off], rtol=1e-10)


def test_shrinkage_does_not_know_units():
    x = np.random.default_rng(3).normal(size=(20, 5)) @ np.random.default_rng(4).normal(size=(5, 5))
    units = np.array([1e-4, 1.0, 30.0, 1e6, 2.0])
    matrix, intensity = shrunk(x)
    scaled, same = shrunk(x * units)
    assert same == pytest.approx(intensity, rel=1e-9)
    np.testing.assert_allclose(scaled, matrix * np.outer(units, units), rtol=1e-9)


def test_shrinkage_beats_the_sample_and_vanishes_with_many_samples():
    k, truth = 20, with_correlation(0.1, 20, np.ones(20))
    root = np.linalg.cholesky(truth)
    rng = np.random.default_rng(5)
    gains = []
    for _ in range(20):
        x = rng.normal(size=(25, k)) @ root.T
        plain, better = np.cov(x, rowvar=False), shrunk(x)[0]
        gains.append(np.sum((plain - truth) ** 2) - np.sum((better - truth) ** 2))
    assert np.mean(gains) > 4 * np.std(gains) / np.sqrt(20)
    many = rng.normal(size=(20_000, k)) @ root.T
    matrix, intensity = shrunk(many)
    assert intensity < 0.02
    error = np.sqrt((1 + truth**2) / 20_000)  # of a covariance of Gaussians with unit variances
    assert np.abs(matrix - truth).max() < 5 * error.max()


def test_fewer_replicates_than_moments_still_factorise():
    x = np.random.default_rng(6).normal(size=(10, 30))
    assert np.linalg.matrix_rank(np.cov(x, rowvar=False)) == 9
    lower = factor(shrunk(x)[0], [str(i) for i in range(30)])
    assert np.isfinite(lower).all()


def test_replicates_are_counted_and_the_broken_left_out():
    samples = np.random.default_rng(7).normal(size=(50, 2))
    broken = np.concatenate([samples, [[np.nan, 1.0], [1.0, np.inf]]])
    np.testing.assert_array_equal(FromReplicates(broken).matrix(two()), FromReplicates(samples).matrix(two()))
    source = FromReplicates(broken).source()
    assert "50 simulated replicates" in source and "2 left out" in source
    assert "left out" not in FromReplicates(samples).source()


def test_one_moment_needs_no_shrinkage():
    x = np.random.default_rng(8).normal(size=(9, 1))
    matrix, intensity = shrunk(x)
    assert intensity == 0.0 and matrix[0, 0] == pytest.approx(x.var(ddof=1))


@pytest.mark.parametrize(
    ("samples", "words"),
    [
        (np.ones((9, 3)), "do not fit 2 moments"),
        (np.random.default_rng(0).normal(size=(3, 2)), "3 usable replicates"),
        (np.stack([np.arange(9.0), np.ones(9)], 1), r"'x\[2\]' is the same in all 9"),
    ],
)
def test_replicates_that_say_nothing_are_refused_in_words(samples: np.ndarray, words: str):
    with pytest.raises(TargetError, match=words):
        FromReplicates(samples).matrix(two())


def test_the_bootstrap_finds_the_covariance_of_an_autoregression():
    """Against the spread over independent series: mean, variance and first autocorrelation of a stationary AR(1)."""
    times, phi, block = 2000, 0.5, 40
    moments = [mean("x"), variance("x"), autocorrelation("x", [1])]
    data = autoregression(10, times, phi)[0]
    target = Target({"x": data}, moments, covariance=BlockBootstrap(jr.key(0), block, 500))
    worlds = target.summarise({"x": autoregression(11, times, phi, runs=1500)})
    truth = np.cov(worlds, rowvar=False)
    # One bootstrap rests on times / block = 50 blocks: a variance is known to sqrt(2 / 50), 20 %.
    ratio = np.diag(target.covariance) / np.diag(truth)
    assert np.all(np.abs(np.log(ratio)) < 4 * np.sqrt(2 * block / times))
    exact = 1 / ((1 - phi) ** 2 * times)  # variance of the mean of an AR(1), to first order
    assert truth[0, 0] == pytest.approx(exact, rel=5 * np.sqrt(2 / 1500))
    independent = 1 / ((1 - phi**2) * times)
    assert target.covariance[0, 0] > 1.5 * independent  # blocks of 1 would find this
    assert "blocks of 40" in target.covariance_source


def test_the_bootstrap_cuts_all_series_at_the_same_places():
    x = autoregression(12, 600, 0.3)[0]
    y = x + 0.1 * np.random.default_rng(13).normal(size=600)
    target = Target({"x": x, "y": y}, [mean("x"), mean("y")], covariance=BlockBootstrap(jr.key(1), 20, 300))
    v = target.covariance
    assert v[0, 1] / np.sqrt(v[0, 0] * v[1, 1]) > 0.95


def test_the_bootstrap_follows_its_key():
    target = Target({"x": autoregression(14, 300, 0.2)[0]}, [mean("x"), variance("x")])
    one = BlockBootstrap(jr.key(2), 10, 100).matrix(target)
    np.testing.assert_array_equal(one, BlockBootstrap(jr.key(2), 10, 100).matrix(target))
    assert not np.array_equal(one, BlockBootstrap(jr.key(3), 10, 100).matrix(target))


EPIDEMIC = 100 * stats.norm.pdf(np.arange(60), 25, 8) + np.random.default_rng(15).uniform(size=60)
STATIONARY = autoregression(16, 400, 0.9)[0]

REFUSED = {
    "a level": ({"x": EPIDEMIC}, level("x"), 5, "depends on when things happen"),
    "a peak": ({"x": STATIONARY}, peak_time("x"), 20, "depends on when things happen"),
    "the last value": ({"x": STATIONARY}, final("x"), 20, "depends on when things happen"),
    "blocks shorter than memory": ({"x": STATIONARY}, autocorrelation("x", [5]), 2, "longer than 2"),
    "a constant": ({"x": np.append(np.zeros(99), 0.0)}, mean("x"), 5, "has no variance"),
    "what blocks may lose": ({"x": np.append(np.zeros(99), 1.0)}, autocorrelation("x", [1]), 5, "not defined on some"),
    "missing times": ({"x": np.ma.masked_less(STATIONARY, -4)}, mean("x"), 5, "misses"),
    "a number": ({"x": STATIONARY, "y": 1.0}, final("y"), 5, "is one number"),
    "blocks too long": ({"x": STATIONARY}, mean("x"), 201, "take 1 to 200"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_the_bootstrap_refuses_what_it_cannot_do(case: str):
    data, moment, block, words = REFUSED[case]
    with pytest.raises(TargetError, match=words):
        Target(data, [moment], covariance=BlockBootstrap(jr.key(4), block, 200))


def test_the_bootstrap_refuses_series_of_two_lengths_and_too_few_repetitions():
    data = {"x": STATIONARY, "y": STATIONARY[:300]}
    with pytest.raises(TargetError, match="different lengths"):
        Target(data, [mean("x"), mean("y")], covariance=BlockBootstrap(jr.key(5), 5, 200))
    with pytest.raises(TargetError, match="take more"):
        Target({"x": STATIONARY}, [mean("x"), maximum("x")], covariance=BlockBootstrap(jr.key(5), 5, 3))


def test_the_checks_pass_moments_that_blocks_keep():
    size = derived("|x|", jnp.abs, "x", mean("|x|"), across=False)
    for key in range(5):
        x = autoregression(20 + key, 500, 0.5)[0]
        target = Target({"x": x}, [mean("x"), variance("x"), autocorrelation("x", [1, 2]), size])
        assert np.all(np.diag(BlockBootstrap(jr.key(key), 25, 200).matrix(target)) > 0)
