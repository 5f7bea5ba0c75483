"""The gradient audit: every estimator against two independent truths, at several points and horizons."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, final

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array
from rich.progress import Progress

from .._errors import GradientError
from .._results import Code, Figure, Result, Section, Verdict
from .._types import Key
from ..core import executor
from ..core.progress import display
from ..problem.problem import Problem
from .audited import Audited, Tried
from .cases import Case, cases_of
from .differences import Differences, RandomDirections, count
from .directions import along_guides, one_by_one
from .estimator import Estimator, PerKey, differentiate
from .judge import judged, overall
from .loss import ExpectedLoss
from .pathwise import Pathwise
from .score import Learned, Score
from .shared_twin import SharedTwin
from .smoothed import Smoothed
from .truth import flat, fresh, measured
from .twin import Twin

ONE_BY_ONE = 64
"""Numbers that an audit differentiates by one by one; of more it looks along a few directions."""
_TIMINGS = 3


@final
@dataclass(frozen=True)
class Effort:
    """How hard an audit looks: `keys` an estimator; `step`, the ladder's widest, as a share of each parameter (of a
    direction: of each that it moves); `one_by_one`, the most numbers to differentiate by one by one; `timed`: whether
    costs are measured processor time (else the nominal runs, the same on every machine).
    """

    keys: int
    step: float
    one_by_one: int
    timed: bool


@dataclass(frozen=True)
class GradientAudit(Result):
    """What each estimator is worth on this model, at these points and for this loss.

    `verdicts`: estimator name to its verdict over all cases (the worst of them); `recommended`: the name of the
    cheapest one to believe (of those without bias, if none is), None where there is no derivative;
    `cases`: the cases one by one; `estimators`: by name.
    """

    recommended: str | None
    verdicts: dict[str, Verdict]
    cases: tuple[Audited, ...]
    estimators: dict[str, Estimator]

    @property
    def estimator(self) -> Estimator:
        """The recommended estimator.

        **Raises:** `GradientError` where there is no derivative.
        """
        if self.recommended is None:
            raise GradientError(next(iter(self.verdicts.values())).sentence)
        return self.estimators[self.recommended]

    def sections(self) -> tuple[Section, ...]:
        text = (
            f"Each estimator was compared with central differences under common random numbers, on a ladder of steps, "
            f"and these with the score function, at {len(self.cases)} combinations of point and horizon.",
            "There is nothing to recommend." if self.recommended is None else f"Recommended here: {self.recommended}.",
        )
        figure = Figure("gradients", _CAPTION, tuple(panel for one in self.cases for panel in one.panels()))
        tables = tuple(one.table() for one in self.cases)
        return (Section("Gradient audit", text, tuple(self.verdicts.values()), (figure,), tables),)

    def record(self) -> dict[str, Any]:
        return {
            "recommended": self.recommended,
            "verdicts": {name: verdict.record() for name, verdict in self.verdicts.items()},
            "cases": [one.record() for one in self.cases],
        }


_CAPTION = "Estimates with two standard errors; the line is the truth by differences. Red: not to be believed here."


def audit_gradient(
    what: Problem | ExpectedLoss,
    estimators: Sequence[Estimator] | None,
    key: Key,
    *,
    at: Sequence[Mapping[str, Any]] | None = None,
    horizons: Sequence[int] | None = None,
    keys: int = 256,
    step: float = 0.2,
    progress: bool | Progress | None = None,
) -> GradientAudit:
    """Which gradient estimators to believe for this model, these parameters and this loss.

    Truths are central differences with common random numbers, extrapolated on a ladder of steps, and, with other
    keys, the score function; they must agree. Costs are in forward runs: a run counts as one, and what an estimator
    that differentiates takes is its measured processor time over that of a plain run.

    **Arguments:**

    - `what`: a problem with a native model, whose loss is g' V^-1 g of its fitted moments, or an `ExpectedLoss`.
    - `estimators`: which to judge; None for differences, random directions, straight-through, score and twin.
    - `at`: points, parameter name to value; by default the model's own values, or the prior's median and two draws.
    - `horizons`: numbers of steps; by default a third of the simulation's and all of them.
    - `keys`: runs of each estimator; the truth takes 8 a parameter of them.
    - `step`: the ladder's widest, as a share of each parameter.

    With more than 64 numbers to differentiate by, the truth is measured along the pathwise gradients among the
    estimators and two random directions, and the verdicts are on these.

    **Returns:** a `GradientAudit`.

    **Raises:** `GradientError` for a model that is no native one.
    """
    with display(progress) as shown:
        cases = cases_of(what, key, at, horizons, keys)
        tried = default_estimators(count(cases[0].at)) if estimators is None else tuple(estimators)
        ticker = executor.Ticker(shown, "gradient audit", len(cases) * (len(tried) + 2))
        return audit_cases(cases, tried, key, Effort(keys, step, ONE_BY_ONE, timed=True), ticker)


def audit_cases(
    cases: Sequence[Case], estimators: Sequence[Estimator], key: Key, effort: Effort, ticker: executor.Ticker
) -> GradientAudit:
    """The audit of losses at points that were chosen already; see `audit_gradient`."""
    chosen = {one.name: one for one in estimators}
    done = [_one_case(case, chosen, fresh(key, number), effort, ticker) for number, case in enumerate(cases)]
    verdicts = {name: overall(name, [one.tried[name].judged for one in done]) for name in chosen}
    return GradientAudit(_recommended(verdicts, chosen, done), verdicts, tuple(done), chosen)


def default_estimators(numbers: int) -> tuple[Estimator, ...]:
    """What an audit tries when it is not told, for so many parameters."""
    if numbers > ONE_BY_ONE:
        return (RandomDirections(), Pathwise(), Pathwise((Smoothed(),)), Score(), SharedTwin())
    return (Differences(), RandomDirections(), Pathwise(), Score(), Score(Learned()), Twin())


def _one_case(
    case: Case, chosen: Mapping[str, Estimator], key: Key, effort: Effort, ticker: executor.Ticker
) -> Audited:
    own = case.expected.through is None  # what goes through a change of scale is measured in its units
    scale = {k: jnp.where(own & (v != 0), jnp.abs(v), 1.0) for k, v in case.at.items()}
    keys, few = effort.keys, count(case.at) <= effort.one_by_one
    compared = one_by_one(case, scale)
    if not few:
        compared = along_guides(case, scale, list(chosen.values()), fresh(key, len(chosen) + 3), keys)
    truth = measured(compared.expected, compared.at, fresh(key, 0), keys=keys, step=effort.step, scale=compared.scale)
    ticker.advance(1)
    second = differentiate(
        compared.expected, Score(Learned()), fresh(key, 1), at=compared.at, keys=4 * keys, progress=False
    )
    ticker.advance(1)
    plain = _seconds(case, _Plain(), fresh(key, 2), keys) if effort.timed else 0.0
    tried = {}
    for number, (name, estimator) in enumerate(chosen.items()):
        own_key = fresh(key, 3 + number)
        found = differentiate(case.expected, estimator, own_key, at=case.at, keys=keys, progress=False)
        cost = estimator.runs(case.at)
        if estimator.differentiates and effort.timed:
            cost = max(1.0, _seconds(case, estimator, own_key, keys) / plain)
        worth = judged(truth, flat(found.samples), compared, cost, unbiased=estimator.unbiased)
        tried[name] = Tried(found, cost, worth)
        ticker.advance(1)
    return Audited(case, compared, truth, second, tried)


class _Plain(PerKey):
    """A run and nothing else: what costs are measured in."""

    unbiased: ClassVar[bool] = False
    differentiates: ClassVar[bool] = False

    def one(self, expected: ExpectedLoss, at: dict[str, Array], key: Key) -> tuple[Array, dict[str, Array]]:
        return expected.one(at, key), jax.tree.map(jnp.zeros_like, at)

    def runs(self, at: Mapping[str, Array]) -> float:
        return 1.0


def _seconds(case: Case, estimator: Estimator, key: Key, keys: int) -> float:
    """Processor seconds of one key, compiled before; the least of several."""
    differentiate(case.expected, estimator, key, at=case.at, keys=keys, progress=False)
    spent = []
    for _ in range(_TIMINGS):
        start = time.process_time()
        differentiate(case.expected, estimator, key, at=case.at, keys=keys, progress=False)
        spent.append(time.process_time() - start)
    return min(spent) / keys


_USABLE = {Code.BELIEVE}


def _recommended(
    verdicts: Mapping[str, Verdict], chosen: Mapping[str, Estimator], done: Sequence[Audited]
) -> str | None:
    """The one to believe that is cheapest for its accuracy over all cases."""
    if any(not one.truth.exists.all() for one in done):
        return None
    usable = [name for name, verdict in verdicts.items() if verdict.code in _USABLE]
    if not usable:
        usable = [name for name, one in chosen.items() if one.unbiased] or list(chosen)

    def work(name: str) -> float:
        return float(np.mean([np.log(one.tried[name].judged.work) for one in done]))

    return min(usable, key=work)
