"""Drift and diffusion of one macro variable, its potential, and how long it takes to leave a state.

What stretches of paths do on average at x is the drift a(x), and how they scatter about it the diffusion D(x):

    a(x) = E[x(t + w) - x | x] / w,     2 D(x) = Var[x(t + w) | x] / w.

Both are local lines, fitted to the stretches that begin about x (Rudolf Friedrich and Joachim Peinke 1997, Physical
Review Letters 78:863; the lines as Jianqing Fan and Irene Gijbels 1996). Of the equation dx = a dt + sqrt(2 D) dW with
a wall at either end of the range, the stationary density is exp(-U) with

    U(x) = log D(x) - integral of a / D,

and the mean time from x to reach b, for b above x, is the integral over y from x to b of e^{V(y)} times the integral
over z from the lower end to y of e^{-V(z)} / D(z), V = -integral of a / D (Crispin Gardiner, Handbook of Stochastic
Methods, 5.2.7). Errors are from bursts drawn again with replacement.
"""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax.random as jr
import numpy as np

from .._errors import MethodError
from .._results import Band, BandPanel, Code, Figure, Result, Section, Table, Verdict
from .._types import Key
from ..core.noise import host_generator
from .design import spread
from .implicit import LEVEL
from .stepper import CoarseStepper, bounds, burst

_BINS = 400
_LEAST = 8
"""Bursts that must have passed about a place before anything is said of it."""
_MOST = 1e300
_SHALLOW = 0.5
_FLOOR = 0.2


@dataclass(frozen=True)
class Escape:
    """The mean time from one well of the potential over the barrier to the next: from where, over what and to where;
    the time, and its 90 % interval from the spread of bursts. The equation is a diffusion's: at heights of many units
    of noise it is a rough one for a population of whole agents, whatever the interval.
    """

    start: float
    barrier: float
    end: float
    time: float
    low: float
    high: float


@dataclass(frozen=True)
class EffectiveDynamics(Result):
    """The effective equation of one macro variable.

    `at` (points,); `drift`, `diffusion`, `potential` (points,), NaN where no burst passed; `intervals`: each of these
    names to (low, high), (points,) of 90 %; `escapes`; `visited` (points,): how many bursts passed near; `bursts`.
    """

    variable: str
    at: np.ndarray
    drift: np.ndarray
    diffusion: np.ndarray
    potential: np.ndarray
    intervals: Mapping[str, tuple[np.ndarray, np.ndarray]]
    escapes: tuple[Escape, ...]
    visited: np.ndarray
    bursts: int
    verdict: Verdict | None

    def sections(self) -> tuple[Section, ...]:
        names = {"drift": "drift a", "diffusion": "diffusion D", "potential": "potential U"}
        panels = tuple(self._panel(name, label) for name, label in names.items())
        figure = Figure("effective", "Drift, diffusion and potential, with 90 % intervals from bursts.", panels)
        columns = ("from", "over", "to", "mean time", "5 %", "95 %")
        rows = tuple((e.start, e.barrier, e.end, e.time, e.low, e.high) for e in self.escapes)
        note = "Mean time to reach the next well, of the fitted diffusion; the intervals say how well that is known."
        tables = (Table("Escapes", columns, rows, note),) if rows else ()
        text = (f"{self.bursts} bursts." + ("" if rows else " The potential shows one well, or none: no escapes."),)
        verdicts = () if self.verdict is None else (self.verdict,)
        return (Section(f"Effective dynamics of {self.variable}", text, verdicts, (figure,), tables),)

    def _panel(self, name: str, label: str) -> BandPanel:
        seen = np.isfinite(getattr(self, name))
        line, (low, high) = getattr(self, name)[seen], self.intervals[name]
        band = Band(label, self.at[seen], line, {LEVEL: (low[seen], high[seen])}, "estimate")
        return BandPanel(label, self.variable, "", (band,))

    def record(self) -> dict[str, Any]:
        def listed(values: np.ndarray) -> list[float | None]:
            return [float(v) if np.isfinite(v) else None for v in values]

        curves = {name: listed(getattr(self, name)) for name in ("drift", "diffusion", "potential")}
        return {
            "bursts": self.bursts,
            "at": self.at.tolist(),
            **curves,
            "intervals": {k: [listed(low), listed(high)] for k, (low, high) in self.intervals.items()},
            "escapes": [vars(e) for e in self.escapes],
            "verdict": None if self.verdict is None else self.verdict.record(),
        }


