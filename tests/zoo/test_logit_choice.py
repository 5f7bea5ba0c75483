"""Logit choice with social influence: what its equation and its fluctuations are known to be."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from scipy.optimize import brentq

import populace as pop
from populace.core.record import EveryStep
from populace.core.simulate import advance
from populace.testing.models import check_model
from populace.zoo.logit_choice import LogitChoice

AGENTS, RUNS, STEPS = 400, 400, 240
REST = brentq(lambda m: np.tanh(0.1 + 0.8 * m) - m, 0.0, 1.0)
SHARE = 1 - REST**2
DECAY = 1 - 0.8 * SHARE


@pytest.fixture(scope="module")
def means():
    """Means (runs, steps) of runs that begin above the state of rest: at +1 all."""
    model = LogitChoice(agents=AGENTS, begin=1.0)
    return np.asarray(pop.ensemble(model, jr.key(1), STEPS, runs=RUNS).observations["mean"][0], np.float64)


def test_the_laws_of_a_model():
    check_model(LogitChoice(agents=30), jr.key(0))


def test_the_known_state_of_rest(means):
    assert abs(REST - 0.3905) < 1e-4 and abs(SHARE / DECAY - 2.632) < 2e-3
    late = means[:, -1]
    error = late.std() / np.sqrt(RUNS)
    bend = -2 * 0.64 * REST * SHARE * SHARE / DECAY / AGENTS / 2 / DECAY  # what the curvature makes of fluctuations
    assert abs(late.mean() - REST - bend) < 4 * error


def test_the_known_fluctuations(means):
    """N Var m, and what steps of .05 make of it: times (2 - r) / (2 - r x decay) with r = 1 - e^-.05."""
    redraw = 1 - np.exp(-0.05)
    truth = SHARE / DECAY * (2 - redraw) / (2 - redraw * DECAY)
    apart = means[:, 159::40]  # 2 units of time apart: half as good as independent
    found = AGENTS * apart.var(0, ddof=1).mean()
    assert found == pytest.approx(truth, rel=4 * np.sqrt(2 / (RUNS * 2)))


def test_the_known_relaxation(means):
    """The autocorrelation over a unit of time."""
    redraw = 1 - np.exp(-0.05)
    one, two = means[:, 219], means[:, 239]
    found = np.corrcoef(one, two)[0, 1]
    assert abs(found - (1 - redraw * DECAY) ** 20) < 4 * (1 - found**2) / np.sqrt(RUNS)
    assert abs((1 - redraw * DECAY) ** 20 - np.exp(-DECAY)) < 0.01


def test_the_mean_of_a_step_is_the_equations():
    model = LogitChoice(agents=1000, J=1.5, dt=0.5)
    state = pop.Snapshot(model.at(jnp.float32(-0.4)), {}, jnp.int32(0))

    def after(key):
        return advance(model, key, state, (), None, EveryStep(), 1)[2]["mean"][0]

    seen = np.asarray(jax.jit(jax.vmap(after))(jr.split(jr.key(2), 300)), np.float64)
    truth = -0.4 + (1 - np.exp(-0.5)) * (np.tanh(0.1 - 0.6) + 0.4)
    assert abs(seen.mean() - truth) < 4 * seen.std() / np.sqrt(300)


def test_a_lift_has_the_mean_it_was_given():
    model = LogitChoice(agents=250)
    for mean in (-1.0, -0.2, 0.0, 0.6, 1.0):
        assert float(model.observe(model.at(jnp.float32(mean)))["mean"]) == pytest.approx(mean, abs=1e-6)
