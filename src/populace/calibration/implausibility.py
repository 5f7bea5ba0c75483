"""How implausible parameters are, wave by wave, and points all over what is left.

The implausibility of a point is the largest gap, over the fitted moments, between data and what a surrogate expects
there, in standard deviations of all that may lie between the two: the data's own error, the surrogate's doubt, and what
the model leaves out (Peter Craig, Michael Goldstein, Allan Seheult and James Smith 1997, Case Studies in Bayesian
Statistics III, 37-93). Above 3 a point is ruled out: whatever the law of the gap, if only it has one peak, it lies
there in less than 5 % of cases (Friedrich Pukelsheim 1994, The American Statistician 48:88).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..problem.target import Target
from ..surrogates.acquisitions import reflected
from ..surrogates.surrogate import Emulated, Surrogate

_FAILS = 0.02
"""A point at which fewer runs count is ruled out: data are not made there."""
_KEPT = 0.25
_LEVELS = 40
_SWEEPS = 12
_STUCK = 0.99
_SHELL = 2.0

Levels = Callable[[np.ndarray], np.ndarray]
"""From points (m, d) of the unit cube to their implausibilities, (m,)."""


@dataclass(frozen=True)
class Wave:
    """A surrogate held against data; `beyond` (k,): variances of what the model leaves out, a fitted moment each."""

    surrogate: Surrogate
    target: Target
    beyond: np.ndarray

    def gaps(self, unit: np.ndarray) -> np.ndarray:
        """Gaps (m, k) of the fitted moments at points (m, d) of the unit cube, in standard deviations, none negative;
        infinite where runs fail.
        """
        said, rest = self._said(unit)
        used = self.target.fitted
        spread = np.sqrt(said.epistemic[:, used] + rest)
        away = np.abs(said.mean - self.target.values)[:, used] / np.maximum(spread, 1e-300)
        return np.where(said.valid[:, None] < _FAILS, np.inf, away)

    def __call__(self, unit: np.ndarray) -> np.ndarray:
        """The implausibility (m,) of points (m, d) of the unit cube."""
        return self.gaps(unit).max(1)

    def doubt(self, unit: np.ndarray) -> float:
        """The part of the variance that is the surrogate's doubt, over points and fitted moments, on average."""
        said, rest = self._said(unit)
        own = said.epistemic[:, self.target.fitted]
        return float((own / (own + rest)).mean())

    def _said(self, unit: np.ndarray) -> tuple[Emulated, np.ndarray]:
        """What the surrogate says, and the variances of the fitted moments that are not its doubt."""
        said = self.surrogate.predict_unit(unit)
        own = said.noise if self.target.covariance is None else np.diag(self.target.covariance)[None]
        return said, own[:, self.target.fitted] + self.beyond

    def missed(self, unit: np.ndarray, moments: np.ndarray) -> np.ndarray:
        """How far fresh runs (n, k) lie from what was said, in standard deviations, of those that count: (any,)."""
        sound = np.isfinite(moments).all(1)
        said = self.surrogate.predict_unit(unit[sound])
        spread = np.sqrt(said.noise + said.epistemic)
        return np.abs((moments[sound] - said.mean) / np.maximum(spread, 1e-300))[:, self.target.fitted].ravel()


class Left(NamedTuple):
    """What a cut leaves: `points` (m, d), all over it; `share` of what was there before; `shell` (s, d): points that
    were just ruled out; `empty`: whether nothing is left, and then the points are the least implausible ones found.
    """

    points: np.ndarray
    share: float
    shell: np.ndarray
    empty: bool


def cut(levels: Levels, points: np.ndarray, cutoff: float, rng: np.random.Generator) -> Left:
    """Points all over the part where levels are at most `cutoff`, from points (m, d) all over the whole.

    The level falls in steps that each keep a quarter; the points kept walk by differences of each other below it
    (subset simulation: Siu-Kui Au and James Beck 2001, Probabilistic Engineering Mechanics 16:263).
    """
    m, share, before = len(points), 1.0, np.inf
    now, shell = levels(points), np.zeros((0, points.shape[1]))
    for _ in range(_LEVELS):
        threshold = max(cutoff, float(np.quantile(now, _KEPT)))
        if threshold > cutoff and threshold > _STUCK * before:
            break
        inside = now <= threshold
        near = (now > cutoff) & (now <= _SHELL * cutoff)
        shell = points[near] if near.any() else shell
        share *= float(inside.mean())
        if inside.all():
            return Left(points, share, shell, False)
        at = rng.choice(np.flatnonzero(inside), m)
        points, now = _walked(levels, points[at], now[at], threshold, rng)
        if threshold <= cutoff:
            return Left(points, share, shell, False)
        before = threshold
    best = np.argsort(now, kind="stable")[: max(1, m // 10)]
    return Left(points[best], 0.0, shell, True)


def _walked(
    levels: Levels, points: np.ndarray, now: np.ndarray, threshold: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Points that walk where levels are below a threshold, by differences of each other, and their levels."""
    m, d = points.shape
    for sweep in range(_SWEEPS):
        one, other = rng.integers(0, m, (2, m))
        scale = 1.0 if sweep % 6 == 5 else 2.38 / np.sqrt(2.0 * d) * rng.random((m, 1))
        step = scale * (points[one] - points[other]) + 1e-4 * rng.standard_normal(points.shape)
        proposed = reflected(points + np.clip(step, -1.0, 1.0))
        there = levels(proposed)
        moved = there <= threshold
        points, now = np.where(moved[:, None], proposed, points), np.where(moved, there, now)
    return points, now