def effective_dynamics(
    stepper: CoarseStepper,
    key: Key,
    *,
    span: tuple[float, float] | None = None,
    budget: int = 400,
    points: int = 81,
    width: float = 0.06,
    resamples: int = 200,
) -> EffectiveDynamics:
    """Drift, diffusion, potential and escape times of one macro variable.

    **Arguments:**

    - `span`: the range that bursts start in; all that can be lifted by default.
    - `budget`: bursts; `points`: of the grid that everything is said on.
    - `width`: how far about a place stretches count, as a share of the range.
    - `resamples`: of the bursts, for the intervals.

    **Returns:** `EffectiveDynamics`. **Raises:** `MethodError`.
    """
    low, high = bounds(stepper)
    if len(low) != 1:
        raise MethodError(f"a potential is of one macro variable: there are {list(stepper.within())}")
    if budget < 5 * _LEAST or points < 11 or not 0 < width < 0.5 or resamples < 20:
        raise MethodError(f"too little to go by: {budget=}, {points=}, {width=}, {resamples=}")
    first, last = (float(low[0]), float(high[0])) if span is None else span
    starts = first + 0.5 * (spread(jr.fold_in(key, 0), budget, 1) + 1.0) * (last - first)
    made = burst(stepper, starts, {}, jr.fold_in(key, 1))
    where, rates, of = made.moves(stepper.interval())
    grid = np.linspace(low[0], high[0], points)
    bandwidth = width * (last - first)
    sums = _Sums(where[:, 0], rates[:, 0], of, budget, grid, bandwidth, (float(low[0]), float(high[0])))
    visited = sums.visited
    curves = _curves(sums, np.ones(budget), stepper.interval(), visited)
    generator = host_generator(jr.fold_in(key, 2))
    drawn = [
        _curves(sums, generator.multinomial(budget, np.full(budget, 1.0 / budget)), stepper.interval(), visited)
        for _ in range(resamples)
    ]
    tails = 0.5 * (1.0 - LEVEL), 0.5 * (1.0 + LEVEL)
    intervals = {}
    for i, name in enumerate(("drift", "diffusion", "potential")):
        ends = np.quantile(np.stack([one[i] for one in drawn]), tails, axis=0)
        intervals[name] = (ends[0], ends[1])
    escapes = _escapes(grid, curves, drawn)
    variable = next(iter(stepper.within()))
    verdict = _unvisited(variable, grid, visited)
    return EffectiveDynamics(variable, grid, *curves, intervals, escapes, visited, budget, verdict)


class _Sums:
    """Weighted sums a burst and a place, so that bursts can be drawn again without another look at the stretches."""

    def __init__(
        self,
        x: np.ndarray,
        rate: np.ndarray,
        of: np.ndarray,
        bursts: int,
        grid: np.ndarray,
        width: float,
        ends: tuple[float, float],
    ):
        edges = np.linspace(*ends, _BINS + 1)
        cell = of * _BINS + np.clip(np.searchsorted(edges, x, side="right") - 1, 0, _BINS - 1)
        middle = 0.5 * (edges[1:] + edges[:-1])
        kernel = np.maximum(1.0 - ((grid[:, None] - middle) / width) ** 2, 0.0)
        moments = [np.ones_like(x), x, x**2, rate, rate * x, rate**2, rate**2 * x]
        binned = [np.bincount(cell, m, bursts * _BINS).reshape(bursts, _BINS) for m in moments]
        self.visited = ((binned[0] > 0) @ (kernel.T > 0)).astype(bool).sum(0)
        self.sums = np.stack([b @ kernel.T for b in binned])  # (moments, bursts, places)
        self.grid = grid


