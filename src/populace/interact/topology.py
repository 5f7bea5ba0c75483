"""Who meets whom: the interface that networks, layers and mixing share, and the one neighbour that a draw picks."""

import abc
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Shaped

from .._errors import ModelError
from ..core.draw import Draw


class Neighbour(eqx.Module):
    """One neighbour an agent.

    `index` (agents,) int32: who it is, 0 where there is none. `present` (agents,) float32: 1 where there is one.
    """

    index: Int[Array, " agents"]
    present: Float[Array, " agents"]

    def take(self, values: Shaped[Array, "agents *features"]) -> Shaped[Array, "agents *features"]:
        """The neighbour's `values`, of the same shape and dtype; 0 where there is no neighbour."""
        values = jnp.asarray(values)
        found = values.at[self.index].get(mode="clip")
        there = (self.present > 0).reshape(self.present.shape + (1,) * (found.ndim - 1))
        return jnp.where(there, found, jnp.zeros_like(found))


class Topology(eqx.Module):
    """Who meets whom: a non-negative matrix A of weights over agents, where A[i, j] is how much j counts for i.

    Two topologies of one class and shape share compiled code: the weights and edges are data. They are no parameters
    (`pop.parameters` does not list them); a weight to be fitted stands in the model, or in `Layered`.

    An isolated agent, whose row of A is 0, is legal: its sum and degree are 0, and it has no neighbour.
    """

    size: eqx.AbstractVar[int]
    """The number of agents, static."""

    @abc.abstractmethod
    def sum(self, values: Shaped[Array, "agents *features"]) -> Float[Array, "agents *features"]:
        """A @ values: for each agent the weighted total over its neighbours.

        **Arguments:** `values`: (agents, ...), agents on the leading axis; integers and booleans are read as float32,
        floating dtypes are kept.

        Linear in `values` and differentiable in both modes; the reverse is the sum over the transpose of A and costs
        about the same.

        **Raises:** `ModelError` if the leading axis is not the agents'.
        """

    @abc.abstractmethod
    def degree(self) -> Float[Array, " agents"]:
        """The weight of all neighbours of an agent, float32: the sum of ones."""

    @abc.abstractmethod
    def neighbour(self, draw: Draw, name: str) -> Neighbour:
        """For each agent one neighbour at random, j for i with probability A[i, j] / degree[i].

        **Arguments:** `draw`, `name`: where the chance event is asked. One uniform number an agent, so that two runs
        with one key meet the same neighbours as long as the topology is the same.

        An index carries no gradient; what `Neighbour.take` reads at it does. A uniform number has 24 bits: with
        millions of neighbours an agent, single probabilities are off by up to (neighbours / 2^24) of themselves.
        """


def per_agent(values: Shaped[Array, "..."], size: int) -> Float[Array, "..."]:
    """`values` as a floating array with `size` agents on the leading axis, or a `ModelError`."""
    values = jnp.asarray(values)
    if values.ndim == 0 or values.shape[0] != size:
        raise ModelError(
            f"values of shape {values.shape} given to a topology of {size} agents: the leading axis holds the agents "
            "(for one number a whole population use jnp.full; a batch of runs wants jax.vmap)"
        )
    return values if jnp.issubdtype(values.dtype, jnp.inexact) else values.astype(jnp.float32)


def sampled(share: Float[Array, " agents"], count: Int[Array, " agents"]) -> Int[Array, " agents"]:
    """A whole number in 0 .. count - 1, evenly, from `share` in [0, 1); -1 where `count` is 0."""
    place = (share * count.astype(share.dtype)).astype(jnp.int32)
    return jnp.minimum(place, count - 1)


def below(total: Float[Array, " agents"], share: Float[Array, " agents"]) -> Float[Array, " agents"]:
    """`share` of `total`, rounded to what is below `total`, so that a search in a cumulative sum always ends."""
    return jnp.minimum(share * total, jnp.nextafter(total, jnp.zeros_like(total)))


def first_above(
    cumulative: Callable[[Int[Array, " agents"]], Float[Array, " agents"]],
    level: Float[Array, " agents"],
    count: Int[Array, " agents"],
    halvings: Int[Array, ""] | int,
) -> Int[Array, " agents"]:
    """The first place j in 0 .. count - 1 of each agent with `cumulative(j)` above `level`, by bisection.

    **Arguments:** `cumulative`: place (agents,) to a cumulative sum that never falls; `halvings`: the binary logarithm
    of the largest count, rounded up. What weighs nothing is never found.
    """

    def halve(_: Int[Array, ""], ends: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = ends
        middle = (low + high) // 2
        found = cumulative(middle) > level
        return jnp.where(found, low, jnp.minimum(middle + 1, high)), jnp.where(found, middle, high)

    return jax.lax.fori_loop(0, halvings, halve, (jnp.zeros_like(count), count - 1))[0]
