"""Profiles against closed forms: a parabola, a product that a bound cuts, a sum, two points, and nothing at all."""

import jax.random as jr
import numpy as np
import pytest
from tests.identification.profile_cases import fitted, problem

import populace as pop

BUDGET = 1_200
ROWS = np.array([[1.0, 1.0], [1.0, -1.0], [0.5, 0.0]])
ERRORS = np.array([0.1, 0.2, 0.3])


def linear(p):
    return [r[0] * p["a"] + r[1] * p["b"] for r in ROWS]


def found(task, key=1, **kind):
    where = {name: [value] for name, value in kind.items()}
    return pop.profiles(task, fitted(task, **where), jr.key(key), budget=BUDGET, progress=False)


@pytest.fixture(scope="module")
def parabola():
    task = problem(linear, ROWS @ [0.3, 0.2], tuple(ERRORS), a=(-2.0, 2.0), b=(-2.0, 2.0))
    return found(task, a=0.3, b=0.2)


@pytest.fixture(scope="module")
def product():
    task = problem(lambda p: [p["a"] * p["b"]], [1.0], (0.02,), a=(0.0, 5.0), b=(0.0, 5.0))
    return found(task, a=1.0, b=1.0)


def test_a_linear_model_has_the_parabola_of_its_covariance(parabola):
    spread = np.linalg.inv((ROWS / ERRORS[:, None]).T @ (ROWS / ERRORS[:, None]))
    for label, truth, variance in zip("ab", (0.3, 0.2), np.diag(spread), strict=True):
        profile = parabola.profiles[label]
        near = np.abs(profile.values - truth) < 3.0 * np.sqrt(variance)
        exact = (profile.values - truth) ** 2 / variance
        assert profile.rise[near] == pytest.approx(exact[near], abs=4.0 * (profile.error[near].max() + 0.2))
        one = profile.intervals[0]
        half = 1.96 * np.sqrt(variance)
        assert one.low == pytest.approx(truth - half, abs=4.0 * one.low_error)
        assert one.high == pytest.approx(truth + half, abs=4.0 * one.high_error)
        assert max(one.low_error, one.high_error) < 0.25 * half
        assert profile.verdict.code is pop.Code.BOUNDED
    assert parabola.calls <= BUDGET


def test_the_path_of_the_others_is_their_regression(parabola):
    """Along a the other goes by its conditional mean: b = .2 - A_ab / A_bb (a - .3)."""
    white = ROWS / ERRORS[:, None]
    slope = -(white[:, 0] @ white[:, 1]) / (white[:, 1] @ white[:, 1])
    profile = parabola.profiles["a"]
    near = np.abs(profile.values - 0.3) < 0.3
    assert profile.path[near, 1] == pytest.approx(0.2 + slope * (profile.values[near] - 0.3), abs=0.1)


def test_fresh_runs_lie_on_the_profile(parabola):
    assert all(check.code in (pop.Code.CONFIRMED, pop.Code.WITHIN_REACH) for check in parabola.checks)
    for profile in parabola.profiles.values():
        value, rise, error = profile.fresh.T
        learned = np.interp(value, profile.values, profile.rise)
        assert np.abs(rise - learned).max() < 5.0 * np.sqrt(error.max() ** 2 + 0.2**2)


def test_a_product_is_cut_by_the_bound_of_the_other(product):
    for label, other in ("ab", "ba"):
        profile = product.profiles[label]
        assert profile.verdict.code is pop.Code.CUT
        assert f"cut by the upper bound of {other}" in profile.verdict.sentence
        one = profile.intervals[0]
        assert (one.low_end, one.high_end) == (f"the upper bound of {other}", "its own prior")
        assert one.low == pytest.approx(0.2 * (1.0 - 1.96 * 0.02), abs=4.0 * one.low_error + 1e-3)
        assert one.high == pytest.approx(5.0, abs=1e-4)
        inside = profile.rise < 1.0
        assert profile.path[inside].prod(1) == pytest.approx(1.0, abs=0.05)


def test_the_ridge_of_a_product_is_on_the_map(product):
    ridge = product.ridge
    assert set(ridge.labels) == {"a", "b"}
    x, y = np.meshgrid(ridge.x, ridge.y)
    exact = ((x * y - 1.0) / 0.02) ** 2
    near = (x > 0.3) & (y > 0.3) & (exact < 400.0)
    assert near.sum() > 10
    assert ridge.rise[near] == pytest.approx(exact[near], abs=2.0, rel=0.15)


