"""Grids: the laws of a topology, and agents that walk and are counted."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from populace._errors import ModelError
from populace.core.draw import Draw
from populace.interact.grid import Grid
from populace.interact.neighbourhood import Hexagonal, Moore, Neighbourhood, VonNeumann
from populace.testing.topologies import check_topology

GRIDS = {
    f"{'periodic' if periodic else 'bounded'} {type(near).__name__} {near.radius}": Grid(8, 9, near, periodic)
    for near in (Moore(2), VonNeumann(), VonNeumann(3), Hexagonal(), Hexagonal(2))
    for periodic in (False, True)
}
GRIDS |= {
    "one cell": Grid(1, 1),
    "one row": Grid(1, 7),
    "less than a neighbourhood": Grid(3, 2, Moore(4)),
    "less than a hexagon": Grid(3, 4, Hexagonal(3)),
    "smallest periodic": Grid(3, 3, periodic=True),
}


def by_hand(grid: Grid) -> np.ndarray:
    """The matrix, cell by cell."""
    wanted = np.zeros((grid.size, grid.size))
    for cell in range(grid.size):
        row, column = divmod(cell, grid.columns)
        for down in range(-grid.near.radius, grid.near.radius + 1):
            first, last = grid.near.span(down, bool(row % 2))
            for right in range(first, last + 1):
                there = row + down, column + right
                if grid.periodic:
                    there = there[0] % grid.rows, there[1] % grid.columns
                if 0 <= there[0] < grid.rows and 0 <= there[1] < grid.columns and (down, right) != (0, 0):
                    wanted[cell, there[0] * grid.columns + there[1]] += 1
    return wanted


@pytest.mark.parametrize("name", ["bounded Moore 2", "periodic VonNeumann 1", "one cell"])
def test_the_laws_hold(name: str):
    check_topology(GRIDS[name], jr.key(1))


@pytest.mark.parametrize("name", GRIDS)
def test_neighbours_are_those_of_the_neighbourhood(name: str):
    grid = GRIDS[name]
    found, degree = jax.jit(lambda x: (grid.sum(x), grid.degree()))(jnp.eye(grid.size))
    found = np.asarray(found)
    np.testing.assert_array_equal(degree, found.sum(axis=1))
    np.testing.assert_array_equal(found, by_hand(grid))
    np.testing.assert_array_equal(found, found.T)


def test_nothing_of_a_cell_s_own_is_lost_or_added():
    """A cell's own value is left out of its sum, so that it cannot drown the others, and may be anything."""
    values = jnp.ones(25).at[12].set(1e9)
    assert float(Grid(5, 5).sum(values)[12]) == 8.0
    assert float(Grid(5, 5).sum(values.at[12].set(jnp.nan))[12]) == 8.0


@pytest.mark.parametrize("name", ["bounded Moore 2", "periodic Hexagonal 1"])
def test_walkers_go_to_every_neighbour_alike(name: str):
    grid, walkers = GRIDS[name], 4000
    for cell in (0, 30):
        here = jnp.full(walkers, cell)
        went = np.asarray(jax.jit(lambda k, c: grid.walk(Draw(k), "step", c))(jr.key(cell), here))
        shares = by_hand(grid)[cell] / by_hand(grid)[cell].sum()
        error = np.sqrt(walkers * shares * (1 - shares))
        assert (np.abs(np.bincount(went, minlength=grid.size) - walkers * shares) <= 4 * error).all()


@eqx.filter_jit
def walked(grid: Grid, seed: int, cell: jax.Array, where: jax.Array | None = None) -> np.ndarray:
    return grid.walk(Draw(jr.key(seed)), "step", cell, where=where)


def test_who_does_not_walk_stays():
    went = walked(Grid(4, 4), 0, jnp.array([0, 5, 15, 5]), jnp.array([1.0, 0.0, 1.0, 0.0]))
    assert went[1] == went[3] == 5 and went[0] != 0 and went[2] != 15
    assert (walked(Grid(1, 1), 0, jnp.zeros(3, jnp.int32)) == 0).all()


def test_a_walker_s_steps_do_not_depend_on_who_else_walks():
    grid, cell = Grid(9, 9), jnp.full(10, 40)
    np.testing.assert_array_equal(walked(grid, 3, cell)[:6], walked(grid, 3, cell[:6]))


def test_many_stand_on_one_cell_and_are_counted():
    grid, cell = Grid(2, 3), jnp.array([5, 0, 5, 5, -1, 6])
    np.testing.assert_array_equal(grid.totals(cell), [1, 0, 0, 0, 0, 3])
    values = jnp.array([[1, 10], [2, 20], [3, 30], [4, 40], [5, 50], [6, 60]])
    np.testing.assert_array_equal(grid.totals(cell, values)[5], [8, 80])
    assert grid.totals(cell, values).dtype == jnp.float32
    with pytest.raises(ModelError, match="6 agents"):
        grid.totals(cell, jnp.ones(5))


def test_cells_are_numbered_row_by_row():
    row, column = Grid(3, 5).row_column(jnp.arange(15))
    np.testing.assert_array_equal(row * 5 + column, np.arange(15))
    assert row.max() == 2 and column.max() == 4


WRONG = {
    "one row and one column": lambda: Grid(0, 3),
    "reaches a cell twice: take 5 rows": lambda: Grid(9, 4, Moore(2), periodic=True),
    "even number of rows, not 5": lambda: Grid(5, 6, Hexagonal(), periodic=True),
}


@pytest.mark.parametrize("message", WRONG)
def test_what_is_no_grid_is_refused(message: str):
    with pytest.raises(ModelError, match=message):
        WRONG[message]()


class Row(Neighbourhood):
    """What somebody else may write: two cells to the left and right."""

    radius: int = 2

    def span(self, down: int, odd: bool) -> tuple[int, int]:
        return (-2, 2) if down == 0 else (0, 0)


def test_a_neighbourhood_of_one_s_own():
    grid = Grid(6, 7, Row())
    np.testing.assert_array_equal(jax.jit(grid.sum)(jnp.eye(grid.size)), by_hand(grid))
    assert float(grid.degree()[17]) == 8.0 and Row().reach == 8
