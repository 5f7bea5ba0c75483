"""Growth: a run that outgrows its populations goes on with more room, and gives the numbers it would have given.

Numbers are drawn so that capacity changes none of them (`Noise`), newborns take the first free slots, and what did not
fit is counted. So a stretch of steps in which a population wanted more room than it had is thrown away, the state in
front of it is laid into a larger one, and the stretch is run again.
"""

import math
from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .._errors import CapacityError, ModelError
from .._types import State
from .capacity import capacities, capacity_of, fitting, rooms, with_capacity
from .model import Model
from .population import overflow, populations

_NEARLY = 0.75
"""Populations that are as full as this grow along with one that overflows: each capacity costs a compilation."""


class Growth(eqx.Module):
    """Let populations grow beyond the capacity they begin with: `simulate(model, key, steps, growth=Growth(10_000))`.

    The model declares its capacities (`capacity`). Where a run wants more room it gets `factor` times as much, or what
    it wanted if that is more, up to `limit` slots a population, and is made again from the end of the last chunk. A run
    that wants more than the limit has overflown, as without growth.

    The numbers are those of a run that had the room from the start, bit for bit, where what is summed over agents are
    whole numbers; sums of fractions may differ in their last bit, as they do between capacities. Each capacity is
    compiled once. Two things hang on capacity by their nature: `permutation`, `choice` and `categorical` with slots for
    options, which `testing.check_model` finds, and ties of `lots` (one in 100,000 pairs of 10,000 agents).

    **Raises:** `ModelError` for a limit below 1 or a factor that is not above 1.
    """

    limit: int = eqx.field(static=True)
    factor: float = eqx.field(static=True, default=2.0)

    def __check_init__(self) -> None:
        if self.limit < 1 or not (self.factor > 1.0 and math.isfinite(self.factor)):
            raise ModelError(
                f"Growth({self.limit}, factor={self.factor}): a limit of one slot or more, and a factor above 1"
            )


def with_room_of(model: Model, state: State) -> Model:
    """The model with the capacities of a state that it goes on from.

    **Raises:** `CapacityError` for a state that has lost agents.
    """
    if overflow(state):
        raise CapacityError("the snapshot to start from has overflown already: make its run again, with growth")
    return with_capacity(model, capacity_of(model, state))


def with_room_for(model: Model, growth: Growth, state: State) -> Model | None:
    """The model with room for what its populations wanted; None where they had it, or must not have it."""
    if not overflow(state):
        return None
    return larger(model, growth, {name: int(node.needed) for name, node in populations(state).items()})


def larger(model: Model, growth: Growth, needed: Mapping[str, int]) -> Model | None:
    """The model with room for those of its populations that wanted more, of which there is one or more; None where the
    limit does not let it.

    **Arguments:** `needed`: population to the most agents that wanted to live at once.

    **Raises:** `CapacityError` for a population whose room hangs on no declared capacity.
    """
    found, now = rooms(model), capacities(model)
    slots = found.slots
    short = [name for name, most in needed.items() if most > slots[name]]
    if any(needed[name] > growth.limit for name in short):
        return None
    full = [name for name, most in needed.items() if most > _NEARLY * slots[name] and found.fields[name]]
    wanted = {
        name: max(min(math.ceil(growth.factor * slots[name]), growth.limit), needed[name], slots[name])
        for name in {*short, *full}
    }
    more = fitting(model, {**slots, **wanted})
    return with_capacity(model, {name: max(more[name], now[name]) for name in now})


def laid(old: Any, fresh: Any) -> Any:
    """A tree of arrays laid into one that is as large or larger: what it has no numbers for stays as it is in `fresh`.

    **Arguments:** `old`: a snapshot of a run; `fresh`: one of the same model with more room, at its beginning.

    **Raises:** `CapacityError` where something did not grow with the capacity but shrank, or changed its axes.
    """
    leaves, structure = jax.tree.flatten(fresh)
    parts = jax.tree.leaves(old)
    if len(parts) != len(leaves):
        raise CapacityError(f"with more room the state has {len(leaves)} arrays and not {len(parts)}: it cannot grow")
    return jax.tree.unflatten(structure, [_laid(part, leaf) for part, leaf in zip(parts, leaves, strict=True)])


def _laid(old: Any, fresh: Any) -> Any:
    if old.shape == fresh.shape:
        return old
    if old.ndim != fresh.ndim or any(few > many for few, many in zip(old.shape, fresh.shape, strict=True)):
        raise CapacityError(f"with more room an array of the state goes from {old.shape} to {fresh.shape}: let it grow")
    whole = np.array(fresh)
    whole[tuple(slice(length) for length in old.shape)] = np.asarray(old)
    return jax.device_put(jnp.asarray(whole, fresh.dtype))
