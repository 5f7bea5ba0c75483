"""Sensitivities against what is known: a walk, an outbreak by matrix powers, and one more who is ill."""

import json

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from tests.gradients.known import Outbreak, outbreak

import populace as pop
from populace.zoo.random_walk import RandomWalk

STEPS = 4
AT = {"beta": 0.8, "gamma": 0.3}


@pytest.fixture(scope="module")
def walk():
    simulation = pop.Simulation(RandomWalk(p=0.3), 10)
    return pop.sensitivities(simulation, jr.key(1), keys=64, by=pop.ForwardMode(), starts={"one up": lambda x: x + 1.0})


def test_a_walk_moves_by_two_a_step(walk):
    times = np.arange(1, 11)
    np.testing.assert_allclose(walk.slopes["p"]["position"], 2.0 * times, rtol=1e-5)
    assert walk.verdicts["p"].code is pop.Code.BELIEVE
    np.testing.assert_allclose(walk.started["one up"]["position"], 1.0, atol=1e-5)


def test_an_elasticity_is_value_times_slope_over_mean(walk):
    mean = walk.means["position"]
    np.testing.assert_allclose(walk.elasticities["p"]["position"], 0.3 * 2.0 * np.arange(1, 11) / mean, rtol=1e-4)
    assert (walk.elasticity_errors["p"]["position"] > 0).all()


@pytest.fixture(scope="module")
def ill():
    model = Outbreak(5, beta=0.8, gamma=0.3, noise=0.5)
    more = lambda state: (jnp.maximum(state[0], (jnp.arange(5) == 0) * 1.0), *state[1:])  # noqa: E731
    return pop.sensitivities(
        pop.Simulation(model, STEPS),
        jr.key(2),
        at=AT,
        keys=20_000,
        by=pop.Differences(step=0.05),
        starts={"more": more},
    )


def expected(beta: float, gamma: float) -> float:
    """E of ill at the last step, from the sums of squares that `known` has: with one person squares are numbers."""
    return outbreak(beta, gamma, 0.0, 1, STEPS) - outbreak(beta, gamma, 0.0, 1, STEPS - 1)


def test_the_derivative_of_one_persons_illness_is_known():
    """One person, ill at first with probability .4, who recovers: E ill_t = .4 (1 - gamma)^t, whatever beta is."""
    model = Outbreak(1, beta=0.8, gamma=0.3, noise=0.5)
    found = pop.sensitivities(
        pop.Simulation(model, STEPS), jr.key(3), at={"gamma": 0.3}, keys=20_000, by=pop.Differences(step=0.05)
    )
    times = np.arange(1, STEPS + 1)
    exact = -0.4 * times * 0.7 ** (times - 1)
    slope, error = found.slopes["gamma"]["ill"], found.errors["gamma"]["ill"]
    assert (np.abs(slope - exact) < 4 * error + 1e-3).all() and (error < 0.04).all()
    assert expected(0.8, 0.3) == pytest.approx(0.4 * 0.7**STEPS)


def test_more_ill_at_first_are_more_ill_later(ill):
    change, error = ill.started["more"]["ill"], ill.started_errors["more"]["ill"]
    assert (change > 4 * error).all()
    assert (ill.slopes["beta"]["ill"] > 0).all() and (ill.slopes["gamma"]["ill"] < 0).all()


def test_a_relaxation_that_is_off_is_told():
    """(x - .9)^2 of a coin falls by .8 p; straight-through has 2 p - 1.8, above 0 from p = .9 on."""

    class Coin(RandomWalk):
        def observe(self, position):
            return {"square": ((position.mean() + 1.0) / 2.0 - 0.9) ** 2}

    found = pop.sensitivities(
        pop.Simulation(Coin(p=0.95), 1), jr.key(4), at={"p": 0.95}, keys=4_000, by=pop.ForwardMode()
    )
    assert found.verdicts["p"].code is pop.Code.WRONG_SIGN


def test_as_a_result(ill, tmp_path):
    json.dumps(ill.record())
    for suffix in ("html", "png"):
        pop.write(ill, tmp_path / f"s.{suffix}")


def test_what_cannot_be_done_is_said():
    simulation = pop.Simulation(RandomWalk(p=0.3), 2)
    with pytest.raises(pop.GradientError, match="two keys"):
        pop.sensitivities(simulation, jr.key(0), keys=1)
    with pytest.raises(pop.UnknownParameterError, match="did you mean 'p'"):
        pop.sensitivities(simulation, jr.key(0), at={"pp": 0.2})
