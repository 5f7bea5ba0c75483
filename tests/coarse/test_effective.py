"""Drift and diffusion, running ahead, the length of a burst, and which variables."""

import jax.random as jr
import numpy as np
import pytest
from scipy.stats import binom
from tests.coarse.known import DT, REDRAW, choosers, rate

import populace as pop
from populace._results import Code
from populace.core.noise import host_generator


@pytest.fixture(scope="module")
def law():
    return pop.effective_dynamics(choosers(60, 2.0, h=0.0, J=1.3), jr.key(0), budget=500, resamples=100)


def test_drift_and_diffusion_are_those_of_a_step(law):
    m = law.at
    pull = np.tanh(1.3 * m)
    down, up = 0.5 * REDRAW * (1 - pull), 0.5 * REDRAW * (1 + pull)
    spread = 4 / 60 * (0.5 * (1 + m) * down * (1 - down) + 0.5 * (1 - m) * up * (1 - up)) / (2 * DT)
    for name, truth in (("drift", rate(m, 0.0, 1.3)), ("diffusion", spread)):
        low, high = law.intervals[name]
        assert np.nanmean((low <= truth) & (truth <= high)) > 0.75
    assert law.verdict is None and np.isfinite(law.potential).all()


def test_escapes_take_as_long_as_the_chain_says(law):
    """Exactly, from the chain of counts; the diffusion is nearly right with so low a barrier."""
    n = np.arange(61)
    chain = []
    for k in n:
        pull = np.tanh(1.3 * (2 * k / 60 - 1))
        stay = binom.pmf(np.arange(k + 1), k, 1 - 0.5 * REDRAW * (1 - pull))
        chain.append(np.convolve(stay, binom.pmf(np.arange(61 - k), 60 - k, 0.5 * REDRAW * (1 + pull))))
    for escape in law.escapes:
        start, end = (round(30 * (1 + x)) for x in (escape.start, escape.end))
        kept = n < end if end > start else n > end
        inside = np.eye(kept.sum()) - np.array(chain)[np.ix_(kept, kept)]
        exact = DT * np.linalg.solve(inside, np.ones(kept.sum()))[np.flatnonzero(n[kept] == start)[0]]
        assert escape.low / 1.5 < exact < escape.high * 1.5
        assert abs(escape.barrier) < 0.2
    assert len(law.escapes) == 2 and law.sections() and law.record()


def test_what_was_not_visited_is_said():
    seen = pop.effective_dynamics(choosers(2_000, 1.0), jr.key(1), span=(-0.3, 0.3), budget=200, resamples=20)
    assert seen.verdict.code is Code.UNVISITED
    assert np.isnan(seen.drift[0]) and np.isfinite(seen.drift[len(seen.at) // 2]) and not seen.escapes
    assert seen.record()["drift"][0] is None and seen.sections()


def mean_path(times, m, h=0.1, J=0.8):
    path = [m]
    for _ in range(round(times[-1] / DT) + 1):
        path.append(path[-1] + DT * rate(path[-1], h, J))
    return np.interp(times, DT * np.arange(len(path)), path)


def test_running_ahead_keeps_to_the_mean_path():
    ahead = pop.projective(choosers(10_000, 0.5, J=0.8), jr.key(2), start=[-0.8], time=12.0, leap=1.0)
    truth = mean_path(ahead.times, -0.8)
    assert (np.abs(ahead.path[1:, 0] - truth[1:]) < 4 * ahead.error[1:, 0]).all()
    assert np.ptp(truth) > 1.0 and (ahead.error < 0.02).all()
    assert ahead.verdict.code is Code.STEP_HOLDS and ahead.simulated < 0.8
    assert ahead.sections() and ahead.record()


def test_leaps_that_are_too_long_are_told():
    ahead = pop.projective(choosers(10_000, 0.5, J=0.8), jr.key(2), start=[-0.8], time=12.0, leap=8.0)
    assert ahead.verdict.code is Code.STEP_TOO_LONG
    with pytest.raises(Exception, match="a time beyond one burst"):
        pop.projective(choosers(), jr.key(2), start=[-0.8], time=1.0, leap=8.0)


def hidden(slowness):
    """x follows y, which the lift sets to 0 and which comes to sin 2x in its own time."""

    def move(macro, parameters, key):
        generator, x, y, path = host_generator(key), macro[:, 0], np.zeros(len(macro)), []
        for _ in range(40):
            x = x + 0.05 * (y - x) + 0.005 * generator.normal(size=len(x))
            y = y + 0.05 / slowness * (np.sin(2 * x) - y)
            path.append(x)
        return np.stack(path, 1)[:, :, None]

    return pop.CoarseFunction(move, within={"x": (-1.0, 1.0)}, time=2.0, times=40)


@pytest.mark.parametrize(("slowness", "code"), [(0.2, Code.HEALED), (5.0, Code.NOT_HEALED)])
def test_a_lift_that_has_not_healed_is_told(slowness, code):
    length = pop.burst_length(hidden(slowness), jr.key(3))
    assert length.verdict.code is code
    assert (0.2 < length.heal < 1.5) if code is Code.HEALED else np.isnan(length.heal)
    assert length.sections() and length.record()


def test_choosers_have_nothing_to_heal():
    length = pop.burst_length(choosers(length=2.0), jr.key(4))
    assert length.heal == 0.0 and length.verdict.code is Code.HEALED
    with pytest.raises(Exception, match="cannot be cut into 50 parts"):
        pop.burst_length(choosers(length=2.0), jr.key(4), parts=50)


@pytest.mark.parametrize("count", [1, 2])
def test_diffusion_maps_count_the_variables(count):
    g = np.random.default_rng(0)
    a, b = g.uniform(size=(2, 400))
    b = b if count == 2 else a
    snapshots = np.stack([a, np.cos(2 * a), np.sin(3 * a), b**2, b], 1) + 0.01 * g.normal(size=(400, 5))
    found = pop.macro_variables(snapshots, candidates={"a": a, "b": b, "noise": g.normal(size=400)})
    assert found.count == count and found.verdict.code is Code.CLEAR_GAP
    assert found.explained["a"] > 0.9 and found.explained["b"] > 0.9 and found.explained["noise"] < 0.2
    assert max(abs(found.correlations["a"])) > 0.95
    assert found.sections() and found.record()


def test_noise_has_no_clear_gap():
    found = pop.macro_variables(np.random.default_rng(1).normal(size=(300, 8)))
    assert found.verdict.code is Code.NO_GAP
    with pytest.raises(Exception, match="never changes"):
        pop.macro_variables(np.random.default_rng(1).normal(size=(300, 8)), candidates={"one": np.ones(300)})
