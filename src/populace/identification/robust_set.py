"""The verb `robust_set`: all parameters that the data do not reject, whether they are identified or not.

The set {theta: g' V^-1 g <= chi2_k(level)}, with g the gap of k expected moments to the data, holds the true parameters
with probability `level` if the model is true, however weakly or little the moments identify them: nothing is estimated,
so that no estimate can fail (James Stock and Jonathan Wright 2000, Econometrica 68:1055). If it is empty the model is
rejected at that level; if it is the whole prior the data say nothing. It is a test of model and parameters at once:
where a model is false but not rejected it may be small, which is no precision.
"""

from dataclasses import dataclass
from typing import Any

import jax.random as jr
import numpy as np
from rich.progress import Progress
from scipy.stats import chi2

from .._errors import MethodError, ProblemError
from .._results import Cell, Code, Figure, IntervalPanel, Result, ScatterPanel, Section, Table, Verdict
from .._types import Key
from ..calibration.fit import Fit
from ..core.executor import Ticker
from ..core.noise import host_generator
from ..core.progress import display
from ..problem.problem import Problem
from .curves import Rule, Traced
from .expected import Expected, begun, drawn, spread, valued
from .exploring import FIRST, REPLICATES, Explored, check_budget, explored, judged, relearned
from .filling import Filled, filled
from .fresh_runs import Replicated, replicated
from .reaches import stretches
from .said_of_profiles import Interval, intervals

_STARTS = 12
_CHAINS, _FEW = 2_000, 200
_ROOM = 1.5
"""Runs are made where the distance is up to so many times the threshold."""
_AGAIN = 2
_RIM, _DEEP = 24, 8
"""Points near the boundary, and points of the whole set, at which fresh runs are made."""
_EACH = 20
_SURE = 2.0
_WHOLE = 0.995
_DRAWN = 1_000


@dataclass(frozen=True)
class RobustSet(Result):
    """The set at `level`: `draws`, label to (n,): draws of the prior cut to it; `share` (low, middle, high): of the
    prior, with what is surely in it and what may be; `intervals`: of each parameter over it, in pieces, with what ends
    them; `nearest`: the least distance
    seen in fresh runs, with its error; `rim`: of the points near its boundary that were simulated anew,
    how many lie inside, outside, and cannot be told; `checks`: by fresh runs; `calls` spent.
    """

    labels: tuple[str, ...]
    level: float
    threshold: float
    moments: int
    draws: dict[str, np.ndarray]
    share: tuple[float, float, float]
    intervals: dict[str, tuple[Interval, ...]]
    nearest: tuple[float, float]
    rim: tuple[int, int, int]
    verdict: Verdict
    checks: tuple[Verdict, ...]
    calls: int

    @property
    def empty(self) -> bool:
        """Whether nothing is in it: the model is rejected at that level."""
        return self.verdict.code is Code.EMPTY

    def interval(self, label: str) -> tuple[float, float]:
        """The lowest and the highest value of a parameter in the set.

        **Raises:** `ProblemError` where the set is empty.
        """
        found = self.intervals.get(label, ())
        if not found:
            raise ProblemError(f"the set holds no value of '{label}': see its verdict")
        return found[0].low, found[-1].high

    def touches(self) -> tuple[str, ...]:
        """The ends of priors that it reaches, in words."""
        found: list[str] = []
        for label, pieces in self.intervals.items():
            for end, side in ((pieces[0].low_end, "lower"), (pieces[-1].high_end, "upper")):
                if end == "its own prior":
                    found.append(f"the {side} end of {label}")
        return tuple(found)

    def sections(self) -> tuple[Section, ...]:
        inside, outside, open_ = self.rim
        text = [
            f"All parameters at which {self.moments} expected moments lie within {self.threshold:.3g} of the data "
            f"(squared, in standard errors; chi-squared at {100 * self.level:g} %). The true ones are among them with "
            "that probability if the model is true, identified or not.",
        ]
        if inside + outside + open_:
            text.append(
                f"Of {inside + outside + open_} points near its boundary that were simulated anew {inside} are inside, "
                f"{outside} outside, and {open_} are within two standard errors of it."
            )
        if self.touches():
            text.append(f"It reaches {', '.join(self.touches())}: beyond, nothing was looked at.")
        figures = self._figures() if not self.empty else ()
        return (Section("Robust set", tuple(text), (self.verdict, *self.checks), figures, (self._table(),)),)

    def _table(self) -> Table:
        rows: list[tuple[Cell, ...]] = []
        for label, pieces in self.intervals.items():
            rows += [(label, one.low, one.low_end, one.high, one.high_end) for one in pieces]
        note = "The values of each parameter for which the others can be chosen so that the data are not rejected."
        return Table(
            "Each parameter over the set", ("parameter", "from", "ended by", "to", "ended by "), tuple(rows), note
        )

    def _figures(self) -> tuple[Figure, ...]:
        names = list(self.draws)
        pairs = [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]][:6]
        panels = tuple(ScatterPanel(f"{a} and {b}", a, b, self.draws[a], self.draws[b]) for a, b in pairs)
        clouds = (Figure("robust-set", "Draws of the prior cut to the set.", panels),) if panels else ()
        return (Figure("robust-intervals", "Each parameter over the set.", (self._spans(),)), *clouds)

    def _spans(self) -> IntervalPanel:
        """Each parameter's part of its prior, as prior probabilities: nested in what was believed."""
        rows = [(label, i, one) for label, pieces in self.intervals.items() for i, one in enumerate(pieces)]
        names = tuple(label if not i else f"{label} or" for label, i, _ in rows)
        low, high = np.array([one.unit for _, _, one in rows]).T
        note = "On the prior's probability scale: 0 and 1 are its ends."
        return IntervalPanel("The set", "prior probability", names, (low + high) / 2.0, low, high, note=note)

    def record(self) -> dict[str, Any]:
        return {
            "level": self.level,
            "threshold": self.threshold,
            "moments": self.moments,
            "share": list(self.share),
            "intervals": {label: [one.record() for one in pieces] for label, pieces in self.intervals.items()},
            "nearest": list(self.nearest),
            "rim": dict(zip(("inside", "outside", "undecided"), self.rim, strict=True)),
            "verdict": self.verdict.record(),
            "checks": [check.record() for check in self.checks],
            "calls": self.calls,
        }


