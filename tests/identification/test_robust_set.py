"""Robust sets against closed forms: an ellipse, a strip along a hyperbola, the whole prior, and none."""

import jax.random as jr
import numpy as np
import pytest
from scipy.stats import chi2
from tests.identification.profile_cases import fitted, problem

import populace as pop

BUDGET = 1_200
ROWS = np.array([[1.0, 1.0], [1.0, -1.0], [0.5, 0.0]])
ERRORS = np.array([0.1, 0.2, 0.3])


def found(task, **kind):
    return pop.robust_set(task, jr.key(1), budget=BUDGET, progress=False, **kind)


@pytest.fixture(scope="module")
def ellipse():
    task = problem(
        lambda p: [r[0] * p["a"] + r[1] * p["b"] for r in ROWS],
        ROWS @ [0.3, 0.2],
        tuple(ERRORS),
        a=(-2.0, 2.0),
        b=(-2.0, 2.0),
    )
    return found(task)


def test_a_linear_model_has_an_ellipse(ellipse):
    """Share pi c / sqrt(det A) / 16 and projections +- sqrt(c (A^-1)_ii), c the quantile and A the information."""
    white = ROWS / ERRORS[:, None]
    information = white.T @ white
    level = chi2.ppf(0.95, 3)
    low, share, high = ellipse.share
    assert low < np.pi * level / np.sqrt(np.linalg.det(information)) / 16.0 < high
    assert high - low < share
    for label, truth, variance in zip("ab", (0.3, 0.2), np.diag(np.linalg.inv(information)), strict=True):
        (one,) = ellipse.intervals[label]
        half = np.sqrt(level * variance)
        assert one.low == pytest.approx(truth - half, abs=4.0 * one.low_error)
        assert one.high == pytest.approx(truth + half, abs=4.0 * one.high_error)
    gap = (np.stack([ellipse.draws["a"] - 0.3, ellipse.draws["b"] - 0.2], axis=1) @ white.T) ** 2
    assert np.mean(gap.sum(1) < 1.3 * level) > 0.95
    assert ellipse.verdict.code is pop.Code.PART and not ellipse.touches()


def test_fresh_runs_on_its_rim_bear_it_out(ellipse):
    inside, outside, open_ = ellipse.rim
    assert inside + outside + open_ > 5 and open_ > outside
    assert ellipse.checks[0].code is pop.Code.CONFIRMED


def test_a_product_fills_a_strip_to_its_bounds():
    """|a b - 1| < w on (0, 5]^2 has the area 2 w ln 25, to first order in w."""
    task = problem(lambda p: [p["a"] * p["b"]], [1.0], (0.02,), a=(0.0, 5.0), b=(0.0, 5.0))
    strip = found(task, fit=fitted(task, a=[1.0], b=[1.0]))
    assert strip.share[0] < 2.0 * 1.96 * 0.02 * np.log(25.0) / 25.0 < strip.share[2]
    assert strip.interval("a")[0] == pytest.approx(0.2 * (1.0 - 0.0392), abs=0.006)
    assert strip.intervals["a"][0].low_end == "the upper bound of b"
    assert set(strip.touches()) == {"the upper end of a", "the upper end of b"}
    assert np.ptp(strip.draws["a"]) > 4.0


def test_moments_that_nothing_moves_leave_the_whole_prior(tmp_path):
    task = problem(lambda p: [0.0 * p["mood"]], [0.3], (1.0,), mood=(0.0, 1.0))
    whole = found(task)
    assert whole.verdict.code is pop.Code.WHOLE_PRIOR
    assert whole.share[1] == pytest.approx(1.0)
    assert whole.interval("mood") == pytest.approx((0.0, 1.0), abs=1e-5)
    pop.write(whole, tmp_path / "whole.html")


def test_a_model_that_cannot_leaves_nothing(tmp_path):
    task = problem(lambda p: [p["x"], p["x"]], [0.0, 9.0], (1.0, 1.0), x=(-10.0, 10.0))
    none = found(task)
    assert none.empty and none.share == (0.0, 0.0, 0.0)
    assert none.nearest[0] == pytest.approx(40.5, abs=4.0 * none.nearest[1])
    assert "rejected" in none.verdict.sentence
    with pytest.raises(pop.ProblemError, match="holds no value"):
        none.interval("x")
    pop.write(none, tmp_path / "none.html")
    pop.write(none, tmp_path / "none.json")


def test_the_level_is_that_of_the_whole_target():
    task = problem(lambda p: [p["x"]] * 4, [1.0] * 4, (0.2,) * 4, x=(-3.0, 3.0))
    (one,) = found(task, level=0.5).intervals["x"]
    half = 0.1 * np.sqrt(chi2.ppf(0.5, 4))
    assert one.low == pytest.approx(1.0 - half, abs=4.0 * one.low_error)
    assert one.high == pytest.approx(1.0 + half, abs=4.0 * one.high_error)


def test_bad_input_is_refused_before_work():
    task = problem(lambda p: [p["x"]], [1.0], (0.1,), x=(-3.0, 3.0))
    with pytest.raises(pop.MethodError, match="too few"):
        pop.robust_set(task, jr.key(0), budget=50)
    with pytest.raises(pop.MethodError, match="between 0 and 1"):
        pop.robust_set(task, jr.key(0), budget=2_000, level=95.0)
