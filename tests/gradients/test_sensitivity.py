"""Sensitivities against what is known: a walk, an outbreak by matrix powers, and one more who is ill."""

import json

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from tests.gradients.known import Outbreak, outbreak

import populace as pop
from populace.gradients.sensitivity_check import checked
from populace.zoo.random_walk import RandomWalk

STEPS = 4
AT = {"beta": 0.8, "gamma": 0.3}


@pytest.fixture(scope="module")
def walk():
    simulation = pop.Simulation(RandomWalk(50, p=0.3), 10)
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


class Squared(Outbreak):
    """How many are ill, and the square of it, whose sum is known."""

    def observe(self, state):
        return {"ill": state[0].sum(), "square": state[0].sum() ** 2}


@pytest.fixture(scope="module")
def ill():
    model = Squared(5, beta=0.8, gamma=0.3, noise=0.5)
    more = lambda state: (jnp.maximum(state[0], (jnp.arange(5) == 0) * 1.0), *state[1:])  # noqa: E731
    return pop.sensitivities(
        pop.Simulation(model, STEPS),
        jr.key(2),
        at=AT,
        keys=20_000,
        by=pop.Differences(step=0.05),
        starts={"more": more},
    )


def exact(beta: float, gamma: float) -> np.ndarray:
    """E of the square of how many are ill after each step, of five people, by matrix powers."""
    return np.diff([outbreak(beta, gamma, 0.0, 5, steps) for steps in range(STEPS + 1)])


@pytest.mark.parametrize(("name", "h"), [("beta", np.array([1e-4, 0.0])), ("gamma", np.array([0.0, 1e-4]))])
def test_an_outbreaks_derivatives_are_those_of_its_chain(ill, name, h):
    at = np.array([AT["beta"], AT["gamma"]])
    truth = (exact(*(at + h)) - exact(*(at - h))) / 2e-4
    slope, error = ill.slopes[name]["square"], ill.errors[name]["square"]
    assert (np.abs(slope - truth) < 4 * error).all() and (error < 0.1 * np.abs(truth).max()).all()
    means, size = exact(*at), AT[name] * truth / exact(*at)
    np.testing.assert_allclose(ill.means["square"], means, rtol=0.05)
    assert (np.abs(ill.elasticities[name]["square"] - size) < 4 * ill.elasticity_errors[name]["square"] + 1e-3).all()


def test_the_derivative_of_one_persons_illness_is_known():
    """One person, ill at first with probability .4, who recovers: E ill_t = .4 (1 - gamma)^t, whatever beta is."""
    model = Outbreak(1, beta=0.8, gamma=0.3, noise=0.5)
    found = pop.sensitivities(
        pop.Simulation(model, STEPS), jr.key(3), at={"gamma": 0.3}, keys=20_000, by=pop.Differences(step=0.05)
    )
    times = np.arange(1, STEPS + 1)
    truth = -0.4 * times * 0.7 ** (times - 1)
    slope, error = found.slopes["gamma"]["ill"], found.errors["gamma"]["ill"]
    assert (np.abs(slope - truth) < 4 * error + 1e-3).all() and (error < 0.04).all()


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


class Two(RandomWalk):
    """Two walkers, their places, and whether the first went up three times."""

    def observe(self, position):
        return {"up": (position[0] > 2.5) * 1.0, "places": position}


@pytest.fixture(scope="module")
def two():
    by = pop.Differences(step=0.975, richardson=True)
    return pop.sensitivities(pop.Simulation(Two(2, p=0.4), 3), jr.key(5), keys=20_000, by=by)


def test_differences_may_be_extrapolated(two):
    """P(up three times) = p^3: a difference of h either side is 3 p^2 + h^2, and without the h^2 extrapolated."""
    slope, error = two.slopes["p"]["up"], two.errors["p"]["up"]
    assert abs(slope[-1] - 3 * 0.4**2) < 4 * error[-1] and 0 < error[-1] < 0.01
    assert (slope[:-1] == 0).all()
    assert two.slopes["p"]["places"].shape == (3, 2)


def test_what_moves_the_largest_is_said_in_words(walk, two):
    """Per cent of T (2 p - 1) = -4 at p = .3, for 10 % more: .03 x 2 T = .6."""
    text = walk.sections()[0].text
    assert any(one.startswith("10 % more p raises position by 15 % (") for one in text)
    assert any(one.startswith("one up raises position by 25 % (") and "at time 10" in one for one in text)
    assert "More than one number a time, in the arrays only: places." in two.sections()[0].text


def pair(ours: float, noise: float, keys: int = 400):
    """Derivatives beside a truth of 1 in every row: `ours`, with noise of its own."""
    draws = np.random.default_rng(0).normal(size=(2, keys, 5))
    truth = {"x": 1.0 + 0.1 * draws[0]}
    return checked("p", {"x": ours + noise * draws[1]}, truth, {"x": np.ones((keys, 5))})


@pytest.mark.parametrize(
    ("ours", "noise", "code"),
    [
        (1.0, 0.2, pop.Code.BELIEVE),
        (1.05, 0.2, pop.Code.BELIEVE),
        (1.5, 0.2, pop.Code.DIRECTION_ONLY),
        (-0.5, 0.2, pop.Code.WRONG_SIGN),
        (0.0, 0.0, pop.Code.BLIND),
        (1.0, 20.0, pop.Code.TOO_NOISY),
        (-0.5, 40.0, pop.Code.TOO_NOISY),
        (np.inf, 0.2, pop.Code.TOO_NOISY),
    ],
)
def test_belief_takes_evidence(ours, noise, code):
    assert pair(ours, noise).code is code


def test_what_the_model_does_not_react_to_is_agreed_on():
    nothing = {"x": np.zeros((20, 3))}
    assert checked("p", nothing, nothing, {"x": np.ones((20, 3))}).code is pop.Code.BELIEVE


def test_as_a_result(ill, tmp_path):
    assert json.loads(json.dumps(ill.record()))["elasticities"].keys() == AT.keys()
    for suffix in ("html", "png"):
        pop.write(ill, tmp_path / f"s.{suffix}")


def test_what_cannot_be_done_is_said():
    simulation = pop.Simulation(RandomWalk(p=0.3), 2)
    with pytest.raises(pop.GradientError, match="two keys"):
        pop.sensitivities(simulation, jr.key(0), keys=1)
    with pytest.raises(pop.UnknownParameterError, match="did you mean 'p'"):
        pop.sensitivities(simulation, jr.key(0), at={"pp": 0.2})
