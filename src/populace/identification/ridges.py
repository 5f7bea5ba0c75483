"""The map of the pair of parameters that trade most: the least distance over both, all others free."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from .curves import sought
from .expected import Known, valued
from .exploring import Explored
from .reaches import Ended, Stretch

_ACROSS = 41
_ROOM = 0.25
_FLOOR = 0.05
_AT_ONCE = 256


@dataclass(frozen=True)
class Ridge:
    """Two parameters `labels`, values `x` (n,) and `y` (n,), and the `rise` (n, n) of the distance, rows by y."""

    labels: tuple[str, str]
    x: np.ndarray
    y: np.ndarray
    rise: np.ndarray


def ridge(known: Known, found: Explored, ends: Mapping[int, tuple[Stretch, ...]]) -> Ridge:
    """The map of the pair that trades most, around what belongs.

    **Arguments:** `ends`: by index, the stretches of each profile that was traced.
    """
    i, j = _pair(found, ends)
    sides = [_side(found.ends, k, ends.get(k, ())) for k in (i, j)]
    x, y = np.meshgrid(*sides)
    values = np.stack([x.ravel(), y.ravel()], axis=1)
    which = np.tile([i, j], (len(values), 1))
    pool = found.traced.paths(60)
    height = [
        sought(found.expected, found.ends, pool, which[n : n + _AT_ONCE], values[n : n + _AT_ONCE]).said.distance
        for n in range(0, len(values), _AT_ONCE)
    ]
    rise = np.maximum(np.concatenate(height).reshape(x.shape) - found.traced.least, 0.0)
    rows = np.repeat(found.traced.bottom[None], _ACROSS, axis=0)
    rows[:, i], rows[:, j] = sides
    own = valued(known.scale, rows)
    labels = known.scale.space.labels
    return Ridge((labels[i], labels[j]), own[:, i], own[:, j], rise)


def _pair(found: Explored, ends: Mapping[int, tuple[Stretch, ...]]) -> tuple[int, int]:
    """Two parameters: one, and that which cuts it; or those whose errors go together most closely."""
    for j, stretches in ends.items():
        for one in stretches:
            for end in (one.low, one.high):
                if end.ended is Ended.OTHER:
                    return j, end.by[0][0]
    slope = found.expected.at(found.traced.bottom[None]).slope[0]
    spread = np.linalg.inv(slope.T @ slope + _FLOOR * np.eye(slope.shape[1]))
    size = np.sqrt(np.diag(spread))
    together = np.abs(spread / np.outer(size, size)) - 2.0 * np.eye(len(size))
    together += 1e-9 * size[:, None]
    i, j = np.unravel_index(int(together.argmax()), together.shape)
    return min(int(i), int(j)), max(int(i), int(j))


def _side(ends: np.ndarray, j: int, stretches: tuple[Stretch, ...]) -> np.ndarray:
    """Values of parameter j: what belongs and some room, in the prior."""
    low, high = ends[0, j], ends[1, j]
    if stretches:
        first, last = stretches[0].low.own, stretches[-1].high.own
        room = _ROOM * (last - first)
        low, high = max(low, first - room), min(high, last + room)
    return np.linspace(low, high, _ACROSS)
