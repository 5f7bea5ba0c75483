"""Agents within a radius of each other: sums over pairs, by trying all pairs or by lists of cells."""

import abc
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Shaped

from .topology import Topology


class Extent(eqx.Module):
    """How far a space reaches along each axis, from 0, and whether it closes in itself."""

    sides: tuple[float, ...] = eqx.field(static=True)
    periodic: bool = eqx.field(static=True)

    def apart(self, one: Float[Array, "..."], other: Float[Array, "..."], axis: int) -> Float[Array, "..."]:
        """The way from coordinates `one` to `other` along an axis: the shortest one if the space is periodic."""
        way, side = other - one, self.sides[axis]
        return way - side * jnp.round(way * (1.0 / side)) if self.periodic else way


class Pair(eqx.Module):
    """An agent and a neighbour of it, as a kernel sees them; all numbers are scalars.

    `apart`: the way from the agent to the neighbour, one number an axis; `square`: its squared length; `mine`,
    `theirs`: what belongs to the agent and to the neighbour, trees of the shape of the values given.
    """

    apart: tuple[Float[Array, ""], ...]
    square: Float[Array, ""]
    mine: Any
    theirs: Any


Kernel = Callable[[Pair], Any]


class Near(Topology):
    """Who is within a radius of whom: A[i, j] = 1 where j is no farther from i than the radius, and is not i.

    Made by `Box.within`, for positions as they are; a model makes one each step. No gradient passes from `sum` to the
    positions.
    """

    @abc.abstractmethod
    def total(self, kernel: Kernel, values: Any = None) -> Any:
        """For each agent the sum of `kernel` over its neighbours.

        **Arguments:** `kernel`: of one `Pair`, to a tree of scalars; `values`: a tree of arrays (agents,), of which
        the pair gets its agent's and its neighbour's entry.

        **Returns:** the tree of the kernel, with an array (agents,) for each scalar.

        Differentiable in the positions and the values where the kernel is, by `AllPairs` in both modes, by
        `CellLists` in forward mode only. Where the kernel is not used (pairs that are too far apart) it must be
        finite if derivatives are wanted: divide by `jnp.maximum(pair.square, small)`.
        """


def of_pair(kernel: Kernel, extent: Extent, mine: tuple[Any, Any], theirs: tuple[Any, Any]) -> tuple[Array, Any]:
    """The squared distance of one pair and what its kernel says; positions and values of each."""
    (here, own), (there, other) = mine, theirs
    way = tuple(extent.apart(a, b, axis) for axis, (a, b) in enumerate(zip(here, there, strict=True)))
    square = sum((x * x for x in way), jnp.float32(0.0))
    return square, kernel(Pair(way, square, own, other))


def columns(position: Float[Array, "agents axes"]) -> tuple[Float[Array, " agents"], ...]:
    """The coordinates one by one: arrays of structures cost three times as much in sums over pairs."""
    return tuple(position[:, axis] for axis in range(position.shape[1]))


def masked(near: Array, value: Shaped[Array, "..."]) -> Shaped[Array, "..."]:
    """`value` where `near`, else 0; no derivative comes from elsewhere."""
    return jnp.where(near, value, jnp.zeros_like(value))


def close(square: Array, radius: Float[Array, ""]) -> Array:
    """Whether a distance counts."""
    return jax.lax.stop_gradient(square) <= radius * radius
