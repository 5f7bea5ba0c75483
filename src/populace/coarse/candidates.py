"""Equations that could have made a mean series: every choice of terms, fitted, and judged on runs left out.

Which terms: all choices where there are few, else the best by the weak form for each variable, combined. How good: runs
are dealt into ten parts; the equation fitted to the other nine is solved and compared with the mean of the tenth. Two
equations are compared part by part, and tie where the difference is within its standard error (the rule of one
standard error, Breiman and others 1984), or smaller than half the standard error of the mean would make it: an equation
with a term too many is never contradicted by data, and only a little worse.

The numbers without a part follow from those with it by the linear part of how
they move with the path; so do their errors, from what each run adds (the infinitesimal jackknife).
"""

import itertools
from dataclasses import dataclass

import numpy as np

from .._errors import MethodError
from .library import Monomials
from .series import MeanSeries
from .trajectories import Fitted, fit, reach, sensitivity_to_path, solve, weak_form

_PARTS = 10
_ALL = 63
_COMBINED = 64


@dataclass(frozen=True)
class Candidates:
    """`masks` (B, d, terms); `fitted`; `rmse` (B,): of the solution against the mean, over all variables; `held_out`
    (B, parts): mean squared error in the parts left out, in squared ranges; `tied` (B,): within noise of the best;
    `influence` (B, P, runs): what each run adds to each number.
    """

    series: MeanSeries
    library: Monomials
    masks: np.ndarray
    fitted: Fitted
    rmse: np.ndarray
    held_out: np.ndarray
    tied: np.ndarray
    influence: np.ndarray

    @property
    def terms(self) -> np.ndarray:
        """How many terms each has."""
        return self.masks.sum((1, 2))

    def coefficients(self, b: int) -> np.ndarray:
        """Of one candidate, (d, terms)."""
        return self.fitted.numbers[b, : self.masks[b].size].reshape(self.masks[b].shape)

    def covariance(self, b: int) -> np.ndarray:
        """Of the coefficients of one candidate that are in it, in the order of `masks[b].ravel()`."""
        mine = self.influence[b][: self.masks[b].size][self.masks[b].ravel()]
        return mine @ mine.T


def candidates(
    series: MeanSeries, shuffled: np.ndarray, *, degree: int, zero: bool, masks: np.ndarray | None = None
) -> Candidates:
    """Fit and judge.

    **Arguments:** `shuffled`: the runs' numbers in random order, to deal them; `zero`: without a constant term;
    `masks`: the choices of terms, if they are given.
    """
    library = Monomials.up_to(series.names, degree)
    runs, times = series.array, series.times
    path = runs.mean(0)
    if np.any(np.ptp(path, axis=0) <= 4 * series.error.max(0)):
        still = [
            n for n, r, e in zip(series.names, np.ptp(path, axis=0), series.error.max(0), strict=True) if r <= 4 * e
        ]
        raise MethodError(f"the mean of {', '.join(still)} hardly moves beyond its noise: start elsewhere, or run more")
    parts = np.array_split(shuffled, min(_PARTS, len(shuffled)))
    if masks is None:
        masks = _choices(library, runs, times, parts, zero=zero)
    known = bool(np.all(np.ptp(runs[:, 0], axis=0) == 0))
    fitted = fit(library, masks, path, times, known_start=known)
    span, far = reach(path)
    moves = sensitivity_to_path(fitted, span)
    rmse = np.sqrt(((fitted.path - path) ** 2).mean((1, 2)))
    held_out = np.stack([_left_out(library, fitted, moves, runs, times, part, span, far) for part in parts], axis=1)
    slack = float(((series.error / span / 2) ** 2).mean())
    deviations = (runs - path).reshape(len(runs), -1) / np.sqrt(len(runs) * (len(runs) - 1.0))
    return Candidates(series, library, masks, fitted, rmse, held_out, _tied(held_out, slack), moves @ deviations.T)


def _left_out(
    library: Monomials,
    fitted: Fitted,
    moves: np.ndarray,
    runs: np.ndarray,
    times: np.ndarray,
    part: np.ndarray,
    span: np.ndarray,
    far: np.ndarray,
) -> np.ndarray:
    """The error (B,) on the runs of `part` of equations fitted to the others."""
    others = np.delete(runs, part, axis=0).mean(0)
    numbers = fitted.numbers + moves @ (others - runs.mean(0)).ravel()
    d = runs.shape[-1]
    start = fitted.mask[:, -d:]
    numbers[:, -d:] = np.where(start, numbers[:, -d:], others[0])
    found = solve(library, numbers, times, far)
    error = (((found - runs[part].mean(0)) / span) ** 2).mean((1, 2))
    return np.where(np.isfinite(error), error, np.inf)


def _tied(held_out: np.ndarray, slack: float) -> np.ndarray:
    """Which are within one standard error of the best, or within `slack`."""
    middle = held_out.mean(1)
    best = int(np.argmin(middle))
    with np.errstate(invalid="ignore"):
        apart = held_out - held_out[best]
        error = apart.std(1, ddof=1) / np.sqrt(held_out.shape[1])
        return np.isfinite(middle) & (apart.mean(1) <= np.maximum(error, slack))


def _choices(
    library: Monomials, runs: np.ndarray, times: np.ndarray, parts: list[np.ndarray], *, zero: bool
) -> np.ndarray:
    """The choices of terms to fit, (B, d, terms)."""
    usable = np.flatnonzero(library.degrees > 0) if zero else np.arange(library.size)
    d = len(library.names)
    every = [np.isin(np.arange(library.size), s) for n in range(1, len(usable) + 1) for s in _some(usable, n, d)]
    subsets = np.array(every)
    if d == 1 and len(subsets) <= _ALL:
        return subsets[:, None]
    folds = [
        (weak_form(library, np.delete(runs, p, axis=0).mean(0), times), weak_form(library, runs[p].mean(0), times))
        for p in parts
    ]
    best = []
    for i in range(d):
        scores = np.array([_weak_score(folds, chosen, i) for chosen in subsets])
        best.append(subsets[np.argsort(scores, kind="stable")[: max(2, int(_COMBINED ** (1 / d)))]])
    return np.array([np.stack(rows) for rows in itertools.product(*best)])


def _some(usable: np.ndarray, n: int, d: int) -> list[tuple[int, ...]]:
    """Choices of `n` terms; of several variables at most five, or there would be too many."""
    return list(itertools.combinations(usable, n)) if d == 1 or n <= 5 else []


def _weak_score(folds: list, chosen: np.ndarray, i: int) -> float:
    total = 0.0
    for (left, right), (left_out, right_out) in folds:
        c = np.linalg.lstsq(left[:, chosen], right[:, i], rcond=1e-9)[0]
        total += float(((left_out[:, chosen] @ c - right_out[:, i]) ** 2).mean())
    return total / len(folds)
