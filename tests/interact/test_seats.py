"""At most one agent a cell, whatever moves."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from populace.core.draw import Draw
from populace.interact.grid import Grid
from populace.interact.nearest import nearest
from populace.interact.seats import Seats, counted

CELLS = 60


def seated(people: int) -> tuple[Seats, jax.Array]:
    return Seats.shuffled(Draw(jr.key(1)), "settle", CELLS), (jnp.arange(CELLS) < people).astype(jnp.float32)


@jax.jit
def jumped(key: jax.Array, seats: Seats, movers: jax.Array, present: jax.Array) -> Seats:
    return seats.jump(Draw(key), "to", movers, present)


jumps = jax.jit(jax.vmap(jumped, in_axes=(0, None, None, None)))


def test_what_is_laid_on_the_grid_is_read_back():
    seats, present = seated(40)
    values = jnp.arange(CELLS * 2.0).reshape(CELLS, 2)
    np.testing.assert_array_equal(seats.read(seats.lay(values)), values)
    assert float(seats.lay(present).sum()) == 40.0


@pytest.mark.parametrize(("people", "movers"), [(40, 7), (40, 30), (58, 40), (60, 10), (30, 0), (1, 1)])
def test_as_many_jump_as_find_a_cell(people: int, movers: int):
    seats, present = seated(people)
    wants = (jnp.arange(CELLS) % people < movers).astype(jnp.float32)
    after = jumped(jr.key(2), seats, wants, present)
    assert sorted(np.asarray(after.cell).tolist()) == list(range(CELLS))
    moved = np.asarray(after.cell != seats.cell)
    assert moved[:people].sum() == min(movers, CELLS - people)
    assert not moved[:people][np.asarray(wants)[:people] == 0].any()
    free = np.asarray(seats.cell)[people:]
    assert np.isin(np.asarray(after.cell)[:people][moved[:people]], free).all()


def test_every_mover_finds_every_empty_cell_alike():
    seats, present = seated(56)
    wants, runs = (jnp.arange(CELLS) < 3).astype(jnp.float32), 4000
    after = jumps(jr.split(jr.key(3), runs), seats, wants, present).cell[:, :3]
    for mover in np.asarray(after).T:
        counts = np.array([(mover == cell).sum() for cell in np.asarray(seats.cell)[56:]])
        assert counts.sum() == runs
        assert (np.abs(counts - runs / 4) < 4 * np.sqrt(runs * 3 / 16)).all()


def test_who_stays_behind_is_decided_by_lot():
    seats, present = seated(58)
    wants, runs = (jnp.arange(CELLS) < 5).astype(jnp.float32), 4000
    after = jumps(jr.split(jr.key(4), runs), seats, wants, present).cell[:, :5]
    share = (np.asarray(after) != np.asarray(seats.cell)[:5]).mean(axis=0)
    assert (np.abs(share - 2 / 5) < 4 * np.sqrt(0.24 / runs)).all()


def test_one_of_those_who_claim_a_cell_gets_it():
    seats, present = seated(50)
    cell = np.asarray(seats.cell)
    target = jnp.asarray(cell).at[:4].set(cell[50]).at[4].set(cell[51]).at[5].set(cell[6]).at[7].set(-1).at[8].set(99)
    wants, runs = (jnp.arange(CELLS) < 9).astype(jnp.float32), 4000
    after = jax.vmap(lambda key: seats.claim(Draw(key), "to", target, wants, present).cell)(jr.split(jr.key(5), runs))
    after = np.asarray(after)
    assert (np.sort(after, axis=1) == np.arange(CELLS)).all()
    assert (after[:, 4] == cell[51]).all(), "who asks alone for an empty cell gets it"
    assert (after[:, 5:50] == cell[5:50]).all(), "an occupied cell, no cell, or one's own: stay"
    got = (after[:, :4] == cell[50]).mean(axis=0)
    assert got.sum() == pytest.approx(1.0) and (np.abs(got - 1 / 4) < 4 * np.sqrt(3 / 16 / runs)).all()


def test_all_go_to_the_nearest_empty_cell():
    grid = Grid(6, 10)
    seats, present = seated(50)
    cell, distance = nearest(grid, seats.lay(1 - present), Draw(jr.key(6)), "nearest")
    alone = (jnp.arange(CELLS) == 7).astype(jnp.float32)
    after = seats.claim(Draw(jr.key(7)), "to", seats.read(cell), alone, present)
    (before_row, before_column), (row, column) = (grid.row_column(each.cell[7]) for each in (seats, after))
    assert max(abs(int(row - before_row)), abs(int(column - before_column))) == int(seats.read(distance)[7]) > 0


@pytest.mark.parametrize("size", [1, 128, 1000])
def test_counting_is_a_cumulative_sum(size: int):
    marked = jr.bernoulli(jr.key(size), 0.4, (size,))
    np.testing.assert_array_equal(counted(marked), np.cumsum(marked) - np.asarray(marked))
