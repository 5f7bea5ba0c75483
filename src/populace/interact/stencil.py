"""Sums (and other folds) over the neighbourhood of every cell of a grid, by shifted arrays instead of edge lists.

Runs of columns are folded first, each wider run from the one before, then rows: 4 radius additions a cell instead of
4 radius (radius + 1) for a square. A cell's own value is left out, not taken away again, so that nothing is lost to
rounding.
"""

from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Array, Shaped

from .neighbourhood import Neighbourhood


def folded(
    table: Shaped[Array, "rows columns *features"],
    near: Neighbourhood,
    periodic: bool,
    fold: Callable[[Array, Array], Array],
    empty: float | int,
) -> Shaped[Array, "rows columns *features"]:
    """`fold` over the neighbours of each cell; `empty` stands for what lies outside a bounded grid.

    **Arguments:** `fold`: associative and commutative, two arrays to one (`jnp.add`, `jnp.minimum`); `empty`: its
    neutral element.
    """
    rows, columns, radius = *table.shape[:2], near.radius
    padded = _padded(table, radius, periodic, empty)
    runs = _runs(padded, columns, radius, fold)
    total = fold(runs[radius][radius : radius + rows, :columns], runs[radius][radius : radius + rows, radius + 1 :])
    for down in range(-radius, radius + 1):
        if down:
            total = fold(total, _row(runs, near, down, rows, columns))
    return total


def _padded(table: Array, radius: int, periodic: bool, empty: float | int) -> Array:
    widths = [(radius, radius)] * 2 + [(0, 0)] * (table.ndim - 2)
    if periodic:
        return jnp.pad(table, widths, mode="wrap")
    return jnp.pad(table, widths, constant_values=empty)


def _runs(padded: Array, columns: int, radius: int, fold: Callable[[Array, Array], Array]) -> dict[int, Array]:
    """Runs of 1, 2, .. 2 radius + 1 columns: entry j of the run of n folds the columns j .. j + n - 1."""
    runs = {1: padded}
    for width in range(2, 2 * radius + 2):
        count = columns + 2 * radius - width + 1
        runs[width] = fold(runs[width - 1][:, :count], padded[:, width - 1 : width - 1 + count])
    return runs


def _row(runs: dict[int, Array], near: Neighbourhood, down: int, rows: int, columns: int) -> Array:
    """The fold over the neighbours `down` rows below each cell."""

    def run(odd: bool) -> Array:
        first, last = near.span(down, odd)
        start = near.radius + first
        return runs[last - first + 1][near.radius + down : near.radius + down + rows, start : start + columns]

    if near.span(down, False) == near.span(down, True):
        return run(False)
    odd = (jnp.arange(rows) % 2 == 1).reshape((rows,) + (1,) * (runs[1].ndim - 1))
    return jnp.where(odd, run(True), run(False))
