"""Herding: what is known of it for every strength."""

import jax.random as jr
import numpy as np
import pytest

import populace as pop
from populace.testing.models import check_model
from populace.zoo.kirman import Kirman

RUNS = 600


def variance(agents, a1, a2, b):
    z = a1 / (a1 + a2)
    together = 1 / (1 + (a1 + a2) / b) if b else 0.0
    return z * (1 - z) * (1 / agents + (1 - 1 / agents) * together)


def test_the_laws_of_a_model():
    check_model(Kirman(agents=10, turns=20), jr.key(0))


@pytest.fixture(scope="module")
def shares():
    """Agents 20, from share .4 at rest: times 1 to 24 for three strengths of herding."""
    model = Kirman(agents=20, turns=60, start=0.4, interval=1.0)
    seen = pop.ensemble(model, jr.key(1), 24, runs=RUNS, parameters={"b": [0.0, 0.02, 0.2]})
    return np.asarray(seen.observations["share"], np.float64)


@pytest.mark.parametrize(("row", "b"), [(0, 0.0), (1, 0.02), (2, 0.2)])
def test_mean_variance_and_memory_at_rest(shares, row, b):
    """Mean .4, the variance of the beta-binomial law, and an autocorrelation exp(-.25) over a unit of time."""
    mine = shares[row]
    assert abs(mine[:, -1].mean() - 0.4) < 4 * mine[:, -1].std() / np.sqrt(RUNS)
    last = mine[:, -1]
    square = (last - last.mean()) ** 2
    assert abs(square.mean() - variance(20, 0.1, 0.15, b)) < 4 * square.std() / np.sqrt(RUNS)
    off = mine - 0.4
    now, then = off[:, -8:-1].ravel(), off[:, -7:].ravel()
    slope = (now @ then) / (now @ now)
    each = [
        (a @ c) / (now @ now) * RUNS for a, c in zip(off[:, -8:-1], off[:, -7:] - slope * off[:, -8:-1], strict=True)
    ]
    assert abs(slope - np.exp(-0.25)) < 4 * np.std(each) / np.sqrt(RUNS)


def test_the_mean_is_exact_for_long_turns_too():
    """With few turns a turn's probability is near 1, and the mean after each step is still that of continuous time."""
    model = Kirman(agents=20, turns=4, a1=1.0, a2=0.5, b=0.0, interval=0.15)
    seen = np.asarray(pop.ensemble(model, jr.key(2), 12, runs=2_000).observations["share"][0], np.float64)
    exact = 2 / 3 * (1 - np.exp(-1.5 * 0.15 * np.arange(1, 13)))
    assert np.all(np.abs(seen.mean(0) - exact) < 4 * seen.std(0) / np.sqrt(2_000))


def test_turns_that_are_too_few_are_a_fault():
    with pytest.raises(pop.FaultError, match="turn/join"):
        pop.simulate(Kirman(agents=50, turns=2, b=0.2), jr.key(3), 3)
