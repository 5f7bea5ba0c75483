"""Draws of the prior cut to where the distance is low, and how large that part of the prior is, however small.

Levels fall to the one that is asked for. Draws that lie below a level are taken again and walk within it, and the
shares of those below the next one multiply (subset simulation: Siu-Kui Au and James Beck 2001, Probabilistic
Engineering Mechanics 16:263). Steps are Gaussian with the covariance that the slopes of expected moments make at each
place, so that they go along a valley and not across it, and are accepted by Metropolis' and Hastings' rule.
"""

from typing import NamedTuple

import numpy as np

from ..calibration.regions import Scale
from .expected import Expected, Said, box

_KEPT = 0.25
_SWEEPS = 6
_LEVELS = 40
_REACH = 0.5
_STALLED = 1e-3


class Filled(NamedTuple):
    """Draws `v` (n, d) with their `distance` and its `error` (n,); `share`: of the prior, with a relative `spread`; 0
    and no draws where nothing so low was found.
    """

    v: np.ndarray
    distance: np.ndarray
    error: np.ndarray
    share: float
    spread: float


def filled(
    expected: Expected, scale: Scale, level: float, start: np.ndarray, rng: np.random.Generator, count: int
) -> Filled:
    """Draws of the prior where D is at most `level`.

    **Arguments:** `start` (m, d): rows known to be low: what the share alone would miss is looked for there.
    """
    ends = box(scale)
    v = np.clip(scale.sample(rng, count), *ends)
    said = expected.at(v)
    log_share, noise, before = 0.0, 0.0, np.inf
    for _ in range(_LEVELS):
        height = said.distance
        now = max(level, float(np.quantile(height, _KEPT)))
        below = np.flatnonzero(height <= now)
        part = len(below) / count
        log_share += np.log(part)
        noise += (1.0 - part) / (part * count)
        picked = below[rng.integers(len(below), size=count)]
        state = v[picked], said.of(picked)
        for sweep in range(_SWEEPS):
            state = _stepped(expected, scale, ends, *state, now, rng, 0.3 if sweep % 2 else 1.0)
        v, said = state
        if now <= level:
            return Filled(v, said.distance, said.error, float(np.exp(log_share)), float(np.sqrt(2.0 * noise)))
        if before - now < _STALLED * level:
            break
        before = now
    rows = start[expected.distances(start) <= level]
    if not len(rows):
        return Filled(rows, np.zeros(0), np.zeros(0), 0.0, 0.0)
    said = expected.at(rows)
    return Filled(rows, said.distance, said.error, float(np.exp(log_share)) / count, 1.0)


def _stepped(
    expected: Expected,
    scale: Scale,
    ends: np.ndarray,
    v: np.ndarray,
    said: Said,
    level: float,
    rng: np.random.Generator,
    size: float,
) -> tuple[np.ndarray, Said]:
    """One step of every draw: where it goes, and what is known there."""
    noise = rng.standard_normal(v.shape)
    lower, log_det = _roots(said, level, size)
    tried = v + np.linalg.solve(np.swapaxes(lower, 1, 2), noise[:, :, None])[:, :, 0]
    inside = np.asarray(((tried > ends[0]) & (tried < ends[1])).all(1))
    there = expected.at(np.clip(tried, *ends))
    back, back_det = _roots(there, level, size)
    returned = np.einsum("nij,ni->nj", back, v - tried)
    ratio = back_det - log_det - 0.5 * (returned**2).sum(1) + 0.5 * (noise**2).sum(1)
    ratio += scale.log_prior(tried) - scale.log_prior(v)
    moved = inside & (there.distance <= level) & (np.log(rng.uniform(size=len(v))) < ratio)
    return np.where(moved[:, None], tried, v), said.mixed(there, moved)


def _roots(said: Said, level: float, size: float) -> tuple[np.ndarray, np.ndarray]:
    """Cholesky factors of the precision of a step from each row, and the logarithms of their determinants."""
    d = said.slope.shape[2]
    curvature = np.einsum("nki,nkj->nij", said.slope, said.slope)
    tight = (curvature * d / max(level, 1e-9) + np.eye(d) / _REACH**2) / size**2
    lower = np.linalg.cholesky(tight)
    return lower, np.log(np.einsum("nii->ni", lower)).sum(1)
