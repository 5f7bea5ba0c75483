"""The same model with other rules at one of its sites: a problem a rule."""

from collections.abc import Callable, Mapping
from typing import Any

from .._errors import ProblemError, did_you_mean
from ..core.plug import Replace
from ..problem.plugged import behind, own_prefix
from ..problem.problem import Problem

Rule = Callable[..., Any]


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
