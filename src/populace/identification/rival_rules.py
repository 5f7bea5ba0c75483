"""The same model with other rules at one of its sites: a problem a rule."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from .._errors import ProblemError, SimulatorError, did_you_mean
from .._types import Parameters
from ..core.plug import Plug, Replace
from ..problem.problem import Problem
from ..problem.simulators import Observed, Simulation, Simulator

Rule = Callable[..., Any]

_PLUG = re.compile(r"^plugs\.(\d+)\.")


def rival_rules(
    problem: Problem,
    site: str,
    rules: Mapping[str, Rule | None],
    priors: Mapping[str, Mapping[str, Any]] | None = None,
) -> dict[str, Problem]:
    """The problem with each of some rules at a site: for `pop.compare`.

    **Arguments:** `rules`: name to what `pop.Replace` takes (`rule(view, draw)` at a decision, `rule(mechanism)`
    elsewhere), None for the model as it is; `priors`: by rule, those of its own parameters, by their names, which are
    free besides the problem's.

    **Returns:** name to a problem with the same target.

    **Raises:** `ProblemError` for priors of unknown rules; `SimulatorError` for a simulator without sites;
    `SpaceError`, `DomainError` as `pop.Problem`.
    """
    priors = dict(priors or {})
    for name in priors:
        if rules.get(name) is None:
            known = [one for one, rule in rules.items() if rule is not None]
            raise ProblemError(f"priors are given for '{name}', which is no rival rule; {did_you_mean(name, known)}")
    found = {}
    for name, rule in rules.items():
        space, simulator = problem.space, problem.simulator
        if rule is not None:
            own = own_prefix(simulator)
            simulator = behind(simulator, Replace(site, rule))
            if name in priors:
                space = space.extended({own + parameter: prior for parameter, prior in priors[name].items()})
        found[name] = Problem(simulator, space, problem.target, derived=problem.derived)
    return found


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
                f"a {type(simulator).__name__} has no sites: make a simulator, and a problem, of each rule"
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
            raise SimulatorError(f"a {type(simulator).__name__} has no sites to intervene at: give a function of it")


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
