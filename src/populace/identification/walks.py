"""The verb `walks`: which parameters trade for which, by walking from a fit along the directions that the moments react
to least, both ways, until the data or an end of a prior stop it.
"""

from dataclasses import dataclass
from typing import Any

import jax.random as jr
import numpy as np
from rich.progress import Progress
from scipy.stats import chi2

from .._errors import MethodError
from .._results import Band, BandPanel, Cell, Code, Figure, Points, Result, Section, Table, Verdict
from .._types import Key
from ..calibration.fit import Fit
from ..calibration.regions import Scale
from ..core.executor import Ticker
from ..core.noise import host_generator
from ..core.progress import display
from ..problem.problem import Problem
from .curves import Traced
from .expected import Expected, Known, begun, box, drawn, end_name, scattered, spread, valued
from .exploring import FIRST, REPLICATES, Explored, check_budget, judged, points_each, replicates_each
from .fresh_runs import replicated
from .reached import typical
from .strides import Stopped, Strides, strides
from .valley import free, lowest

_LOOSE = (4.0, 4.0, 3.0, 2.0, 1.5, 1.5)
"""By how many times the threshold the distance may rise in each round: runs lie beyond the walk's ends, too."""
_NODES = 160
_HEAT, _REACH = 8.0, 0.25
_POINTS = 9
_MOVES = 0.05
"""A parameter moves along a walk if it does by so much of its prior's probability."""
_STARTS = 12


@dataclass(frozen=True)
class Walk:
    """A walk both ways: `along` (m,), its length in spreads of the priors, 0 at the fit; `path` (m, d): the parameters,
    `unit` (m, d): as prior probabilities; `rise` (m,) of the distance above the fit's, with `error`; `fresh` (q, 3):
    lengths at which runs were made anew, the rise by these, and its error; `ends`: what stopped it on either side.
    """

    along: np.ndarray
    path: np.ndarray
    unit: np.ndarray
    rise: np.ndarray
    error: np.ndarray
    fresh: np.ndarray
    ends: tuple[str, str]
    verdict: Verdict


@dataclass(frozen=True)
class Walks(Result):
    """Walks along the flattest directions at a fit, the flattest first; `threshold`: the rise that ends one; `checks`
    by fresh runs; `calls` spent.
    """

    labels: tuple[str, ...]
    walks: tuple[Walk, ...]
    threshold: float
    checks: tuple[Verdict, ...]
    calls: int

    def sections(self) -> tuple[Section, ...]:
        figures = tuple(
            Figure(f"walk-{i + 1}", f"Walk {i + 1}: parameters that fit alike.", self._panels(walk))
            for i, walk in enumerate(self.walks)
        )
        text = (
            f"From the fit the directions are followed that {len(self.labels)} parameters may go with the least rise "
            f"of the distance, until it has risen by {self.threshold:.3g}, or an end of a prior is reached. All points "
            f"of a walk fit about alike. {self.calls} runs.",
        )
        verdicts = (*(walk.verdict for walk in self.walks), *self.checks)
        return (Section("Walks", text, verdicts, figures, tuple(self._table(i) for i in range(len(self.walks)))),)

    def _table(self, i: int) -> Table:
        walk = self.walks[i]
        first, last = walk.path[0], walk.path[-1]
        middle = walk.path[int(np.abs(walk.along).argmin())]
        rows: list[tuple[Cell, ...]] = [
            (label, float(first[j]), float(middle[j]), float(last[j]), float(np.ptp(walk.unit[:, j])))
            for j, label in enumerate(self.labels)
        ]
        note = f"Ended by {walk.ends[0]} on one side and by {walk.ends[1]} on the other."
        columns = ("parameter", "at one end", "at the fit", "at the other end", "part of its prior")
        return Table(f"Walk {i + 1}", columns, tuple(rows), note)

    def _panels(self, walk: Walk) -> tuple[BandPanel, BandPanel]:
        bands = tuple(Band(label, walk.along, walk.unit[:, j], {}, "path") for j, label in enumerate(self.labels))
        along = "length of the walk, in spreads of the priors"
        paths = BandPanel("Parameters", along, "prior probability", bands, (), "0 and 1 are the ends of the priors.")
        spread = (walk.rise - 2.0 * walk.error, walk.rise + 2.0 * walk.error)
        limit = Band("threshold", walk.along[[0, -1]], np.full(2, self.threshold), {}, f"{self.threshold:.3g}")
        line = Band("learned", walk.along, walk.rise, {0.95: spread}, "line")
        seen = Points("fresh runs", *walk.fresh.T)
        return paths, BandPanel("Distance", along, "rise of the distance", (line, limit), (seen,))

    def record(self) -> dict[str, Any]:
        return {
            "threshold": self.threshold,
            "walks": [
                {
                    **walk.verdict.record(),
                    "ends": list(walk.ends),
                    "path": {label: walk.path[:, j].tolist() for j, label in enumerate(self.labels)},
                    "rise": walk.rise.tolist(),
                }
                for walk in self.walks
            ],
            "checks": [check.record() for check in self.checks],
            "calls": self.calls,
        }