def robust_set(
    problem: Problem,
    key: Key,
    *,
    fit: Fit | None = None,
    budget: int,
    level: float = 0.95,
    progress: bool | Progress | None = None,
) -> RobustSet:
    """The parameters that the data do not reject, for any simulator, with or without a fit.

    **Arguments:** `fit`: one whose runs are learned from as well; `budget`: simulator calls; `level`: the probability
    with which the set holds the truth.

    **Raises:** `MethodError` without a covariance, for a budget that is too small, or where too few runs count.
    """
    check_budget(budget, problem.space.size)
    if not 0.0 < level < 1.0:
        raise MethodError(f"level={level}: a probability between 0 and 1")
    k = int(problem.target.fitted.sum())
    rule = Rule(float(chi2.ppf(level, k)), absolute=True)
    first, near, last = jr.split(key, 3)
    with display(progress) as shown:
        ticker = Ticker(shown, "robust set", budget)
        known = begun(problem, fit, first, int(FIRST * budget), ticker)
        starts = known.best(_STARTS) if fit is None else spread(drawn(fit), _STARTS)

        def inside(expected: Expected, traced: Traced, count: int, key: Key) -> np.ndarray:
            level = max(_ROOM * rule.rise, traced.least + rule.rise)
            rng = host_generator(key)
            found = filled(expected, known.scale, level, traced.paths(_FEW), rng, _FEW)
            return found.v[rng.integers(len(found.v), size=count)] if len(found.v) else found.v

        calls = int((1.0 - FIRST - REPLICATES) * budget)
        found = explored(known, starts, range(problem.space.size), rule, calls, near, ticker, inside)
        return _finished(problem, found, rule, level, budget, last, ticker)


