"""A simulator with other plugs around its model's sites: measures before its own, rival rules behind them.

The first plug has the last word. Parameters of plugs are bound by place (`plugs.0.rule.threshold`), so whoever puts
plugs in front of others renames what is bound to these.
"""

import re
from collections.abc import Callable
from typing import Any

import equinox as eqx

from .._errors import SimulatorError
from .._types import Key, Parameters
from ..core import executor
from ..core.ensemble import one_run
from ..core.host import placed
from ..core.model import Model
from ..core.plug import Plug
from .simulators import Simulation, Simulator

_PLUG = re.compile(r"^plugs\.(\d+)\.")


def plugs_of(simulator: Simulator) -> tuple[Plug, ...]:
    """The plugs around a simulator's sites.

    **Raises:** `SimulatorError` when it has none.
    """
    return _simulation(simulator).plugs


def innermost(simulator: Simulator) -> Simulator:
    """What makes the runs, behind all that stands around it."""
    within = inside(simulator)
    return simulator if within is None else innermost(within)


def _simulation(simulator: Simulator) -> Simulation:
    """The model at the heart of a simulator.

    **Raises:** `SimulatorError` when it is no model.
    """
    found = innermost(simulator)
    if isinstance(found, Simulation):
        return found
    raise SimulatorError(
        f"a {type(found).__name__} has no sites to intervene at: that takes a model with sites; of rival rules, "
        "make a simulator and a problem each, and of an intervention a shift of parameters or another simulator"
    )


def inside(simulator: Simulator) -> Simulator | None:
    """The simulator that another stands around and holds as its `simulator`: seen through observation models, kept in
    a store; None where it stands alone.
    """
    held = getattr(simulator, "simulator", None)
    return held if isinstance(held, Simulator) else None


def own_prefix(simulator: Simulator) -> str:
    """What the parameters of a rule are called, before their names, once it stands behind the plugs of a simulator."""
    return f"plugs.{len(plugs_of(simulator))}.rule."


def with_plugs(simulator: Simulator, plugs: tuple[Plug, ...]) -> Simulator:
    """The simulator with these plugs in place of its own."""
    return changed(simulator, lambda one: Simulation(one.model, one.steps, one.record, plugs, one.growth))


def with_model(simulator: Simulator, change: Callable[[Any], Model]) -> Simulator:
    """The simulator of another model, made of its own: a changed population.

    **Raises:** `SimulatorError` when it has no model.
    """
    return changed(simulator, lambda one: Simulation(change(one.model), one.steps, one.record, one.plugs, one.growth))


def changed(simulator: Simulator, change: Callable[[Simulation], Simulation]) -> Simulator:
    """The simulator with another model at its heart, behind all that stood around it.

    **Raises:** `SimulatorError` when it has no model.
    """
    within = inside(simulator)
    if within is None:
        return change(_simulation(simulator))
    return eqx.tree_at(lambda outer: outer.simulator, simulator, changed(within, change))


def rehearsed(simulator: Simulator, parameters: Parameters, keys: Key) -> None:
    """Trace a run of a model, so that what is wrong with it is known before work starts; of others nothing is done.
    The trace is remembered, so that the runs do not pay for it again.

    **Raises:** what the model raises: `UnknownSiteError`, `SiteError`, `StateError`.
    """
    within = inside(simulator)
    if within is not None:
        known = within.parameters()
        inner = {name: value for name, value in parameters.items() if not known or name in known}
        rehearsed(within, inner, keys)
    elif isinstance(simulator, Simulation):
        rows = (keys, {name: placed(value) for name, value in parameters.items()})
        executor.chunk_size(one_run, simulator.one(), rows)


def behind(simulator: Simulator, plug: Plug) -> Simulator:
    """The simulator with a further plug behind its own: those keep their places, and the last word."""
    return with_plugs(simulator, (*plugs_of(simulator), plug))


def before(simulator: Simulator, plugs: tuple[Plug, ...], batch: Parameters) -> tuple[Simulator, dict[str, Any]]:
    """The simulator with further plugs that have the last word, and a batch under the names that its parameters then
    have, as those of its own plugs count from their place.
    """
    more = len(plugs)

    def moved(name: str) -> str:
        return _PLUG.sub(lambda match: f"plugs.{int(match[1]) + more}.", name)

    return with_plugs(simulator, (*plugs, *plugs_of(simulator))), {moved(name): v for name, v in batch.items()}
