"""Migration: agents that go from one population to another, with all that is theirs.

Of agents that are alike in several places one population with a field that says where each is costs nothing and has as
many places as one likes. Migration is for populations that differ: in their fields, in their rules, in their room.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from .._errors import ModelError
from .noise import as_float
from .population import Deme, founders, own, placed, seated, with_fields

S = TypeVar("S", bound=Deme)
T = TypeVar("T", bound=Deme)
Convert = Callable[[Any], Mapping[str, Any]]


def settlers(count: int | Array, capacity: int, *, deme: int, demes: int) -> dict[str, Any]:
    """The base fields of one of `demes` populations between which agents migrate; `founders` for a `Deme`:

    `Deer(**pop.settlers(40, 500, deme=0, demes=2), energy=...)`.

    **Raises:** `ModelError` for a number that is none of 0 .. demes - 1.
    """
    if not 0 <= deme < demes:
        raise ModelError(f"of {demes} demes the numbers are 0 to {demes - 1}, not {deme}")
    base = founders(count, capacity)
    numbers = deme + demes * base["identity"]
    return {**base, "identity": jnp.where(base["identity"] < 0, -1, numbers), "deme": deme, "demes": demes}


def migrate(
    source: S, target: T, where: Float[Array, " agents"] | Bool[Array, " agents"], *, convert: Convert | None = None
) -> tuple[S, T]:
    """The two populations after the agents marked in `where` have gone from `source` to free slots of `target`.

    Nobody is lost: who finds no room stays, and the target's `needed` says that the run cannot be trusted. Each keeps
    its identity and its fields, so that numbers that follow identities, ages and pedigrees go on; its numbers in the
    other place are still others where the sites' names are. `born` counts births only.

    **Arguments:** `where` (agents,): of the source's slots; the dead do not go. `convert`: for populations whose fields
    differ, from the source to those fields of the target that are not its own fields of the same name, (agents, ...);
    fields that the target has not are then left behind.

    **Raises:** `ModelError` for populations that are not different demes of the same number of demes, for fields that
    differ without `convert`, and for those that do not fit.
    """
    _check_demes(source, target)
    wanted = as_float(where)
    asks = (wanted > 0) & (source.alive > 0)
    seats = seated(target, asks)
    fields = placed(target, _arriving(source, target, convert), seats)
    fields["alive"] = jnp.where(seats.taken, wanted[seats.source], target.alive)
    fields["identity"] = jnp.where(seats.taken, source.identity[seats.source], target.identity)
    fields["needed"] = seats.needed
    left = source.alive - wanted * seats.got
    return with_fields(source, {"alive": left}), with_fields(target, fields)


def _arriving(source: Deme, target: Deme, convert: Convert | None) -> dict[str, Any]:
    """What agents of the source are in the target, by the names of its fields."""
    theirs, ours = set(own(source)), set(own(target))
    from_, to = type(source).__name__, type(target).__name__
    if convert is None and theirs != ours:
        raise ModelError(
            f"a {from_} has {sorted(theirs - ours) or 'no more'} and a {to} has {sorted(ours - theirs) or 'no more'}: "
            'say what becomes of them, migrate(..., convert=lambda one: {"field": ...})'
        )
    made = {} if convert is None else dict(convert(source))
    if not ours - theirs <= set(made) <= ours:
        raise ModelError(
            f"convert gives {sorted(made)}; a {to} has {sorted(ours)}, of which a {from_} lacks {sorted(ours - theirs)}"
        )
    kept = {name: made[name] if name in made else getattr(source, name) for name in own(target)}
    return {name: _fitting(name, new, getattr(target, name), source.capacity) for name, new in kept.items()}


def _fitting(name: str, value: Any, like: Any, agents: int) -> Any:
    value = jax.tree.map(jnp.asarray, value)
    same = jax.tree.structure(value) == jax.tree.structure(like)
    wanted = [(agents, *leaf.shape[1:]) for leaf in jax.tree.leaves(like)]
    have = [leaf.shape for leaf in jax.tree.leaves(value)]
    if not same or have != wanted:
        raise ModelError(f"field '{name}' arrives with shapes {have}, and is kept with {wanted}: convert it")
    return value


def _check_demes(source: Any, target: Any) -> None:
    demes = [f"{one.deme} of {one.demes}" if isinstance(one, Deme) else "no deme" for one in (source, target)]
    if "no deme" in demes or source.demes != target.demes or source.deme == target.deme:
        raise ModelError(
            f"agents migrate between different demes of one number, so that no two have one identity; a "
            f"{type(source).__name__} is {demes[0]}, a {type(target).__name__} {demes[1]}: derive both from pop.Deme "
            "and begin with pop.settlers(count, capacity, deme=0, demes=2)"
        )
