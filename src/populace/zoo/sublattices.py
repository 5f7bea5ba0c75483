"""Random sequential updates of a lattice, many cells at a time.

Where an event at a cell reads and writes that cell and one neighbour (up, down, left or right), cells that lie `stride`
>= 3 apart in rows and columns do not meet, and may all have their event at once. Such cells are a plane: there are
stride^2 of them. Each turn visits one plane at random. With short turns this is the process in continuous time
(Lubachevsky 1988, Journal of Computational Physics 75:103, is the exact kin of it). Planes in a fixed order, or each
once a sweep, are worse: who has just moved is in a plane whose turn is still to come.
"""

import functools
from collections.abc import Callable

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, Shaped

from .._errors import ModelError
from ..core.draw import Draw

STAR = ((1, 0), (-1, 0), (0, 1), (0, -1))
"""The four neighbours: down, up, right, left."""

Planes = Shaped[Array, "planes rows columns"]
Visit = Callable[[Array, Array], tuple[Array, Array]]
Turn = Callable[[Array, Array, Array, Array], tuple[Array, Array]]


class Sublattices(eqx.Module):
    """A periodic lattice of `rows` x `columns` cells, both multiples of `stride`, cut into planes."""

    rows: int = eqx.field(static=True)
    columns: int = eqx.field(static=True)
    stride: int = eqx.field(static=True, default=3)

    def __check_init__(self) -> None:
        s = self.stride
        if s < 3 or self.rows % s or self.columns % s or min(self.rows, self.columns) < 2 * s:
            raise ModelError(
                f"a lattice of {self.rows} x {self.columns} is not cut by stride {s}: take a stride of at least 3 that "
                "divides both sides, twice or more"
            )

    @property
    def size(self) -> int:
        """Cells of the lattice."""
        return self.rows * self.columns

    @property
    def plane(self) -> tuple[int, int]:
        """Rows and columns of a plane."""
        return self.rows // self.stride, self.columns // self.stride

    def split(self, cells: Shaped[Array, "rows columns"]) -> Planes:
        """The planes of a lattice."""
        (rows, columns), s = self.plane, self.stride
        return cells.reshape(rows, s, columns, s).transpose(1, 3, 0, 2).reshape(s * s, rows, columns)

    def join(self, planes: Planes) -> Shaped[Array, "rows columns"]:
        """The lattice of its planes."""
        (rows, columns), s = self.plane, self.stride
        return planes.reshape(s, s, rows, columns).transpose(2, 0, 3, 1).reshape(self.rows, self.columns)

    def visit(self, planes: Planes, which: Int[Array, ""], update: Visit) -> Planes:
        """The planes after one is visited.

        **Arguments:** `update(cell, neighbours)`: from the plane's cells (rows, columns) and their neighbours
        (4, rows, columns), in the order of `STAR`, to the same after the events.
        """
        s = self.stride
        star = np.array(STAR)
        row, column = which // s + star[:, 0], which % s + star[:, 1]
        at = jnp.concatenate([which[None], (row % s) * s + column % s])
        wraps = jnp.where((row < 0) | (row >= s) | (column < 0) | (column >= s), 1, 0)
        found = planes[at]
        cell, around = update(found[0], self._turned(found[1:], wraps, 1))
        after = jnp.concatenate([cell[None], self._turned(around, wraps, -1)])
        return planes.at[at].set(after, unique_indices=True, mode="promise_in_bounds")

    def turns(self, draw: Draw, planes: Planes, number: int, busy: Array, update: Turn) -> Planes:
        """The planes after `number` turns, each at a plane drawn at random (sites `turn/one/plane`, `turn/event`).

        **Arguments:** `busy`: the probability of an event at a cell that is visited; where it is above 1 there are too
        few turns, and the site of that name faults; `update(towards, event, cell, neighbours)`: as for `visit`, with
        towards which neighbour (4, rows, columns) the event is, one a cell, and a number from 0 to 1 that says which.
        """
        draw.bernoulli("busy", busy, size=())
        count, ways = float(self.stride**2), jnp.arange(4.0)[:, None, None]

        def turn(draw: Draw, _: Array, planes: Array) -> Array:
            which = jnp.floor(draw.child("one").uniform("plane", 0.0, count, size=()))
            drawn = draw.uniform("event", 0.0, 4.0, size=self.plane)
            way = jnp.floor(drawn)
            chosen = functools.partial(update, way == ways, drawn - way)
            return self.visit(planes, which.astype(jnp.int32), chosen)

        return draw.loop("turn", number, turn, planes)

    def _turned(self, around: Array, wraps: Array, sign: int) -> Array:
        """Neighbours shifted by a place where the lattice goes on in the next block of cells; -1 undoes it."""
        shifted = jnp.stack(
            [
                jnp.roll(each, (-sign * down, -sign * right), (0, 1))
                for each, (down, right) in zip(around, STAR, strict=True)
            ]
        )
        return jnp.where(wraps[:, None, None] > 0, shifted, around)
