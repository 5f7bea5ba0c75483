"""The verb `counterfactual`: what would have been, over the posterior, with common random numbers.

Each posterior draw is run with the same key as it is and with each intervention. As every number is folded from key,
time and site, these runs share all their chance events, and their differences are the interventions' doing.
"""

import dataclasses
from collections import Counter
from collections.abc import Mapping
from typing import Any, TypeAlias, overload

import jax.random as jr
import numpy as np
from rich.progress import Progress

from .._errors import MethodError, ProblemError, SimulatorError, did_you_mean
from .._types import Key
from ..calibration.estimates import Point
from ..calibration.fit import Fit
from ..core.executor import Ticker
from ..core.host import split
from ..core.plug import Plug
from ..core.progress import display
from ..identification.compare import Comparison
from ..identification.equivalents import Equivalents
from ..identification.tied_rules import TiedRules
from .agreement import Counterfactuals, weights_of
from .effects import AS_IT_IS, Aim, Counterfactual
from .interventions import Intervention, OfRuns, Prepared, a_number_a_run, prepared

Asked: TypeAlias = Intervention | tuple[Plug, ...]
"""An intervention, or the plugs alone that make it."""
Several: TypeAlias = Mapping[str, Fit] | Comparison | TiedRules
_FEWEST = 10
_USABLE = 0.5
"""The share of draws of which all runs can be used, at the least."""


@overload
def counterfactual(
    fit: Fit,
    interventions: Mapping[str, Asked | Mapping[str, Asked]],
    key: Key,
    *,
    outcome: str,
    of: OfRuns,
    higher_is_better: bool = False,
    price: float | None = None,
    cost_unit: str = "",
    baseline: Asked = (),
    draws: int = 500,
    level: float = 0.9,
    progress: bool | Progress | None = None,
) -> Counterfactual: ...
@overload
def counterfactual(
    fit: Several,
    interventions: Mapping[str, Asked | Mapping[str, Asked]],
    key: Key,
    *,
    outcome: str,
    of: OfRuns,
    higher_is_better: bool = False,
    price: float | None = None,
    cost_unit: str = "",
    baseline: Asked = (),
    draws: int = 500,
    level: float = 0.9,
    weights: Mapping[str, float] | None = None,
    progress: bool | Progress | None = None,
) -> Counterfactuals: ...
def counterfactual(
    fit: Fit | Several,
    interventions: Mapping[str, Asked | Mapping[str, Asked]],
    key: Key,
    *,
    outcome: str,
    of: OfRuns,
    higher_is_better: bool = False,
    price: float | None = None,
    cost_unit: str = "",
    baseline: Asked = (),
    draws: int = 500,
    level: float = 0.9,
    weights: Mapping[str, float] | None = None,
    progress: bool | Progress | None = None,
) -> Counterfactual | Counterfactuals:
    """Run a fit's posterior, or those of several models, as it is and with each intervention.

    **Arguments:**

    - `fit`: a fit; or models that fit alike, to ask whether they agree: fits by name, a `Comparison` or `TiedRules`
      (those that the data do not tell from the best, weighed by their evidence), or `members` of an equivalence set.
    - `interventions`: name to an `Intervention`, or to a tuple of plugs; where models need another one each, name to a
      mapping from the model's name.
    - `outcome`, `of`: what is counted, in words; and of each run, from observations name to (runs, times, ...) to
      (runs,). Less of it is better unless `higher_is_better`.
    - `price`: what one of the outcome counts beside the costs of interventions, in the `cost_unit`; without it costs
      are shown and do not count.
    - `baseline`: what is done as it is, if anything; it may have a cost too.
    - `draws`: of each posterior, each with one key that all interventions and models share.
    - `level`: of intervals. `weights`: model to its weight, in place of the evidence, or of equal ones.

    **Returns:** a `Counterfactual`; of several models `Counterfactuals`.

    **Raises:** before anything is run: `MethodError`, `DomainError`, `UnknownParameterError`, `UnknownSiteError`,
    `SimulatorError` for plugs where there are no sites; after runs: `SimulatorError` where most cannot be used,
    `ProblemError` for an outcome that is not a number a run.
    """
    aim = Aim(outcome, higher_is_better, price, cost_unit, level)
    _check(aim, interventions, draws)
    fits, evidence = _models(fit)
    weighed = _weights(tuple(fits), weights, evidence)
    options = {AS_IT_IS: baseline, **interventions}
    pick, run = jr.split(key)
    keys = split(run, draws)
    work = {}
    for i, (name, one) in enumerate(fits.items()):
        real = one.estimate.draws(one.problem, pick if i == 0 else jr.fold_in(pick, i), draws)
        batch = one.problem.space.from_real(real)
        work[name] = (real, batch, _prepared(options, name, one, batch, keys))
    answers = {}
    with display(progress) as shown:
        ticker = Ticker(shown, "counterfactuals", draws * len(options) * len(fits))
        for name, (real, batch, ready) in work.items():
            seen = {option: _seen(option, one, of, keys, ticker) for option, one in ready.items()}
            answers[name] = _answer(aim, seen, real, batch)
    if isinstance(fit, Fit):
        return answers[""]
    return Counterfactuals(aim, answers, *weighed)


def members(fit: Fit, alike: Equivalents) -> dict[str, Fit]:
    """The parameter sets of `equivalents`, which fit alike as far apart as the data allow, as fits at a point each: do
    they agree on an intervention?

    **Raises:** `ProblemError` where they are of another fit.
    """
    space = fit.problem.space
    if tuple(alike.parameters) != space.labels:
        raise ProblemError("these equivalent fits are of another fit: their parameters differ")
    flat = np.stack(list(alike.parameters.values()), axis=1)
    real = np.asarray(space.to_real(space.unflat(flat)), np.float64)
    unknown = np.full((space.size, space.size), np.nan)
    points = [
        Point(row, unknown, float(loss), ("An equivalent fit.",)) for row, loss in zip(real, alike.loss, strict=True)
    ]
    return {f"set {i + 1}": dataclasses.replace(fit, estimate=point) for i, point in enumerate(points)}


