"""A grid of cells, bounded or periodic, as a topology; and agents that stand on its cells."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Shaped

from .._errors import ModelError
from ..core.draw import Draw
from .neighbourhood import Moore, Neighbourhood
from .stencil import folded
from .topology import Neighbour, Topology, per_agent, sampled


class Grid(Topology):
    """Cells in rows and columns: A[i, j] = 1 where cell j lies in the neighbourhood of cell i.

    Cells are numbered row by row: cell = row * columns + column. What belongs to cells has them on its leading axis.
    Of a grid as a topology the cells are the agents; agents that move hold the number of their cell, (agents,) int32,
    and any number may share one (`totals`, `walk`; for at most one a cell see `Seats`).

    **Arguments:** `rows`, `columns`; `near`: which cells are neighbours (`Moore`, `VonNeumann`, `Hexagonal`);
    `periodic`: whether the grid closes in itself like the surface of a ring, otherwise cells at the border have fewer
    neighbours.

    **Raises:** `ModelError` if there is no cell, or if a periodic grid is so small that a neighbourhood would reach a
    cell twice, or a periodic grid of hexagons has an odd number of rows.
    """

    rows: int = eqx.field(static=True)
    columns: int = eqx.field(static=True)
    near: Neighbourhood
    periodic: bool = eqx.field(static=True)

    def __init__(self, rows: int, columns: int, near: Neighbourhood = Moore(), periodic: bool = False):
        self.rows, self.columns, self.near, self.periodic = rows, columns, near, periodic
        if self.rows < 1 or self.columns < 1:
            raise ModelError(f"a grid has one row and one column or more, not {self.rows} x {self.columns}")
        width = 2 * self.near.radius + 1
        if self.periodic and min(self.rows, self.columns) < width:
            raise ModelError(
                f"on a periodic grid of {self.rows} x {self.columns} a neighbourhood of radius {self.near.radius} "
                f"reaches a cell twice: take {width} rows and columns or more, or a smaller radius"
            )
        if self.periodic and self.rows % 2 and self.near.offset:
            raise ModelError(f"a periodic grid of hexagons has an even number of rows, not {self.rows}")

    @property
    def size(self) -> int:
        """The number of cells."""
        return self.rows * self.columns

    def sum(self, values: Shaped[Array, "cells *features"]) -> Float[Array, "cells *features"]:
        values = per_agent(values, self.size)
        table = values.reshape((self.rows, self.columns, *values.shape[1:]))
        return folded(table, self.near, self.periodic, jnp.add, 0).reshape(values.shape)

    def degree(self) -> Float[Array, " cells"]:
        return self._around(jnp.arange(self.size, dtype=jnp.int32))[-1].astype(jnp.float32)

    def neighbour(self, draw: Draw, name: str) -> Neighbour:
        share = draw.uniform(name, 0.0, 1.0, size=self.size)
        index, count = self._picked(jnp.arange(self.size, dtype=jnp.int32), share)
        return Neighbour(jnp.where(count > 0, index, 0), (count > 0).astype(jnp.float32))

    def walk(
        self, draw: Draw, name: str, cell: Int[Array, " agents"], *, where: Array | None = None
    ) -> Int[Array, " agents"]:
        """A cell at random out of the neighbourhood of each agent's own, every one alike.

        **Arguments:** `draw`, `name`: where the chance event is asked; `cell` (agents,): where the agents stand;
        `where` (agents,): who moves (the others stay).
        """
        share = draw.uniform(name, 0.0, 1.0, where=where, size=cell.shape[0])
        index, count = self._picked(cell, share)
        moves = count > 0 if where is None else (count > 0) & (where > 0)
        return jnp.where(moves, index, cell)

    def totals(
        self, cell: Int[Array, " agents"], values: Shaped[Array, "agents *features"] | None = None
    ) -> Float[Array, "cells *features"]:
        """What stands on each cell: the sum of `values` over its agents, or their number if no values are given.

        Values of agents that are not there (dead, away) must be 0; an agent whose `cell` is no cell does not count.
        """
        values = jnp.ones(cell.shape, jnp.float32) if values is None else per_agent(values, cell.shape[0])
        places = jnp.where(cell < 0, self.size, cell)
        return jnp.zeros((self.size, *values.shape[1:]), values.dtype).at[places].add(values, mode="drop")

    def around(self, cell: Int[Array, ""]) -> tuple[Int[Array, " reach"], Float[Array, " reach"]]:
        """The neighbours of one cell, and 1 for those that are cells, 0 for those that lie beyond the border."""
        row, column = self.row_column(cell)
        downs = range(-self.near.radius, self.near.radius + 1)
        ways = [[(down, across) for down in downs for across in _across(self.near, down, odd)] for odd in (False, True)]
        table = jnp.asarray(ways, jnp.int32)[row % 2 if self.near.offset else 0]
        rows, columns = row + table[:, 0], column + table[:, 1]
        if self.periodic:
            return (rows % self.rows) * self.columns + columns % self.columns, jnp.ones(rows.shape)
        inside = (rows >= 0) & (rows < self.rows) & (columns >= 0) & (columns < self.columns)
        return jnp.where(inside, rows * self.columns + columns, cell), inside.astype(jnp.float32)

    def row_column(self, cell: Int[Array, "..."]) -> tuple[Int[Array, "..."], Int[Array, "..."]]:
        """The row and the column of cells."""
        return cell // self.columns, cell % self.columns

    def _around(self, cell: Int[Array, " agents"]) -> list[Int[Array, " agents"]]:
        """How many neighbours lie in the first row of the neighbourhood, in the first two, .. in all."""
        if self.periodic:
            constant, so_far = [], 0
            for down in range(-self.near.radius, self.near.radius + 1):
                first, last = self.near.span(down, False)
                so_far += last - first + (down != 0)
                constant.append(jnp.full(cell.shape, so_far, jnp.int32))
            return constant
        row, column = self.row_column(cell)
        counts, total = [], jnp.zeros(cell.shape, jnp.int32)
        for down in range(-self.near.radius, self.near.radius + 1):
            first, last = self.reached(row, column, down)
            inside = (row + down >= 0) & (row + down < self.rows)
            total = total + jnp.where(inside, jnp.maximum(last - first + (down != 0), 0), 0)
            counts.append(total)
        return counts

    def reached(self, row: Array, column: Array, down: int) -> tuple[Array, Array]:
        """The first and last column of the neighbours of cells, `down` rows below; on a periodic grid they may lie
        beyond the border.
        """
        even, odd = (self.near.span(down, other) for other in (False, True))
        first, last = (column + jnp.where(row % 2 == 1, o, e) for e, o in zip(even, odd, strict=True))
        if self.periodic:
            return first, last
        return jnp.maximum(first, 0), jnp.minimum(last, self.columns - 1)

    def _picked(self, cell: Int[Array, " agents"], share: Float[Array, " agents"]) -> tuple[Array, Array]:
        """The neighbour of each cell at `share` of its list, and the length of the list."""
        share = jax.lax.stop_gradient(share)
        counts = self._around(cell)
        row, column = self.row_column(cell)
        place = sampled(share, counts[-1])
        target_row, target_column = row, column
        before = jnp.zeros_like(place)
        for down, upto in zip(range(-self.near.radius, self.near.radius + 1), counts, strict=True):
            here = (place >= before) & (place < upto)
            first, _ = self.reached(row, column, down)
            reached = first + place - before
            reached = reached + (reached >= column) if down == 0 else reached
            target_row, target_column = jnp.where(here, row + down, target_row), jnp.where(here, reached, target_column)
            before = upto
        if self.periodic:
            target_row, target_column = target_row % self.rows, target_column % self.columns
        return target_row * self.columns + target_column, counts[-1]


def _across(near: Neighbourhood, down: int, odd: bool) -> list[int]:
    """The columns of the neighbours `down` rows below, the cell itself left out."""
    first, last = near.span(down, odd)
    return [across for across in range(first, last + 1) if (down, across) != (0, 0)]
