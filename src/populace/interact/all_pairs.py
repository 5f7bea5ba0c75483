"""Neighbours within a radius by trying all pairs: best up to a few thousand agents, or where a radius reaches far."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Shaped

from ..core.draw import Draw
from ..core.shapes import zeros
from .pairs import Extent, Kernel, Near, close, columns, masked, of_pair
from .topology import Neighbour, per_agent, sampled

AT_ONCE = 8
"""Neighbours that are tried in one pass over the agents: fewer passes than one by one, and all stays in the cache."""
TOGETHER = 512
"""Agents in one pass: XLA divides larger passes among threads, which costs three times the processor time."""


class AllPairs(Near):
    """Every agent is compared with every other. Made by `Box.within`."""

    position: Float[Array, "agents axes"]
    radius: Float[Array, ""]
    extent: Extent

    def __init__(self, position: Float[Array, "agents axes"], radius: Float[Array, ""], extent: Extent):
        self.position, self.radius, self.extent = position, radius, extent

    @property
    def size(self) -> int:
        return self.position.shape[0]

    def sum(self, values: Shaped[Array, "agents *features"]) -> Float[Array, "agents *features"]:
        values = per_agent(values, self.size)
        flat = values.reshape(self.size, -1)
        exact = jax.lax.Precision.HIGHEST
        return jnp.matmul(self._matrix().astype(values.dtype), flat, precision=exact).reshape(values.shape)

    def degree(self) -> Float[Array, " agents"]:
        return self._matrix().sum(axis=1)

    def neighbour(self, draw: Draw, name: str) -> Neighbour:
        share = draw.uniform(name, 0.0, 1.0, size=self.size)
        before = jnp.cumsum(self._matrix(), axis=1)
        count = before[:, -1]
        place = sampled(jax.lax.stop_gradient(share), count.astype(jnp.int32))
        index = jnp.argmax(before > place[:, None], axis=1).astype(jnp.int32)
        return Neighbour(jnp.where(count > 0, index, 0), (count > 0).astype(jnp.float32))

    def total(self, kernel: Kernel, values: Any = None) -> Any:
        everyone = columns(self.position), values, jnp.arange(self.size)
        if self.size <= TOGETHER:
            return self._over_others(kernel, everyone, everyone)
        parts = -(-self.size // TOGETHER)
        width = -(-self.size // parts)
        mine = jax.tree.map(lambda x: _filled(x, parts * width).reshape(parts, width, *x.shape[1:]), everyone)
        found = jax.lax.map(lambda part: self._over_others(kernel, part, everyone), mine)
        return jax.tree.map(lambda x: x.reshape(-1)[: self.size], found)

    def total_of(self, agent: Int[Array, ""], kernel: Kernel, values: Any = None) -> Any:
        """What `total` says of one agent: a tree of scalars, for the work of one against all others."""
        everyone = columns(self.position), values
        mine = jax.tree.map(lambda x: x[agent], everyone)
        square, found = jax.vmap(lambda other: of_pair(kernel, self.extent, mine, other))(everyone)
        near = close(square, self.radius) & (jnp.arange(self.size) != agent)
        return jax.tree.map(lambda value: masked(near, value).sum(), found)

    def _over_others(self, kernel: Kernel, mine: Any, everyone: Any) -> Any:
        """The sums of the agents `mine`; AT_ONCE others at a time."""

        def each(one: Any, other: Any) -> Any:
            square, found = of_pair(kernel, self.extent, one[:2], other[:2])
            near = close(square, self.radius) & (one[2] != other[2])
            near = near & (other[2] < self.size) if self.size % AT_ONCE else near
            return jax.tree.map(lambda value: masked(near, value), found)

        def add(i: Array, so_far: Any) -> Any:
            them = jax.tree.map(lambda x: jax.lax.dynamic_slice_in_dim(x, i * AT_ONCE, AT_ONCE), others)
            found = jax.vmap(lambda other: jax.vmap(lambda one: each(one, other))(mine))(them)
            return jax.tree.map(lambda total, value: total + value.sum(axis=0), so_far, found)

        blocks = -(-self.size // AT_ONCE)
        others = *jax.tree.map(lambda x: _filled(x, blocks * AT_ONCE), everyone[:2]), jnp.arange(blocks * AT_ONCE)
        shapes = jax.eval_shape(lambda: jax.vmap(each)(mine, mine))
        empty = zeros(shapes)
        return jax.lax.fori_loop(0, blocks, add, empty)

    def _matrix(self) -> Float[Array, "agents agents"]:
        here = jax.lax.stop_gradient(self.position)
        square = jnp.zeros(())
        for axis in range(here.shape[1]):
            way = self.extent.apart(here[:, None, axis], here[None, :, axis], axis)
            square = square + way * way
        agent = jnp.arange(self.size)
        return (close(square, self.radius) & (agent[:, None] != agent)).astype(jnp.float32)


def _filled(x: Shaped[Array, " agents"], size: int) -> Shaped[Array, " slots"]:
    """`x` with its first entry repeated behind it: finite, and never counted."""
    return jnp.concatenate([x, jnp.broadcast_to(x[:1], (size - x.shape[0], *x.shape[1:]))])
