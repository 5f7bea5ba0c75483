"""How much room a model gives its populations: declared fields, which can be read, set and matched to a state.

Shapes are static, so that a capacity is a static field and each costs a compilation. Which population a field gives
room to is not said but found: it is the one that grows when the field does.
"""

import dataclasses
import math
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, NamedTuple, TypeVar

import equinox as eqx
import jax
import jax.random as jr

from .._errors import CapacityError, ModelError, did_you_mean
from .._types import State
from .draw import Draw
from .model import Model, at_path, children
from .population import populations

M = TypeVar("M", bound=eqx.Module)
_MARK = "populace.capacity"


def capacity(*, default: Any = dataclasses.MISSING) -> Any:
    """Declare a field of a model as the room of a population: a whole number, static.

    `capacities` and `with_capacity` know it by its name, `plan_capacity` sets it and `Growth` makes it larger.
    """
    given = {} if default is dataclasses.MISSING else {"default": default}
    return eqx.field(static=True, metadata={_MARK: True}, **given)


def capacities(model: eqx.Module) -> dict[str, int]:
    """Every declared capacity by its dotted name, in the order of declaration."""
    found: dict[str, int] = {}
    _walk(model, "", found)
    return found


def _walk(tree: Any, prefix: str, found: dict[str, int]) -> None:
    if isinstance(tree, eqx.Module):
        for field in dataclasses.fields(tree):
            if _MARK in field.metadata:
                found[f"{prefix}{field.name}"] = getattr(tree, field.name)
    for name, child in children(tree):
        _walk(child, f"{prefix}{name}.", found)


def with_capacity(model: M, values: Mapping[str, int]) -> M:
    """The model with other capacities. The rules, the parameters and, as long as there is room, the runs are the same.

    **Arguments:** `values`: dotted name to slots.

    **Raises:** `ModelError` for a name that is not a declared capacity, and for less than one slot.
    """
    known = capacities(model)
    for name, slots in values.items():
        if name not in known:
            raise ModelError(f"{type(model).__name__} declares no capacity '{name}'; {did_you_mean(name, list(known))}")
        if isinstance(slots, bool) or int(slots) != slots or slots < 1:
            raise ModelError(f"capacity '{name}' is a whole number from 1, not {slots!r}")
        if slots != known[name]:
            model = _set(model, name, int(slots))
    return model


def _set(model: M, name: str, slots: int) -> M:
    *above, field = name.split(".")
    path = ".".join(above)
    owner: Any = at_path(model, path) if path else model
    changed = dataclasses.replace(owner, **{field: slots})
    return eqx.tree_at(lambda tree: at_path(tree, path), model, changed) if path else changed


@dataclasses.dataclass(frozen=True)
class Rooms:
    """What room a model gives: `slots`, population to its number of slots; `fields`, population to the names of the
    capacities that it hangs on.
    """

    slots: dict[str, int]
    fields: dict[str, tuple[str, ...]]


def rooms(model: Model) -> Rooms:
    """Of each population in the state at time 0. The model is traced once, and once for each capacity; not run."""
    slots = shapes(model).slots
    fields: dict[str, tuple[str, ...]] = dict.fromkeys(slots, ())
    for name, now in capacities(model).items():
        more = shapes(with_capacity(model, {name: now + 1})).slots
        for population in slots:
            if more[population] != slots[population]:
                fields[population] += (name,)
    return Rooms(slots, fields)


class Shapes(NamedTuple):
    """Population to its slots, and observation to its shape."""

    slots: dict[str, int]
    observed: dict[str, tuple[int, ...]]


_KEPT = 64
_known: "OrderedDict[Any, Shapes]" = OrderedDict()
"""Of the last few models, as rounds of many runs ask again: a model's rules take long to trace."""


def shapes(model: Model) -> Shapes:
    """What a model makes, as it stands: its `init` and `observe` are traced, and not run."""
    leaves, structure = jax.tree.flatten(model)
    mark = (structure, tuple((leaf.shape, leaf.dtype) if hasattr(leaf, "shape") else leaf for leaf in leaves))
    found = _known.pop(mark, None)
    if found is None:
        state = jax.eval_shape(lambda key: model.init(Draw(key)), jr.key(0))
        seen = jax.eval_shape(model.observe, state)
        found = Shapes(slots_of(state), {name: leaf.shape for name, leaf in seen.items()})
    _known[mark] = found
    while len(_known) > _KEPT:
        _known.popitem(last=False)
    return found


def slots_of(state: State) -> dict[str, int]:
    """Population to its number of slots, in a state."""
    return {name: node.alive.shape[-1] for name, node in populations(state).items()}


def capacity_of(model: Model, state: State) -> dict[str, int]:
    """The capacities with which the model has a state of this size, of a run that has grown: `with_capacity` sets them.

    **Raises:** `CapacityError` if there are none.
    """
    return fitting(model, slots_of(state))


def fitting(model: Model, slots: Mapping[str, int]) -> dict[str, int]:
    """The capacities that give populations so many slots, or more if several share one.

    **Raises:** `CapacityError` for a population whose room hangs on no declared capacity.
    """
    found, now = rooms(model), capacities(model)
    wanted = dict(now)
    for population, many in slots.items():
        have = found.slots.get(population)
        if have is None:
            raise CapacityError(f"{type(model).__name__} has no population {population}: this state is another model's")
        if many == have:
            continue
        if not found.fields[population]:
            raise CapacityError(
                f"{population} needs room for {many} agents, and no field of {type(model).__name__} is declared to "
                "give it room: write capacity: int = pop.capacity(default=...) and use it in founders"
            )
        for name in found.fields[population]:
            share = math.ceil(now[name] * many / have)
            wanted[name] = max(wanted[name], share) if wanted[name] != now[name] else share
    return wanted
