"""Expected moments near a cloud of points: one polynomial for all of them, learned from the runs around.

A response surface (George Box and Kenneth Wilson 1951, Journal of the Royal Statistical Society B 13, 1-45): moments as
a polynomial of parameters by least squares, of the degree that foretells runs left out best. It bends as expectations
do and not as the luck of a run does: a fit that minimises over a surface made of a few runs' luck finds its dips.
"""

import itertools
from dataclasses import dataclass

import numpy as np
import scipy.linalg

_DEGREES = (1, 2, 3)
_PER_TERM = 8
REACH = 4.0
"""Fits stay within so many spreads of the cloud."""
_STEPS = 40
_SETTLED = 1e-5
_POINT = 1e-10


@dataclass(frozen=True)
class Frame:
    """A cloud's own coordinates x, z = `centre` + `root` x, in which it has mean 0 and covariance 1."""

    centre: np.ndarray
    root: np.ndarray

    @staticmethod
    def of(points: np.ndarray) -> "Frame":
        """Of points (n, d); a direction in which they hardly differ has at least a hundredth of the widest."""
        centre = points.mean(0)
        values, vectors = np.linalg.eigh(np.atleast_2d(np.cov(points.T)))
        return Frame(centre, vectors * np.sqrt(np.maximum(values, 1e-4 * values[-1] + _POINT)))

    def inside(self, z: np.ndarray) -> np.ndarray:
        """Coordinates (n, d) of points."""
        return scipy.linalg.solve(self.root, (z - self.centre).T).T

    def outside(self, x: np.ndarray) -> np.ndarray:
        """Points (n, d) of coordinates."""
        return self.centre + x @ self.root.T


@dataclass(frozen=True)
class ResponseSurface:
    """Moments (k,) as a polynomial of coordinates x in a `frame`: `powers` (p, d), `weights` (p, k)."""

    frame: Frame
    powers: np.ndarray
    weights: np.ndarray

    @staticmethod
    def learned(frame: Frame, z: np.ndarray, seen: np.ndarray) -> "ResponseSurface":
        """From runs at z (N, d) with moments `seen` (N, k). Those far from the cloud count less."""
        x = frame.inside(z)
        weight = 1.0 / (1.0 + (x**2).sum(1) / (4.0 * x.shape[1]))
        best: tuple[float, ResponseSurface] | None = None
        for degree in _DEGREES:
            powers = _powers(x.shape[1], degree)
            if degree > 1 and _PER_TERM * len(powers) > len(x):
                break
            terms = _terms(x, powers) * weight[:, None]
            q, r = np.linalg.qr(terms)
            weights = scipy.linalg.solve_triangular(r + _POINT * np.eye(len(r)), q.T @ (seen * weight[:, None]))
            left = (seen * weight[:, None] - terms @ weights) / (1.0 - np.minimum((q**2).sum(1), 0.9))[:, None]
            missed = float((left**2).sum())
            if best is None or missed < best[0]:
                best = missed, ResponseSurface(frame, powers, weights)
        assert best is not None
        return best[1]

    def at(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Moments (n, k) and their derivatives (n, k, d) at coordinates (n, d)."""
        slopes = []
        for i in range(x.shape[1]):
            lower = self.powers.copy()
            lower[:, i] = np.maximum(lower[:, i] - 1, 0)
            slopes.append((_terms(x, lower) * self.powers[:, i]) @ self.weights)
        return _terms(x, self.powers) @ self.weights, np.stack(slopes, axis=2)

    def fitted(self, starts: np.ndarray, wanted: np.ndarray, keep: np.ndarray | None = None) -> np.ndarray:
        """Coordinates (n, d) at which moments are nearest to `wanted` (n, k), by Levenberg's and Marquardt's steps from
        `starts` (n, d); `keep` (k, k): a projection of the gaps that are counted.
        """
        x, damping = starts.copy(), np.full(len(starts), 1e-2)
        gap, slope = self._gap(x, wanted, keep)
        loss = (gap**2).sum(1)
        for _ in range(_STEPS):
            matrix = np.einsum("nki,nkj->nij", slope, slope) + damping[:, None, None] * np.eye(x.shape[1])
            step = -np.linalg.solve(matrix, np.einsum("nki,nk->ni", slope, gap)[:, :, None])[:, :, 0]
            tried = x + step
            far = np.sqrt((tried**2).sum(1))
            tried = tried * np.minimum(1.0, REACH / np.maximum(far, 1e-12))[:, None]
            new, bent = self._gap(tried, wanted, keep)
            after = (new**2).sum(1)
            better = after < loss
            gain = float((loss - after)[better].max(initial=0.0))
            x[better], gap[better], slope[better], loss[better] = (
                tried[better],
                new[better],
                bent[better],
                after[better],
            )
            damping = np.clip(np.where(better, damping / 5.0, damping * 5.0), 1e-6, 1e8)
            if gain < _SETTLED and (better | (damping > 1e3)).all():
                break
        return x

    def _gap(self, x: np.ndarray, wanted: np.ndarray, keep: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        mean, slope = self.at(x)
        if keep is None:
            return mean - wanted, slope
        return (mean - wanted) @ keep, np.einsum("kl,nli->nki", keep, slope)


def _powers(inputs: int, degree: int) -> np.ndarray:
    """The degrees (p, d) of all terms up to a total degree, the constant first."""
    picked = itertools.chain.from_iterable(
        itertools.combinations_with_replacement(range(inputs), m) for m in range(degree + 1)
    )
    return np.array([np.bincount(np.array(one, int), minlength=inputs) for one in picked])


def _terms(x: np.ndarray, powers: np.ndarray) -> np.ndarray:
    """The terms (n, p) at coordinates (n, d)."""
    each = x[:, None, :] ** np.arange(int(powers.max()) + 1)[:, None]
    return np.stack([each[:, one, range(len(one))].prod(1) for one in powers], axis=1)
