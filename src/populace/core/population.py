"""Populations whose size changes: births and deaths at fixed capacity.

Arrays never change shape; an `alive` mask says which slots are used. The k-th newborn takes the k-th free slot, in
time linear in the capacity. What does not fit is counted and becomes an error that names the capacity to use.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple, TypeVar

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


BASE = frozenset(field.name for field in dataclasses.fields(Population))
"""The fields that births, deaths and migration keep themselves."""


class Deme(Population):
    """Base for one of several populations between which agents migrate (`migrate`): number `deme` of `demes`, from 0.

    Each numbers its own newborn, deme + demes k for the k-th, so that no two ever have one identity, without a word
    between them: an agent that goes keeps its identity, and `identity % demes` says where it was born. `born`: how many
    were born here, or founded it. Begin with `settlers`.
    """

    deme: int = eqx.field(static=True)
    demes: int = eqx.field(static=True)


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
    seats = seated(population, wanted > 0)
    born = numbered(population, population.born + seats.order)
    fields = placed(population, {name: getattr(newborn, name) for name in own(population)}, seats)
    fields["alive"] = jnp.where(seats.taken, wanted[seats.source], population.alive)
    fields["identity"] = jnp.where(seats.taken, born, population.identity)
    fields["born"] = population.born + seats.total
    fields["needed"] = seats.needed
    return with_fields(population, fields)


def numbered(population: Population, nth: Int[Array, "..."]) -> Int[Array, "..."]:
    """The identity of the nth agent born in a population."""
    return population.deme + population.demes * nth if isinstance(population, Deme) else nth


class Seats(NamedTuple):
    """Who of some candidates takes which slot of a population.

    `taken` (agents,): slots that somebody takes; `source` (agents,): which candidate, where taken; `order` (agents,):
    the how manieth free slot each is, from 0; `got` (candidates,): who has a slot; `total`: how many ask; `needed`: the
    population's own, with them.
    """

    taken: Bool[Array, " agents"]
    source: Int[Array, " agents"]
    order: Int[Array, " agents"]
    got: Bool[Array, " candidates"]
    total: Int[Array, ""]
    needed: Int[Array, ""]


def seated(population: Population, asks: Bool[Array, " candidates"]) -> Seats:
    """The k-th who asks gets the k-th free slot, as long as there are any."""
    free = population.alive <= 0
    many = asks.shape[0]
    rank = jnp.cumsum(asks) - 1
    total, room = asks.sum(dtype=jnp.int32), free.sum(dtype=jnp.int32)
    order = (jnp.cumsum(free) - 1).astype(jnp.int32)
    numbers = jnp.arange(many, dtype=jnp.int32)
    by_rank = jnp.zeros(many + 1, jnp.int32).at[jnp.where(asks, rank, many)].set(numbers)
    source = by_rank[jnp.clip(order, 0, many - 1)]
    needed = jnp.maximum(population.needed, population.capacity - room + total)
    return Seats(free & (order < total), source, order, asks & (rank < room), total, needed)


def placed(population: Population, candidates: Mapping[str, Any], seats: Seats) -> dict[str, Any]:
    """The fields of a population that are not base fields, with the candidates' in the slots that they take.

    **Arguments:** `candidates`: the same fields by name, (candidates, ...).
    """

    def one(old: Array, new: Array) -> Array:
        mask = seats.taken.reshape(seats.taken.shape + (1,) * (old.ndim - 1))
        return jnp.where(mask, new[seats.source].astype(old.dtype), old)

    return {name: jax.tree.map(one, getattr(population, name), new) for name, new in candidates.items()}


def own(population: Population) -> tuple[str, ...]:
    """The names of the fields that hold something of each agent, beside the base fields."""
    fields = dataclasses.fields(population)
    return tuple(f.name for f in fields if f.name not in BASE and not f.metadata.get("static", False))


def with_fields(population: P, fields: dict[str, Any]) -> P:
    """The population with some fields replaced."""
    return eqx.tree_at(
        lambda p: [getattr(p, name) for name in fields], population, list(fields.values()), is_leaf=lambda x: x is None
    )


def populations(state: State) -> dict[str, Population]:
    """The populations in a state by where they stand, such as `.wolves`; one that is the state, by its class."""
    nodes = jax.tree_util.tree_flatten_with_path(state, is_leaf=lambda node: isinstance(node, Population))[0]
    found = [(path, node) for path, node in nodes if isinstance(node, Population)]
    return {jax.tree_util.keystr(path) or type(node).__name__: node for path, node in found}


def overflow(state: State) -> list[tuple[str, int]]:
    """Where populations in a state wanted more room than they had, and how much."""
    needed = {name: (int(jnp.max(node.needed)), node.alive.shape[-1]) for name, node in populations(state).items()}
    return [(name, most) for name, (most, capacity) in needed.items() if most > capacity]
