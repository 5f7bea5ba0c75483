"""Exact symmetries: changes of parameters that leave every run as it is, found numerically and named.

If (a, b) -> (c a, b / c) changes no path, the derivative of all moments along (1, -1) in log a, log b is 0, and along
no vector that is not. Vectors of -1, 0 and 1 to which no expectation is seen to react are conjectures, in logarithms
(scalings) and in the parameters themselves (shifts): each is tried far from the point with the random numbers of runs
at the point. An exact symmetry gives the same moments there, up to the rounding of float32; what only touches the ridge
does not.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from .._types import Key
from ..calibration.judgement import whitened
from ..calibration.sandwich import Linearised
from ..core.executor import Ticker
from ..core.host import split
from ..problem.problem import Problem
from ..problem.space import Space

_SURE = 3.0
_BEND = 1e-4
"""A vector is no conjecture if its squared effect is above 3 of its errors and this part of the largest: what the
fourth order of the differences leaves."""
_SHARE = 0.1
"""Conjectures are tried with so many runs at the most, as a part of those behind the derivatives."""
_EVERY = 10
"""Up to so many parameters scalings of all are looked at; with more, and for shifts, those of three or fewer."""
_FAR = np.log(4.0)
_INSIDE = 0.9
_NEAR = 0.02
_KEYS, _STEPS = 8, 4
EQUAL = 0.01
"""Standard errors by which the moments of a run may differ, root mean square, and still be called the same."""


@dataclass(frozen=True)
class Symmetry:
    """A change that leaves every run as it is: `powers`, label to w, 1 or -1. With `scales` the parameter becomes
    c^w times as large, else w c is added; `low`, `high`: the least and largest c that was tried; `moved`: the root mean
    square change of moments, in standard errors; `runs`: how many were compared.
    """

    powers: dict[str, int]
    scales: bool
    low: float
    high: float
    moved: float
    runs: int

    def words(self) -> str:
        """Such as `scaling (a, b) by (c, 1/c)`."""
        names = ", ".join(self.powers)
        if self.scales:
            parts = ", ".join("c" if w > 0 else "1/c" for w in self.powers.values())
            return f"scaling {names} by any c" if len(self.powers) == 1 else f"scaling ({names}) by ({parts})"
        parts = ", ".join(
            ("" if w > 0 else "-") + ("c" if abs(w) == 1 else f"{abs(w)} c") for w in self.powers.values()
        )
        if len(self.powers) == 1:
            return f"adding any c to {names}"
        return f"adding ({parts}) to ({names})"

    def sentence(self) -> str:
        """In words, with what was tried."""
        only = ", ".join(self.powers)
        so = f"{only} enters nowhere" if len(self.powers) == 1 else f"of {only} only what it leaves alone can be known"
        return (
            f"An exact symmetry: {self.words()} changes no moment. With c from {self.low:.3g} to {self.high:.3g} and "
            f"the same random numbers they moved by {self.moved:.1g} standard errors in {self.runs} runs: {so}, by "
            "these moments."
        )

    def tangent(self, labels: tuple[str, ...], point: np.ndarray, units: np.ndarray) -> np.ndarray:
        """The direction (d,) in which it leaves a point, in prior spreads, of length 1."""
        w = np.array([self.powers.get(label, 0) for label in labels], float)
        moved = w * (point if self.scales else 1.0) / np.where(units == 0.0, 1.0, units)
        return moved / np.sqrt((moved**2).sum())

    def record(self) -> dict[str, object]:
        """As JSON."""
        return {"powers": self.powers, "scales": self.scales, "low": self.low, "high": self.high, "moved": self.moved}


def symmetries(
    problem: Problem, near: Linearised, point: np.ndarray, units: np.ndarray, key: Key, ticker: Ticker
) -> tuple[Symmetry, ...]:
    """The exact symmetries that show near a point, tried over a wide span.

    **Arguments:** `point` (d,) and `units` (d,): the parameters there, and how much of each is a spread of its prior.
    """
    chosen: list[tuple[float, np.ndarray, bool]] = []
    for scales, unit in ((True, point), (False, np.ones_like(point))):
        chosen += [(t, w, scales) for t, w in _vectors(near, unit / np.where(units == 0.0, 1.0, units), scales)]
    chosen.sort(key=lambda one: one[0])
    most = max(int(_SHARE * (1 + 4 * len(point)) * near.replicates), 1)
    paths = [_Path(problem.space, w, scales, point, units) for _, w, scales in chosen[:most]]
    tried = _screened(problem, [path for path in paths if path.long], key, ticker)
    tried.sort(key=lambda path: (np.count_nonzero(path.w), not path.scales))
    found: list[Symmetry] = []
    taken: dict[bool, list[np.ndarray]] = {True: [], False: []}
    for path in tried:
        others = [*taken[path.scales], path.w]
        supports = [np.flatnonzero(v).tolist() for v in taken[not path.scales]]
        if np.linalg.matrix_rank(np.array(others)) < len(others) or np.flatnonzero(path.w).tolist() in supports:
            continue
        moved = _moved(problem, path, key, ticker)
        if moved <= EQUAL:
            found.append(path.found(problem.space, moved))
            both = np.count_nonzero(path.w) == 1  # what enters nowhere may be scaled and shifted
            for scales in {path.scales, not path.scales} if both else {path.scales}:
                taken[scales].append(path.w)
    return tuple(found)


@dataclass(frozen=True)
class _Path:
    """The points that vector w (d,) leads to from a point."""

    space: Space
    w: np.ndarray
    scales: bool
    point: np.ndarray
    units: np.ndarray

    @property
    def width(self) -> float:
        """How far to go at the most: by a factor of 4, or a prior's spread."""
        return float(_FAR) if self.scales else float(np.abs(self.units[self.w != 0]).min())

    @property
    def ends(self) -> tuple[float, float]:
        """How far one may go backwards and ahead inside the bounds."""
        return self._room(-1), self._room(1)

    @property
    def long(self) -> bool:
        """Whether there is any room."""
        return sum(self.ends) > _NEAR * self.width

    def at(self, step: float) -> np.ndarray:
        """The parameters (d,) after a step."""
        return self.point * np.exp(step * self.w) if self.scales else self.point + step * self.w

    def found(self, space: Space, moved: float) -> Symmetry:
        """The symmetry that this is."""
        powers = {label: int(n) for label, n in zip(space.labels, self.w, strict=True) if n}
        low, high = -self.ends[0], self.ends[1]
        if self.scales:
            low, high = float(np.exp(low)), float(np.exp(high))
        return Symmetry(powers, self.scales, low, high, moved, _STEPS * _KEYS)

    def _room(self, sign: int) -> float:
        far, w = self.width, sign * self.w
        low, high = self.space.bounds()
        for i in np.flatnonzero(w).tolist():
            both = [float(end) for end in (low[i], high[i]) if np.isfinite(end)]
            if self.scales:
                ends = [np.log(end / self.point[i]) / w[i] for end in both if end * self.point[i] > 0.0]
            else:
                ends = [(end - self.point[i]) / w[i] for end in both]
            far = min([far, *(_INSIDE * end for end in ends if end > 0.0)])
        return float(far)


