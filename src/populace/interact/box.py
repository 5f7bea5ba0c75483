"""Continuous space in two and three dimensions, bounded or periodic."""

import math

import equinox as eqx
import jax.numpy as jnp
from jax.core import Tracer
from jaxtyping import Array, Float

from .._errors import ModelError
from .all_pairs import AllPairs
from .cell_lists import CellLists
from .pairs import Extent, Near


class Box(eqx.Module):
    """A rectangle or cuboid from 0 to `sides`, in which agents have positions (agents, axes) float32.

    **Arguments:** `sides`: two or three lengths; `periodic`: whether it closes in itself (distances are then the
    shortest), otherwise there are walls.

    **Raises:** `ModelError` if the sides are not that.
    """

    sides: tuple[float, ...] = eqx.field(static=True, converter=lambda sides: tuple(float(side) for side in sides))
    periodic: bool = eqx.field(static=True, default=False)

    def __check_init__(self) -> None:
        if len(self.sides) not in (2, 3) or not all(0 < side < math.inf for side in self.sides):
            raise ModelError(f"a box has two or three sides, each longer than 0 and finite, not {self.sides}")

    def inside(self, position: Float[Array, "agents axes"]) -> Float[Array, "agents axes"]:
        """Positions brought back into the box: round it if it is periodic, to the wall otherwise."""
        sides = jnp.asarray(self.sides, position.dtype)
        if not self.periodic:
            return jnp.clip(position, 0.0, sides)
        round_ = jnp.mod(position, sides)
        return jnp.where(round_ >= sides, 0.0, round_)

    def within(
        self, position: Float[Array, "agents axes"], radius: float | Float[Array, ""], reach: float | None = None
    ) -> Near:
        """Who is within `radius` of whom: a topology that also sums kernels over pairs (`total`).

        Tries all pairs, or goes by lists of cells where that is less work; both give the same.

        **Arguments:** `position`: inside the box; `radius`: a number, or an array (a parameter); `reach`: the largest
        radius that may come, a plain number; the radius itself if that is one. Cells must be laid out before the
        radius is known, so that for a radius that is an array without `reach` all pairs are tried. If a radius comes
        that is larger than `reach`, every sum is NaN.

        **Raises:** `ModelError` if positions have not as many columns as the box has sides.
        """
        position = jnp.asarray(position, jnp.float32)
        if position.ndim != 2 or position.shape[1] != len(self.sides):
            raise ModelError(f"positions of shape {position.shape} in a box of {len(self.sides)} sides")
        if reach is None and not isinstance(radius, Tracer) and jnp.ndim(radius) == 0:
            reach = float(radius)
        radius = jnp.asarray(radius, jnp.float32)
        extent = Extent(self.sides, self.periodic)
        cells = None if reach is None else cells_for(self.sides, reach, self.periodic, position.shape[0])
        if reach is None or cells is None:
            return AllPairs(position, radius, extent)
        return CellLists(position, radius, reach, extent, cells)


TRIES = 4.0
"""How much longer a candidate of a cell list takes than a pair of all pairs."""


def cells_for(sides: tuple[float, ...], reach: float, periodic: bool, agents: int) -> tuple[int, ...] | None:
    """Cells an axis for a radius of at most `reach`; None where trying all pairs is less work.

    With agents evenly spread the fullest cell holds about m + 3 sqrt(m) + 2, where m is the mean.
    """
    if not 0 < reach < min(sides):
        return None
    most = max(1, int(agents ** (1 / len(sides))))
    cells = tuple(min(most, int(side / reach)) for side in sides)
    if periodic and min(cells) < 3:
        return None
    mean = agents / math.prod(cells)
    candidates = 3 ** len(sides) * (mean + 3 * math.sqrt(mean) + 2)
    return cells if TRIES * candidates < agents else None
