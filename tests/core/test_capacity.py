"""Capacities: declared, found, set, matched to a state, and planned from pilot runs."""

import json
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from jaxtyping import Array
from scipy import stats

from populace._errors import CapacityError, ModelError
from populace.core.capacity import capacities, capacity, capacity_of, rooms, with_capacity
from populace.core.capacity_plan import plan_capacity, room_for
from populace.core.draw import Draw
from populace.core.model import Model, bind, parameter
from populace.core.population import Population, founders
from populace.zoo.wolf_sheep import WolfSheep


class Slots(Population):
    mark: Array


class Hall(eqx.Module):
    """A part of a model that has a capacity of its own."""

    seats: int = capacity(default=6)


class Inn(Model):
    """Guests, as many at once as the draw says, up to `most`, and a waiter, in a state of dicts."""

    hall: Hall = eqx.field(default_factory=Hall)
    spare: int = capacity(default=4)
    guests: int = eqx.field(static=True, default=3)
    most: Array = parameter(default=10.0)

    def init(self, draw: Draw) -> dict[str, Slots]:
        many = self.hall.seats
        guests = Slots(**founders(self.guests, many), mark=jnp.zeros(many))
        both = self.hall.seats + self.spare
        return {"guests": guests, "waiters": Slots(**founders(1, both), mark=jnp.zeros(both))}

    def step(self, draw: Draw, state: dict[str, Slots]) -> dict[str, Slots]:
        """What a peak is, is set by hand, so that its law is known."""
        came = jnp.floor(draw.uniform("guests", 0.0, self.most, size=())).astype(jnp.int32)
        guests = eqx.tree_at(lambda g: g.needed, state["guests"], jnp.maximum(state["guests"].needed, came))
        return {**state, "guests": guests}

    def observe(self, state: dict[str, Slots]) -> dict[str, Array]:
        return {"guests": state["guests"].alive.sum()}


def shapes(model: Model) -> Any:
    """The state at time 0, without its numbers."""
    return jax.eval_shape(lambda key: model.init(Draw(key)), jr.key(0))


def test_capacities_are_found_by_name_and_set():
    model = Inn()
    assert capacities(model) == {"spare": 4, "hall.seats": 6}
    wide = with_capacity(model, {"hall.seats": 9})
    assert capacities(wide) == {"spare": 4, "hall.seats": 9} and capacities(model)["hall.seats"] == 6
    assert shapes(wide)["guests"].capacity == 9
    assert with_capacity(model, capacities(model)) is model
    moved = with_capacity(bind(model, {"most": 3.0}), {"spare": 5})
    assert float(moved.most) == 3.0 and moved.spare == 5 and moved.guests == 3


def test_what_a_capacity_gives_room_to_is_found():
    found = rooms(Inn())
    assert found.slots == {"['guests']": 6, "['waiters']": 10}
    assert found.fields == {"['guests']": ("hall.seats",), "['waiters']": ("spare", "hall.seats")}
    sheep = rooms(WolfSheep(sheep_room=300, wolf_room=200))
    assert sheep.fields == {".sheep": ("sheep_room",), ".wolves": ("wolf_room",)}
    assert sheep.slots == {".sheep": 300, ".wolves": 200}


def test_the_capacities_of_a_state():
    state = shapes(with_capacity(Inn(), {"hall.seats": 12, "spare": 8}))
    fits = shapes(with_capacity(Inn(), capacity_of(Inn(), state)))
    assert all(fits[name].capacity >= state[name].capacity for name in state)
    model = WolfSheep(sheep_room=300, wolf_room=200)
    assert capacity_of(WolfSheep(), shapes(model)) == {"sheep_room": 300, "wolf_room": 200}
    with pytest.raises(CapacityError, match="another model's"):
        capacity_of(WolfSheep(), state)


def test_what_cannot_be_set():
    with pytest.raises(ModelError, match=r"declares no capacity 'seats'; did you mean 'hall.seats'"):
        with_capacity(Inn(), {"seats": 3})
    for wrong in (0, 2.5, True):
        with pytest.raises(ModelError, match="a whole number from 1"):
            with_capacity(Inn(), {"spare": wrong})  # pyright: ignore[reportArgumentType]
    with pytest.raises(ModelError, match="60 sheep in room for 5"):  # what the model checks is checked again
        with_capacity(WolfSheep(), {"sheep_room": 5})


# A plan


def test_a_plan_is_the_prediction_bound_of_the_peaks():
    """Each peak is the larger of 3 and a whole number evenly from 0 to most - 1: pilot runs outgrow the 6 seats."""
    sets = {"most": np.array([4.0, 40.0])}
    plan = plan_capacity(Inn(), jr.key(1), steps=1, runs=40, parameters=sets, margin=3.0)
    peaks = plan.peaks["['guests']"]
    assert peaks.shape == (2, 40) and peaks[0].max() <= 3 and 30 < peaks[1].max() <= 39
    mean, sd = 19.6, np.sqrt((40**2 - 1) / 12)
    assert abs(peaks[1].mean() - mean) < 4 * sd / np.sqrt(40)
    bound = peaks[1].mean() + 3.0 * peaks[1].std(ddof=1) * np.sqrt(1 + 1 / 40)
    assert plan.slots["['guests']"] == plan.capacity["hall.seats"] == 16 * np.ceil(bound / 16)
    assert shapes(plan.model)["guests"].capacity == plan.slots["['guests']"]
    assert plan.before == {"spare": 4, "hall.seats": 6}
    assert plan.chance == pytest.approx(stats.t.sf(3.0, 39))
    assert json.loads(json.dumps(plan.record()))["capacity"] == plan.capacity
    (section,) = plan.sections()
    assert section.tables[1].rows[1] == ("hall.seats", 6, plan.capacity["hall.seats"])


def test_room_by_hand():
    """Peaks of 10 and 30: mean 20, sd 14.14; 1.9 sd sqrt(3/2) above it 52.9, where 1.9 sd alone would be 46.9."""
    two = np.array([[10, 30]])
    assert [room_for(two, margin, 1000) for margin in (0.0, 1.9)] == [32, 64]
    assert room_for(np.concatenate([two, two + 100]), 1.9, 1000) == 160
    assert room_for(two, 1.9, 50) == 50 and room_for(two, 1.9, 20) == 30  # never less than what was seen


def test_plans_that_cannot_be_made():
    with pytest.raises(CapacityError, match=r"of 10 pilot runs wanted more than 8 agents"):
        plan_capacity(Inn(), jr.key(1), steps=1, runs=10, limit=8, parameters={"most": np.array([40.0])})
    with pytest.raises(ModelError, match="2 pilot runs"):
        plan_capacity(Inn(), jr.key(1), steps=1, runs=1)

    class Fixed(Inn):
        def init(self, draw: Draw) -> dict[str, Slots]:
            return {"guests": Slots(**founders(3, 6), mark=jnp.zeros(6))}

    with pytest.raises(ModelError, match=r"declares no capacity: write capacity: int = pop.capacity"):
        plan_capacity(Fixed(), jr.key(1), steps=1)
