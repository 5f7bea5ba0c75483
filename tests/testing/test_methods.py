"""The suite for methods passes what is right and finds what is wrong, each flaw by its law."""

from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax
import jax.random as jr
import numpy as np
import numpyro.distributions as dist
import pytest

from populace._errors import MethodError
from populace._results import Code
from populace.calibration.estimates import Point, Posterior
from populace.calibration.tally import Tally
from populace.core.rounds import Done, Method
from populace.problem.covariance import Given
from populace.problem.distances import Quadratic
from populace.problem.moments import level
from populace.problem.problem import Problem, Simulate
from populace.problem.simulators import Batch, Simulator
from populace.problem.space import Space
from populace.problem.target import Target
from populace.testing.methods import check_method


class Plain(Simulator):
    """The parameter and a little noise."""

    def parameters(self) -> dict[str, Any]:
        return {}

    def simulate(self, parameters: Mapping[str, Any], keys: Any, ticker: Any) -> Batch:
        noise = np.asarray(jax.random.key_data(keys)[:, 1], np.float64) / 2.0**32
        mean = (np.asarray(parameters["theta"]) + noise)[:, None]
        return Batch({"m": mean.astype(np.float32)}, np.zeros(len(mean), bool), {})

    def describe(self) -> dict[str, Any]:
        return {"kind": "plain"}


PROBLEM = Problem(
    Plain(), Space(theta=dist.Normal(0.0, 1.0)), Target({"m": np.ones(1)}, [level("m")], covariance=Given([0.5]))
)
BATCH = 40


class State(eqx.Module):
    real: np.ndarray
    moments: np.ndarray
    distance: np.ndarray
    tally: Tally


class Rejection(Method[Problem, Any, Any]):
    """Sound, and as plain as can be: the ten nearest of all draws from the prior. Flaws override one method."""

    def start(self, task, key, budget):
        if budget < BATCH:
            raise MethodError(f"give {BATCH} calls")
        return State(np.zeros((0, 1)), np.zeros((0, 1)), np.zeros(0), Tally.empty())

    def ask(self, task, state, key):
        draw, run = jr.split(key)
        return Simulate(task.space.sample(draw, BATCH), jr.split(run, BATCH))

    def tell(self, task, state, ask, answer):
        distance = np.where(answer.excluded, np.inf, Quadratic()(answer.moments, task.target))
        real = np.asarray(task.space.to_real(ask.parameters), np.float64)
        rows = [np.concatenate(p) for p in ((state.real, real), (state.moments, answer.moments))]
        near = np.concatenate([state.distance, distance])
        best = np.argsort(near, kind="stable")[:10]
        return State(rows[0][best], rows[1][best], near[best], state.tally.with_(answer))

    def done(self, task, state, left):
        return Done(Code.BUDGET_SPENT, "all is spent") if left < BATCH else None

    def finish(self, task, state, key):
        notes = (state.tally.sentence(),) if state.tally.excluded else ("Ten draws.",)
        return Posterior(state.real, np.full(10, 0.1), state.moments, notes)


def test_what_is_sound_passes():
    check_method(Rejection(), PROBLEM, jr.key(0), budget=130)


class TakesNothing(Rejection):
    def start(self, task, key, budget):
        return State(np.zeros((0, 1)), np.zeros((0, 1)), np.zeros(0), Tally.empty())


class Idle(Rejection):
    def ask(self, task, state, key):
        return Simulate(task.space.sample(key, 0), jr.split(key, 0))


class Overspends(Rejection):
    def done(self, task, state, left):
        return Done(Code.BUDGET_SPENT, "all is spent") if left <= 0 else None


class Cheap(Simulate):
    def calls(self):
        return 1


class Miscounts(Rejection):
    def ask(self, task, state, key):
        ask = Rejection.ask(self, task, state, key)
        return Cheap(ask.parameters, ask.keys)


class AsksNothing(Rejection):
    def ask(self, task, state, key):
        return None


