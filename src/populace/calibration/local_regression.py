"""Expected moments and their slopes near a point, from the runs around it: local quadratic regression.

All runs made so far are asked, whoever asked for them, so that a model's luck averages out where differences between
two runs would drown in it. Near a point z, on the prior's normal scale, the K nearest runs (nearest in the metric of
their own spread, for runs may lie along a thin ridge) give moments as a quadratic of z by weighted least squares, with
tricube weights (William Cleveland and Susan Devlin 1988, Journal of the American Statistical Association 83, 596-610).
"""

import functools
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.spatial import KDTree

NEIGHBOURS = (5, 10, 20, 40)
"""Runs a coefficient."""
_WIDER = 2
_RIDGE = 1e-6
_FLAT, _POINT = 1e-8, 1e-12
_ENOUGH = 4
"""Of as many times the runs that a quadratic takes, there must be so many; else it is linear."""
_AT_ONCE = 256


class Near(NamedTuple):
    """At n points: `mean` (n, k) of the moments; `slope` (n, k, d); `doubt` (n,), the squared standard error of the
    mean, averaged over moments; `metric` (n, d, d): a step s with s' metric s = 1 ends where the runs end that say so.
    """

    mean: np.ndarray
    slope: np.ndarray
    doubt: np.ndarray
    metric: np.ndarray


class Expansion(NamedTuple):
    """Around n points, quadratics of the step s from each: `mean` (n, k), `slope` (n, k, d) and `bend` (n, k, d, d), so
    that moments are mean + slope s + s' bend s; `doubt` and `metric` as in `Near`.
    """

    mean: np.ndarray
    slope: np.ndarray
    bend: np.ndarray
    doubt: np.ndarray
    metric: np.ndarray


@dataclass(frozen=True)
class LocalRegression:
    """Moments as a function of z, learned from runs at `z` (N, d) with moments `seen` (N, k), all finite;
    `neighbours`: how many runs a coefficient: few where the moments bend, many where they are noisy.
    """

    z: np.ndarray
    seen: np.ndarray
    neighbours: int = NEIGHBOURS[0]

    @functools.cached_property
    def _tree(self) -> KDTree:
        return KDTree(self.z)

    @staticmethod
    def least(d: int) -> int:
        """How many runs it takes."""
        return NEIGHBOURS[0] * (d + 1)

    @staticmethod
    def rich(d: int) -> int:
        """How many runs make a quadratic."""
        return _ENOUGH * NEIGHBOURS[0] * (1 + d + d * (d + 1) // 2)

    def near(self, points: np.ndarray) -> Near:
        """What is known at points (n, d)."""
        parts = [self._fitted(points[i : i + _AT_ONCE])[0] for i in range(0, len(points), _AT_ONCE)]
        return Near(*(np.concatenate(each) for each in zip(*parts, strict=True)))

    def expanded(self, points: np.ndarray) -> Expansion:
        """What is known around points (n, d): for many looks near few points."""
        parts = [self._expanded(points[i : i + _AT_ONCE]) for i in range(0, len(points), _AT_ONCE)]
        return Expansion(*(np.concatenate(each) for each in zip(*parts, strict=True)))

    def _expanded(self, points: np.ndarray) -> Expansion:
        near, found, inward = self._fitted(points)
        return Expansion(near.mean, near.slope, self._bend(found, inward), near.doubt, near.metric)

    def _fitted(self, points: np.ndarray) -> tuple[Near, np.ndarray, np.ndarray]:
        """What is known, the coefficients (n, p, k) behind it, and the units (n, d, d) that they are in."""
        rows, gaps, basis = self._around(points)
        far = np.sqrt((gaps**2).sum(-1))
        radius = np.maximum(far.max(1), 1e-9)
        weight = np.maximum((1.0 - (far / (1.0001 * radius[:, None])) ** 3) ** 3, 1e-4)
        features = self._features(gaps / radius[:, None, None])
        weighed = features * weight[:, :, None]
        gram = np.einsum("nkp,nkq->npq", weighed, features)
        size = gram.shape[1]
        penalty = _RIDGE * np.trace(gram, axis1=1, axis2=2)[:, None, None] / size * np.eye(size) + _POINT * np.eye(size)
        hat = np.linalg.solve(gram + penalty, weighed.transpose(0, 2, 1))
        seen = self.seen[rows]
        found = hat @ seen
        left = seen - features @ found
        freedom = np.maximum(weight.sum(1) * (1.0 - size / rows.shape[1]), 1e-9)
        scatter = (weight[:, :, None] * left**2).sum(1).mean(1) / freedom
        d = points.shape[1]
        inward = basis / radius[:, None, None]
        slope = found[:, 1 : d + 1].transpose(0, 2, 1) @ inward.transpose(0, 2, 1)
        doubt = scatter * (hat[:, 0] ** 2).sum(1)
        return Near(found[:, 0], slope, doubt, inward @ inward.transpose(0, 2, 1)), found, inward

    def _bend(self, found: np.ndarray, inward: np.ndarray) -> np.ndarray:
        """The quadratic part of coefficients (n, p, k) in the plain scale, (n, k, d, d); zeros where it is linear."""
        n, d = inward.shape[:2]
        own = np.zeros((n, found.shape[2], d, d))
        if self._size(d) > 1 + d:
            i, j = np.triu_indices(d)
            own[:, :, i, j] = found[:, 1 + d :].transpose(0, 2, 1)
        return np.einsum("nai,nkij,nbj->nkab", inward, own, inward, optimize=True)

    def _around(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The nearest runs (n, K), their gaps (n, K, d) from the points in units of the spread of the `_WIDER` times as
        many that are nearest on the plain scale, and these units: gaps are plain gaps times `basis` (n, d, d).
        """
        d = self.z.shape[1]
        count = min(self.neighbours * self._size(d), len(self.z))
        wide = min(_WIDER * count, len(self.z))
        rows = np.asarray(self._tree.query(points, wide)[1]).reshape(len(points), wide)
        gaps = self.z[rows] - points[:, None]
        centred = gaps - gaps.mean(1, keepdims=True)
        values, vectors = np.linalg.eigh(np.einsum("nki,nkj->nij", centred, centred) / wide)
        basis = vectors / np.sqrt(np.maximum(values, _FLAT * values[:, -1:] + _POINT))[:, None, :]
        gaps = gaps @ basis
        order = np.argpartition((gaps**2).sum(-1), count - 1, axis=1)[:, :count]
        return np.take_along_axis(rows, order, 1), np.take_along_axis(gaps, order[:, :, None], 1), basis

    def _size(self, d: int) -> int:
        """The number of coefficients."""
        quadratic = 1 + d + d * (d + 1) // 2
        return quadratic if len(self.z) >= self.rich(d) else 1 + d

    def _features(self, gaps: np.ndarray) -> np.ndarray:
        d = gaps.shape[-1]
        parts = [np.ones((*gaps.shape[:-1], 1)), gaps]
        if self._size(d) > 1 + d:
            i, j = np.triu_indices(d)
            parts.append(gaps[..., i] * gaps[..., j])
        return np.concatenate(parts, axis=-1)