def _finished(
    problem: Problem, found: Explored, rule: Rule, level: float, budget: int, key: Key, ticker: Ticker
) -> RobustSet:
    """Draws, fresh runs, and what all of it says."""
    walk, run, pick = jr.split(key, 3)
    known, traced, labels = found.known, found.traced, problem.space.labels
    rng = host_generator(walk)
    for _ in range(_AGAIN):
        few = filled(found.expected, known.scale, _ROOM * rule.rise, traced.paths(_FEW), rng, _FEW)
        found = relearned(found, few.v)
    draws = filled(found.expected, known.scale, rule.rise, traced.paths(_FEW), rng, _CHAINS)
    points = _points(draws, traced, rule.rise, host_generator(pick), int(REPLICATES * budget) // _EACH)
    count = max(int(REPLICATES * budget) // len(points), _EACH)
    fresh = replicated(known, points, count, run, ticker)
    first = int(np.nanargmin(np.where(np.isfinite(fresh.distance), fresh.distance + _SURE * fresh.error, np.inf)))
    nearest = (float(fresh.distance[first]), float(fresh.error[first]))
    pieces = {
        labels[curve.index]: intervals(
            known.scale, curve.index, traced.bottom, stretches(found.expected, found.ends, traced, curve)
        )
        for curve in traced.curves
    }
    share = _share(draws, rule.rise)
    verdict = _verdict(problem, draws, share, rule.rise, level, nearest)
    own = valued(known.scale, draws.v[:_DRAWN]) if len(draws.v) else np.zeros((0, len(labels)))
    return RobustSet(
        labels,
        level,
        rule.rise,
        known.gaps.shape[1],
        {label: own[:, i] for i, label in enumerate(labels)},
        share,
        {label: found for label, found in pieces.items() if found},
        nearest,
        _rim(fresh, rule.rise),
        verdict,
        (judged("the set", found, points, fresh, count, rule.rise),),
        known.calls + fresh.calls,
    )


def _points(draws: Filled, traced: Traced, level: float, rng: np.random.Generator, most: int) -> np.ndarray:
    """Where fresh runs are made: the nearest point, the set's rim, and some draws of it."""
    paths = traced.paths(_CHAINS)
    if not len(draws.v):
        return np.concatenate([traced.bottom[None], paths[:3]])
    rim = draws.v[np.argsort(np.abs(draws.distance - level), kind="stable")[: 4 * _RIM]]
    most = max(most - 1, 2)
    rim = spread(rim, min(_RIM, most * 3 // 4))
    return np.concatenate([traced.bottom[None], rim, draws.v[rng.integers(len(draws.v), size=min(_DEEP, most // 4))]])


def _rim(fresh: Replicated, level: float) -> tuple[int, int, int]:
    """How many of the points, the nearest aside, are inside, outside, and not to be told."""
    gap, room = fresh.distance[1:] - level, _SURE * np.nan_to_num(fresh.error[1:])
    inside, outside = int((gap < -room).sum()), int((gap > room).sum())
    return inside, outside, len(gap) - inside - outside


def _share(draws: Filled, level: float) -> tuple[float, float, float]:
    """The share of the prior, with two standard errors of its sampling, and of the distances, on either side."""
    if not len(draws.v):
        return 0.0, 0.0, 0.0
    open_ = float((draws.distance + _SURE * draws.error > level).mean())
    part = min(float(np.hypot(_SURE * draws.spread, open_)), 1.0)
    return draws.share * (1.0 - part), draws.share, min(draws.share * (1.0 + part), 1.0)


def _verdict(
    problem: Problem,
    draws: Filled,
    share: tuple[float, float, float],
    threshold: float,
    level: float,
    nearest: tuple[float, float],
) -> Verdict:
    """What the set says of model and data."""
    numbers = {"share": share[1], "nearest": nearest[0], "nearest error": nearest[1], "threshold": threshold}
    percent = f"{100 * level:g} %"
    shown = f"{nearest[0]:.3g} +- {nearest[1]:.2g}"
    if nearest[0] - _SURE * nearest[1] > threshold:
        text = (
            f"The set is empty at {percent}: no parameters come nearer to the data than {shown}, and {threshold:.3g} "
            "is allowed. The model is rejected."
        )
        return Verdict("the set", Code.EMPTY, text, numbers)
    if not len(draws.v) or nearest[0] + _SURE * nearest[1] > threshold:
        text = (
            f"Whether the set is empty at {percent} cannot be told: the nearest parameters are {shown} from the data, "
            f"and {threshold:.3g} is allowed."
        )
        return Verdict("the set", Code.UNSETTLED, text, numbers)
    if share[1] > _WHOLE:
        text = f"The set at {percent} is the whole prior: the moments identify nothing."
        return Verdict("the set", Code.WHOLE_PRIOR, text, numbers)
    text = f"The set at {percent} is {100 * share[1]:.2g} % of the prior."
    return Verdict("the set", Code.PART, text, numbers)