class Overwrites(Rejection):
    def tell(self, task, state, ask, answer):
        after = Rejection.tell(self, task, state, ask, answer)
        state.distance[:] = 0.0
        return after


class SpoilsTheAnswer(Rejection):
    def tell(self, task, state, ask, answer):
        after = Rejection.tell(self, task, state, ask, answer)
        answer.moments[:] = 0.0
        return after


class Grows(Rejection):
    def tell(self, task, state, ask, answer):
        after = Rejection.tell(self, task, state, ask, answer)
        return eqx.tree_at(lambda s: s.distance, after, (after.distance, after.distance))


class Turns(Rejection):
    def tell(self, task, state, ask, answer):
        after = Rejection.tell(self, task, state, ask, answer)
        return eqx.tree_at(lambda s: s.distance, after, after.distance.astype(np.float32))


class Loose(Rejection):
    def start(self, task, key, budget):
        state = Rejection.start(self, task, key, budget)
        return eqx.tree_at(lambda s: s.distance, state, 0.0)

    def tell(self, task, state, ask, answer):
        fresh = Rejection.start(self, task, None, BATCH)
        after = Rejection.tell(self, task, fresh, ask, answer)
        return eqx.tree_at(lambda s: s.distance, after, 0.0)


MEMORY: list[int] = []


class Remembers(Rejection):
    """Keeps something that no checkpoint holds."""

    def finish(self, task, state, key):
        MEMORY.append(1)
        found = Rejection.finish(self, task, state, key)
        return eqx.tree_at(lambda e: e.real, found, found.real + len(MEMORY))


class Wavers(Rejection):
    def done(self, task, state, left):
        MEMORY.append(1)
        return Done(Code.BUDGET_SPENT, f"all is spent, {len(MEMORY)}") if left < BATCH else None


class Silent(Rejection):
    def done(self, task, state, left):
        return Done(Code.MATCHED, "") if left < BATCH else None


class NoEstimate(Rejection):
    def finish(self, task, state, key):
        return state.real


class Heavy(Rejection):
    def finish(self, task, state, key):
        return eqx.tree_at(lambda e: e.weights, Rejection.finish(self, task, state, key), np.full(10, 0.2))


class Unfinished(Rejection):
    def finish(self, task, state, key):
        return Point(np.array([np.nan]), np.eye(1), 0.0, ("Lost.",))


class Secretive(Rejection):
    def finish(self, task, state, key):
        found = Rejection.finish(self, task, state, key)
        return Posterior(found.real, found.weights, found.moments, ("All is well.",))


class TrustsAll(Rejection):
    """Takes excluded runs at their word."""

    def tell(self, task, state, ask, answer):
        after = Rejection.tell(self, task, state, ask, answer)
        return eqx.tree_at(lambda s: s.real, after, after.real + np.where(answer.excluded.any(), np.nan, 0.0))


FLAWS = {
    TakesNothing: "a budget of 0 calls is taken",
    Idle: "it asks for no work and does not stop",
    Overspends: "the budget is exceeded",
    Miscounts: "the ask says 1 calls and makes 40",
    AsksNothing: "ask returns a NoneType",
    Overwrites: "in place",
    SpoilsTheAnswer: "in place",
    Grows: "another structure",
    Turns: "turns from float64",
    Loose: "the state holds a float",
    Remembers: "ends with another estimate",
    Wavers: "does not stop, or for another reason",
    Silent: "give CONVERGED or BUDGET_SPENT",
    NoEstimate: "finish returns a ndarray, not an Estimate",
    Heavy: "the weights are not non-negative with sum 1",
    Unfinished: "draws are not",
    Secretive: "no note of the estimate says so",
    TrustsAll: "draws are not finite",
}


@pytest.mark.parametrize("flawed", FLAWS, ids=lambda flawed: flawed.__name__)
def test_a_flaw_is_found_by_its_law(flawed: type[Rejection]):
    with pytest.raises(AssertionError, match=rf"{flawed.__name__}: .*{FLAWS[flawed]}"):
        check_method(flawed(), PROBLEM, jr.key(0), budget=130)
