import numpy as np

from populace.reporting.kernel import density


def _spread_of_estimate(n: int, sd: float) -> float:
    """Standard error of the estimate of a density of height 1, from the bandwidth: sqrt(1 / (2 sqrt(pi) n h))."""
    width = 1.06 * sd * n**-0.2
    return float(np.sqrt(1 / (2 * np.sqrt(np.pi) * n * width)))


def test_a_uniform_sample_looks_uniform_up_to_its_ends() -> None:
    n = 20_000
    sample = np.random.default_rng(1).uniform(0, 1, n)
    curve = density(sample, None, float(sample.min()), float(sample.max()))
    assert curve is not None
    error = np.sqrt(2) * _spread_of_estimate(n, np.sqrt(1 / 12))  # twice the variance at a reflecting end
    assert np.abs(curve.y - 1).max() < 5 * error
    assert curve.x[0] == sample.min() and curve.x[-1] == sample.max()


def test_it_integrates_to_one_and_matches_a_normal() -> None:
    n = 20_000
    sample = np.random.default_rng(2).normal(3, 2, n)
    curve = density(sample, None, -50, 50)
    assert curve is not None
    assert abs(np.trapezoid(curve.y, curve.x) - 1) < 1e-3
    truth = np.exp(-0.5 * ((curve.x - 3) / 2) ** 2) / (2 * np.sqrt(2 * np.pi))
    width = 1.06 * 2 * n**-0.2
    bias = 0.5 * width**2 * 0.4 / 2**3  # half h² times the largest second derivative of the density
    error = np.sqrt(truth.max() / (2 * np.sqrt(np.pi) * n * width))
    assert np.abs(curve.y - truth).max() < 5 * error + bias


def test_weights_count() -> None:
    sample = np.random.default_rng(3).uniform(0, 1, 20_000)
    weighted = density(sample, sample, 0, 1)  # the density 2x
    assert weighted is not None
    inner = (weighted.x > 0.2) & (weighted.x < 0.8)
    error = 2 * _spread_of_estimate(15_000, np.sqrt(1 / 18))
    assert np.abs(weighted.y - 2 * weighted.x)[inner].max() < 5 * error


def test_samples_without_spread_are_spikes() -> None:
    same = density(np.full(9, 0.3), None, 0, 1)
    assert same is not None and same.is_spike and np.isclose(same.x[0], 0.3)
    one_heavy = density(np.array([0.1, 0.2, 0.3]), np.array([0.0, 1.0, 0.0]), 0, 1)
    assert one_heavy is not None and one_heavy.is_spike
    assert density(np.zeros(0), None, 0, 1) is None
    assert density(np.ones(3), np.zeros(3), 0, 1) is None
    tied = density(np.array([0.0] * 90 + [1.0] * 10), None, 0, 1)  # most draws equal, but not all
    assert tied is not None and not tied.is_spike
