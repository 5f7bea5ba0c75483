"""Bursts of a lifted state that are observed at both ends, in more than the macro variables."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from .._types import Key, State
from ..core.draw import Draw
from ..core.model import Model
from ..core.record import Last
from ..core.simulate import advance, first_fault, initial
from .coarse import Lift, Restrict


class Lifts(eqx.Module):
    """What bursts of one lift share."""

    model: Model
    lift: Lift = eqx.field(static=True)
    restrict: Restrict | None = eqx.field(static=True)
    names: tuple[str, ...] = eqx.field(static=True)
    others: tuple[str, ...] = eqx.field(static=True)
    heal: int = eqx.field(static=True)
    steps: int = eqx.field(static=True)


class _Begun(Model):
    """The model, begun by a lift."""

    shared: Lifts
    macro: Array

    def init(self, draw: Draw) -> State:
        return self.shared.lift({name: self.macro[i] for i, name in enumerate(self.shared.names)}, draw)

    def step(self, draw: Draw, state: State) -> State:
        return self.shared.model.step(draw, state)

    def observe(self, state: State) -> dict[str, Array]:
        restrict = self.shared.model.observe if self.shared.restrict is None else self.shared.restrict
        return dict(restrict(state))


def one_lifted(shared: Lifts, one: tuple[Key, Array]) -> dict[str, Any]:
    """One burst inside a trace: lift, heal, run; what is observed at both ends (2, variables + others)."""
    key, macro = one
    model = _Begun(shared, macro)
    here, flags = initial(model, key, ())
    faults = [first_fault(flags, {})]
    if shared.heal:
        here, *_, late = advance(model, key, here, (), None, Last(), shared.heal)
        faults.append(first_fault({}, late))
    first = model.observe(here.state)
    if shared.steps:
        here, *_, late = advance(model, key, here, (), None, Last(), shared.steps)
        faults.append(first_fault({}, late))
    kept = (*shared.names, *shared.others)
    ends = jnp.stack([jnp.stack([seen[n].reshape(()) for n in kept]) for seen in (first, model.observe(here.state))])
    return {"ends": ends, "fault": jnp.stack(faults).min()}


def observed(shared: Lifts, one: tuple[Key, Array]) -> set[str]:
    """The names of what is observed of a lifted state."""

    def names(key: Key, macro: Array) -> dict[str, Array]:
        model = _Begun(shared, macro)
        return model.observe(initial(model, key, ())[0].state)

    return set(jax.eval_shape(names, *one))
