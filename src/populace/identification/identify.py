"""The verb `identify`: a sentence a parameter on what the data say of it, and the moments beside it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, overload

import jax.random as jr
import numpy as np

from .._errors import ProblemError
from .._results import Code, Figure, Result, ScatterPanel, Section, Table, Verdict
from .._types import Key
from ..calibration.fit import Fit
from ..problem.problem import Problem
from ..surrogates.runs import Runs
from .combinations import Combination, combinations, contraction, symmetry
from .identify_runs import RunsIdentification, by_runs
from .moment_report import MomentReport, moment_report
from .placebo_fits import PlaceboFits
from .reached import Reached, reached
from .tables import RunTable
from .verdicts import Seen, unreachable, verdict

_PRIOR = 40_000
"""Draws of the prior, to look at it where a combination has its value."""
_REPLICATES = 400


@dataclass(frozen=True)
class Identification(Result):
    """What a fit identifies, given its prior box and its moments.

    `moments`: the moment report; `verdicts`: label to a verdict; `contractions`: label to the share of the prior's
    spread that the data took away; `combinations`: what is known only together; `draws`: label to (n,); `reached`:
    whether the data lie among the fit's predictive runs; `beside`: further results on the same fit, shown after it.
    """

    moments: MomentReport
    reached: Reached
    verdicts: dict[str, Verdict]
    contractions: dict[str, float]
    combinations: tuple[Combination, ...]
    draws: dict[str, np.ndarray]
    beside: tuple[Result, ...] = ()

    def sections(self) -> tuple[Section, ...]:
        rows = tuple(
            (label, v.code.value, self.contractions[label], *(v.numbers[k] for k in ("median", "low", "high")))
            for label, v in self.verdicts.items()
        )
        columns = ("parameter", "class", "contraction", "median", "2.5 %", "97.5 %")
        note = (
            "Contraction: 1 minus the spread of the posterior over that of the prior, on the prior's probability "
            "scale; 0 is the prior returned, 1 is a point. Classes hold for this prior box and these moments."
        )
        tables = [Table("What is identified", columns, rows, note)]
        if self.combinations:
            known = tuple((c.text, c.contraction, c.middle, c.low, c.high) for c in self.combinations)
            heads = ("combination", "contraction", "median", "2.5 %", "97.5 %")
            tables.append(Table("Known only in combination", heads, known))
        section = Section(
            "Identification",
            (
                "A good fit is not identification: these sentences say what the data decide, not what the fit looks "
                "like. They hold for this prior box and these moments.",
                self.reached.sentence(),
                *([self.symmetry] if self.symmetry else []),
            ),
            tuple(self.verdicts.values()),
            self._ridges(),
            tuple(tables),
        )
        return (*self.moments.sections(), section, *(part for one in self.beside for part in one.sections()))

    @property
    def symmetry(self) -> str:
        """What may be changed at will, in words; empty where nothing may, or more than one scale."""
        loose = [label for label, v in self.verdicts.items() if v.code is Code.COMBINATION]
        return symmetry(self.combinations, loose)

    def _ridges(self) -> tuple[Figure, ...]:
        panels = tuple(
            ScatterPanel(c.text, c.members[0], c.members[1], self.draws[c.members[0]], self.draws[c.members[1]])
            for c in self.combinations[:3]
        )
        return (
            (Figure("ridges", "Posterior draws of parameters that are known only together.", panels),) if panels else ()
        )

    def record(self) -> dict[str, Any]:
        return {
            "moments": self.moments.record(),
            "verdicts": {label: v.record() for label, v in self.verdicts.items()},
            "combinations": [
                {"combination": c.text, "low": c.low, "median": c.middle, "high": c.high, "contraction": c.contraction}
                for c in self.combinations
            ],
            "symmetry": self.symmetry,
            "reached": self.reached.record(),
            "beside": [{"kind": type(one).__name__, **one.record()} for one in self.beside],
        }


@overload
def identify(
    problem: Problem,
    fit: Fit,
    key: Key,
    /,
    *,
    replicates: int = _REPLICATES,
    beside: Sequence[Result] = (),
) -> Identification: ...


@overload
def identify(runs: Runs | RunTable, key: Key, /, *, data: np.ndarray | None = None) -> RunsIdentification: ...


def identify(
    what: Problem | Runs | RunTable,
    fit: Fit | Key,
    key: Key | None = None,
    /,
    *,
    replicates: int = _REPLICATES,
    beside: Sequence[Result] = (),
    data: np.ndarray | None = None,
) -> Identification | RunsIdentification:
    """What is identified: by a fit, `identify(problem, fit, key)`, or by runs alone, `identify(runs, key)`.

    Of a fit: from its posterior draws, its prior, its predictive sample and replicates at its centre. The classes and
    their rules are those of `verdicts.py`. All of it is conditional on the prior box and on the fitted moments. Beyond
    the prior box, or by other moments, more or less may be identified.

    Of runs: how well summaries tell parameters, on average over the prior box; and what data decide, where they are
    given.

    **Arguments**, with a fit: `problem`: what was fitted; `replicates`: runs at the centre of the fit, whose spread is
    each moment's standard error; `beside`: further results on the same fit, which the report then shows in their order:
    those of `information`, `profiles`, `placebo`, or any other (`dossier` makes them all).

    With runs: `runs`: points that follow the priors, with their summaries, as `Runs` or as `read_runs` read them from
    files; `data` (k,): the summaries of the data, in the order of the runs' labels (`read_data` reads a file).

    **Returns:** an `Identification`, or a `RunsIdentification`; the `verdicts` of either are a sentence a parameter.

    **Raises:** `ProblemError` when the fit, or that of the placebos, is of another problem, for data that do not fit
    the runs, and for arguments of the other form; `MethodError` for too few runs.
    """
    if isinstance(what, Problem):
        if not isinstance(fit, Fit) or key is None or data is not None:
            raise ProblemError("write identify(problem, fit, key): a problem comes with its fit, and that has its data")
        return _by_fit(what, fit, key, replicates, tuple(beside))
    if isinstance(fit, Fit) or key is not None:
        raise ProblemError("write identify(runs, key, data=...): runs are judged without a fit")
    if replicates != _REPLICATES or beside:
        raise ProblemError("replicates and beside go with a fit: runs take data= alone")
    return by_runs(what if isinstance(what, Runs) else what.runs, fit, data)


def _by_fit(
    problem: Problem,
    fit: Fit,
    key: Key,
    replicates: int,
    beside: tuple[Result, ...],
) -> Identification:
    fit.check(problem)
    for one in beside:
        if isinstance(one, PlaceboFits) and not np.array_equal(one.fit.problem.target.values, problem.target.values):
            raise ProblemError("these placebos are of other data or moments than the fit")
    space = fit.problem.space
    middle, draw = jr.split(key)
    after = _columns(fit.draws, space.names, space.labels)
    before = _columns({n: np.asarray(v) for n, v in space.sample(draw, _PRIOR).items()}, space.names, space.labels)
    found = combinations(after, before)
    seen = Seen(after, before, min(fit.estimate.effective_size, float(fit.moments.shape[0])), found)
    came = reached(fit)
    if came.yes:
        verdicts = {label: verdict(label, seen) for label in space.labels}
    else:
        verdicts = {label: unreachable(label, seen, came.sentence()) for label in space.labels}
    shares = {label: contraction(after[label], before[label]) for label in space.labels}
    return Identification(moment_report(fit, middle, replicates), came, verdicts, shares, found, after, beside)


def _columns(draws: dict[str, np.ndarray], names: tuple[str, ...], labels: tuple[str, ...]) -> dict[str, np.ndarray]:
    flat = np.concatenate([np.reshape(draws[name], (draws[name].shape[0], -1)) for name in names], axis=1)
    return {label: flat[:, i].astype(np.float64) for i, label in enumerate(labels)}
