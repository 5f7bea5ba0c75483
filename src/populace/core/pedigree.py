"""Ages and pedigrees inside a model: when each agent was born, of whom, and a register of all births.

Slots are used again and the dead leave no trace in them. Who wants to know of ancestors keeps a register: an entry a
birth, never taken away. It is itself a population, of entries, so that room for it is planned, grows and overflows as
that of every population.
"""

from typing import Any, TypeVar

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int

from .._errors import ModelError
from .population import Population, founders

A = TypeVar("A", bound="Ancestry")
UNKNOWN = -1
"""The identity of a parent that is not known, or that there is none."""


class Ancestry(Population):
    """Base for a population whose agents know when they were born, and of whom.

    `birthday` (agents,) int32: the step, 0 for founders; `mother`, `father` (agents,) int32: identities, -1 where there
    is none. Begin with `no_parents`, and make newborns with `offspring`.
    """

    birthday: Int[Array, " agents"]
    mother: Int[Array, " agents"]
    father: Int[Array, " agents"]


def no_parents(capacity: int) -> dict[str, Array]:
    """The fields of an `Ancestry` at time 0: `Deer(**pop.founders(40, 500), **pop.no_parents(500), energy=...)`."""
    nobody = jnp.full(capacity, UNKNOWN, jnp.int32)
    return {"birthday": jnp.zeros(capacity, jnp.int32), "mother": nobody, "father": nobody}


def offspring(mothers: A, time: Int[Array, ""] | int, father: Int[Array, " agents"] | None = None) -> A:
    """Candidates for `births`, one a slot: the mother's own fields, with parents and birthday set.

    **Arguments:** `time`: `draw.time`; `father` (agents,): identities (`herd.identity[mate]`), none if not given.
    """
    nobody = jnp.full_like(mothers.mother, UNKNOWN)
    fathers = nobody if father is None else jnp.broadcast_to(jnp.asarray(father, jnp.int32), nobody.shape)
    today = jnp.full_like(mothers.birthday, time)
    return eqx.tree_at(lambda a: (a.birthday, a.mother, a.father), mothers, (today, mothers.identity, fathers))


def age(population: Ancestry, time: Int[Array, ""] | int) -> Int[Array, " agents"]:
    """Steps since birth, int32; 0 in free slots."""
    return jnp.where(population.alive > 0, jnp.asarray(time, jnp.int32) - population.birthday, 0)


class Register(Population):
    """All births so far, in their order: `identity` of each who was born, with `mother`, `father` and `birthday`.

    Its agents are entries and never die. `capacity`: how many births, founders with them, there is room for; a run that
    has more ends with a `CapacityError`, or grows (`Growth`).
    """

    birthday: Int[Array, " entries"]
    mother: Int[Array, " entries"]
    father: Int[Array, " entries"]


def register(population: Ancestry, capacity: int) -> Register:
    """A register of those who live now, with room for `capacity` entries; for use in `init`.

    **Raises:** `ModelError` for no room.
    """
    if capacity < 1:
        raise ModelError(f"a register has room for one birth or more, not {capacity}")
    empty = Register(**founders(0, capacity), **no_parents(capacity))
    return _entered(empty, population, population.alive > 0)


def registered(register: Register, before: Ancestry, after: Ancestry) -> Register:
    """The register with those who are in `after` and were not in `before`: with whom `births` has filled free slots.

    `grown = pop.births(herd, pop.offspring(herd, draw.time), born)`, `book = pop.registered(book, herd, grown)`. It
    takes a pass over the population, whatever the register holds.

    **Raises:** `ModelError` if there are not as many slots after as before.
    """
    if before.capacity != after.capacity:
        raise ModelError(f"{before.capacity} slots before and {after.capacity} after births: give the same population")
    return _entered(register, after, after.identity != before.identity)


def _entered(register: Register, population: Ancestry, fresh: Bool[Array, " agents"]) -> Register:
    place = jnp.where(fresh, register.born + jnp.cumsum(fresh, dtype=jnp.int32) - 1, register.capacity)
    count = register.born + fresh.sum(dtype=jnp.int32)

    def entered(column: Array, new: Any) -> Array:
        return column.at[place].set(new, mode="drop")

    return Register(
        alive=entered(register.alive, 1.0),
        identity=entered(register.identity, population.identity),
        born=count,
        needed=jnp.maximum(register.needed, count),
        birthday=entered(register.birthday, population.birthday),
        mother=entered(register.mother, population.mother),
        father=entered(register.father, population.father),
    )
