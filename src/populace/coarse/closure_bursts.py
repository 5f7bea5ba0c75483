"""Bursts of a lifted state that are observed at both ends, in more than the macro variables."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from .._types import Key
from ..core.model import Model
from ..core.record import Last
from ..core.simulate import advance, first_fault, initial
from .coarse import Lift, Lifted, Restrict, healed


class Lifts(eqx.Module):
    """What bursts of one lift share."""

    model: Model
    lift: Lift = eqx.field(static=True)
    restrict: Restrict | None = eqx.field(static=True)
    names: tuple[str, ...] = eqx.field(static=True)
    others: tuple[str, ...] = eqx.field(static=True)
    heal: int = eqx.field(static=True)
    steps: int = eqx.field(static=True)

    def begun(self, macro: Array) -> Lifted:
        """The model, begun at values of the macro variables (names,)."""
        return Lifted(self.model, macro, self.names, (*self.names, *self.others), self.lift, self.restrict)


def one_lifted(shared: Lifts, one: tuple[Key, Array]) -> dict[str, Any]:
    """One burst inside a trace: lift, heal, run; what is observed at both ends (2, variables + others)."""
    key, macro = one
    model = shared.begun(macro)
    here, faults = healed(model, key, shared.heal)
    first = model.observe(here.state)
    if shared.steps:
        here, *_, late = advance(model, key, here, (), None, Last(), shared.steps)
        faults.append(first_fault({}, late))
    ends = jnp.stack([model.stacked(seen) for seen in (first, model.observe(here.state))])
    return {"ends": ends, "fault": jnp.stack(faults).min()}


def observed(shared: Lifts, one: tuple[Key, Array]) -> set[str]:
    """The names of what is observed of a lifted state."""

    def names(key: Key, macro: Array) -> dict[str, Array]:
        model = shared.begun(macro)
        return dict(model.all(initial(model, key, ())[0].state))

    return set(jax.eval_shape(names, *one))
