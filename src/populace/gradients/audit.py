"""The gradient audit: every estimator against two independent truths, at several points and horizons."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array
from rich.progress import Progress

from .._errors import GradientError
from .._results import Cell, Code, Figure, IntervalPanel, Result, Section, Table, Verdict
from .._types import Key
from ..core import executor
from ..core.progress import display
from ..problem.problem import Problem
from .cases import Case, cases_of
from .differences import Differences, RandomDirections
from .estimator import Estimator, Gradient, PerKey, differentiate
from .judge import Judged, judged, overall
from .loss import ExpectedLoss
from .pathwise import Pathwise
from .score import Learned, Score
from .truth import Truth, flat, fresh, labels, measured
from .twin import Twin

MOST_PARAMETERS = 64
"""Numbers that an audit can differentiate by, one by one."""


@dataclass(frozen=True)
class Tried:
    """One estimator on one case: what it found, its cost a key in forward runs, and what that is worth."""

    found: Gradient
    cost: float
    judged: Judged


@dataclass(frozen=True)
class Audited:
    """One case: the truth by differences, the score function's (`second`, an independent one), and all estimators."""

    case: Case
    truth: Truth
    second: Gradient
    agreement: float
    tried: dict[str, Tried]


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
        figure = Figure("gradients", _CAPTION, tuple(panel for one in self.cases for panel in _panels(one)))
        tables = tuple(_table(one) for one in self.cases)
        return (Section("Gradient audit", text, tuple(self.verdicts.values()), (figure,), tables),)

    def record(self) -> dict[str, Any]:
        return {
            "recommended": self.recommended,
            "verdicts": {name: verdict.record() for name, verdict in self.verdicts.items()},
            "cases": [_recorded(one) for one in self.cases],
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

    **Returns:** a `GradientAudit`.

    **Raises:** `GradientError` for a model that is no native one, or too many parameters to differentiate one by one.
    """
    chosen = {one.name: one for one in (default_estimators() if estimators is None else estimators)}
    with display(progress) as shown:
        cases = cases_of(what, key, at, horizons, keys)
        ticker = executor.Ticker(shown, "gradient audit", len(cases) * (len(chosen) + 2))
        return audit_cases(cases, tuple(chosen.values()), key, keys=keys, step=step, ticker=ticker)


def audit_cases(
    cases: Sequence[Case],
    estimators: Sequence[Estimator],
    key: Key,
    *,
    keys: int,
    step: float,
    ticker: executor.Ticker,
) -> GradientAudit:
    """The audit of losses at points that were chosen already; see `audit_gradient`."""
    chosen = {one.name: one for one in estimators}
    done = [_one_case(case, chosen, fresh(key, number), keys, step, ticker) for number, case in enumerate(cases)]
    verdicts = {name: overall(name, [one.tried[name].judged for one in done]) for name in chosen}
    return GradientAudit(_recommended(verdicts, chosen, done), verdicts, tuple(done), chosen)


def default_estimators() -> tuple[Estimator, ...]:
    """What an audit tries when it is not told."""
    return (Differences(), RandomDirections(), Pathwise(), Score(), Score(Learned()), Twin())


def _one_case(
    case: Case, chosen: Mapping[str, Estimator], key: Key, keys: int, step: float, ticker: executor.Ticker
) -> Audited:
    size = len(labels(case.at))
    if size > MOST_PARAMETERS:
        raise GradientError(
            f"an audit differentiates by one number after another: {size} are too many; audit {MOST_PARAMETERS} of "
            "them (at={...} with the parameters to differentiate by)"
        )
    own = case.expected.through is None  # what goes through a change of scale is measured in its units
    scale = {k: jnp.where(own & (v != 0), jnp.abs(v), 1.0) for k, v in case.at.items()}
    truth = measured(case.expected, case.at, fresh(key, 0), keys=keys, step=step, scale=scale)
    ticker.advance(1)
    second = differentiate(case.expected, Score(Learned()), fresh(key, 1), at=case.at, keys=4 * keys, progress=False)
    ticker.advance(1)
    unit = flat({k: np.asarray(v)[None] for k, v in scale.items()})[0]
    plain = _seconds(case, _Plain(), fresh(key, 2), keys)
    tried = {}
    for number, (name, estimator) in enumerate(chosen.items()):
        own = fresh(key, 3 + number)
        found = differentiate(case.expected, estimator, own, at=case.at, keys=keys, progress=False)
        cost = estimator.runs(case.at)
        if estimator.differentiates:
            cost = max(1.0, _seconds(case, estimator, own, keys) / plain)
        tried[name] = Tried(found, cost, _judge(truth, estimator, found, unit, case, cost))
        ticker.advance(1)
    return Audited(case, truth, second, _agreement(truth, second), tried)


def _judge(truth: Truth, one: Estimator, found: Gradient, unit: np.ndarray, case: Case, cost: float) -> Judged:
    return judged(truth, flat(found.samples), unit, labels(case.at), cost, unbiased=one.unbiased)


class _Plain(PerKey):
    """A run and nothing else: what costs are measured in."""

    unbiased: ClassVar[bool] = False
    differentiates: ClassVar[bool] = False

    def one(self, expected: ExpectedLoss, at: dict[str, Array], key: Key) -> tuple[Array, dict[str, Array]]:
        return expected.one(at, key), jax.tree.map(jnp.zeros_like, at)

    def runs(self, at: Mapping[str, Array]) -> float:
        return 1.0


def _seconds(case: Case, estimator: Estimator, key: Key, keys: int) -> float:
    """Processor seconds of one key, compiled before; the least of three."""
    differentiate(case.expected, estimator, key, at=case.at, keys=keys, progress=False)
    spent = []
    for _ in range(3):
        start = time.process_time()
        differentiate(case.expected, estimator, key, at=case.at, keys=keys, progress=False)
        spent.append(time.process_time() - start)
    return min(spent) / keys


def _agreement(truth: Truth, second: Gradient) -> float:
    """By how many standard errors the two truths differ, at most."""
    samples = flat(second.samples)
    mean, error = samples.mean(0), samples.std(0, ddof=1) / np.sqrt(len(samples))
    gap = np.abs(mean - truth.value) / np.maximum(np.hypot(error, truth.error), 1e-30)
    return float(gap[truth.exists].max(initial=0.0))


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


def _table(one: Audited) -> Table:
    names = labels(one.case.at)
    rows: list[tuple[Cell, ...]] = []
    truth = tuple(f"{v:.3g} ({e:.1g})" if ok else "none" for v, e, ok in zip(*_triple(one.truth), strict=True))
    rows.append(("differences on a ladder (truth)", *truth, None, None, ""))
    second = flat(one.second.samples)
    means = (second.mean(0), second.std(0, ddof=1) / np.sqrt(len(second)))
    rows.append(("score (second truth)", *_shown(*means), None, None, f"{one.agreement:.1f} errors apart"))
    for name, tried in one.tried.items():
        samples = flat(tried.found.samples)
        values = (samples.mean(0), samples.std(0, ddof=1) / np.sqrt(len(samples)))
        rows.append((name, *_shown(*values), tried.cost, tried.judged.work, tried.judged.code.value))
    columns = ("estimator", *(f"d / d {name}" for name in names), "cost a key", "work", "verdict")
    note = "Standard errors in brackets. Cost: forward runs. Work: forward runs for a relative error of 10 %."
    return Table(one.case.title, columns, tuple(rows), note)


def _triple(truth: Truth) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return truth.value, truth.error, truth.exists


def _shown(means: np.ndarray, errors: np.ndarray) -> tuple[str, ...]:
    return tuple(f"{m:.3g} ({e:.1g})" for m, e in zip(means, errors, strict=True))


def _panels(one: Audited) -> list[IntervalPanel]:
    panels = []
    for i, label in enumerate(labels(one.case.at)[:6]):
        samples = {name: flat(tried.found.samples)[:, i] for name, tried in one.tried.items()}
        centre = np.array([s.mean() for s in samples.values()])
        half = np.array([2.0 * s.std(ddof=1) / np.sqrt(s.size) for s in samples.values()])
        doubted = tuple(tried.judged.code is not Code.BELIEVE for tried in one.tried.values())
        panels.append(
            IntervalPanel(
                f"{one.case.title}, {label}",
                f"d loss / d {label}",
                tuple(samples),
                centre,
                centre - half,
                centre + half,
                doubted,
                float(one.truth.value[i]) if one.truth.exists[i] else None,
            )
        )
    return panels


def _recorded(one: Audited) -> dict[str, Any]:
    return {
        "case": one.case.title,
        "truth": one.truth.value.tolist(),
        "truth_error": one.truth.error.tolist(),
        "exists": one.truth.exists.tolist(),
        "agreement": one.agreement,
        "estimators": {
            name: {
                "mean": flat(tried.found.samples).mean(0).tolist(),
                "spread": flat(tried.found.samples).std(0, ddof=1).tolist(),
                "z": tried.judged.z.tolist(),
                "cost": tried.cost,
                "work": tried.judged.work,
                "class": tried.judged.code.value,
            }
            for name, tried in one.tried.items()
        },
    }