def walks(
    problem: Problem,
    fit: Fit,
    key: Key,
    *,
    budget: int,
    directions: int = 1,
    level: float = 0.95,
    progress: bool | Progress | None = None,
) -> Walks:
    """Walks from a fit along the directions that the moments react to least, for any simulator.

    **Arguments:** `budget`: simulator calls; `directions`: how many, the flattest first; `level`: the distance may rise
    by the quantile of chi-squared with one degree of freedom.

    **Raises:** `ProblemError` for a fit of another problem; `MethodError` without a covariance, for a budget that is
    too small, or for more directions than parameters.
    """
    fit.check(problem)
    d = problem.space.size
    check_budget(budget, d)
    if not 1 <= directions <= d or not 0.0 < level < 1.0:
        raise MethodError(f"walk in 1 to {d} directions, at a level between 0 and 1")
    rise = float(chi2.ppf(level, 1))
    first, near, last = jr.split(key, 3)
    with display(progress) as shown:
        ticker = Ticker(shown, "walks", budget)
        known = begun(problem, fit, first, int(FIRST * budget), ticker)
        starts = np.concatenate([drawn(fit)[[typical(fit)]], spread(drawn(fit), _STARTS)])
        ends, paths = box(known.scale), np.zeros((0, d))
        count = int((1.0 - FIRST - REPLICATES) * budget) // len(_LOOSE)
        for i in range(len(_LOOSE)):
            expected = known.expected(starts, paths)
            start, found = _walked(expected, ends, starts, directions, _LOOSE[i] * rise)
            paths = np.concatenate([start[None], *(s.v for pair in found for s in pair)])
            place, run = jr.split(jr.fold_in(near, i))
            rows = paths[host_generator(place).integers(len(paths), size=count)]
            known = known.more(scattered(expected, ends, rows, _HEAT, _REACH, place), run, ticker)
            paths = paths[:: max(len(paths) // _NODES, 1)]
        expected = known.expected(starts, paths)
        start, found = _walked(expected, ends, starts, directions, rise)
        return _finished(known, expected, start, found, rise, budget, last, ticker)


def _walked(
    expected: Expected, ends: np.ndarray, starts: np.ndarray, directions: int, rise: float
) -> tuple[np.ndarray, tuple[tuple[Strides, Strides], ...]]:
    """The floor nearest to the fit, and walks from it, both ways in each direction."""
    d = starts.shape[1]
    low = lowest(expected, ends, starts, free(d), 16)
    best = float((low.said.distance + low.said.error).min())
    first = 0 if low.said.distance[0] <= best + rise / 4.0 else int((low.said.distance + low.said.error).argmin())
    start = low.v[first]
    slope = low.said.slope[first]
    level = max(float(low.said.distance[first]), 0.0) + rise
    flattest = np.linalg.eigh(slope.T @ slope)[1][:, :directions].T
    signs = np.sign(flattest[np.arange(directions), np.abs(flattest).argmax(1)])
    flattest = flattest * signs[:, None]
    return start, tuple(
        (strides(expected, ends, start, -way, i, level), strides(expected, ends, start, way, i, level))
        for i, way in enumerate(flattest)
    )


def _finished(
    known: Known,
    expected: Expected,
    start: np.ndarray,
    found: tuple[tuple[Strides, Strides], ...],
    rise: float,
    budget: int,
    key: Key,
    ticker: Ticker,
) -> Walks:
    """Fresh runs, and what all of it says."""
    whole = [np.concatenate([back.v[::-1], start[None], forth.v]) for back, forth in found]
    most = points_each(budget, len(whole), _POINTS)
    marks = [np.unique(np.linspace(0, len(v) - 1, most).round().astype(int)) for v in whole]
    points = np.concatenate([start[None], *(v[rows] for v, rows in zip(whole, marks, strict=True))])
    count = replicates_each(budget, len(points))
    fresh = replicated(known, points, count, key, ticker)
    base = max(float(expected.distances(start[None])[0]), 0.0)
    cuts = np.split(np.arange(1, len(points)), np.cumsum([len(rows) for rows in marks])[:-1])
    made = []
    for i, (v, (back, forth)) in enumerate(zip(whole, found, strict=True)):
        said = expected.at(v)
        length = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(v, axis=0), axis=1))])
        along = length - length[len(back.v)]
        seen = np.stack([along[marks[i]], fresh.rise[cuts[i]], fresh.rise_error[cuts[i]]], axis=1)
        path, unit = valued(known.scale, v), known.scale.unit(v)
        ends = _ended(known.scale, back), _ended(known.scale, forth)
        verdict = _verdict(i, known.scale.space.labels, path, unit, (back.stopped, forth.stopped), ends)
        made.append(
            Walk(along, path, unit, said.distance - base, said.error, seen[np.isfinite(seen[:, 1])], ends, verdict)
        )
    rule = Traced((), start, base, 0.0, base + rise)
    checks = (judged("the walks", Explored(known, expected, rule, box(known.scale)), points, fresh, count, rise),)
    return Walks(known.scale.space.labels, tuple(made), rise, checks, known.calls + fresh.calls)


