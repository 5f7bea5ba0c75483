"""The verb `compare`: rivals fitted to the same data at equal budget, and whether these data tell them apart."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax.random as jr
import numpy as np
from rich.progress import Progress

from .._errors import MethodError, ProblemError
from .._results import Result, Section, Table
from .._types import Key
from ..calibration.calibrate import calibrate
from ..calibration.fit import Fit
from ..calibration.surrogate_posterior import SurrogatePosterior
from ..calibration.two_sample import TwoSample, classifier_two_sample
from ..core.executor import Ticker
from ..core.progress import display
from ..problem.problem import Problem
from .identify import identify
from .rivals import Rivals, rivals
from .weighing import Weighing, weigh

_CLASSIFIED = 0.3
"""The share of a rival's calls that go to the classifier."""
_FEWEST = 100
"""Runs of each that a two-sample test takes."""
_REPLICATES = 400
"""Runs at the centre of each fit, for its moment report."""


@dataclass(frozen=True)
class Alike(Result):
    """How well two rivals' runs, each at its own posterior, are told apart by their fitted moments, and by those held
    out (None where there are none): .5 cannot be told apart.
    """

    one: str
    other: str
    fitted: TwoSample | None
    held_out: TwoSample | None

    def row(self) -> tuple[str | float | None, ...]:
        cells = [(None, None) if t is None else (t.accuracy, float(t.error)) for t in (self.fitted, self.held_out)]
        return (f"{self.one}, {self.other}", *cells[0], *cells[1])

    def sections(self) -> tuple[Section, ...]:
        return tuple(
            section for test in (self.fitted, self.held_out) if test is not None for section in test.sections()
        )

    def record(self) -> dict[str, Any]:
        tests = {"fitted": self.fitted, "held out": self.held_out}
        return {"pair": [self.one, self.other], **{k: None if t is None else t.record() for k, t in tests.items()}}


@dataclass(frozen=True)
class Comparison(Result):
    """Rivals, fitted and weighed.

    `fits`, by name; `weighing`: their evidence, and a verdict each; `alike`: each rival's runs against those of the
    best; `reports`: the moments that each matches, and what of its parameters the data decide.
    """

    fits: dict[str, Fit]
    weighing: Weighing
    alike: tuple[Alike, ...]
    reports: Rivals

    @property
    def best(self) -> str:
        """The rival of the largest evidence."""
        return self.weighing.names[self.weighing.best]

    def tied(self) -> tuple[str, ...]:
        """The best, and the rivals that these data do not tell from it."""
        return self.weighing.tied()

    def sections(self) -> tuple[Section, ...]:
        weighing = self.weighing
        calls = {fit.calls for fit in self.fits.values()}
        text = [
            f"{len(self.fits)} rivals, {max(calls):,} simulator calls each for the fit, were asked how likely they and "
            "their priors make the fitted moments of the data."
        ]
        wrong = [v.subject for v in self.reports.verdicts() if v.code.value == "contradicted"]
        if wrong:
            text.append(f"The moments contradict {', '.join(wrong)}: the best of wrong rivals is no less wrong.")
        columns = ("runs of", "fitted moments", "error", "held-out moments", "error ")
        note = (
            "The share of runs that a classifier gives to the right one of two rivals, each at its own posterior; .5 "
            "is a coin. Errors are those of a coin."
        )
        table = Table("Two-sample accuracy", columns, tuple(pair.row() for pair in self.alike), note)
        section = Section(
            "Rivals apart", tuple(text), weighing.verdicts(), (weighing.figure(),), (weighing.table(), table)
        )
        return (section, *self.reports.sections())

    def record(self) -> dict[str, Any]:
        return {
            "verdicts": {v.subject: v.record() for v in self.weighing.verdicts()},
            "evidence": self.weighing.record(),
            "two_sample": [pair.record() for pair in self.alike],
            "reports": self.reports.record(),
        }


def compare(
    problems: Mapping[str, Problem],
    method: SurrogatePosterior,
    key: Key,
    *,
    budget: int,
    predictive: int = 1000,
    folder: Path | str | None = None,
    progress: bool | Progress | None = None,
) -> Comparison:
    """Fit rivals to the same data at equal budget, and say which of them the data tell apart.

    **Arguments:** `problems`: by name, whole models or those of `pop.rival_rules`, all with one target; `budget`:
    simulator calls a rival, of which three tenths go to the classifier; `predictive`: further runs of each at draws of
    its posterior, by which it is judged (and as many, up to 400, at its centre for the moment report); `folder`,
    `progress`: as `pop.calibrate`.

    **Returns:** a `Comparison`. Rivals are told apart where the odds exceed 10 : 1 beyond two standard errors, by the
    surrogate's likelihood, averaged in two ways, and by a classifier of runs.

    **Raises:** `ProblemError` for fewer than two rivals or other targets; `MethodError` as `pop.calibrate`.
    """
    _check(problems, predictive)
    fitting = budget - int(_CLASSIFIED * budget)
    where = None if folder is None else Path(folder)
    calibrating, weighing, telling, reporting = jr.split(key, 4)
    with display(progress) as shown:
        fits = {
            name: calibrate(
                problem,
                method,
                jr.fold_in(calibrating, i),
                budget=fitting,
                predictive=predictive,
                folder=None if where is None else where / f"rival{i}",
                progress=shown or False,
            )
            for i, (name, problem) in enumerate(problems.items())
        }
        more = budget - fitting
        weighed = weigh(fits, weighing, more, Ticker(shown, "runs for the classifier", more * len(fits)))
    best = weighed.names[weighed.best]
    others = [name for name in fits if name != best]
    alike = tuple(_alike(best, name, fits, jr.fold_in(telling, i)) for i, name in enumerate(others))
    replicates = min(predictive, _REPLICATES)
    reports = {name: identify(fit.problem, fit, reporting, replicates=replicates) for name, fit in fits.items()}
    return Comparison(fits, weighed, alike, rivals(reports))


def _check(problems: Mapping[str, Problem], predictive: int) -> None:
    if len(problems) < 2:
        raise ProblemError("one model has no rival: give two problems or more, by name")
    if predictive < _FEWEST:
        raise MethodError(f"predictive={predictive}: telling rivals' runs apart takes {_FEWEST} of each or more")
    (first, one), *rest = problems.items()
    for name, other in rest:
        a, b = one.target, other.target
        if a.labels != b.labels or not np.array_equal(a.fitted, b.fitted) or not np.array_equal(a.values, b.values):
            raise ProblemError(
                f"'{first}' and '{name}' are fitted to other data or moments: give every rival the same target"
            )


def _alike(one: str, other: str, fits: Mapping[str, Fit], key: Key) -> Alike:
    fitted = fits[one].problem.target.fitted
    tests: list[TwoSample | None] = []
    for i, columns in enumerate((fitted, ~fitted)):
        rows = [fits[name].moments[~fits[name].excluded][:, columns] for name in (one, other)]
        rows = [part[np.isfinite(part).all(1)] for part in rows]
        enough = columns.any() and min(map(len, rows)) >= _FEWEST
        tests.append(classifier_two_sample(rows[0], rows[1], jr.fold_in(key, i)) if enough else None)
    return Alike(one, other, *tests)