def _check(aim: Aim, interventions: Mapping[str, Any], draws: int) -> None:
    if not interventions or AS_IT_IS in interventions:
        raise MethodError(f"name one intervention or more; '{AS_IT_IS}' is the baseline's name")
    if aim.price is not None and not aim.price >= 0:
        raise MethodError(f"price={aim.price}: it is 0 or more; where more of the outcome is better, higher_is_better")
    if draws < _FEWEST or not 0.0 < aim.level < 1.0:
        raise MethodError(f"{draws} draws, level={aim.level}: take {_FEWEST} or more, and a level between 0 and 1")


def _models(fit: Fit | Several) -> tuple[dict[str, Fit], dict[str, float] | None]:
    """Fits by name, and their weights by the evidence where there is any."""
    if isinstance(fit, Fit):
        return {"": fit}, None
    if isinstance(fit, (Comparison, TiedRules)):
        weighing = fit.weighing
        best = weighing.evidences[weighing.best].log
        odds = {n: float(np.exp(one.log - best)) for n, one in zip(weighing.names, weighing.evidences, strict=True)}
        tied = weighing.tied()
        return {name: fit.fits[name] for name in tied}, {name: odds[name] for name in tied}
    if not fit:
        raise MethodError("no fit was given")
    return dict(fit), None


def _weights(
    models: tuple[str, ...], given: Mapping[str, float] | None, evidence: Mapping[str, float] | None
) -> tuple[dict[str, float], str]:
    """Of the models, summing to 1, and where they come from."""
    if given is not None:
        if set(given) != set(models) or not all(weight >= 0 for weight in given.values()) or not sum(given.values()):
            raise MethodError(f"weights are of all models, 0 or more: {', '.join(models)}; not of {', '.join(given)}")
        return weights_of(models, given), "with the weights that were given"
    if evidence is not None:
        return weights_of(models, evidence), "weighed by their evidence"
    return weights_of(models, dict.fromkeys(models, 1.0)), "with equal weights"


def _prepared(
    options: Mapping[str, Asked | Mapping[str, Asked]], model: str, fit: Fit, batch: Mapping[str, Any], keys: Key
) -> dict[str, Prepared]:
    """All options of one model, checked."""
    ready = {}
    for name, asked in options.items():
        if isinstance(asked, Mapping):
            if not model:
                raise MethodError(f"'{name}' names models, and one fit was given: give fits by name")
            if model not in asked:
                raise MethodError(f"'{name}' says nothing for the model '{model}'; {did_you_mean(model, list(asked))}")
            asked = asked[model]
        ready[name] = prepared(name, asked, fit, batch, keys)
    return ready


@dataclasses.dataclass(frozen=True)
class _Seen:
    """Of the runs with one option: outcome and cost (n,), NaN where a run cannot be used, and why, a sentence each."""

    outcome: np.ndarray
    cost: np.ndarray
    why: tuple[str, ...]


def _seen(name: str, ready: Prepared, of: OfRuns, keys: Key, ticker: Ticker) -> _Seen:
    batch = ready.simulator.simulate(ready.batch, keys, ticker)
    outcome = a_number_a_run("the outcome", name, of(batch.observations), len(keys))
    cost = ready.cost(batch.observations) if callable(ready.cost) else np.full(len(keys), ready.cost)
    cost = a_number_a_run("the cost", name, cost, len(keys))
    why = [
        said or ("" if np.isfinite(a) and np.isfinite(b) else "outcome or cost is NaN or infinite")
        for said, a, b in zip(batch.why(), outcome, cost, strict=True)
    ]
    return _Seen(outcome, cost, tuple(why))


def _answer(aim: Aim, seen: Mapping[str, _Seen], real: np.ndarray, batch: Mapping[str, Any]) -> Counterfactual:
    """One model's, of the draws of which all runs can be used; `real` (n, d) are the parameters."""
    used = np.array([not any(whys) for whys in zip(*(one.why for one in seen.values()), strict=True)])
    reasons = Counter(_told(option, why) for option, one in seen.items() for why in one.why if why)
    if used.mean() < _USABLE or used.sum() < _FEWEST:
        listed = "; ".join(f"{count} x {why}" for why, count in reasons.most_common(3))
        raise SimulatorError(
            f"of {used.size} draws only {int(used.sum())} can be used with all interventions: {listed}. Weaken the "
            "intervention that does it (a Scale above 1 can lift a probability over 1: take Replace with a rule that "
            "stays inside), or mend the model"
        )
    distinct, groups = np.unique(real[used], axis=0, return_inverse=True)
    groups = groups.ravel()
    fixed = len(distinct) == 1
    outcomes = {option: one.outcome[used] for option, one in seen.items()}
    return Counterfactual(
        aim=aim,
        baseline=outcomes.pop(AS_IT_IS),
        outcomes=outcomes,
        excluded=int((~used).sum()),
        reasons=dict(reasons),
        costs={option: one.cost[used] for option, one in seen.items()},
        draws={name: np.asarray(values)[used] for name, values in batch.items()},
        rows=np.flatnonzero(used),
        groups=np.arange(len(groups)) if fixed else groups,
        fixed=fixed,
    )


def _told(option: str, why: str) -> str:
    return f"{why} ({option})"
