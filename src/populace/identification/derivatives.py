"""Derivatives of moments near a point, replicate by replicate, and the units of parameters there."""

import numpy as np

from .._errors import MethodError
from .._types import Key
from ..calibration.descent import FEWEST
from ..calibration.judgement import replicates_of
from ..core.executor import Ticker
from ..core.host import split
from ..problem.problem import Problem
from ..problem.space import Space

UNIT = 1e-2
"""Of a prior's spread: what a parameter's unit is measured over."""


def derivatives(
    problem: Problem,
    key: Key,
    centre: np.ndarray,
    spread: np.ndarray,
    axes: np.ndarray,
    widths: np.ndarray,
    replicates: int,
    ticker: Ticker,
) -> np.ndarray:
    """Derivatives and gaps (R, k, d + 1) by v, in independent units, from (1 + 4 d) x replicates runs.

    **Arguments:** `centre`, `spread` (d,): the point and the prior's spreads on the real scale; `axes` (d, d), one a
    column, in prior spreads: differences are taken along these, of `widths` (d,) and half of these, with common random
    numbers; what is of the square of the width is taken out (Richardson).

    **Raises:** `MethodError` where too few replicates can be used.
    """
    d = centre.size
    steps = [np.zeros((1, d)), *(sign * half * widths[:, None] * axes.T for half in (1.0, 0.5) for sign in (1, -1))]
    points = np.repeat(centre + np.concatenate(steps) * spread, replicates, axis=0)
    keys = split(key, replicates)[np.tile(np.arange(replicates), len(points) // replicates)]
    seen = problem.simulate(problem.space.from_real(points), keys, ticker)
    found = replicates_of(problem, seen, 1, (1.0, 0.5), replicates)[0]
    if len(found) < FEWEST:
        raise MethodError(f"only {len(found)} of {replicates} replicates can be used around this point")
    slopes = found[:, :, :-1] / widths @ axes.T
    return np.concatenate([slopes, found[:, :, -1:]], axis=2)


def units_at(space: Space, centre: np.ndarray, spread: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The point (d,) and how much of each parameter is a spread of its prior there (d,)."""
    around = centre + UNIT * np.concatenate([np.zeros((1, centre.size)), *(s * np.diag(spread) for s in (1.0, -1.0))])
    flat = np.asarray(space.flat(space.from_real(around)), np.float64)
    up, down = flat[1 : 1 + centre.size], flat[1 + centre.size :]
    return flat[0], np.diag(up - down) / (2.0 * UNIT)
