"""Wolves, sheep and grass: the facts that the docstring lists."""

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

import populace as pop
from populace.core.simulate import begin
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


def test_without_wolves_grass_holds_the_sheep_and_without_sheep_wolves_die_out():
    alone = pop.simulate(WolfSheep(wolves=0), jr.key(2), 200).observations
    assert (alone["wolves"] == 0).all() and (alone["hunted"] == 0).all()
    late = np.asarray(alone["sheep"])[-100:]
    assert late.min() > 30 and late.max() < 4 * late.min()
    wolves = pop.simulate(WolfSheep(sheep=0), jr.key(2), 60).observations
    assert float(wolves["wolves"][-1]) == 0 and (wolves["hunted"] == 0).all() and (wolves["grazed"] == 0).all()


def test_energy_is_what_was_eaten_and_not_spent():
    """Nobody is born or starves: each step costs one, each meal gives what it gives."""
    model = WolfSheep(Grid(10, 10), 50, 20, 60, 30, lambing=0.0, cubbing=0.0, sheep_energy=3.0)
    start = begin(model, jr.key(3))
    full = eqx.tree_at(
        lambda s: (s.state.sheep.energy, s.state.wolves.energy),
        start,
        (100.0 * start.state.sheep.alive, 100.0 * start.state.wolves.alive),
    )
    run = pop.simulate(model, jr.key(3), 1, start=full)
    after, seen = run.final.state, run.observations
    grazed, hunted = float(seen["grazed"][0]), float(seen["hunted"][0])
    assert grazed > 5 and hunted > 0
    assert float(after.wolves.energy.sum()) == 20 * 99 + 3 * hunted
    assert float(after.sheep.alive.sum()) == 50 - hunted
    assert float(after.sheep.energy.sum()) == 50 * 99 + 5 * grazed, "the dead keep their energy in their slots"


def test_no_grass_is_eaten_twice_and_it_takes_its_time():
    model = WolfSheep(Grid(3, 3), 40, 0, 60, 5, lambing=0.0, regrowth=4.0)
    start = begin(model, jr.key(4))
    ready = eqx.tree_at(
        lambda s: (s.state.regrowth, s.state.sheep.energy), start, (jnp.zeros(9), 100.0 * start.state.sheep.alive)
    )
    seen = pop.simulate(model, jr.key(4), 11, start=ready).observations
    grazed = np.asarray(seen["grazed"])
    standing = 9 - np.array([grazed[: t + 1][-5:].sum() for t in range(11)])
    np.testing.assert_array_equal(np.append(np.asarray(seen["grass"])[0], grazed.max()), [9 - grazed[0], grazed.max()])
    assert (standing >= 0).all(), "a cell is grazed at most once in five steps"
    assert grazed[0] > 0 and grazed[:5].sum() <= 9


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


def test_room_makes_no_difference_until_it_ends():
    runs = [
        pop.simulate(WolfSheep(sheep_room=room, wolf_room=room), jr.key(7), 40).observations for room in (500, 700)
    ]
    for name in runs[0]:
        np.testing.assert_array_equal(runs[0][name], runs[1][name])
    with pytest.raises(pop.CapacityError, match="needed room for"):
        pop.simulate(WolfSheep(sheep_room=70, lambing=0.9), jr.key(7), 10)
    with pytest.raises(pop.ModelError, match="60 sheep in room for 50"):
        WolfSheep(sheep_room=50)
