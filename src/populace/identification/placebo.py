"""The verb `placebo`: the same model fitted to data that it has no business fitting."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import jax.random as jr
import numpy as np
from rich.progress import Progress

from .._errors import MethodError, ProblemError, TargetError
from .._results import Code
from .._types import Key
from ..calibration.calibrate import calibrate, with_pilot_covariance
from ..calibration.fit import Fit
from ..core.noise import host_generator
from ..core.progress import display
from ..core.rounds import Method
from ..problem.distances import Standardised
from ..problem.problem import Problem
from ..problem.target import Target
from .moment_report import MomentReport, moment_report
from .placebo_fits import PlaceboFits, PlaceboKind, Scored, same
from .placebos import AmplitudeAdjusted, Data, Permuted, Placebo, Reversed
from .reached import reached
from .telltales import telltales

_REPLICATES = 50
"""Runs at the centre of each fit, for its moments' spread."""
_FEWEST = 5
_TRIES = 20
"""Draws of a placebo before a moment that is not defined on them is called undefined."""


def placebo(
    problem: Problem,
    method: Method,
    key: Key,
    *,
    budget: int,
    fit: Fit | None = None,
    placebos: Sequence[Placebo] | None = None,
    draws: int = 5,
    predictive: int = 400,
    folder: Path | str | None = None,
    progress: bool | Progress | None = None,
) -> PlaceboFits:
    """Fit the model to placebos as it was fitted to the data, and say whether they fit as well.

    Where the moments' covariance is not known, it is estimated once, at a pilot fit to the data, and what that took is
    taken off the budget of every fit: all are measured in one unit. Of a `fit` that is given, its own covariance is
    taken.

    **Arguments:** `budget`: simulator calls a fit; `fit`: the fit to the data, if there is one of this method (at this
    budget, or the comparison is not fair); `placebos`: amplitude-adjusted, permuted and reversed in time unless said
    otherwise; `draws`: fits to each placebo that is drawn by chance, five or more; `predictive`: runs by which each fit
    is judged; `folder`: checkpoints of all fits, to go on from after an interruption; `progress`: as `pop.calibrate`.

    **Raises:** `TargetError` for placebos that cannot be made of these data; `ProblemError` for a fit of another
    problem or method; `MethodError` for no placebos, too few draws, two of one name, or a fit that spent more than
    `budget`; and as `pop.calibrate`.
    """
    kinds = (AmplitudeAdjusted(), Permuted(), Reversed()) if placebos is None else tuple(placebos)
    _check(problem, method, budget, fit, kinds, draws)
    making, piloting, fitting, judging = jr.split(key, 4)
    drawn = [_drawn(one, problem.target, jr.fold_in(making, i), draws) for i, one in enumerate(kinds)]
    where, spent = None if folder is None else Path(folder), 0
    with display(progress) as shown:
        if fit is not None:
            problem = fit.problem
        elif problem.target.covariance is None and method.needs_covariance:
            problem, spent = with_pilot_covariance(problem, piloting, budget, where and where / "pilot", shown)
        fitted = _Fitting(problem, method, fitting, budget - spent, predictive, where, shown)
        fit = fitted(None, 0) if fit is None else fit
        report = moment_report(fit, judging, _REPLICATES)
        units = _units(problem.target, report)
        found = tuple(
            _judged(one, data, units, fitted, jr.fold_in(judging, i + 1), 1 + i * draws)
            for i, (one, data) in enumerate(zip(kinds, drawn, strict=True))
        )
    return PlaceboFits(fit, _scored(fit, report, units), found, budget)


@dataclass(frozen=True)
class _Fitting:
    """How every fit is made: the problem with other data in the place of its own, fit number `number`."""

    problem: Problem
    method: Method
    key: Key
    budget: int
    predictive: int
    folder: Path | None
    shown: Progress | None

    def __call__(self, data: Data | None, number: int) -> Fit:
        target = self.problem.target
        return calibrate(
            self.problem if data is None else self.problem.with_target(target.with_values(*data)),
            self.method,
            jr.fold_in(self.key, number),
            budget=self.budget,
            predictive=self.predictive,
            folder=None if self.folder is None else self.folder / f"fit{number}",
            progress=self.shown or False,
        )


