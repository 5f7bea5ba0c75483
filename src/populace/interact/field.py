"""Fields: one number a cell, that spreads to the cells around."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from .grid import Grid


def diffused(
    grid: Grid, field: Float[Array, "cells *features"], share: float | Float[Array, ""]
) -> Float[Array, "cells *features"]:
    """The field after every cell has given `share` of what it holds to its neighbours, in equal parts.

    Each neighbour gets share / n, where n is the number of neighbours that a cell far from the border has; what a cell
    at the border of a bounded grid cannot give it keeps (NetLogo's `diffuse`). The total is kept, up to rounding.

    **Arguments:** `field`: (cells, ...); `share`: 0 to 1. A heat equation with diffusivity D, a step dt and cells of
    width h takes share = n D dt / h^2 with `VonNeumann(1)`, n = 4.
    """
    part = share / grid.near.reach
    degree = grid.degree().reshape((grid.size,) + (1,) * (jnp.ndim(field) - 1))
    return field + part * (grid.sum(field) - degree * field)
