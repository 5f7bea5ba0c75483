"""A model seen through a few numbers: lift, run, restrict."""

from collections.abc import Callable, Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array

from .._errors import FaultError, MethodError
from .._types import Key, State
from ..core import executor
from ..core.draw import Draw
from ..core.model import Model, bind, parameters, settled
from ..core.record import EveryStep, Last
from ..core.simulate import NEVER, advance, first_fault, initial
from .stepper import CoarseStepper, check_within

Lift = Callable[[dict[str, Array], Draw], State]
Restrict = Callable[[State], Mapping[str, Array]]


class Coarse(CoarseStepper):
    """Bursts of a model.

    **Arguments:**

    - `model`: the rules.
    - `lift`: `lift(macro, draw)`, a state of the whole population with these values of the macro variables, name to a
      number. Best exactly with these values; what is left to chance asks the draw.
    - `within`: the macro variables, each with the lowest and highest value that can be lifted.
    - `steps`: steps of a burst after healing.
    - `restrict`: `restrict(state)`, the macro variables by name; what the model observes by default.
    - `heal`: steps that are run first and thrown away, in which what the lift got wrong settles.
    - `every`: steps between two looks at the macro variables; a multiple of it is `steps`.
    - `step_time`: the time that a step stands for.

    **Raises:** `MethodError` for what cannot be.
    """

    model: Model
    lift: Lift = eqx.field(static=True)
    ranges: tuple[tuple[str, float, float], ...] = eqx.field(static=True)
    steps: int = eqx.field(static=True)
    restrict: Restrict | None = eqx.field(static=True)
    heal: int = eqx.field(static=True)
    every: int = eqx.field(static=True)
    step_time: float = eqx.field(static=True)

    def __init__(
        self,
        model: Model,
        *,
        lift: Lift,
        within: Mapping[str, tuple[float, float]],
        steps: int,
        restrict: Restrict | None = None,
        heal: int = 0,
        every: int = 1,
        step_time: float = 1.0,
    ):
        check_within(within)
        if heal < 0 or every < 1 or steps < every or steps % every or not step_time > 0:
            raise MethodError(
                f"a burst takes steps, a multiple of every, heal from 0 and time: not {steps=}, {every=}, {heal=}, "
                f"{step_time=}"
            )
        self.model = settled(model)
        self.lift = lift
        self.ranges = tuple((name, float(low), float(high)) for name, (low, high) in within.items())
        self.steps, self.restrict, self.heal, self.every = steps, restrict, heal, every
        self.step_time = float(step_time)

    def within(self) -> dict[str, tuple[float, float]]:
        return {name: (low, high) for name, low, high in self.ranges}

    def parameters(self) -> dict[str, float]:
        known = parameters(self.model).items()
        return {name: float(one.value) for name, one in known if jnp.shape(one.value) == ()}

    def interval(self) -> float:
        return self.every * self.step_time

    def rows(self) -> int:
        return self.steps // self.every + 1

    def run(self, starts: np.ndarray, varied: Mapping[str, np.ndarray], key: Key) -> np.ndarray:
        n = len(starts)
        values = {name: jnp.asarray(value, jnp.float32) for name, value in varied.items()}
        many = (jnp.asarray(starts, jnp.float32), values, jax.vmap(lambda i: jr.fold_in(key, i))(jnp.arange(n)))
        size = executor.chunk_size(_one_burst, self, many)
        out = executor.stack_rows(list(executor.chunks(_one_burst, self, many, size=size)))
        if (out["fault"] != NEVER).any():
            at = starts[int(np.flatnonzero(out["fault"] != NEVER)[0])].tolist()
            raise FaultError(
                f"a burst from {dict(zip(self.within(), at, strict=True))} gave a site a number outside its domain: "
                "narrow the range in `within`, or mend the lift"
            )
        return out["path"]


class Lifted(Model):
    """A model that is begun by a lift, and seen through a restriction where there is one; `wanted` of what is observed
    is kept, one number each.
    """

    model: Model
    macro: Array
    names: tuple[str, ...] = eqx.field(static=True)
    wanted: tuple[str, ...] = eqx.field(static=True)
    lift: Lift = eqx.field(static=True)
    restrict: Restrict | None = eqx.field(static=True)

    def init(self, draw: Draw) -> State:
        return self.lift({name: self.macro[i] for i, name in enumerate(self.names)}, draw)

    def step(self, draw: Draw, state: State) -> State:
        return self.model.step(draw, state)

    def observe(self, state: State) -> dict[str, Array]:
        seen = self.all(state)
        missing = [name for name in self.wanted if name not in seen]
        if missing:
            raise MethodError(
                f"macro variables {missing} are not among {list(seen)}: name them in `within` as they are observed, or "
                "give restrict="
            )
        return {name: jnp.asarray(seen[name], jnp.float32).reshape(()) for name in self.wanted}

    def all(self, state: State) -> Mapping[str, Array]:
        """All that is observed."""
        return self.model.observe(state) if self.restrict is None else self.restrict(state)

    def stacked(self, seen: Mapping[str, Array]) -> Array:
        """What is wanted side by side, on the last axis."""
        return jnp.stack([seen[name] for name in self.wanted], axis=-1)


def healed(model: Lifted, key: Key, heal: int) -> tuple[Any, list[Array]]:
    """Where a lifted model stands after `heal` steps, and its faults till then; inside a trace."""
    here, flags = initial(model, key, ())
    faults = [first_fault(flags, {})]
    if heal:
        here, *_, late = advance(model, key, here, (), None, Last(), heal)
        faults.append(first_fault({}, late))
    return here, faults


def _one_burst(shared: Coarse, one: tuple[Array, dict[str, Array], Key]) -> dict[str, Any]:
    """A burst inside a trace: bind, lift, heal, run."""
    start, values, key = one
    names = tuple(shared.within())
    model = Lifted(bind(shared.model, values), start, names, names, shared.lift, shared.restrict)
    here, faults = healed(model, key, shared.heal)
    first = model.stacked(model.observe(here.state))
    _, _, rows, _, late = advance(model, key, here, (), None, EveryStep(), shared.steps)
    faults.append(first_fault({}, late))
    kept = model.stacked(rows)[shared.every - 1 :: shared.every]
    return {"path": jnp.concatenate([first[None], kept]), "fault": jnp.stack(faults).min()}
