"""A simulator with other plugs around its model's sites: measures before its own, rival rules behind them.

The first plug has the last word. Parameters of plugs are bound by place (`plugs.0.rule.threshold`), so whoever puts
plugs in front of others renames what is bound to these.
"""

import re
from typing import Any

from .._errors import SimulatorError
from .._types import Parameters
from ..core.plug import Plug
from .simulators import Observed, Simulation, Simulator

_PLUG = re.compile(r"^plugs\.(\d+)\.")


def plugs_of(simulator: Simulator) -> tuple[Plug, ...]:
    """The plugs around a simulator's sites.

    **Raises:** `SimulatorError` when it has none.
    """
    match simulator:
        case Simulation():
            return simulator.plugs
        case Observed():
            return plugs_of(simulator.simulator)
        case _:
            raise SimulatorError(
                f"a {type(simulator).__name__} has no sites to intervene at: that takes a model with sites; of rival "
                "rules, make a simulator and a problem each"
            )


def own_prefix(simulator: Simulator) -> str:
    """What the parameters of a rule are called, before their names, once it stands behind the plugs of a simulator."""
    return f"plugs.{len(plugs_of(simulator))}.rule."


def with_plugs(simulator: Simulator, plugs: tuple[Plug, ...]) -> Simulator:
    """The simulator with these plugs in place of its own."""
    match simulator:
        case Simulation():
            return Simulation(simulator.model, simulator.steps, simulator.record, plugs)
        case Observed():
            return Observed(with_plugs(simulator.simulator, plugs), simulator.observers)
        case _:
            raise SimulatorError(f"a {type(simulator).__name__} has no sites to intervene at: take a model with sites")


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