def _judged(kind: Placebo, data: list[Data], units: Target, fitted: _Fitting, key: Key, first: int) -> PlaceboKind:
    """Fits to draws of a placebo; none where their moments are the data's own."""
    shift = Standardised()(np.stack([one.moments for one in data]), units)
    if same(shift):
        seen = telltales(units, kind, host_generator(key))
        return PlaceboKind(kind.name, kind.keeps(), kind.chance, shift, (), (), seen)
    fits = tuple(fitted(one, first + j) for j, one in enumerate(data))
    reports = [moment_report(one, jr.fold_in(key, j), _REPLICATES) for j, one in enumerate(fits)]
    scores = tuple(_scored(one, report, units) for one, report in zip(fits, reports, strict=True))
    return PlaceboKind(kind.name, kind.keeps(), kind.chance, shift, scores, fits, ())


def _check(
    problem: Problem, method: Method, budget: int, fit: Fit | None, kinds: tuple[Placebo, ...], draws: int
) -> None:
    names = [one.name for one in kinds]
    if not kinds:
        raise MethodError("no placebo is given: placebos=(Permuted(),)")
    if draws < _FEWEST:
        raise MethodError(f"draws={draws}: of fewer than {_FEWEST} placebos, none fitted as well would not decide")
    if len(set(names)) < len(names):
        raise MethodError(f"two placebos are called alike ({', '.join(names)}): give each a name of its own")
    if fit is None:
        return
    target = fit.problem.target
    if (
        fit.problem.space.labels != problem.space.labels
        or target.labels != problem.target.labels
        or not np.array_equal(target.values, problem.target.values)
    ):
        raise ProblemError("this fit is of another problem: its parameters, moments or data differ")
    if fit.method != type(method).__name__:
        raise ProblemError(f"the fit is by {fit.method}, and placebos would be fitted by {type(method).__name__}")
    if fit.calls > budget:
        raise MethodError(
            f"the fit to the data spent {fit.calls} calls, and placebos would get {budget}: give budget={fit.calls}"
        )


def _drawn(kind: Placebo, target: Target, key: Key, draws: int) -> list[Data]:
    """Draws of a placebo; one on which a moment is not defined is drawn again."""
    generator = host_generator(key)
    found: list[Data] = []
    wanted = draws if kind.chance else 1
    for _ in range(wanted * (_TRIES if kind.chance else 1)):
        data = kind.drawn(target, generator)
        if np.isfinite(data.moments).all():
            found.append(data)
        if len(found) == wanted:
            return found
    wrong = target.labels[int(np.argmin(np.isfinite(data.moments)))]  # pyright: ignore[reportPossiblyUnboundVariable]
    raise TargetError(f"'{wrong}' is not defined on {kind.name} data: leave out the moment, or this placebo")


def _units(target: Target, report: MomentReport) -> Target:
    """The target with the standard errors that distances are measured in: its own, or else the spread of the fit's
    runs.
    """
    if target.covariance is not None:
        return target
    return target.with_covariance(np.diag(report.spread**2), "the spread of the fit's runs")


def _scored(fit: Fit, report: MomentReport, units: Target) -> Scored:
    runs = fit.moments[~fit.excluded]
    logs = np.log(np.maximum(Standardised()(runs, units.with_values(fit.problem.target.values)), 1e-9))
    seen = reached(fit)
    hits = np.array([code in (Code.MATCHED, Code.HELD_OUT_MATCHED) for code in report.codes])
    held = ~report.fitted
    return Scored(
        distance=float(np.exp(np.median(logs))),
        error=float(1.2533 * logs.std() / np.sqrt(logs.size)),
        reached=seen.yes,
        p=seen.p,
        matched=float(hits[report.fitted].mean()),
        held_out=float(hits[held].mean()) if held.any() else None,
    )
