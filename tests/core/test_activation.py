"""Who acts when: each activation against what its law says of how often, and of what is seen."""

from itertools import permutations
from typing import Any

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from jaxtyping import Array, Float

from populace._errors import FaultError, ModelError
from populace.core.activation import (
    Activated,
    Activation,
    Gillespie,
    InOrder,
    RandomAgents,
    RandomBlocks,
    RandomSequential,
    Staged,
    Synchronous,
    TauLeaping,
)
from populace.core.simulate import simulate
from populace.interact.colouring import Coloured
from populace.interact.generators import small_world
from populace.interact.grid import Grid


class Counters(Activated):
    """Agents who count how often they acted, and note how many acts there had been before: what they see."""

    activation: Activation = Synchronous()
    rate: float = 1.0

    @property
    def agents(self) -> int:
        return 60

    def init(self, draw: Any) -> Any:
        return {"acts": jnp.zeros(60), "saw": jnp.zeros(60)}

    def act(self, draw: Any, state: Any, who: Float[Array, " agents"]) -> Any:
        before = state["acts"].sum()
        return {"acts": state["acts"] + who, "saw": jnp.where(who > 0, before, state["saw"])}

    def rates(self, state: Any) -> Float[Array, " agents"]:
        return jnp.full(60, self.rate)

    def observe(self, state: Any) -> dict[str, Array]:
        return state


def _step(activation: Activation, steps: int = 1) -> dict[str, np.ndarray]:
    run = simulate(Counters(activation=activation), jr.key(1), steps=steps)
    return {name: np.asarray(values) for name, values in run.observations.items()}


@pytest.mark.parametrize("activation", [Synchronous(), InOrder(), RandomSequential(), RandomBlocks(7)])
def test_each_acts_once_a_step(activation: Activation):
    np.testing.assert_array_equal(_step(activation, 3)["acts"][-1], 3.0)


def test_what_is_seen_is_what_was_done_before():
    assert not _step(Synchronous())["saw"].any()
    np.testing.assert_array_equal(_step(InOrder())["saw"][0], np.arange(60))
    random = _step(RandomSequential(), 2)["saw"]
    np.testing.assert_array_equal(np.sort(random[0]), np.arange(60))
    assert (random[1] - 60 != random[0]).any()  # the order is drawn anew
    assert len(np.unique(_step(RandomBlocks(6))["saw"])) == 6


def test_random_agents_act_as_balls_fall_into_urns():
    acts = _step(RandomAgents(), 100)["acts"]
    each = np.diff(acts, axis=0, prepend=0.0)
    assert np.all(each.sum(1) == 60)
    assert abs((each == 0).mean() - (1 - 1 / 60) ** 60) < 4 * np.sqrt(0.37 * 0.63 / each.size)


def test_clocks_ring_as_poisson_says():
    activation = Gillespie(160)
    run = simulate(Counters(activation=activation, rate=1.5), jr.key(1), steps=40)
    each = np.diff(np.asarray(run.observations["acts"]), axis=0, prepend=0.0)
    assert abs(each.mean() - 1.5) < 4 * np.sqrt(1.5 / each.size)
    assert abs((each == 0).mean() - np.exp(-1.5)) < 4 * np.sqrt(0.22 * 0.78 / each.size)
    with pytest.raises(FaultError, match="events/room"):
        simulate(Counters(activation=Gillespie(50), rate=1.5), jr.key(1), steps=5)


class Dying(Activated):
    """Each dies at rate .7 while it lives."""

    activation: Activation

    @property
    def agents(self) -> int:
        return 400

    def init(self, draw: Any) -> Any:
        return jnp.ones(400)

    def act(self, draw: Any, state: Any, who: Float[Array, " agents"]) -> Any:
        return jnp.where(who > 0, 0.0, state)

    def rates(self, state: Any) -> Float[Array, " agents"]:
        return 0.7 * state

    def observe(self, state: Any) -> dict[str, Array]:
        return {"alive": state.mean()}


