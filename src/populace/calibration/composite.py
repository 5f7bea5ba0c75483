"""The loss of expected moments, g' V^-1 g, as a surrogate of the moments has it; and where it may be small.

Points are rows on the priors' probability scale.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import least_squares

from .._types import Key
from ..problem.problem import Problem
from ..surrogates.acquisitions import reflected
from ..surrogates.optimum_acquisitions import Foreseen
from ..surrogates.surrogate import Surrogate
from .judgement import whitened

_EVERYWHERE, _NEAR, _PARENTS = 1_024, 2_048, 10
_REACHES = (0.2, 0.05, 0.0125)
_KEPT, _MADE, _ON_A_LINE = 160, 40, 32
_OPTIMISM = 2.0
"""Standard deviations that a gap may be smaller than expected, where a point is kept for what it may be."""
_STEPS, _STARTS = 30, 3
_STEP = 1e-4
_EDGE = 1e-6
_RARE = 1e-6
DRAWS = 200
"""Joint draws of the gaps."""


@dataclass(frozen=True)
class Composite:
    """A surrogate's loss; `root` (k, k): the inverse of V's Cholesky factor, which turns gaps of the fitted moments
    into independent units.
    """

    task: Problem
    surrogate: Surrogate
    root: np.ndarray

    @staticmethod
    def of(task: Problem, surrogate: Surrogate) -> "Composite":
        """In the units of the target's covariance, which has to be known and of full rank."""
        every = np.eye(len(task.target.labels))[np.flatnonzero(task.target.fitted)]
        return Composite(task, surrogate, whitened(task, task.target.values + every).T)

    def gaps(self, unit: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Expected gaps (m, k), the variances of the doubt of them, and the probability that a run counts, (m,)."""
        said = self.surrogate.predict_unit(unit)
        return self.white(said.mean), said.epistemic[:, self._used] @ self.root.T**2, said.valid

    def white(self, moments: np.ndarray) -> np.ndarray:
        """Gaps (..., k) of moments (..., all) to the data, in independent units."""
        return (moments - self.task.target.values)[..., self._used] @ self.root.T

    def expected(self, unit: np.ndarray) -> np.ndarray:
        """The expected loss, (m,): its doubt counts, and a point where runs fail counts as far away."""
        gaps, doubt, valid = self.gaps(unit)
        return (gaps**2 + doubt).sum(1) / np.maximum(valid, _RARE)

    def foreseen(self, unit: np.ndarray, made: int, key: Key, draws: int) -> Foreseen:
        """What is said of points (m, d), the first `made` of runs made."""
        gaps = self.white(self.surrogate.functions_unit(unit, key, draws))
        said = self.surrogate.predict_unit(unit)
        spread = self.root * np.sqrt(said.noise[:, None, self._used])
        correlation = self.surrogate.correlation[np.ix_(self._used, self._used)]
        noise = np.einsum("mij,jl,mil->mi", spread, correlation, spread, optimize=True)
        return Foreseen(gaps, np.maximum(noise, 0.0), said.valid, made)

    def lowest(self, starts: np.ndarray) -> np.ndarray:
        """The point (d,) of least expected loss that searches from points (s, d) end at (bounded least squares)."""
        ends = [self._search(np.clip(start, _EDGE, 1.0 - _EDGE)) for start in starts]
        both = np.concatenate([np.stack(ends), starts])
        return both[int(self.expected(both).argmin())]

    def _search(self, start: np.ndarray) -> np.ndarray:
        def missed(unit: np.ndarray) -> np.ndarray:
            gaps, doubt, _ = self.gaps(unit)
            return np.concatenate([gaps, np.sqrt(np.maximum(doubt, 1e-12))], axis=1)

        def slope(unit: np.ndarray) -> np.ndarray:
            step = np.where(unit < 0.5, _STEP, -_STEP)
            at = missed(unit + np.concatenate([np.zeros((1, unit.size)), np.diag(step)]))
            return ((at[1:] - at[0]) / step[:, None]).T

        found = least_squares(
            lambda unit: missed(unit[None])[0],
            start,
            slope,  # pyright: ignore[reportArgumentType]  # scipy's stubs know the names of schemes only
            bounds=(0.0, 1.0),
            max_nfev=_STEPS,
        )
        return np.asarray(found.x)

    @property
    def _used(self) -> np.ndarray:
        return np.flatnonzero(self.task.target.fitted)


def best_of(loss: Composite, made: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The best (n, d) of the points of runs made, best first, and the point (d,) of least expected loss that searches
    from these end at.
    """
    known = np.unique(made, axis=0)
    known = known[np.argsort(loss.expected(known), kind="stable")[:_MADE]]
    return known, loss.lowest(known[:_STARTS])


def candidates(loss: Composite, known: np.ndarray, best: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Points (m, d) where a run may be made next: first those `known` (n, d), then the `best` (d,), then others.

    Of many points all over the cube and around the best, those are kept that are expected to be best, and those that
    may be.
    """
    d = best.size
    parents = np.concatenate([best[None], known[:_PARENTS]])[generator.integers(0, 1 + len(known[:_PARENTS]), _NEAR)]
    reach = np.array(_REACHES)[generator.integers(0, len(_REACHES), (_NEAR, 1))]
    moved = generator.random((_NEAR, d)) < max(0.5, min(1.0, 3.0 / d))
    near = reflected(parents + reach * moved * generator.standard_normal((_NEAR, d)))
    pool = np.concatenate([generator.random((_EVERYWHERE, d)), near])
    gaps, doubt, valid = loss.gaps(pool)
    expected = (gaps**2 + doubt).sum(1) / np.maximum(valid, _RARE)
    hoped = (np.maximum(np.abs(gaps) - _OPTIMISM * np.sqrt(doubt), 0.0) ** 2).sum(1) / np.maximum(valid, _RARE)
    rows = np.unique([np.argsort(score, kind="stable")[:_KEPT] for score in (expected, hoped)])
    return np.concatenate([known, best[None], pool[rows]])


def lines(best: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Points (m, d) that differ from the best (d,) in one number, all over its range: a flat one shows there."""
    d = best.size
    points = np.tile(best, (d * _ON_A_LINE, 1))
    points[np.arange(len(points)), np.repeat(np.arange(d), _ON_A_LINE)] = generator.random(len(points))
    return points
