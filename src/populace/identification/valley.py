"""Least distances: many searches side by side over expected moments, in the prior's box, each held in some directions.

Levenberg and Marquardt's steps (Searches in `calibration/searches.py` follow a prior besides; here nothing pulls), for
which a parameter at an end of its prior, pushed outwards, is held there too. A direction that the moments do not react
to is left alone.
"""

from typing import NamedTuple

import numpy as np

from .expected import Expected, Said

_DAMPING = (1e-7, 1e8)
_STILL = 0.05
"""A curvature added in every direction: what the luck of the runs makes of a flat one moves nothing."""
_GAIN = 1e-3
_TRUST = 1.0
_AT_END = 1e-6


class Bottom(NamedTuple):
    """Where searches ended: rows `v` (n, d), and what is known there."""

    v: np.ndarray
    said: Said

    def of(self, rows: np.ndarray) -> "Bottom":
        """Some of them."""
        return Bottom(self.v[rows], self.said.of(rows))


def free(d: int, held: np.ndarray | None = None) -> np.ndarray:
    """The projector (n, d, d) onto what may move: all but the directions `held` (n, d), of length 1."""
    if held is None:
        return np.eye(d)[None]
    return np.eye(d) - held[:, :, None] * held[:, None, :]


def lowest(expected: Expected, ends: np.ndarray, start: np.ndarray, moving: np.ndarray, rounds: int) -> Bottom:
    """Where |m|^2 is least, from rows `start` (n, d).

    **Arguments:** `ends` (2, d): of the box; `moving` (n, d, d) or (1, d, d): projectors onto what may move.
    """
    v = np.clip(start, *ends)
    moving = np.broadcast_to(moving, (len(v), *moving.shape[1:]))
    said = expected.at(v)
    loss, damping = (said.mean**2).sum(1), np.full(len(v), 1e-3)
    going = np.ones(len(v), bool)
    for _ in range(rounds):
        rows = np.flatnonzero(going)
        if not rows.size:
            break
        step = _steps(ends, v[rows], said.of(rows), moving[rows], damping[rows])
        tried = np.clip(v[rows] + step, *ends)
        there = expected.at(tried)
        gain = loss[rows] - (there.mean**2).sum(1)
        better = gain > 0.0
        v[rows[better]], loss[rows[better]] = tried[better], (there.mean[better] ** 2).sum(1)
        for mine, its in zip(said, there, strict=True):
            mine[rows[better]] = its[better]
        damping[rows] = np.clip(np.where(better, damping[rows] / 10.0, damping[rows] * 10.0), *_DAMPING)
        going[rows] = (gain > _GAIN * (1.0 + 0.1 * loss[rows])) | (~better & (damping[rows] < 1e3))
    return Bottom(v, said)


def _steps(ends: np.ndarray, v: np.ndarray, said: Said, moving: np.ndarray, damping: np.ndarray) -> np.ndarray:
    d = v.shape[1]
    gradient = np.einsum("nki,nk->ni", said.slope, said.mean)
    curvature = np.einsum("nki,nkj->nij", said.slope, said.slope)
    moving = held_at_ends(ends, v, gradient, moving)
    inner = moving @ curvature @ moving
    unit = damping[:, None] * np.einsum("nii->ni", inner) + _STILL
    matrix = inner + moving @ (unit[:, :, None] * moving) + (np.eye(d) - moving)
    down = (moving @ gradient[:, :, None])[:, :, 0]
    step = (moving @ -np.linalg.solve(matrix, down[:, :, None]))[:, :, 0]
    length = np.sqrt((step**2).sum(1, keepdims=True))
    return step / np.maximum(1.0, length / _TRUST)


def held_at_ends(ends: np.ndarray, v: np.ndarray, gradient: np.ndarray, moving: np.ndarray) -> np.ndarray:
    """Projectors (n, d, d) that hold what lies at an end and would go beyond it as well."""
    for i in range(v.shape[1]):
        down = -(moving[:, i] * gradient).sum(1)
        out = ((v[:, i] >= ends[1, i] - _AT_END) & (down > 0.0)) | ((v[:, i] <= ends[0, i] + _AT_END) & (down < 0.0))
        own = moving[:, i, i]
        out &= own > 1e-9
        if out.any():
            line = moving[out][:, :, i]
            moving = moving.copy()
            moving[out] -= line[:, :, None] * line[:, None, :] / own[out, None, None]
    return moving
