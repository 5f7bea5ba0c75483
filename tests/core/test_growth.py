"""Growth: a run that began with too little room is, number for number, the run that had enough."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from jaxtyping import Array

from populace._errors import CapacityError, ModelError
from populace.core import simulate as driver
from populace.core.capacity import capacity
from populace.core.draw import Draw
from populace.core.ensemble import Ensemble, ensemble
from populace.core.executor import Ticker
from populace.core.growth import Growth, larger
from populace.core.model import Model, bind, parameter
from populace.core.plug import Record
from populace.core.population import Population, births, deaths, founders
from populace.core.record import time_mean
from populace.core.reducers import Mean
from populace.core.shards import Shards
from populace.core.simulate import Run, simulate
from populace.problem.simulators import Simulation
from populace.zoo.wolf_sheep import WolfSheep

STEPS, CHUNK, WIDE = 12, 4, 512
GROWTH = Growth(WIDE, factor=8.0)
"""From 8 slots by 64 to 512: few capacities, since each is compiled."""
TRACES = {"step": 0}


class Cells(Population):
    weight: Array


class Culture(Model):
    """Cells divide and die, and hand half of a whole weight on; `each`: observe every slot."""

    capacity: int = capacity(default=8)
    each: bool = eqx.field(static=True, default=False)
    divide: Array = parameter(default=0.5)

    def init(self, draw: Draw) -> Cells:
        weight = jnp.floor(draw.uniform("weight", 0.0, 100.0, size=self.capacity))
        return Cells(**founders(6, self.capacity), weight=weight)

    def step(self, draw: Draw, cells: Cells) -> Cells:
        TRACES["step"] += 1
        cells = deaths(cells, draw.bernoulli("die", 0.1, where=cells.alive))
        born = draw.bernoulli("divide", self.divide, where=cells.alive)
        half = jnp.floor(0.5 * cells.weight)
        rest = eqx.tree_at(lambda c: c.weight, cells, cells.weight - born * half)
        return births(rest, eqx.tree_at(lambda c: c.weight, cells, half), born)

    def observe(self, cells: Cells) -> dict[str, Array]:
        slots = {"slots": cells.alive * cells.identity} if self.each else {}
        return {"alive": cells.alive.sum(), "weight": (cells.alive * cells.weight).sum(), **slots}


def ran(room: int, seed: int = 1, growth: Growth | None = GROWTH, **others: Any) -> Run:
    return simulate(Culture(room), jr.key(seed), STEPS, growth=growth, chunk=CHUNK, **others)


def same(grown: Run, wide: Run) -> None:
    """To the last bit: what is observed, and all that lives."""
    np.testing.assert_array_equal(grown.times, wide.times)
    for name, series in wide.observations.items():
        np.testing.assert_array_equal(np.asarray(grown.observations[name]), np.asarray(series))
    small, large = grown.final.state, wide.final.state
    room = small.capacity
    assert not np.asarray(large.alive)[room:].any() and int(small.needed) <= room
    living = np.asarray(small.alive) > 0
    for few, many in zip(jax.tree.leaves(small), jax.tree.leaves(large), strict=True):
        few, many = np.asarray(few), np.asarray(many)
        kept = (few[living], many[:room][living]) if few.ndim else (few, many)
        assert kept[0].tobytes() == kept[1].tobytes()


@pytest.fixture(scope="module")
def wide() -> Run:
    return ran(WIDE, growth=None)


def test_a_run_that_grows_is_the_run_that_had_the_room(wide: Run):
    assert int(wide.final.state.needed) > 64  # it grows twice
    grown = ran(8)
    same(grown, wide)
    assert grown.final.state.capacity == WIDE


def test_each_capacity_is_compiled_once(wide: Run):
    ran(8)
    before = TRACES["step"]
    again = simulate(bind(Culture(8), {"divide": 0.5}), jr.key(2), STEPS, growth=GROWTH, chunk=CHUNK)
    assert again.final.state.capacity == WIDE and TRACES["step"] == before
    same(ran(WIDE), wide)
    assert TRACES["step"] == before  # and a run that fits is left alone


def test_only_the_stretch_that_overflowed_is_run_again(wide: Run, monkeypatch: pytest.MonkeyPatch):
    begun: list[tuple[int, int]] = []
    stretch = driver._stretch

    def heard(model: Culture, key: Any, here: Any, *others: Any) -> Any:
        begun.append((model.capacity, int(here.time)))
        return stretch(model, key, here, *others)

    monkeypatch.setattr(driver, "_stretch", heard)
    ran(64)
    assert begun == [(64, 0), (64, 4), (64, 8), (512, 8)]


def test_a_running_summary_goes_on():
    small, large = (ran(room, record=time_mean()) for room in (64, WIDE))
    for name, value in large.observations.items():
        np.testing.assert_array_equal(np.asarray(small.observations[name]), np.asarray(value))


def test_observations_and_tapes_of_each_slot_have_one_width_from_the_first_step():
    """A run that keeps a number a slot is made again from its start: its rows fit together."""
    fine, wider = (driver.begin(Culture(room), jr.key(1)) for room in (8, 64))
    going = driver._Going(fine, None, {})
    assert driver._goes_on(Culture(8), Culture(64), going, {})
    assert not driver._goes_on(Culture(8), Culture(64), going, {"die": wider})
    assert not driver._goes_on(Culture(8, each=True), Culture(64, each=True), going, {})
    plugs = (Record(("die",)),)
    grown, wide = (
        simulate(Culture(room, each=True), jr.key(1), STEPS, growth=GROWTH, chunk=CHUNK, plugs=plugs)
        for room in (64, WIDE)
    )
    assert grown.observations["slots"].shape == (STEPS, WIDE)
    for few, many in zip(jax.tree.leaves(grown.tape), jax.tree.leaves(wide.tape), strict=True):
        np.testing.assert_array_equal(few, many)
    same(grown, wide)


def test_a_grown_run_can_be_gone_on_with(wide: Run):
    first = simulate(Culture(8), jr.key(1), STEPS - CHUNK, growth=GROWTH, chunk=CHUNK)
    assert first.final.state.capacity == 64
    rest = simulate(Culture(8), jr.key(1), CHUNK, growth=GROWTH, chunk=CHUNK, start=first.final)
    for name, series in rest.observations.items():
        np.testing.assert_array_equal(np.asarray(series), np.asarray(wide.observations[name])[-CHUNK:])


def test_founders_that_do_not_fit_are_founded_again():
    """Two of the six: the run begins again, and not where it was."""
    few, wide = (
        simulate(Culture(room), jr.key(1), CHUNK, growth=Growth(64, factor=16.0), chunk=CHUNK) for room in (4, 64)
    )
    same(few, wide)


def test_beyond_the_limit_it_is_an_error_and_never_a_clip():
    narrow = Growth(64, factor=8.0)
    with pytest.raises(CapacityError, match="needed room for"):
        ran(8, growth=narrow)
    lost = ran(8, growth=narrow, throw=False)
    assert int(lost.final.state.needed) > 64 == lost.final.state.capacity
    with pytest.raises(CapacityError, match="overflown already"):
        simulate(Culture(8), jr.key(0), 2, growth=GROWTH, start=lost.final)


def test_what_cannot_grow_says_why():
    class Walled(Culture):
        def init(self, draw: Draw) -> Cells:
            return Cells(**founders(6, 8), weight=jnp.ones(8))

    with pytest.raises(CapacityError, match=r"no field of Walled is declared to give it room"):
        larger(Walled(), GROWTH, {"Cells": 9})
    with pytest.raises(ModelError, match="plan its capacity"):
        simulate(Culture(), jr.key(0), 2, growth=GROWTH, shards=Shards())
    for limit, factor in ((0, 2.0), (10, 1.0), (10, float("nan"))):
        with pytest.raises(ModelError, match="a limit of one slot or more, and a factor above 1"):
            Growth(limit, factor)


def test_room_is_factor_times_as_much_or_what_was_wanted_and_neighbours_that_are_nearly_full_grow_along():
    def after(sheep: int, wolves: int, growth: Growth) -> tuple[int, int] | None:
        model = larger(WolfSheep(sheep_room=100, wolf_room=100), growth, {".sheep": sheep, ".wolves": wolves})
        return None if model is None else (model.sheep_room, model.wolf_room)

    assert after(101, 70, Growth(1000)) == (200, 100)
    assert after(101, 76, Growth(1000)) == (200, 200)
    assert after(350, 101, Growth(1000, factor=1.5)) == (350, 150)
    assert after(101, 90, Growth(120)) == (120, 120)
    assert after(101, 90, Growth(90)) is None and after(121, 101, Growth(120)) is None


# Many runs

SETS = {"divide": np.array([0.05, 0.5, 0.95], np.float32)}
AT_ONCE = Growth(WIDE, factor=64.0)


def many(room: int, growth: Growth | None = None, **others: Any) -> Ensemble:
    return ensemble(Culture(room), jr.key(4), STEPS, runs=8, parameters=SETS, growth=growth, **others)


def test_runs_of_an_ensemble_grow_one_by_one_and_only_those_beyond_the_limit_are_lost():
    wide, grown = many(WIDE, throw=False), many(8, AT_ONCE, throw=False)
    peaks = wide.observations["alive"].max(-1)
    assert (peaks <= 8).any() and ((peaks > 8) & (peaks < WIDE)).sum() >= 8
    np.testing.assert_array_equal(grown.faulty, wide.faulty)
    assert grown.faulty[2].all() and not grown.faulty[:2].any()
    for name, values in wide.observations.items():
        np.testing.assert_array_equal(grown.observations[name][:2], values[:2])
    means = many(8, AT_ONCE, reducers=(Mean(),), throw=False).reduced["mean"]
    np.testing.assert_allclose(means["alive"][:2], wide.observations["alive"][:2].mean(1), rtol=1e-6)
    with pytest.raises(CapacityError, match="8 of 24 runs outgrew their population"):
        many(8, AT_ONCE)


def test_a_simulation_in_a_problem_excludes_only_runs_beyond_the_limit():
    """The same chunks as above, so that nothing is compiled."""
    keys, values = jr.split(jr.key(5), 24), {"divide": np.repeat(SETS["divide"], 8)}
    ticker = Ticker(None, "", 24)
    plain, grown, wide = (
        Simulation(Culture(room), STEPS, growth=growth).simulate(values, keys, ticker)
        for room, growth in ((8, None), (8, AT_ONCE), (WIDE, None))
    )
    assert plain.excluded.sum() > grown.excluded.sum() == 8
    assert grown.reasons == {"a population outgrew its capacity": 8} and grown.excluded[16:].all()
    np.testing.assert_array_equal(grown.observations["weight"][:16], wide.observations["weight"][:16])
    described = [Simulation(Culture(8), STEPS, growth=growth).describe() for growth in (None, GROWTH)]
    assert "growth" not in described[0] and "512" in described[1]["growth"]


def test_an_ensemble_cannot_keep_a_number_a_slot_of_runs_that_grow():
    before = TRACES["step"]
    with pytest.raises(ModelError, match=r"observation 'slots' .* observe what has no agents on its axes"):
        ensemble(Culture(8, each=True), jr.key(4), STEPS, runs=4, growth=GROWTH)
    assert TRACES["step"] <= before + 1  # said before work starts
