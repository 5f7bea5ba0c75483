"""The nearest of some marked cells of a grid."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from ..core.draw import Draw
from .grid import Grid
from .lots import NOBODY, lots
from .stencil import folded


def nearest(grid: Grid, marked: Array, draw: Draw, name: str) -> tuple[Int[Array, " cells"], Int[Array, " cells"]]:
    """For every cell the nearest marked one, one by lot where several are as near, and how far away it is.

    Distance counts steps from neighbour to neighbour: on a `Moore(1)` grid it is the Chebyshev distance, with
    `VonNeumann(1)` the taxicab distance. A marked cell is its own nearest, at distance 0.

    **Arguments:** `marked` (cells,): which cells count, by a positive number; `draw`, `name`: where the lots are asked.

    **Returns:** the cells (cells,) int32, `grid.size` if no cell is marked (or none can be reached); the distances
    (cells,) int32, -1 there.

    The lots of marked cells spread step by step, the smallest wins: exact, in as many passes as the largest distance.
    """
    lot = lots(draw.uniform(name, size=grid.size))
    reached = jnp.where(jnp.asarray(marked) > 0, lot, NOBODY)
    distance = jnp.where(reached < NOBODY, 0, -1)

    def spread(state: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        reached, distance, step = state
        table = reached.reshape(grid.rows, grid.columns)
        around = folded(table, grid.near, grid.periodic, jnp.minimum, NOBODY).reshape(grid.size)
        fresh = (reached == NOBODY) & (around < NOBODY)
        return jnp.where(fresh, around, reached), jnp.where(fresh, step, distance), step + 1

    def goes_on(state: tuple[Array, Array, Array]) -> Array:
        reached, distance, step = state
        return (distance == step - 1).any() & (reached == NOBODY).any()

    reached, distance, _ = jax.lax.while_loop(goes_on, spread, (reached, distance, jnp.int32(1)))
    low = 2 ** max(grid.size - 1, 0).bit_length() - 1
    return jnp.where(reached < NOBODY, reached & low, grid.size), distance