def _curves(
    sums: _Sums, counts: np.ndarray, interval: float, visited: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Drift, diffusion and potential (places,) each, of bursts that count so many times."""
    n, x, xx, r, rx, rr, rrx = np.einsum("mbp,b->mp", sums.sums, counts)
    n = np.where(n > 0, n, np.nan)
    mean = x / n
    spread_ = np.maximum(xx / n - mean**2, 1e-12)

    def line(y: np.ndarray, yx: np.ndarray) -> np.ndarray:
        return y / n + (yx / n - mean * y / n) / spread_ * (sums.grid - mean)

    drift, square = line(r, rx), line(rr, rrx)
    known = (visited >= _LEAST) & np.isfinite(drift)
    level = np.maximum(rr / n - (r / n) ** 2, 1e-12)  # a line may cross 0 at the end of a range, the mean does not
    diffusion = np.where(known, 0.5 * interval * np.maximum(square - drift**2, _FLOOR * level), np.nan)
    drift = np.where(known, drift, np.nan)
    return drift, diffusion, _potential(sums.grid, drift, diffusion)


def _potential(grid: np.ndarray, drift: np.ndarray, diffusion: np.ndarray) -> np.ndarray:
    """U over each run of places that were visited, least 0 in it."""
    out = np.full(len(grid), np.nan)
    for part in _runs(np.isfinite(drift)):
        out[part] = np.log(diffusion[part]) + _exponent(grid[part], drift[part], diffusion[part])
        out[part] -= out[part].min()
    return out


def _exponent(grid: np.ndarray, drift: np.ndarray, diffusion: np.ndarray) -> np.ndarray:
    """The number V = -integral of a / D from the first place on, by the trapezoidal rule."""
    ratio = drift / diffusion
    return -np.append(0.0, np.cumsum(0.5 * (ratio[1:] + ratio[:-1]) * np.diff(grid)))


def _runs(flags: np.ndarray, least: int = 3) -> list[slice]:
    """Where flags stand together, `least` or more of them."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(int), [0]])))
    return [slice(a, b) for a, b in zip(edges[::2], edges[1::2], strict=True) if b - a >= least]


def _escapes(
    grid: np.ndarray, curves: tuple[np.ndarray, ...], drawn: list[tuple[np.ndarray, ...]]
) -> tuple[Escape, ...]:
    """Between each two neighbouring wells, either way. Wells and barrier are those of all bursts together."""
    drift = curves[0]
    found = []
    for part in _runs(np.isfinite(drift)):
        x = grid[part]
        wells, ridges = _wells(_exponent(x, drift[part], curves[1][part]))
        for one, ridge, two in zip(wells, ridges, wells[1:], strict=False):
            for start, end in ((one, two), (two, one)):
                times = [_passage(x, c[0][part], c[1][part], start, end) for c in (curves, *drawn)]
                low, high = np.nanquantile(times[1:], (0.5 * (1 - LEVEL), 0.5 * (1 + LEVEL)))
                found.append(Escape(float(x[start]), float(x[ridge]), float(x[end]), times[0], float(low), float(high)))
    return tuple(found)


def _wells(height: np.ndarray) -> tuple[list[int], list[int]]:
    """Lows of a potential, and the tops between them. A low that noise may have made, less than half a unit of noise
    below the lower top beside it, is none.
    """
    inner = range(1, len(height) - 1)
    wells = [i for i in inner if height[i] < height[i - 1] and height[i] <= height[i + 1]]
    while True:
        tops = [a + int(np.argmax(height[a:b])) for a, b in itertools.pairwise(wells)]
        depths = []
        for i, well in enumerate(wells):
            beside = [height[tops[j]] for j in (i - 1, i) if 0 <= j < len(tops)]
            depths.append(min(beside, default=np.inf) - height[well])
        if not wells or min(depths) >= _SHALLOW:
            return wells, tops
        wells.pop(int(np.argmin(depths)))


def _passage(grid: np.ndarray, drift: np.ndarray, diffusion: np.ndarray, start: int, end: int) -> float:
    """The mean time from one place to another, a wall behind it."""
    if not (np.isfinite(drift).all() and np.isfinite(diffusion).all()):
        return float("nan")
    if start > end:
        last = len(grid) - 1
        return _passage(-grid[::-1], -drift[::-1], diffusion[::-1], last - start, last - end)
    fine = np.linspace(grid[0], grid[-1], 10 * len(grid))
    a, d = np.interp(fine, grid, drift), np.interp(fine, grid, diffusion)
    v, h = _exponent(fine, a, d), fine[1] - fine[0]
    top = v[(fine >= grid[start]) & (fine <= grid[end])].max()
    inner = np.cumsum(np.exp(np.minimum(-(v - v.min()), 0.0)) / d) * h
    within = (fine >= grid[start]) & (fine <= grid[end])
    scale = min(top - v.min(), 690.0)
    return float(min(np.sum(np.exp(v[within] - top) * inner[within]) * h * np.exp(scale), _MOST))


def _unvisited(variable: str, grid: np.ndarray, visited: np.ndarray) -> Verdict | None:
    """Where nothing is said, if anywhere."""
    gaps = [grid[s] for s in _runs(visited < _LEAST, 1)]
    if not gaps:
        return None
    shown = ", ".join(f"{g[0]:.3g} to {g[-1]:.3g}" for g in gaps)
    sentence = f"Too few bursts passed where {variable} is {shown}: nothing is said there, nor of escapes across."
    return Verdict(variable, Code.UNVISITED, sentence, {"share": float((visited < _LEAST).mean())})