@pytest.mark.parametrize("activation", [Gillespie(300), TauLeaping(5)])
def test_rates_that_follow_the_state(activation: Activation):
    """Survival is exp(-.7 t) in both; nobody is left to act in the end, and nothing faults."""
    alive = np.asarray(simulate(Dying(activation), jr.key(3), steps=20).observations["alive"])
    for t in (1, 3):
        p = np.exp(-0.7 * t)
        assert abs(alive[t - 1] - p) < 4 * np.sqrt(p * (1 - p) / 400)
    assert alive[-1] < 0.01


class TwoParts(Counters):
    """First all count, then all look."""

    def stages(self) -> Any:
        return (self.count, self.look)

    def count(self, draw: Any, state: Any, who: Float[Array, " agents"]) -> Any:
        return {**state, "acts": state["acts"] + who}

    def look(self, draw: Any, state: Any, who: Float[Array, " agents"]) -> Any:
        return {**state, "saw": jnp.where(who > 0, state["acts"].sum(), state["saw"])}


def test_stages_are_kept_apart_where_asked():
    together = simulate(TwoParts(activation=InOrder()), jr.key(0), steps=1).observations["saw"][0]
    np.testing.assert_array_equal(np.asarray(together), np.arange(1, 61))
    apart = simulate(TwoParts(activation=Staged(InOrder())), jr.key(0), steps=1).observations["saw"][0]
    np.testing.assert_array_equal(np.asarray(apart), 60.0)


@pytest.mark.parametrize(
    ("topology", "reach"),
    [(small_world(jr.key(0), 50, degree=4, rewire=0.2), 2), (Grid(6, 8, periodic=True), 1), (Grid(5, 7), 1)],
)
def test_agents_of_a_colour_do_not_see_each_other(topology: Any, reach: int):
    coloured = Coloured.of(topology, reach)
    n = topology.size
    near = np.asarray(topology.sum(jnp.eye(n))) > 0
    within = near.copy()
    for _ in range(reach - 1):
        within = within | (within @ near)
    colour = np.asarray(coloured.colour)
    same = colour[:, None] == colour[None]
    assert not (same & within & ~np.eye(n, dtype=bool)).any()
    assert coloured.colours == colour.max() + 1 <= within.sum(1).max() + 1


class Sums(Activated):
    """Each sets itself to a number that hangs on its neighbours: any two orders differ where neighbours swap."""

    activation: Activation
    town: Any

    @property
    def agents(self) -> int:
        return self.town.size

    def init(self, draw: Any) -> Any:
        return jnp.arange(self.town.size, dtype=jnp.float32)

    def act(self, draw: Any, state: Any, who: Float[Array, " agents"]) -> Any:
        return jnp.where(who > 0, jnp.mod(1.0 + 3.0 * self.town.sum(state) + state, 101.0), state)

    def observe(self, state: Any) -> dict[str, Array]:
        return {"x": state}


def test_colours_are_a_sequential_order():
    """All at once a colour gives what its agents one by one give, in any order among themselves."""
    town = small_world(jr.key(0), 40, degree=4, rewire=0.2)
    coloured = Coloured.of(town)
    found = np.asarray(simulate(Sums(coloured, town), jr.key(5), steps=1).observations["x"][0])
    near = np.asarray(town.sum(jnp.eye(40)))

    def one_by_one(order: Any) -> np.ndarray:
        x = np.arange(40.0)
        for colour in order:
            for agent in np.flatnonzero(np.asarray(coloured.colour) == colour)[::-1]:
                x[agent] = (1.0 + 3.0 * near[agent] @ x + x[agent]) % 101.0
        return x

    assert any(np.array_equal(one_by_one(order), found) for order in permutations(range(coloured.colours)))


def test_what_makes_no_sense_is_refused():
    with pytest.raises(ModelError, match="one block is `Synchronous`"):
        RandomBlocks(1)
    with pytest.raises(ModelError, match="all act at once"):
        Coloured.of(Grid(4, 4), 0)
    with pytest.raises(ModelError, match="16 colours for 60 agents"):
        simulate(Counters(activation=Coloured.of(Grid(4, 4))), jr.key(0), steps=1)