def _ended(scale: Scale, one: Strides) -> str:
    if one.at is not None:
        return end_name(scale.space, *one.at)
    return one.stopped.value


def _verdict(
    i: int,
    labels: tuple[str, ...],
    path: np.ndarray,
    unit: np.ndarray,
    stopped: tuple[Stopped, Stopped],
    ends: tuple[str, str],
) -> Verdict:
    """Which parameters trade, and what ends it."""
    moved = np.ptp(unit, axis=0)
    order = [j for j in np.argsort(-moved, kind="stable") if moved[j] > _MOVES] or [int(moved.argmax())]
    parts = [f"{labels[j]} from {path[0, j]:.3g} to {path[-1, j]:.3g}" for j in order]
    stays = [label for j, label in enumerate(labels) if j not in order]
    numbers = {f"moved {label}": float(m) for label, m in zip(labels, moved, strict=True)}
    by_data = sum(one is Stopped.DATA for one in stopped)
    code = (Code.FLAT, Code.ONE_SIDED, Code.BOUNDED)[by_data]
    if Stopped.BLIND in stopped:
        code = Code.UNJUDGED
    sides = f"{ends[0]} on one side and by {ends[1]} on the other" if ends[0] != ends[1] else f"{ends[0]} on both sides"
    together = " together with ".join([parts[0], " and ".join(parts[1:])]) if len(parts) > 1 else parts[0]
    still = f"; {', '.join(stays)} hardly move{'s' if len(stays) == 1 else ''}" if stays else ""
    text = f"Without leaving the data one may take {together}{still}. The walk is ended by {sides}."
    return Verdict(f"walk {i + 1}", code, text, numbers)
