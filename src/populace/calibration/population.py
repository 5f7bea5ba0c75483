"""Weighted draws from a density that can be worked out: population Monte Carlo.

Draws of the prior are drawn closer in tempered rounds, each from kernels around the last (Olivier Cappe, Arnaud
Guillin, Jean-Michel Marin and Christian Robert 2004, Journal of Computational and Graphical Statistics 13:907). Weights
are those of importance sampling: several hills keep their shares, and the integral comes with them.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
from scipy.special import logsumexp

from .._types import Key
from ..core.noise import host_generator
from ..problem.space import Space
from .estimates import root_of, weighted_covariance, worth

_FIRST = 2_000
_NEXT = 500
_ROUNDS = 12
_ENOUGH = 0.2
"""The effective share of draws that a temperature keeps."""

Levels = Callable[[np.ndarray], np.ndarray]
"""From points (n, d) to their log-densities (n,), minus infinity where there is none."""


class Found(NamedTuple):
    """Weighted draws: points (n, d), weights (n,) summing to 1, log-densities there (n,), and the logarithm of the
    density's integral.
    """

    points: np.ndarray
    weights: np.ndarray
    levels: np.ndarray
    log_integral: float

    @property
    def best(self) -> int:
        """Which has the largest density."""
        return int(self.levels.argmax())

    @property
    def effective(self) -> float:
        """How many equally weighted draws they are worth."""
        return worth(self.weights)


def found(density: Levels, prior: Levels, first: Callable[[int], np.ndarray], key: Key) -> Found:
    """Weighted draws of a density.

    **Arguments:** `density`, `prior`: the log-density that is of interest, and the one that `first(n)` draws from.
    """
    rng = host_generator(key)
    points = first(_FIRST)
    now = _weighed(density, prior, points, prior(points), last=False)
    for left in reversed(range(_ROUNDS)):
        points, proposed = _around(now[0], rng)
        now = _weighed(density, prior, points, proposed, last=left == 0)
        if now[1] >= 1.0 and now[0].effective >= _ENOUGH * len(points):
            break
    return now[0]


def found_in(space: Space, density: Levels, key: Key) -> Found:
    """Weighted draws of a density on the real scale of a space, from draws of its prior on."""

    def first(count: int) -> np.ndarray:
        return np.asarray(space.to_real(space.sample(key, count)), np.float64)

    return found(density, partial(log_prior, space), first, key)


def log_prior(space: Space, real: np.ndarray) -> np.ndarray:
    """The prior's log-density (n,) at points (n, d) on the real scale, minus infinity where there is none."""
    levels = np.asarray(space.log_prob_real(real), np.float64)
    return np.where(np.isfinite(levels), levels, -np.inf)


def refined(density: Levels, now: Found, key: Key, count: int) -> Found:
    """As many more weighted draws, from kernels around those that were found."""
    points, proposed = _around(now, host_generator(key), count)
    levels = density(points)
    logs = levels - proposed
    weights = np.exp(logs - logs.max())
    total = float(logs.max() + np.log(weights.mean()))
    return Found(points, weights / weights.sum(), levels, total)


def _weighed(
    density: Levels, prior: Levels, points: np.ndarray, proposed: np.ndarray, last: bool
) -> tuple[Found, float]:
    """Points with weights at the temperature that they bear, 1 at the last, and that temperature."""
    levels, before = density(points), prior(points)
    heat = 1.0 if last else heat_that_keeps(levels, before, proposed)
    logs = before + heat * np.where(np.isfinite(levels), levels - before, -np.inf) - proposed
    total = float(np.asarray(logsumexp(logs)))
    weights = np.exp(logs - total)
    return Found(points, weights / weights.sum(), levels, float(total - np.log(len(points)))), heat


def heat_that_keeps(levels: np.ndarray, before: np.ndarray, proposed: np.ndarray) -> float:
    """The largest power of the likelihood, up to 1, at which a share of the draws still counts."""

    def share(heat: float) -> float:
        logs = before + heat * np.where(np.isfinite(levels), levels - before, -np.inf) - proposed
        weights = np.exp(logs - logs.max())
        return float(weights.sum() ** 2 / (weights**2).sum() / len(weights))

    if share(1.0) >= _ENOUGH:
        return 1.0
    low, high = 0.0, 1.0
    for _ in range(30):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if share(middle) >= 0.5 * _ENOUGH else (low, middle)
    return low


def _around(now: Found, rng: np.random.Generator, count: int = _NEXT) -> tuple[np.ndarray, np.ndarray]:
    """`count` draws from kernels around weighted ones, and the log-density that they were drawn from."""
    d = now.points.shape[1]
    root = kernel_width(d, min(now.effective, _NEXT)) * root_of(weighted_covariance(now.points, now.weights))
    centres = now.points[rng.choice(len(now.points), _NEXT, p=now.weights)]
    drawn = centres[np.arange(count) % _NEXT] + rng.standard_normal((count, d)) @ root.T
    parts = [log_kernels(drawn[i : i + _FIRST], centres, root) for i in range(0, count, _FIRST)]
    return drawn, np.concatenate(parts)


def kernel_width(d: int, draws: float) -> float:
    """Silverman's width of Gaussian kernels for so many draws in d dimensions, in units of their spread."""
    return (4.0 / (d + 2.0)) ** (1.0 / (d + 4.0)) * draws ** (-1.0 / (d + 4.0))


def log_kernels(points: np.ndarray, centres: np.ndarray, root: np.ndarray) -> np.ndarray:
    """The log-density (n,) at points (n, d) of equal Gaussian kernels at centres (m, d), of covariance root root'."""
    m, d = centres.shape
    back = np.linalg.inv(root)
    gaps = (points @ back.T)[:, None] - (centres @ back.T)[None]
    each = -0.5 * (gaps**2).sum(-1) - 0.5 * d * np.log(2.0 * np.pi) - np.log(np.diag(root)).sum()
    return np.asarray(logsumexp(each, axis=1)) - np.log(m)
