"""Neighbours within a radius by lists of cells: each agent is compared with those in its own cell and in the cells
around, so that work grows with the agents and not with their square.
"""

import itertools
import math
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Shaped

from ..core.draw import Draw
from ..core.shapes import zeros
from .blocks import linear
from .lots import by_cell
from .pairs import Extent, Kernel, Near, close, columns, masked, of_pair
from .topology import Neighbour, per_agent, sampled

Visit = Callable[[Any, Int[Array, " agents"], Array], Any]
"""What is carried, a candidate an agent, and whether there is one: to what is carried."""


class CellLists(Near):
    """Agents sorted by cell; cells are as wide as the largest radius or wider. Made by `Box.within`.

    Any number of agents may crowd in a cell: nothing overflows, but work grows with the fullest cell, because all
    agents go through their candidates in step.

    `trust` is 1, or NaN if the radius is larger than the cells allow. Arrays are in the order of the cells: `order`
    (agents,) says which agent stands where in it.
    """

    position: Float[Array, "agents axes"]
    radius: Float[Array, ""]
    order: Int[Array, " agents"]
    cell: Int[Array, " agents"]
    start: Int[Array, " cells"]
    count: Int[Array, " cells"]
    trust: Float[Array, ""]
    extent: Extent
    cells: tuple[int, ...] = eqx.field(static=True)

    def __init__(
        self,
        position: Float[Array, "agents axes"],
        radius: Float[Array, ""],
        reach: float,
        extent: Extent,
        cells: tuple[int, ...],
    ):
        """Of positions; with so many `cells` an axis, none narrower than `reach`."""
        cell = _cells(position, extent, cells)
        number = math.prod(cells)
        self.order = by_cell(cell, number)
        self.cell = cell[self.order]
        self.position, self.radius = position[self.order], radius
        self.count = jnp.zeros(number, jnp.int32).at[cell].add(1)
        self.start = (jnp.cumsum(self.count) - self.count).astype(jnp.int32)
        self.trust = jnp.where(radius > reach, jnp.nan, 1.0)
        self.extent, self.cells = extent, cells

    @property
    def size(self) -> int:
        return self.position.shape[0]

    def sum(self, values: Shaped[Array, "agents *features"]) -> Float[Array, "agents *features"]:
        values = per_agent(values, self.size)
        here = jax.lax.stop_gradient(self)
        return linear(here._sum, here._sum, values)

    def degree(self) -> Float[Array, " agents"]:
        return jax.lax.stop_gradient(self)._sum(jnp.ones(self.size, jnp.float32))

    def neighbour(self, draw: Draw, name: str) -> Neighbour:
        share = jax.lax.stop_gradient(draw.uniform(name, 0.0, 1.0, size=self.size))
        count = self.degree().astype(jnp.int32)
        place = sampled(share, count)[self.order]

        def look(state: tuple[Array, Array], candidate: Array, near: Array) -> tuple[Array, Array]:
            seen, found = state
            return seen + near, jnp.where(near & (seen == place), candidate, found)

        here = jax.lax.stop_gradient(self)
        none = jnp.zeros(self.size, jnp.int32)
        _, found = here._visited(lambda state, j, valid: look(state, j, here._near(j, valid)), (none, none))
        index = self._by_agent(self.order[found])
        return Neighbour(jnp.where(count > 0, index, 0), self.trust * (count > 0))

    def total(self, kernel: Kernel, values: Any = None) -> Any:
        mine = columns(self.position), jax.tree.map(lambda leaf: leaf[self.order], values)
        agent = jnp.arange(self.size)

        def each(candidate: Array) -> tuple[Array, Any]:
            theirs = jax.tree.map(lambda leaf: leaf.at[candidate].get(mode="clip"), mine)
            return jax.vmap(lambda one, other: of_pair(kernel, self.extent, one, other))(mine, theirs)

        def add(state: Any, candidate: Array, valid: Array) -> Any:
            square, found = each(candidate)
            near = valid & (candidate != agent) & close(square, self.radius)
            return jax.tree.map(lambda so_far, value: so_far + masked(near, value), state, found)

        shapes = jax.eval_shape(each, agent)[1]
        empty = zeros(shapes)
        return jax.tree.map(lambda total: self.trust * self._by_agent(total), self._visited(add, empty))

    def _sum(self, values: Float[Array, "agents *features"]) -> Float[Array, "agents *features"]:
        values = values[self.order]

        def add(total: Array, candidate: Array, valid: Array) -> Array:
            near = self._near(candidate, valid).reshape((self.size,) + (1,) * (values.ndim - 1))
            return total + masked(near, values.at[candidate].get(mode="clip"))

        return self.trust.astype(values.dtype) * self._by_agent(self._visited(add, jnp.zeros_like(values)))

    def _near(self, candidate: Int[Array, " agents"], valid: Array) -> Array:
        here = columns(self.position)
        there = tuple(x.at[candidate].get(mode="clip") for x in here)
        way = [self.extent.apart(a, b, axis) for axis, (a, b) in enumerate(zip(here, there, strict=True))]
        square = sum((x * x for x in way), jnp.float32(0.0))
        return valid & (candidate != jnp.arange(self.size)) & close(square, self.radius)

    def _visited(self, visit: Visit, state: Any) -> Any:
        """`visit` with every candidate of every agent, the k-th of one of the cells around at a time."""
        steps = jnp.asarray(list(itertools.product((-1, 0, 1), repeat=len(self.cells))), jnp.int32)
        fullest = self.count.max()

        def around(i: Array, state: Any) -> Any:
            cell, there = self._moved(steps[i])
            start = self.start.at[cell].get(mode="clip")
            count = jnp.where(there, self.count.at[cell].get(mode="clip"), 0)
            return jax.lax.fori_loop(0, fullest, lambda k, inner: visit(inner, start + k, k < count), state)

        return jax.lax.fori_loop(0, len(steps), around, state)

    def _moved(self, step: Int[Array, " axes"]) -> tuple[Array, Array]:
        """The cell that lies `step` from each agent's own, and whether there is one."""
        rest, stride = self.cell, 1
        cell, there = jnp.zeros_like(self.cell), jnp.ones(self.size, bool)
        for axis in reversed(range(len(self.cells))):
            number = self.cells[axis]
            along = rest % number + step[axis]
            rest = rest // number
            if self.extent.periodic:
                along = along % number
            there = there & (along >= 0) & (along < number)
            cell = cell + stride * along
            stride = stride * number
        return cell, there

    def _by_agent(self, values: Shaped[Array, "agents *features"]) -> Shaped[Array, "agents *features"]:
        return jnp.zeros_like(values).at[self.order].set(values, unique_indices=True, mode="promise_in_bounds")


def _cells(position: Float[Array, "agents axes"], extent: Extent, cells: tuple[int, ...]) -> Int[Array, " agents"]:
    """The cell of each position, the last axis running fastest."""
    cell = jnp.zeros(position.shape[0], jnp.int32)
    for axis, number in enumerate(cells):
        along = jnp.floor(position[:, axis] * (number / extent.sides[axis])).astype(jnp.int32)
        cell = cell * number + jnp.clip(along, 0, number - 1)
    return cell
