"""States of rest, tipping points and branches, against the equation that the logit choosers are known to obey."""

import jax.random as jr
import numpy as np
import pytest
from tests.coarse.known import choosers, fold, rate

import populace as pop
from populace._results import Code

ROOTS = np.array([-0.80113, -0.20604, 0.89391])


@pytest.fixture(scope="module")
def found():
    return pop.steady_states(choosers(), jr.key(0), budget=600)


def test_a_scan_finds_all_states_of_rest(found):
    at, error = (np.array([getattr(s, name)[0] for s in found.states]) for name in ("at", "error"))
    assert found.bursts <= 600 and not found.lost
    np.testing.assert_array_less(np.abs(at - ROOTS), 4 * error)
    assert (error < 0.004).all()
    assert [s.verdict.code for s in found.states] == [Code.STABLE, Code.UNSTABLE, Code.STABLE]


def test_rates_are_those_of_the_equation(found):
    e = 1e-5
    for state in found.states:
        slope = (rate(state.at[0] + e) - rate(state.at[0] - e)) / (2 * e)
        assert abs(state.rate.real - np.log1p(0.1 * slope) / 0.1) < 4 * state.rate_error


def test_intervals_cover():
    """What they claim, nine times in ten: 60 times over, within four standard errors."""
    stepper = choosers(length=2.0)
    one = [pop.steady_states(stepper, jr.key(k), starts=[[-0.3]], budget=100).states[0] for k in range(60)]
    inside = np.mean([abs(s.at[0] - ROOTS[1]) < s.half[0] for s in one])
    assert abs(inside - 0.9) < 4 * np.sqrt(0.9 * 0.1 / 60)


def test_two_variables():
    """x' = x - x^3 - y, y' = x - y / 2 turns about an unstable 0, and has no other state of rest."""
    g = np.random.default_rng(0)

    def move(macro, parameters, key):
        x, y = macro.T
        step = np.stack([x - x**3 - y, x - 0.5 * y], 1)
        return macro + 0.05 * step + 0.01 * g.normal(size=macro.shape)

    box = pop.CoarseFunction(move, within={"x": (-2, 2), "y": (-2, 2)}, time=0.05)
    found = pop.steady_states(box, jr.key(1), starts=[[0.3, -0.2]], budget=3_000)
    (state,) = found.states
    assert (np.abs(state.at) < 4 * state.error).all() and (state.error < 0.05).all()
    values = np.log(1 + 0.05 * np.linalg.eigvals(np.array([[1, -1], [1, -0.5]]))) / 0.05
    assert abs(state.rate.real - values[0].real) < 4 * state.rate_error
    assert state.verdict.code is Code.UNSTABLE and "turning" in state.verdict.sentence


def test_where_there_is_none_none_is_found():
    g = np.random.default_rng(0)
    box = pop.CoarseFunction(lambda x, p, key: x + 1 + 0.1 * g.normal(size=x.shape), within={"x": (-1, 1)})
    found = pop.steady_states(box, jr.key(0), budget=200)
    assert not found.states and "No state of rest" in " ".join(found.sections()[0].text)
    lost = pop.steady_states(box, jr.key(0), starts=[[0.2]], budget=200)
    assert not lost.states and len(lost.lost) == 1


def test_too_small_a_budget_and_a_wrong_start_are_refused():
    with pytest.raises(Exception, match="are the least"):
        pop.steady_states(choosers(), jr.key(0), starts=[[0.1]], budget=10)
    with pytest.raises(Exception, match="starts has shape"):
        pop.steady_states(choosers(), jr.key(0), starts=[[0.1, 0.2]])


@pytest.fixture(scope="module")
def tip():
    return pop.tipping_point(choosers(), "h", jr.key(1), span=(-0.5, 0.3), within={"mean": (0, 1)}, budget=500)


def test_a_fold_is_found(tip):
    np.testing.assert_array_less(np.abs(tip.at - fold()), 4 * tip.error)
    assert (tip.error < [0.012, 0.004]).all() and tip.bursts == 500
    assert tip.verdict.code is Code.TIPS and "h falls and passes" in tip.verdict.sentence


def test_the_branch_that_is_drawn_is_at_rest(tip):
    h, low, high = tip.branch
    assert len(h) > 5 and (low[1:] < tip.at[0]).all() and (high[1:] > tip.at[0]).all()
    near = np.abs(h - tip.at[1]) < 0.05
    for branch in (low, high):
        np.testing.assert_allclose(rate(branch[near], h[near]), 0.0, atol=0.01)


def test_another_fold_is_near_another_guess():
    low = pop.tipping_point(choosers(), "h", jr.key(2), span=(-0.5, 0.5), near=(-0.6, 0.2), budget=500)
    np.testing.assert_array_less(np.abs(low.at + fold()), 4 * low.error)
    assert "h rises and passes" in low.verdict.sentence
    assert len(low.others) == 1 and np.abs(low.others[0] - fold()).max() < 0.2


def test_without_a_fold_it_says_so():
    none = pop.tipping_point(choosers(J=0.5), "h", jr.key(3), span=(-0.5, 0.5), budget=300)
    assert none.verdict.code is Code.NO_TIPPING and np.isnan(none.at).all()
    assert none.record()["fold"] is None
    with pytest.raises(Exception, match="no macro variable"):
        pop.tipping_point(choosers(), "h", jr.key(3), span=(-0.5, 0.5), within={"m": (0, 1)})
    with pytest.raises(Exception, match="too few bursts"):
        pop.tipping_point(choosers(), "h", jr.key(3), span=(-0.5, 0.5), budget=50)


@pytest.fixture(scope="module")
def branch():
    return pop.continuation(choosers(), "h", jr.key(4), start=[0.89], span=(-0.4, 0.4), rising=False)


def test_a_branch_goes_round_both_folds(branch):
    at = np.array([p.at for p in branch.points])
    assert len(branch.folds) == 2 and branch.ended == "it left the range"
    for (place, error), side in zip(branch.folds, (1, -1), strict=True):
        np.testing.assert_array_less(np.abs(place - side * fold()), 4 * error)
    assert at[0, 0] > 0.8 and at[-1, 0] < -0.9
    codes = [p.verdict.code for p in branch.points]
    assert codes[0] is codes[-1] is Code.STABLE and Code.UNSTABLE in codes


def test_its_points_are_at_rest(branch):
    """Within the errors at right angles; a handful of points share bursts, so that none stands alone."""
    z = []
    for p in branch.points:
        grid = p.at[0] + np.linspace(-0.3, 0.3, 6001)
        grid = grid[np.abs(grid) < 0.9999]
        line = np.stack([grid, np.arctanh(grid) - 1.5 * grid], 1)
        unit = np.array([2.0, 0.8])
        away = np.sqrt((((line - p.at) / unit) ** 2).sum(1)).min()
        z.append(away / max(1e-6, np.sqrt(((p.error / unit) ** 2).sum())))
    assert np.median(z) < 1.5 and max(z) < 6


def test_results_can_be_read(found, tip, branch):
    for result in (found, tip, branch):
        assert result.sections()[0].title and result.record()
