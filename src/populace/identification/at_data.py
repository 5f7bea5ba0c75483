"""What one set of data decides, from a table of runs: a posterior by the runs nearest to them.

The predictions m(x) of the parameters from the summaries x are themselves the best few summaries there are
(semi-automatic approximate Bayesian computation: Paul Fearnhead and Dennis Prangle 2012, JRSS B 74:419). The runs whose
m(x_i) lie nearest to m(data), in units of the prediction's error, are taken, and each is moved by m(data) - m(x_i), as
regression adjustment does (Mark Beaumont, Wenyang Zhang and David Balding 2002, Genetics 162:2025). Each m(x_i) is that
of models which had not seen the run, so that the scatter about it is honest. The same is done to the runs nearest to
the data as if each were the data: how often their intervals hold what the run was made with is the check.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.spatial import KDTree

from .._errors import ProblemError
from .._results import Code, DensityPanel, Figure, Result, Section, Table, Verdict
from ..problem.moments import moment
from ..problem.target import Target
from ..surrogates.reach import Reach, at_bounds, reach
from .combinations import Combination, combinations, contraction
from .recoverable import Recoverability, in_units
from .verdicts import SOME, STRONG

_NEAREST = (100, 1000)
"""Draws of the posterior, at the least and at the most: a twentieth of the runs between."""
_CHECKED = 200
_INSIDE = 0.9
_DRAWN = 12


@dataclass(frozen=True)
class AtData(Result):
    """What the data decide of each parameter.

    `reach`: whether runs come near to the data at all; `draws`, `prior`: label to (k,) and (n,); `contractions`: label
    to the share of the prior's spread that the data took away; `combinations`: pairs known only together; `inside`:
    the share of the `checked` nearest runs whose 90 % intervals hold their own parameters, averaged over parameters;
    `bounds`: the parameters that lean on an end of their prior. Data out of reach are not judged.
    """

    reach: Reach
    draws: dict[str, np.ndarray]
    prior: dict[str, np.ndarray]
    contractions: dict[str, float]
    combinations: tuple[Combination, ...]
    inside: float
    checked: int
    bounds: tuple[Verdict, ...]

    @property
    def verdicts(self) -> dict[str, Verdict]:
        """A verdict a parameter."""
        return {label: self._verdict(label) for label in self.draws}

    def _verdict(self, label: str) -> Verdict:
        low, middle, high = (float(q) for q in np.quantile(self.draws[label], [0.025, 0.5, 0.975]))
        share = self.contractions[label]
        numbers = {"contraction": share, "median": middle, "low": low, "high": high}
        shown = f"{middle:.3g} ({low:.3g} to {high:.3g})"
        if self.reach.verdict().code is Code.OUT_OF_REACH:
            text = f"{label} is not judged: no runs speak like these data, and the nearest say nothing of it."
            return Verdict(label, Code.UNJUDGED, text, numbers)
        taken = f"these data take away {100 * max(share, 0.0):.0f} % of the prior's spread"
        mine = [c for c in self.combinations if label in c.members]
        if share > STRONG:
            more = f" {mine[0].text} is known better still." if mine else ""
            text = f"{label} is identified at these data: {shown}; {taken}.{more}"
            return Verdict(label, Code.IDENTIFIED, text, numbers)
        if mine:
            text = (
                f"{label} is known only in combination: these data fix {mine[0].text} at {mine[0].middle:.3g} "
                f"({mine[0].low:.3g} to {mine[0].high:.3g}), and {label} itself may be {low:.3g} to {high:.3g}."
            )
            return Verdict(label, Code.COMBINATION, text, numbers)
        if share > SOME:
            text = f"{label} is only weakly identified at these data: {shown}; {taken}."
            return Verdict(label, Code.WEAK, text, numbers)
        text = f"{label} is not identified at these data: {shown} is little more than the prior; {taken}."
        return Verdict(label, Code.NOT_IDENTIFIED, text, numbers)

    def check(self) -> Verdict:
        """Whether intervals near the data hold what they should."""
        error = np.sqrt(_INSIDE * (1.0 - _INSIDE) / self.checked)
        gap = (self.inside - _INSIDE) / error
        code = Code.CALIBRATED if abs(gap) < 3.0 else (Code.OVER_CONFIDENT if gap < 0 else Code.TOO_WIDE)
        text = (
            f"Of the {self.checked} runs nearest to the data, taken for data themselves, 90 % intervals hold the "
            f"parameters in {100 * self.inside:.0f} %."
        )
        return Verdict("the intervals", code, text, {"inside": self.inside, "runs": float(self.checked)})

    def sections(self) -> tuple[Section, ...]:
        rows = tuple(
            (label, v.code.value, *(v.numbers[k] for k in ("contraction", "median", "low", "high")))
            for label, v in self.verdicts.items()
        )
        columns = ("parameter", "class", "contraction", "median", "2.5 %", "97.5 %")
        tables = [Table("What these data decide", columns, rows)]
        if self.combinations:
            known = tuple((c.text, c.contraction, c.middle, c.low, c.high) for c in self.combinations)
            heads = ("combination", "contraction", "median", "2.5 %", "97.5 %")
            tables.append(Table("Known only in combination", heads, known))
        panels = tuple(
            DensityPanel(label, label, {"prior": self.prior[label], "posterior": self.draws[label]})
            for label in list(self.draws)[:_DRAWN]
        )
        figure = Figure("at_data", "Prior and posterior of each parameter at these data.", panels)
        count = len(next(iter(self.draws.values())))
        text = (f"The {count} runs whose summaries speak most like the data, moved to them by regression.",)
        if self.reach.verdict().code is Code.OUT_OF_REACH:
            text += ("The simulator does not reach these data: do not read what follows.",)
        verdicts = (*self.verdicts.values(), *self.bounds, self.check())
        return (*self.reach.sections(), Section("At the data", text, verdicts, (figure,), tuple(tables)))

    def record(self) -> dict[str, Any]:
        return {
            "reach": self.reach.record(),
            "verdicts": {label: v.record() for label, v in self.verdicts.items()},
            "combinations": [
                {"combination": c.text, "low": c.low, "median": c.middle, "high": c.high, "contraction": c.contraction}
                for c in self.combinations
            ],
            "check": self.check().record(),
            "at the prior's bound": {v.subject: v.record() for v in self.bounds},
        }


def at_data(found: Recoverability, data: np.ndarray) -> AtData:
    """What data decide, from the runs and predictions of a `Recoverability`; no run is made.

    **Arguments:** `data` (k,): the summaries, in the order of the runs' labels.

    **Raises:** `ProblemError` for data of another length, or not finite.
    """
    runs, learned, labels = found.runs, found.learned, found.labels
    data = np.asarray(data, np.float64)
    if data.shape != (len(runs.labels),) or not np.isfinite(data).all():
        raise ProblemError(f"the data are {len(runs.labels)} finite numbers, one a summary, not {data.shape}")
    d = len(labels)
    unit, said = learned.outputs[:, :d], learned.said[:, :d]
    error = np.sqrt(((said - unit) ** 2).mean(0))
    here = learned.at(data[None])[:, :d]
    tree = KDTree(said / error)
    count = min(max(_NEAREST[0], unit.shape[0] // 20), _NEAREST[1], unit.shape[0] // 2)
    near = np.asarray(tree.query(here / error, count)[1])[0]
    moved = _folded(unit[near] + here - said[near])
    inside, checked = _inside(unit, said, tree, error, near[:_CHECKED], count)
    after, before = (dict(zip(labels, in_units(runs.space, u).T, strict=True)) for u in (moved, unit))
    return AtData(
        reach=reach(runs, _target(runs.labels, data)),
        draws=after,
        prior=before,
        contractions={label: contraction(after[label], before[label]) for label in labels},
        combinations=combinations(after, before),
        inside=inside,
        checked=checked,
        bounds=at_bounds(runs.space, moved),
    )


def _inside(
    unit: np.ndarray, said: np.ndarray, tree: KDTree, error: np.ndarray, rows: np.ndarray, count: int
) -> tuple[float, int]:
    """How often central 90 % intervals hold the truth when each of `rows` is taken for the data."""
    near = np.asarray(tree.query(said[rows] / error, count + 1)[1])
    hits = np.empty((rows.size, unit.shape[1]))
    for i, (row, others) in enumerate(zip(rows, near, strict=True)):
        others = others[others != row][:count]
        low, high = np.quantile(_folded(unit[others] + said[row] - said[others]), [0.05, 0.95], axis=0)
        hits[i] = (low <= unit[row]) & (unit[row] <= high)
    return float(hits.mean()), rows.size


def _folded(unit: np.ndarray) -> np.ndarray:
    """Points that were moved over an end of the prior, as far within."""
    return np.clip(1.0 - np.abs(1.0 - np.abs(unit)), 0.0, 1.0)


def _target(labels: tuple[str, ...], data: np.ndarray) -> Target:
    """The data as a target whose moments are the summaries themselves."""
    series: Mapping[str, np.ndarray] = {label: np.array([value]) for label, value in zip(labels, data, strict=True)}
    return Target(series, [moment(label, _only, of=label) for label in labels])


def _only(series: Any) -> Any:
    return series[0]
