"""Many alike agents: fictitious play in the distribution, against a mean-field game that dynamic programming solves."""

from typing import Any

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from jaxtyping import Array

import populace as pop

PLACES, STEPS, CROWD = 5, 3, 2.0


class Beach(pop.Model):
    """Bathers on five places with a bar at the second; each pays for the way to the bar and for the crowd where it
    lies. They see where they are, and the time.
    """

    def init(self, draw: pop.Draw) -> dict[str, Array]:
        place = draw.categorical("first", jnp.zeros(PLACES), size=60).index
        return {"place": place, "time": jnp.zeros(60, jnp.int32), "paid": jnp.zeros(60)}

    def step(self, draw: pop.Draw, here: dict[str, Array]) -> dict[str, Array]:
        view = {"place": here["place"], "time": here["time"]}
        move = draw.decide("go", view, lambda view, inner: jnp.ones(view["place"].shape, jnp.int32))
        place = jnp.clip(here["place"] + move - 1, 0, PLACES - 1)
        share = (place[:, None] == jnp.arange(PLACES)).mean(0)
        paid = -0.5 * jnp.abs(place - 1) - CROWD * share[place]
        return {"place": place, "time": here["time"] + 1, "paid": paid}

    def observe(self, here: dict[str, Array]) -> dict[str, Array]:
        return {"paid": here["paid"].mean()}


TO = np.clip(np.arange(PLACES)[:, None] + np.arange(3) - 1, 0, PLACES - 1)
"""(places, moves): where each leads."""


def flow(policy: np.ndarray) -> np.ndarray:
    """(steps, places): shares after each step, where all do what a policy (steps, places) says."""
    now, out = np.full(PLACES, 1 / PLACES), []
    for moves in policy:
        now = np.bincount(TO[np.arange(PLACES), moves], now, minlength=PLACES)
        out.append(now)
    return np.array(out)


def response(flows: np.ndarray) -> tuple[np.ndarray, float]:
    """The best response to a flow by dynamic programming, and what it earns."""
    value, policy = np.zeros(PLACES), []
    for shares in flows[::-1]:
        worth = (-0.5 * np.abs(np.arange(PLACES) - 1) - CROWD * shares + value)[TO]
        value = worth.max(1)
        policy.append(worth.argmax(1))
    return np.array(policy[::-1]), float(value.mean())


def exploitability(flows: np.ndarray, own: np.ndarray) -> float:
    """What a response gains on those whose flow is `own`, in a population whose flow is `flows`."""
    paid = (own * (-0.5 * np.abs(np.arange(PLACES) - 1) - CROWD * flows)).sum()
    return response(flows)[1] - float(paid)


def equilibrium(rounds: int = 3000) -> np.ndarray:
    """The flow of the mean-field equilibrium, by exact fictitious play: one flow, as crowds are paid for."""
    flows = flow(np.ones((STEPS, PLACES), int))
    for number in range(1, rounds):
        flows += (flow(response(flows)[0]) - flows) / (number + 1)
    assert exploitability(flows, flows) < 0.003
    return flows


def test_averages_come_near_the_mean_field_equilibrium():
    learner = pop.Learner(lambda step: step.after["paid"], pop.Discrete(3), discount=1.0)
    game = pop.Game(Beach(), STEPS, {"go": learner}, finite=True)
    found = pop.policy_space_response(
        game,
        pop.QLearning((PLACES, STEPS), rate=0.2, fade=0.0),
        jr.key(0),
        budget=400,
        rounds_at_most=8,
        solver=pop.FictitiousSelfPlay(),
        seeds=1,
        runs=32,
    )
    mixture: Any = found.policies[0]["go"]
    tables = np.asarray(mixture.members.table).reshape(-1, PLACES, STEPS, 3)
    flows = np.mean([flow(table.argmax(-1).T) for table in tables], axis=0)
    true = exploitability(flows, flows)

    assert np.abs(flows - equilibrium()).max() < 0.1
    assert true < 0.25 * found.gains[0, 0]
    assert found.gains[-1, 0] == pytest.approx(true, abs=3 * found.errors[-1, 0] + 0.05)
