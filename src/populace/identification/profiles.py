"""The verb `profiles`: how far each parameter may go while all the others follow, for any simulator.

The profile of a parameter is the least distance D = g' V^-1 g of expected moments to the data at each of its values.
Values at which it rises by less than chi2_1(level) above its least are its interval (the profile likelihood interval of
a Gaussian likelihood of the moments: Donald Cox and David Hinkley 1974, Theoretical Statistics, chapter 9; Andreas Raue
and others 2009, Bioinformatics 25:1923). The luck of simulation is taken out of D (`expected.py`), so that the
threshold is that of the data's error alone. The interval is the data's doing only where the data end it: an end may be
that of the parameter's own prior, or the bound of another parameter that could not follow any farther.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax.random as jr
import numpy as np
from rich.progress import Progress
from scipy.stats import chi2

from .._errors import MethodError, ProblemError, did_you_mean
from .._results import Band, BandPanel, Cell, Code, Figure, MapPanel, Points, Result, Section, Table, Verdict
from .._types import Key
from ..calibration.fit import Fit
from ..core.executor import Ticker
from ..core.progress import display
from ..problem.problem import Problem
from .curves import Curve, Rule
from .expected import begun, drawn, spread, valued
from .exploring import FIRST, REPLICATES, Explored, check_budget, explored, judged, points_each, replicates_each
from .fresh_runs import replicated
from .reaches import Stretch, stretches
from .ridges import Ridge, ridge
from .said_of_profiles import Interval, intervals, profile_verdict

_STARTS = 12
_POINTS = 6
"""Points of each profile at which fresh runs are made, at the most."""
_SHOWN = 4.0
"""Profiles are drawn up to so many times the threshold."""
_POOR = 1e-3


@dataclass(frozen=True)
class Profile:
    """The profile of one parameter: at `values` (m,), `rise` of the distance above its least, its standard `error`;
    `path` (m, d): all parameters there, `unit` (m, d): on their priors' probability scale; `fresh` (q, 3): values at
    which runs were made anew, the rise by these and its error; `intervals`: where it stays below the threshold.
    """

    label: str
    values: np.ndarray
    rise: np.ndarray
    error: np.ndarray
    path: np.ndarray
    unit: np.ndarray
    fresh: np.ndarray
    intervals: tuple[Interval, ...]
    verdict: Verdict


@dataclass(frozen=True)
class Profiles(Result):
    """Profiles by label; `threshold`: by how much the distance may rise; `least`: the distance at its least, with its
    error, on `moments` moments; `ridge`: the map of the pair that trades most, where there are two parameters or more;
    `checks`: of the model, and of what was learned, by fresh runs; `calls` spent.
    """

    labels: tuple[str, ...]
    profiles: dict[str, Profile]
    level: float
    threshold: float
    least: tuple[float, float]
    moments: int
    ridge: Ridge | None
    checks: tuple[Verdict, ...]
    calls: int

    def interval(self, label: str) -> tuple[float, float]:
        """The lowest and the highest value of a parameter below the threshold, whatever ends them.

        **Raises:** `ProblemError` for a profile that could not be judged.
        """
        found = self.profiles[label].intervals
        if not found:
            raise ProblemError(f"the profile of '{label}' has no interval: see its verdict")
        return found[0].low, found[-1].high

    def sections(self) -> tuple[Section, ...]:
        verdicts = tuple(profile.verdict for profile in self.profiles.values())
        figures = [Figure("profiles", "Rise of the distance, all other parameters free.", self._panels())]
        if len(self.labels) > 1:
            figures.append(Figure("paths", "Where the others go along each profile.", self._paths()))
        if self.ridge is not None:
            figures.append(Figure("ridge", "The pair that trades most, all others free.", (self._map(self.ridge),)))
        text = (
            f"Expected moments come to a distance of {self.least[0]:.3g} +- {self.least[1]:.2g} on {self.moments} "
            f"moments. An interval holds the values at which it rises by less than {self.threshold:.3g} "
            f"({100 * self.level:g} %) with all others free. {self.calls} runs.",
        )
        return (Section("Profiles", text, (*verdicts, *self.checks), tuple(figures), (self._table(),)),)

    def _table(self) -> Table:
        rows: list[tuple[Cell, ...]] = []
        for label, profile in self.profiles.items():
            for one in profile.intervals:
                rows.append((label, profile.verdict.code.value, one.low, one.low_end, one.high, one.high_end))
        columns = ("parameter", "class", "from", "ended by", "to", "ended by ")
        return Table("Profiles", columns, tuple(rows), "All other parameters are free, in the box of their priors.")

    def _panels(self) -> tuple[BandPanel, ...]:
        return tuple(_panel(profile, self.threshold) for profile in self.profiles.values())

    def _paths(self) -> tuple[BandPanel, ...]:
        return tuple(self._path(profile) for profile in self.profiles.values())

    def _path(self, profile: Profile) -> BandPanel:
        seen = profile.rise <= 2.0 * self.threshold
        bands = tuple(
            Band(label, profile.values[seen], profile.unit[seen, i], {}, "path")
            for i, label in enumerate(self.labels)
            if label != profile.label
        )
        note = "0 and 1 are the ends of the priors."
        return BandPanel(f"Along {profile.label}", profile.label, "prior probability", bands, (), note)

    def _map(self, found: Ridge) -> MapPanel:
        lines = {
            f"profile of {label}": (
                self._along(label, found.labels[0]),
                self._along(label, found.labels[1]),
            )
            for label in found.labels
            if label in self.profiles
        }
        levels = (round(self.threshold, 2), round(10.0 * self.threshold, 1))
        note = f"Rise of the distance; solid: {self.threshold:.3g}, dashed: ten times as much."
        return MapPanel(
            f"{found.labels[0]} and {found.labels[1]}", *found.labels, found.x, found.y, found.rise, levels, lines, note
        )

    def _along(self, label: str, of: str) -> np.ndarray:
        profile = self.profiles[label]
        return np.where(profile.rise <= self.threshold, profile.path[:, self.labels.index(of)], np.nan)

    def record(self) -> dict[str, Any]:
        return {
            "threshold": self.threshold,
            "least": list(self.least),
            "verdicts": {label: p.verdict.record() for label, p in self.profiles.items()},
            "intervals": {label: [one.record() for one in p.intervals] for label, p in self.profiles.items()},
            "profiles": {
                label: {"values": p.values.tolist(), "rise": p.rise.tolist(), "error": p.error.tolist()}
                for label, p in self.profiles.items()
            },
            "checks": [check.record() for check in self.checks],
            "calls": self.calls,
        }


def profiles(
    problem: Problem,
    fit: Fit,
    key: Key,
    *,
    budget: int,
    parameters: Sequence[str] | None = None,
    level: float = 0.95,
    progress: bool | Progress | None = None,
) -> Profiles:
    """The profile of each parameter over its whole prior, for any simulator.

    A third of the budget is spread over the prior, near half goes near the profiles in rounds, and a fifth are fresh
    runs at points of them, by which what was learned is judged. The fit's own runs are learned from as well.

    **Arguments:** `budget`: simulator calls; `parameters`: labels, all if None; `level`: of the intervals.

    **Raises:** `ProblemError` for a parameter that is not there; `MethodError` without a covariance, for a budget that
    is too small, or where too few runs count.
    """
    labels = problem.space.labels
    chosen = tuple(labels if parameters is None else parameters)
    for label in chosen:
        if label not in labels:
            raise ProblemError(f"there is no parameter '{label}'; {did_you_mean(label, labels)}")
    if not chosen or not 0.0 < level < 1.0:
        raise MethodError("name one parameter or more, and a level between 0 and 1")
    fit.check(problem)
    check_budget(budget, problem.space.size)
    indices = [labels.index(label) for label in chosen]
    rule = Rule(float(chi2.ppf(level, 1)), absolute=False)
    first, near, last = jr.split(key, 3)
    with display(progress) as shown:
        ticker = Ticker(shown, "profiles", budget)
        known = begun(problem, fit, first, int(FIRST * budget), ticker)
        calls = int((1.0 - FIRST - REPLICATES) * budget)
        found = explored(known, spread(drawn(fit), _STARTS), indices, rule, calls, near, ticker)
        return _finished(problem, found, rule, level, budget, last, ticker)


def _finished(
    problem: Problem, found: Explored, rule: Rule, level: float, budget: int, key: Key, ticker: Ticker
) -> Profiles:
    """Fresh runs, and what all of it says."""
    traced, known, labels = found.traced, found.known, problem.space.labels
    most = points_each(budget, len(traced.curves), _POINTS)
    marks = [_marks(curve, traced.threshold, rule.rise, most) for curve in traced.curves]
    v = np.concatenate([traced.bottom[None], *(c.v[rows] for c, rows in zip(traced.curves, marks, strict=True))])
    count = replicates_each(budget, len(v))
    fresh = replicated(known, v, count, key, ticker)
    cuts = np.split(np.arange(1, len(v)), np.cumsum([len(rows) for rows in marks])[:-1])
    made: dict[str, Profile] = {}
    ends: dict[int, tuple[Stretch, ...]] = {}
    for curve, rows in zip(traced.curves, cuts, strict=True):
        ends[curve.index] = stretches(found.expected, found.ends, traced, curve)
        spans = intervals(known.scale, curve.index, traced.bottom, ends[curve.index])
        path, label = valued(known.scale, curve.v), labels[curve.index]
        own = valued(known.scale, v[rows])[:, curve.index]
        seen = np.stack([own, fresh.rise[rows], fresh.rise_error[rows]], axis=1)
        rise = curve.distance - traced.least
        verdict = profile_verdict(label, spans, rise, rule.rise, traced.error)
        unit = known.scale.unit(curve.v)
        made[label] = Profile(
            label, path[:, curve.index], rise, curve.error, path, unit, seen[np.isfinite(seen[:, 1])], spans, verdict
        )
    pair = ridge(known, found, ends) if known.size > 1 else None
    k = known.gaps.shape[1]
    checks = (_model(traced.least, traced.error, k), judged("the profiles", found, v, fresh, count, rule.rise))
    return Profiles(
        labels,
        made,
        level,
        rule.rise,
        (traced.least, traced.error),
        k,
        pair,
        checks,
        known.calls + fresh.calls,
    )


def _marks(curve: Curve, threshold: float, rise: float, most: int) -> np.ndarray:
    """Points of a curve at which fresh runs are made: those nearest to the threshold first, and some between."""
    inside = np.flatnonzero(curve.distance <= threshold)
    low = inside if inside.size else np.flatnonzero(curve.distance <= threshold + rise)
    if not low.size:
        return np.array([int(curve.distance.argmin())])
    edges = [low[0], low[-1], *low[:-1][np.diff(low) > 1], *low[1:][np.diff(low) > 1]]
    wanted = np.linspace(curve.own[low[0]], curve.own[low[-1]], _POINTS)[1:-1]
    between = [low[np.abs(curve.own[low] - value).argmin()] for value in wanted[:: max(len(wanted) // most, 1)]]
    chosen = list(dict.fromkeys(int(i) for i in (*edges, *between)))
    return np.sort(np.array(chosen[:most]))


def _model(least: float, error: float, k: int) -> Verdict:
    """Whether expected moments come near to the data at all."""
    p = float(chi2.sf(max(least - 2.0 * error, 0.0), k))
    numbers = {"distance": least, "error": error, "moments": float(k), "p": p}
    shown = f"expected moments come as near as {least:.3g} +- {error:.2g}, squared, on {k} moments"
    if p < _POOR:
        text = (
            f"The model is out of reach of the data: {shown} (p = {p:.1g}); its profiles say where it is least wrong."
        )
        return Verdict("the model", Code.OUT_OF_REACH, text, numbers)
    return Verdict("the model", Code.WITHIN_REACH, f"The model comes near to the data: {shown}.", numbers)


def _panel(profile: Profile, threshold: float) -> BandPanel:
    """One profile, as high as is of interest."""
    x, rise, error = _cropped(profile, _SHOWN * threshold)
    line = Band("least over the others", x, rise, {0.95: (rise - 2.0 * error, rise + 2.0 * error)}, "line")
    limit = Band("threshold", x[[0, -1]], np.full(2, threshold), {}, f"{threshold:.3g}")
    points = Points("fresh runs", *profile.fresh.T)
    ends = f"The prior reaches from {profile.values[0]:.4g} to {profile.values[-1]:.4g}."
    note = f"Drawn up to {_SHOWN:g} times the threshold. {ends}" if np.nanmax(rise) >= _SHOWN * threshold else ends
    return BandPanel(profile.label, profile.label, "rise of the distance", (line, limit), (points,), note)


def _cropped(profile: Profile, most: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values, rise and error of a profile, cut where it rises above `most`; NaN between valleys."""
    x, rise, error = profile.values, profile.rise, profile.error
    parts: list[tuple[float, float, float]] = []
    for i in range(len(x)):
        if rise[i] <= most:
            parts.append((float(x[i]), float(rise[i]), float(error[i])))
        if i + 1 < len(x) and (rise[i] <= most) != (rise[i + 1] <= most):
            low, high = (i, i + 1) if rise[i] <= most else (i + 1, i)
            share = (most - rise[low]) / (rise[high] - rise[low])
            end = (float(x[low] + share * (x[high] - x[low])), most, float(error[low]))
            parts += [end, (end[0], np.nan, np.nan)] if low == i else [end]
    found = np.array(parts)
    shown = found[:-1] if np.isnan(found[-1, 1]) else found
    return shown[:, 0], shown[:, 1], shown[:, 2]
