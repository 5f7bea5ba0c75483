"""Populations whose size changes: births and deaths at fixed capacity.

Arrays never change shape; an `alive` mask says which slots are used. The k-th newborn takes the k-th free slot, in
time linear in the capacity. What does not fit is counted and becomes an error that names the capacity to use.
"""

import dataclasses
from typing import Any, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from .._types import State
from .noise import as_float

P = TypeVar("P", bound="Population")


class Population(eqx.Module):
    """Base for a population with births and deaths: subclass it and add per-agent arrays (agents, ...).

    `alive` (agents,) float32 0/1; `identity` (agents,) int32, never used twice, so that random numbers can follow an
    agent (`draw.child("wolves", follow=wolves.identity)`), -1 in a slot that was never used; `born`: how many agents
    there have ever been; `needed`: the largest number of agents that wanted to live at once. None of it hangs on the
    capacity, as long as there is room.
    """

    alive: Float[Array, " agents"]
    identity: Int[Array, " agents"]
    born: Int[Array, ""]
    needed: Int[Array, ""]

    @property
    def capacity(self) -> int:
        """The number of slots."""
        return self.alive.shape[0]


_BASE = frozenset(field.name for field in dataclasses.fields(Population))


def founders(count: int | Array, capacity: int) -> dict[str, Array]:
    """The base fields of a population whose first `count` slots are alive; for use in `init`:

    `Wolves(**pop.founders(40, capacity=500), energy=...)`.
    """
    slots = jnp.arange(capacity, dtype=jnp.int32)
    count = jnp.asarray(count, jnp.int32)
    alive = (slots < count).astype(jnp.float32)
    return {"alive": alive, "identity": jnp.where(slots < count, slots, -1), "born": count, "needed": count}


def deaths(population: P, where: Float[Array, " agents"] | Bool[Array, " agents"]) -> P:
    """The population without the agents marked in `where`; their slots are free."""
    # Not alive * (1 - where): where the mask was drawn among the living, that would count its derivative twice.
    died = as_float(where) * (population.alive > 0)
    return eqx.tree_at(lambda p: p.alive, population, population.alive - died)


def births(population: P, newborn: P, where: Float[Array, " candidates"] | Bool[Array, " candidates"]) -> P:
    """The population with newborns in its free slots.

    **Arguments:** `newborn`: a population tree whose per-agent fields hold the candidates (candidates, ...), commonly
    the parents' own with some fields changed; its base fields are not read. `where` (candidates,): which candidates
    are born.

    Gradients pass from a newborn's fields to its slot, and through a float `where` that carries one, of those who are
    born: who is not has no slot to carry it, and a relaxation has to weigh the others up (value / p).
    """
    wanted = as_float(where)
    born = wanted > 0
    free = population.alive <= 0
    rank = jnp.cumsum(born) - 1
    total, room = born.sum(), free.sum()
    order = jnp.cumsum(free) - 1
    by_rank = (
        jnp.zeros(born.shape[0] + 1, jnp.int32)
        .at[jnp.where(born, rank, born.shape[0])]
        .set(jnp.arange(born.shape[0], dtype=jnp.int32))
    )
    taken = free & (order < total)
    source = by_rank[jnp.clip(order, 0, born.shape[0] - 1)]

    def place(old: Array, new: Array) -> Array:
        mask = taken.reshape(taken.shape + (1,) * (old.ndim - 1))
        return jnp.where(mask, new[source].astype(old.dtype), old)

    fields: dict[str, Any] = {}
    for field in dataclasses.fields(population):
        if field.name not in _BASE and not field.metadata.get("static", False):
            fields[field.name] = jax.tree.map(place, getattr(population, field.name), getattr(newborn, field.name))
    fields["alive"] = jnp.where(taken, wanted[source], population.alive)
    fields["identity"] = jnp.where(taken, population.born + order.astype(jnp.int32), population.identity)
    fields["born"] = population.born + total.astype(jnp.int32)
    living = population.capacity - room.astype(jnp.int32)
    fields["needed"] = jnp.maximum(population.needed, living + total.astype(jnp.int32))
    return eqx.tree_at(
        lambda p: [getattr(p, name) for name in fields], population, list(fields.values()), is_leaf=lambda x: x is None
    )


def overflow(state: State) -> list[tuple[str, int]]:
    """Where populations in a state wanted more room than they had, and how much."""
    found: list[tuple[str, int]] = []
    nodes = jax.tree_util.tree_flatten_with_path(state, is_leaf=lambda node: isinstance(node, Population))[0]
    for path, node in nodes:
        if isinstance(node, Population):
            needed = int(jnp.max(node.needed))
            if needed > node.alive.shape[-1]:
                found.append((jax.tree_util.keystr(path) or type(node).__name__, needed))
    return found