def _screened(problem: Problem, paths: list[_Path], key: Key, ticker: Ticker) -> list[_Path]:
    """Those of the paths at whose farther end a run gives the moments of the run at the point."""
    if not paths:
        return []
    rows = [
        paths[0].point,
        *(path.at(path.ends[1] if path.ends[1] >= path.ends[0] else -path.ends[0]) for path in paths),
    ]
    apart = _apart(problem, np.stack(rows), key, 1, ticker)
    return [path for path, one in zip(paths, apart, strict=True) if one <= EQUAL]


def _moved(problem: Problem, path: _Path, key: Key, ticker: Ticker) -> float:
    """The root mean square change of moments along a path, where it is largest."""
    back, ahead = path.ends
    rows = np.stack([path.at(step) for step in (0.0, -back, -back / 2.0, ahead / 2.0, ahead)])
    return float(_apart(problem, rows, key, _KEYS, ticker).max())


def _apart(problem: Problem, rows: np.ndarray, key: Key, count: int, ticker: Ticker) -> np.ndarray:
    """How far the moments of runs at rows[1:] lie from those at rows[0], root mean square over keys and moments;
    infinite where a run does not count.
    """
    batch = problem.space.unflat(np.repeat(rows, count, axis=0))
    keys = split(key, count)[np.tile(np.arange(count), len(rows))]
    seen = problem.simulate(batch, keys, ticker, none=True)
    gaps = whitened(problem, seen.moments).reshape(len(rows), count, -1)
    lost = np.array(seen.excluded).reshape(len(rows), count).max(1)
    apart = np.sqrt(((gaps[1:] - gaps[0]) ** 2).mean((1, 2)))
    return np.where(np.logical_or(lost[1:], lost[0]), np.inf, apart)


def _vectors(near: Linearised, scale: np.ndarray, scales: bool) -> list[tuple[float, np.ndarray]]:
    """Vectors w (d,) of -1, 0, 1 along which no expectation is seen to react, w'Mw within 3 of its errors of 0, and by
    how many of these it is above.

    **Arguments:** `scale` (d,): by how many spreads of its prior a parameter moves where its entry of w is 1.
    """
    d = scale.size
    usable = np.abs(scale) > 1e-6 * max(float(np.abs(scale).max()), 1e-300)
    every = [w for w in _small(d, d if scales and d <= _EVERY else 3) if usable[w != 0].all()]
    if not every:
        return []
    moved = np.array(every) * scale
    moved = moved / np.sqrt((moved**2).sum(1, keepdims=True))
    pairs = (moved[:, :, None] * moved[:, None, :]).reshape(len(every), -1)
    changes = near.products.changes[:, :-1, :-1].reshape(near.replicates, -1)
    spread = (near.replicates - 1) / near.replicates * changes.T @ changes
    error = np.sqrt(np.maximum(np.einsum("ni,ij,nj->n", pairs, spread, pairs, optimize=True), 0.0))
    value = pairs @ near.products.value[:-1, :-1].ravel()
    bend = _BEND * max(float(near.squares[0]), 0.0)
    good = np.flatnonzero(value <= _SURE * error + bend)
    return [(float(value[i] / (error[i] + bend + 1e-300)), every[i]) for i in good]


def _small(d: int, most: int) -> Iterator[np.ndarray]:
    """Vectors of -1, 0, 1 with up to `most` entries that are not 0, the first of these being 1."""
    for size in range(1, min(d, most) + 1):
        for members in itertools.combinations(range(d), size):
            for signs in itertools.product((1, -1), repeat=size - 1):
                w = np.zeros(d, int)
                w[list(members)] = (1, *signs)
                yield w