def test_a_sum_is_cut_at_the_end_that_the_other_cannot_follow():
    task = problem(lambda p: [p["w1"] + p["w2"]], [220.0], (1.0,), w1=(80.0, 150.0), w2=(80.0, 150.0))
    profile = found(task, w1=100.0, w2=120.0).profiles["w1"]
    assert profile.verdict.code is pop.Code.CUT
    one = profile.intervals[0]
    assert (one.low_end, one.high_end) == ("its own prior", "the lower bound of w2")
    assert one.high == pytest.approx(140.0 + 1.96, abs=4.0 * one.high_error + 0.2)


def test_a_level_that_the_others_can_follow_everywhere_is_flat():
    """w1 + w2 = 230 on [80, 150]: whatever w1 is, w2 can make up for it."""
    task = problem(lambda p: [p["w1"] + p["w2"]], [230.0], (1.0,), w1=(80.0, 150.0), w2=(80.0, 150.0))
    flat = found(task, w1=115.0, w2=115.0)
    assert [p.verdict.code for p in flat.profiles.values()] == [pop.Code.FLAT] * 2


def test_a_size_has_two_valleys():
    task = problem(lambda p: [np.abs(p["x"])], [1.0], (0.1,), x=(-3.0, 3.0))
    profile = found(task, x=1.0).profiles["x"]
    assert profile.verdict.code is pop.Code.SEVERAL and "2 valleys" in profile.verdict.sentence
    low, high = profile.intervals
    for one, side in ((low, -1.0), (high, 1.0)):
        assert (one.low + one.high) / 2.0 == pytest.approx(side, abs=0.05)
        assert one.high - one.low == pytest.approx(2 * 1.96 * 0.1, abs=0.1)


def test_what_enters_nowhere_is_flat_and_a_limit_is_one_sided():
    """x is seen from above only: the moment is max(x, 2), and 2 came out."""
    task = problem(lambda p: [np.maximum(p["x"], 2.0)], [2.0], (0.2,), x=(0.0, 5.0), mood=(0.0, 1.0))
    codes = {label: p.verdict for label, p in found(task, x=1.0, mood=0.5).profiles.items()}
    assert codes["mood"].code is pop.Code.FLAT
    assert codes["x"].code is pop.Code.ONE_SIDED and "from above only" in codes["x"].sentence


def test_noise_of_the_simulator_is_no_error_of_the_data():
    """Runs three times as noisy as the data: the interval is that of the data, and no wider."""
    task = problem(lambda p: [p["x"]], [1.0], (0.1,), noise=(0.3,), x=(-3.0, 3.0))
    one = found(task, x=1.0).profiles["x"].intervals[0]
    assert one.low == pytest.approx(1.0 - 0.196, abs=4.0 * one.low_error)
    assert one.high == pytest.approx(1.0 + 0.196, abs=4.0 * one.high_error)
    assert one.low_error < 0.1


def test_a_model_that_cannot_is_said_to_be_out_of_reach():
    task = problem(lambda p: [p["x"], p["x"]], [0.0, 9.0], (1.0, 1.0), x=(-10.0, 10.0))
    wrong = found(task, x=4.0)
    assert wrong.checks[0].code is pop.Code.OUT_OF_REACH
    assert wrong.least[0] == pytest.approx(40.5, abs=4.0 * wrong.least[1])


def test_one_parameter_may_be_asked_for(parabola, tmp_path):
    task = problem(linear, ROWS @ [0.3, 0.2], tuple(ERRORS), a=(-2.0, 2.0), b=(-2.0, 2.0))
    one = pop.profiles(task, fitted(task, a=[0.3], b=[0.2]), jr.key(0), budget=1_000, parameters=["b"], progress=False)
    assert list(one.profiles) == ["b"]
    pop.write(parabola, tmp_path / "profiles.html")
    pop.write(one, tmp_path / "profiles.json")


def test_bad_input_is_refused_before_work():
    task = problem(lambda p: [p["x"]], [1.0], (0.1,), x=(-3.0, 3.0))
    fit = fitted(task, x=[1.0])
    with pytest.raises(pop.ProblemError, match="no parameter 'y'"):
        pop.profiles(task, fit, jr.key(0), budget=2_000, parameters=["y"])
    with pytest.raises(pop.MethodError, match="too few"):
        pop.profiles(task, fit, jr.key(0), budget=50)
    other = problem(lambda p: [p["z"]], [1.0], (0.1,), z=(-3.0, 3.0))
    with pytest.raises(pop.ProblemError, match="another problem"):
        pop.profiles(other, fit, jr.key(0), budget=2_000)
    bare = pop.Problem(task.simulator, task.space, pop.Target({"y0": np.float64(1.0)}, [pop.final("y0")]))
    with pytest.raises(pop.MethodError, match="covariance"):
        pop.profiles(bare, fit, jr.key(0), budget=2_000)
