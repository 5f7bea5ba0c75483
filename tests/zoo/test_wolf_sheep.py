"""Wolves, sheep and grass: the facts that the docstring lists."""

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

import populace as pop
from populace.core.simulate import Snapshot, begin
from populace.interact.grid import Grid
from populace.testing.models import check_model
from populace.zoo.wolf_sheep import Meadow, WolfSheep


def test_it_keeps_the_laws_of_models():
    check_model(WolfSheep(Grid(8, 8), 20, 10, 100, 100), jr.key(0), steps=8)


def test_the_three_live_on_together_and_wolves_follow_sheep():
    """Over 16 runs: the correlation of sheep with wolves some steps later is larger than with wolves as many before."""
    seen = pop.ensemble(WolfSheep(), jr.key(1), 300, runs=16).observations
    sheep, wolves, grass = (np.asarray(seen[name][0]) for name in ("sheep", "wolves", "grass"))
    assert ((sheep[:, -1] > 0) & (grass[:, -1] > 0)).all()
    alive = wolves[:, -1] > 0
    assert alive.sum() >= 12
    lag, late = 20, slice(100, None)

    def correlation(one: np.ndarray, other: np.ndarray) -> float:
        return float(np.corrcoef(one, other)[0, 1])

    pairs = [(s[late], w[late]) for s, w in zip(sheep[alive], wolves[alive], strict=True)]
    after = np.array([correlation(s[:-lag], w[lag:]) for s, w in pairs])
    before = np.array([correlation(s[lag:], w[:-lag]) for s, w in pairs])
    gap = after - before
    assert gap.mean() > 4 * gap.std(ddof=1) / np.sqrt(len(gap))
    assert (sheep[:, late].std(axis=1) > 0.1 * sheep[:, late].mean(axis=1)).all()


def ran(state: Meadow, steps: int = 100, **parameters: float) -> pop.Run:
    """A hundred steps of the default model from a state; compiled once for all tests."""
    model = pop.bind(WolfSheep(), parameters)
    return pop.simulate(model, jr.key(2), steps, start=Snapshot(state, {}, jnp.int32(0)))


def at_start() -> Meadow:
    return begin(WolfSheep(), jr.key(2)).state


def test_without_wolves_grass_holds_the_sheep_and_without_sheep_wolves_die_out():
    start = at_start()
    alone = ran(eqx.tree_at(lambda s: s.wolves, start, pop.deaths(start.wolves, jnp.ones(1000)))).observations
    assert (alone["wolves"] == 0).all() and (alone["hunted"] == 0).all()
    late = np.asarray(alone["sheep"])[-50:]
    assert late.min() > 30 and late.max() < 4 * late.min()
    wolves = ran(eqx.tree_at(lambda s: s.sheep, start, pop.deaths(start.sheep, jnp.ones(1000)))).observations
    assert float(wolves["wolves"][-1]) == 0 and (wolves["hunted"] == 0).all() and (wolves["grazed"] == 0).all()


def test_energy_is_what_was_eaten_and_not_spent_and_no_meal_is_eaten_twice():
    """Nobody is born or starves: each step costs one, each meal gives what it gives. The dead keep their energy in
    their slots. Grass that was eaten stands again after twenty steps, so that what does not stand is what was eaten
    in the last twenty.
    """
    start = at_start()
    rich = (1000.0 * start.sheep.alive, 1000.0 * start.wolves.alive)
    run = ran(eqx.tree_at(lambda s: (s.sheep.energy, s.wolves.energy), start, rich), lambing=0.0, cubbing=0.0)
    seen, after = {name: np.asarray(series) for name, series in run.observations.items()}, run.final.state
    assert seen["hunted"].sum() > 20 and seen["grazed"].sum() > 500
    np.testing.assert_array_equal(seen["sheep"], 60 - np.cumsum(seen["hunted"]))
    assert float(after.wolves.energy.sum()) == 40 * 900 + 13 * seen["hunted"].sum()
    walked = 60 + seen["sheep"][:-1].sum()
    assert float(after.sheep.energy.sum()) == 60_000 + 5 * seen["grazed"].sum() - walked
    for step in range(40, 100):
        assert seen["grass"][step] == 625 - seen["grazed"][step - 19 : step + 1].sum()


def test_all_stand_on_the_land_and_move_one_cell():
    model = WolfSheep(Grid(6, 7), 30, 20, 200, 200)
    before = begin(model, jr.key(5)).state
    after = pop.simulate(model, jr.key(5), 1).final.state
    for one, other in ((before.sheep, after.sheep), (before.wolves, after.wolves)):
        stayed = np.flatnonzero((np.asarray(one.alive) > 0) & (np.asarray(one.identity) == np.asarray(other.identity)))
        (row, column), (to_row, to_column) = (model.land.row_column(each.cell[stayed]) for each in (one, other))
        far = np.maximum(abs(np.asarray(row - to_row)), abs(np.asarray(column - to_column)))
        assert (far == 1).all() and (np.asarray(other.cell) < 42).all()


def test_energies_begin_whole_and_grass_half_grown():
    state: Meadow = begin(WolfSheep(Grid(60, 60), 900, 900, 900, 900), jr.key(6)).state
    for energy, gain in ((state.sheep.energy, 5), (state.wolves.energy, 13)):
        counts = np.bincount(np.asarray(energy).astype(int), minlength=2 * gain)
        assert len(counts) == 2 * gain
        statistic = ((counts - 900 / len(counts)) ** 2 / (900 / len(counts))).sum()
        assert abs(statistic - len(counts) + 1) < 4 * np.sqrt(2 * len(counts))
    bare = np.asarray(state.regrowth)
    assert abs((bare == 0).mean() - 0.5) < 4 * 0.5 / 60
    assert set(bare[bare > 0].astype(int)) == set(range(1, 21))


def test_room_makes_no_difference_until_it_ends_and_grows_when_it_does():
    """Without a free place for a lamb or a cub, both grow to the room of the others at the first overflow."""
    full = WolfSheep(sheep_room=60, wolf_room=40)
    roomy = pop.simulate(WolfSheep(), jr.key(7), 100)
    grown = pop.simulate(full, jr.key(7), 100, growth=pop.Growth(1000, factor=30.0))
    for name, series in roomy.observations.items():
        np.testing.assert_array_equal(grown.observations[name], series)
    assert grown.final.state.sheep.capacity == grown.final.state.wolves.capacity == 1000
    with pytest.raises(pop.CapacityError, match="needed room for"):
        pop.simulate(full, jr.key(7), 100)
    with pytest.raises(pop.ModelError, match="60 sheep in room for 50"):
        WolfSheep(sheep_room=50)
