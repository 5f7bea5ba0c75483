"""One walk along a valley of the distance: a step in the direction that the moments react to least, then back to the
valley's floor in the plane across it, until the distance has risen or an end of the prior is reached.

Such walks follow the geodesics by which sloppy models lead to their edges (Mark Transtrum, Benjamin Machta and James
Sethna 2011, Physical Review E 83:036701), with the floor found anew at each step in place of the second derivatives.
"""

import enum
from typing import NamedTuple

import numpy as np

from .expected import Expected
from .valley import free, lowest

_STEP = 0.12
"""The longest step, in spreads of the prior."""
_FINE = 0.35
"""And as a part of what makes the distance rise by the threshold."""
_MOST = 120
_HALVINGS = 10
_AT_END = 1e-4
_CLOSED = 0.6
_BLIND = 1.0
"""A walk does not go where the error of the distance is larger than so many times the threshold."""
_FLOOR = 4


class Stopped(enum.Enum):
    """What ended a walk."""

    DATA = "the data"
    BOUND = "an end of a prior"
    ROUND = "where it began"
    LONG = "the length of the walk"
    BLIND = "the lack of runs there"


class Strides(NamedTuple):
    """A walk one way: rows `v` (m, d), the start not among them, why it stopped, and at which end (index, upper)."""

    v: np.ndarray
    stopped: Stopped
    at: tuple[int, bool] | None


def strides(
    expected: Expected, ends: np.ndarray, start: np.ndarray, way: np.ndarray, flatter: int, level: float
) -> Strides:
    """A walk from row `start` (d,) in the direction `way` (d,) while D is at most `level`; `flatter`: how many
    directions there are that the moments react to less, and that it keeps clear of.
    """
    v, t, rows = start, way, []
    rise = max(level - max(float(expected.distances(start[None])[0]), 0.0), 1e-9)
    for i in range(_MOST):
        t, length = _direction(expected, v, t, flatter, rise)
        tried, hit = _inside(ends, v, v + length * t)
        floor = lowest(expected, ends, tried[None], free(len(v), t[None]), _FLOOR)
        there = tried if hit is not None and _left(ends, floor.v[0], hit) else floor.v[0]
        said = expected.at(there[None])
        if said.error[0] > _BLIND * rise:
            return Strides(np.array(rows or [there]), Stopped.BLIND, None)
        if said.distance[0] > level + said.error[0]:  # what the luck of runs makes is no rise
            rows.append(_last(expected, ends, v, there, t, level))
            return Strides(np.array(rows), Stopped.DATA, None)
        rows.append(there)
        bound = hit if hit is not None else _pushed(ends, there, t)
        if bound is not None:
            return Strides(np.array(rows), Stopped.BOUND, bound)
        if i > 8 and np.linalg.norm(there - start) < _CLOSED * _STEP:
            return Strides(np.array(rows), Stopped.ROUND, None)
        v = there
    return Strides(np.array(rows), Stopped.LONG, None)


def _direction(expected: Expected, v: np.ndarray, t: np.ndarray, flatter: int, rise: float) -> tuple[np.ndarray, float]:
    """Where to go on, of length 1, and how far: the last direction, turned to what the moments react to least."""
    slope = expected.at(v[None]).slope[0]
    values, vectors = np.linalg.eigh(slope.T @ slope)
    parts = (vectors.T @ t) / (np.maximum(values, 0.0) + rise)
    parts[:flatter] = 0.0
    parts /= np.linalg.norm(parts)
    bent = float(values @ parts**2)
    return vectors @ parts, min(_STEP, _FINE * np.sqrt(rise / max(bent, 1e-12)))


def _inside(ends: np.ndarray, v: np.ndarray, tried: np.ndarray) -> tuple[np.ndarray, tuple[int, bool] | None]:
    """The step as far as the box allows, and which end it ran into."""
    move = tried - v
    room = np.where(move > 0.0, ends[1] - v, v - ends[0])
    part = np.where(np.abs(move) > 1e-12, room / np.maximum(np.abs(move), 1e-12), np.inf)
    i = int(part.argmin())
    if part[i] >= 1.0:
        return tried, None
    return np.clip(v + max(part[i], 0.0) * move, *ends), (i, bool(move[i] > 0.0))


def _left(ends: np.ndarray, v: np.ndarray, hit: tuple[int, bool]) -> bool:
    """Whether a row has left the end that it had run into."""
    return abs(v[hit[0]] - ends[int(hit[1]), hit[0]]) > _AT_END


def _pushed(ends: np.ndarray, v: np.ndarray, t: np.ndarray) -> tuple[int, bool] | None:
    """An end at which a row lies while its way goes on beyond it."""
    width = ends[1] - ends[0]
    out = ((v >= ends[1] - _AT_END * width) & (t > 0.05)) | ((v <= ends[0] + _AT_END * width) & (t < -0.05))
    if not out.any():
        return None
    i = int(np.flatnonzero(out)[0])
    return i, bool(t[i] > 0.0)


def _last(
    expected: Expected, ends: np.ndarray, v: np.ndarray, beyond: np.ndarray, t: np.ndarray, level: float
) -> np.ndarray:
    """Where between two rows, on the floor, the distance is the level, or the first of them if it is higher there."""
    low, high = v, beyond
    for _ in range(_HALVINGS):
        middle = lowest(expected, ends, ((low + high) / 2.0)[None], free(len(v), t[None]), 2)
        if float(middle.said.distance[0]) <= level:
            low = middle.v[0]
        else:
            high = middle.v[0]
    return low
