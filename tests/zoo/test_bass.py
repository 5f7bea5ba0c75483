"""Bass diffusion: the facts that its docstring lists."""

import jax.random as jr
import numpy as np
import pytest

import populace as pop
from populace.testing.models import check_model
from populace.zoo.bass import Bass

P, Q, DT, RUNS, AGENTS = 0.0104, 0.4185, 0.5, 24, 10_000
ERRORS = 4.0
PEAK = np.log(Q / P) / (P + Q)


def owners(t: np.ndarray) -> np.ndarray:
    """F(t)."""
    gone = np.exp(-(P + Q) * t)
    return (1 - gone) / (1 + Q / P * gone)


@pytest.fixture(scope="module")
def mixed() -> dict[str, np.ndarray]:
    """Observations (runs, steps) of twenty years in half-years, where all meet all."""
    seen = pop.ensemble(Bass(pop.WellMixed(AGENTS), dt=DT), jr.key(1), 40, runs=RUNS).observations
    return {name: np.asarray(values[0], np.float64) for name, values in seen.items()}


def test_it_keeps_the_laws_of_models():
    check_model(Bass(pop.WellMixed(40)), jr.key(0))


def test_the_mean_path_is_bass_s_curve_for_any_length_of_a_step(mixed):
    """Chance moves the curve in time by about 1 / sqrt(N p / q) years, which bends its mean by less than 1 / N p."""
    t, share = DT * np.arange(1, 41), mixed["share"]
    np.testing.assert_array_less(abs(share.mean(0) - owners(t)), ERRORS * share.std(0) / np.sqrt(RUNS) + 1 / AGENTS / P)
    np.testing.assert_allclose(np.cumsum(mixed["bought"], axis=1), share, atol=1e-5)


def test_sales_are_highest_where_the_closed_form_has_it(mixed):
    """The share of owners at the peak is 1/2 - p / (2 q): it is passed at the peak, in every run."""
    t, level = DT * np.arange(1, 41), 0.5 - P / (2 * Q)
    passed = np.array([np.interp(level, run, t) for run in mixed["share"]])
    assert abs(passed.mean() - PEAK) < ERRORS * passed.std() / np.sqrt(RUNS) + DT**2 / 100
    at = round(PEAK / DT)  # the half-year of the peak: more is sold than two years before or after
    for other in (at - 4, at + 4):
        less = mixed["bought"][:, at] - mixed["bought"][:, other]
        assert less.mean() > ERRORS * less.std() / np.sqrt(RUNS)
    assert pytest.approx(8.6, abs=0.05) == PEAK  # the year that the paper gives


def test_on_a_ring_it_takes_longer(mixed):
    ring = pop.small_world(jr.key(2), 2_000, degree=4, rewire=0.0)
    seen = pop.ensemble(Bass(ring, dt=DT), jr.key(3), 17, runs=4, record=pop.Last()).observations
    late, even = np.asarray(seen["share"][0, :, 0], np.float64), mixed["share"][:, 16]
    assert even.mean() - late.mean() > ERRORS * np.hypot(even.std() / np.sqrt(RUNS), late.std(ddof=1) / 2)
