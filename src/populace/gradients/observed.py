"""What runs observe, as a function of parameters, and its derivatives run by run: all observations at once."""

from collections.abc import Callable
from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array

from .._types import Key
from ..core import executor
from ..core.draw import Draw
from ..core.ensemble import OneRun, one_run
from ..core.model import Model
from ..core.plug import Plug
from ..problem.simulators import Simulation
from .differences import Differences, bounds, scales
from .estimator import side_by_side
from .loss import ExpectedLoss
from .pathwise import ForwardMode


def simulated(simulation: Simulation) -> ExpectedLoss:
    """A simulation whose point and rows are asked for, and no loss."""
    return ExpectedLoss(simulation, lambda seen: jnp.float32(0))


class Seen(eqx.Module):
    """What a run observes."""

    simulation: Simulation

    def __call__(self, at: dict[str, Array], key: Key, plugs: tuple[Plug, ...] = ()) -> dict[str, Array]:
        run = self.simulation.one().bind(at)
        out = one_run(OneRun(run.model, (*run.plugs, *plugs), run.record, run.steps), (key, {}))
        return {name: value.astype(jnp.float32) for name, value in out.observations.items()}


class SeenAfter(eqx.Module):
    """What a run observes whose first state is changed."""

    simulation: Simulation
    change: Callable[[Any], Any] = eqx.field(static=True)

    def __call__(self, at: dict[str, Array], key: Key) -> dict[str, Array]:
        run = self.simulation.one().bind(at)
        changed = OneRun(_Changed(run.model, self.change), run.plugs, run.record, run.steps)
        return {k: v.astype(jnp.float32) for k, v in one_run(changed, (key, {})).observations.items()}


@final
class _Changed(Model):
    model: Model
    change: Callable[[Any], Any] = eqx.field(static=True)

    def init(self, draw: Draw) -> Any:
        return self.change(self.model.init(draw))

    def step(self, draw: Draw, state: Any) -> Any:
        return self.model.step(draw, state)

    def observe(self, state: Any) -> dict[str, Array]:
        return self.model.observe(state)


@eqx.filter_jit
def _mapped(one: Callable[[Any], Any], keys: Key, size: int) -> Any:
    return jax.lax.map(one, keys, batch_size=size)


def of_runs(seen: Callable[..., dict[str, Array]], at: dict[str, Array], keys: Key) -> dict[str, np.ndarray]:
    """What is observed, name to (keys, rows, ...), float64."""
    one = eqx.Partial(seen, at)
    out = _mapped(one, keys, side_by_side(one, keys[0]))
    return {name: np.asarray(value, np.float64) for name, value in out.items()}


def slopes_of_runs(
    by: Differences | ForwardMode, simulation: Simulation, at: dict[str, Array], keys: Key, ticker: executor.Ticker
) -> list[dict[str, np.ndarray]]:
    """Derivatives by each number, of each key: a list of observation to (keys, rows, ...)."""
    at = dict(sorted(at.items()))
    flat, unravel = ravel_pytree(at)
    found = []
    for i in range(flat.size):
        if isinstance(by, ForwardMode):
            tangent = unravel(jnp.zeros(flat.size).at[i].set(1.0))
            found.append(of_runs(_Tangent(Seen(simulation), by.relaxations, tangent), at, keys))
        else:
            found.append(_difference(by, simulation, at, i, keys))
        ticker.advance(1)
    return found


def _difference(
    by: Differences, simulation: Simulation, at: dict[str, Array], i: int, keys: Key
) -> dict[str, np.ndarray]:
    """By the i-th number, drawn in to its domain, with the same keys on both sides."""
    flat, unravel = ravel_pytree(at)
    low, high = (np.asarray(end) for end in bounds(simulated(simulation), at))
    width = float((by.step * scales(at, by.scale))[i])

    def between(h: float) -> dict[str, np.ndarray]:
        ends = [min(float(flat[i]) + h, float(high[i])), max(float(flat[i]) - h, float(low[i]))]
        up, down = (of_runs(Seen(simulation), unravel(flat.at[i].set(end)), keys) for end in ends)
        return {name: (up[name] - down[name]) / (ends[0] - ends[1]) for name in up}

    wide = between(width)
    if not by.richardson:
        return wide
    return {name: (4.0 * half - wide[name]) / 3.0 for name, half in between(width / 2.0).items()}


class _Tangent(eqx.Module):
    """The derivative of what a run observes along a tangent, through relaxations."""

    seen: Seen
    relaxations: tuple[Plug, ...]
    tangent: dict[str, Array]

    def __call__(self, at: dict[str, Array], key: Key) -> dict[str, Array]:
        return jax.jvp(lambda values: self.seen(values, key, self.relaxations), (at,), (self.tangent,))[1]
