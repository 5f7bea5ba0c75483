"""The nearest marked cell, against all distances written out."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from populace.core.draw import Draw
from populace.interact.grid import Grid
from populace.interact.nearest import nearest
from populace.interact.neighbourhood import Moore, VonNeumann


def distances(grid: Grid) -> np.ndarray:
    row, column = (np.asarray(x) for x in grid.row_column(jnp.arange(grid.size)))
    down, right = abs(row[:, None] - row), abs(column[:, None] - column)
    if grid.periodic:
        down, right = np.minimum(down, grid.rows - down), np.minimum(right, grid.columns - right)
    return np.maximum(down, right) if isinstance(grid.near, Moore) else down + right


@pytest.mark.parametrize("grid", [Grid(9, 12), Grid(9, 12, VonNeumann()), Grid(8, 10, VonNeumann(), periodic=True)])
def test_nearest_by_the_distance_of_the_grid(grid: Grid):
    marked = jr.bernoulli(jr.key(1), 0.05, (grid.size,))
    cell, distance = jax.jit(lambda key: nearest(grid, marked, Draw(key), "lots"))(jr.key(2))
    table = np.where(np.asarray(marked), distances(grid), 10**6)
    np.testing.assert_array_equal(distance, table.min(axis=1))
    np.testing.assert_array_equal(table[np.arange(grid.size), np.asarray(cell)], distance)


def test_of_several_as_near_one_by_lot():
    grid, runs = Grid(5, 5, VonNeumann()), 3000
    marked = jnp.zeros(25).at[jnp.array([2, 10, 22, 24])].set(1.0)
    found = jax.vmap(lambda key: nearest(grid, marked, Draw(key), "lots")[0][12])(jr.split(jr.key(3), runs))
    counts = np.bincount(np.asarray(found), minlength=25)
    assert counts[[2, 10, 22]].sum() == runs
    assert (np.abs(counts[[2, 10, 22]] - runs / 3) < 4 * np.sqrt(runs * 2 / 9)).all()


def test_where_nothing_is_marked_there_is_no_nearest():
    cell, distance = nearest(Grid(3, 4), jnp.zeros(12), Draw(jr.key(0)), "lots")
    assert (cell == 12).all() and (distance == -1).all()
