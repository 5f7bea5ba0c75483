"""Profiles of the distance: its least value at each value of one parameter, all others free in the prior's box.

A parameter's grid goes over its whole prior, is finer at the bottoms of valleys, and is bisected wherever the profile
crosses its threshold. Each point is sought from the best of all points that are known, its value held, and from what
its neighbours have found; the search goes over expected moments (`expected.py`) and costs no run.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .expected import Expected, Said, spread
from .valley import Bottom, free, lowest

_GRID = 21
"""Points over the prior."""
_LOCAL = np.array([-1.5, -1.2, -0.9, -0.6, -0.3, 0.0, 0.3, 0.6, 0.9, 1.2, 1.5])
"""Points around the bottom of a valley, in half-widths of the interval that its curvature makes."""
_VALLEYS = 4
_STARTS, _POOL = 2, 60
_BISECTIONS = 16
_FLOOR = 0.05
_ROUNDS = 8


@dataclass(frozen=True)
class Rule:
    """What belongs: D up to `rise` above its least value, or, where `absolute`, up to `rise`."""

    rise: float
    absolute: bool

    def level(self, least: float) -> float:
        """The threshold, given the least distance."""
        return self.rise if self.absolute else least + self.rise


@dataclass(frozen=True)
class Curve:
    """The profile of one parameter: `index` j; rows `v` (m, d), rising in v[:, j]; `distance`, its `error` and its
    derivative `tilt` by v[:, j], (m,) each.
    """

    index: int
    v: np.ndarray
    distance: np.ndarray
    error: np.ndarray
    tilt: np.ndarray

    @property
    def own(self) -> np.ndarray:
        """The parameter on the scale, (m,)."""
        return self.v[:, self.index]


@dataclass(frozen=True)
class Traced:
    """The profiles of some parameters, and the least distance: `least` with its `error` at row `bottom` (d,);
    `threshold`: the value of D up to which points belong.
    """

    curves: tuple[Curve, ...]
    bottom: np.ndarray
    least: float
    error: float
    threshold: float

    def paths(self, most: int) -> np.ndarray:
        """Rows (n, d) of profiles, those near the threshold or below it first, `most` at the most; the bottom first."""
        rows = np.concatenate([curve.v for curve in self.curves])
        height = np.concatenate([curve.distance for curve in self.curves]) - self.threshold
        order = np.argsort(np.maximum(height, 0.0), kind="stable")
        rows = np.concatenate([self.bottom[None], rows[order]])
        return rows[np.sort(np.unique(rows.round(9), axis=0, return_index=True)[1])][:most]


def traced(expected: Expected, ends: np.ndarray, pool: np.ndarray, indices: Sequence[int], rule: Rule) -> Traced:
    """Profiles of parameters `indices`, from what is known at rows `pool` (n, d)."""
    d = pool.shape[1]
    low = lowest(expected, ends, pool, free(d), 2 * _ROUNDS)
    distance = low.said.distance
    least = max(float((distance + low.said.error).min()), 0.0)
    modes = low.v[np.argsort(distance, kind="stable")]
    modes = modes[np.sort(distance) <= max(rule.level(least), least) + 3.0 * rule.rise]
    pool = np.concatenate([modes, pool])
    grids = {j: _grid(expected, ends, modes, j, rule) for j in indices}
    values = np.concatenate(list(grids.values()))
    which = np.repeat(np.array(list(grids), int), [len(g) for g in grids.values()])
    found = sought(expected, ends, pool, which[:, None], values[:, None])
    order = np.lexsort((values, which))
    which, found = which[order], found.of(order)
    for _ in range(3):
        found = _learned(expected, ends, found, which)
    every = Bottom(np.concatenate([low.v, found.v]), _joined(low.said, found.said))
    at = _least(every.said)
    least = max(float(every.said.distance[at]), 0.0)
    which, found = _bisected(expected, ends, found, which, rule.level(least))
    found = _learned(expected, ends, found, which)
    curves = tuple(_curve(found.of(np.flatnonzero(which == j)), j) for j in indices)
    return Traced(curves, every.v[at], least, float(every.said.error[at]), rule.level(least))


def _least(said: Said) -> int:
    """Which point is nearest to the data, the doubt counted against it: where little is known D may seem low."""
    return int((said.distance + 2.0 * said.error).argmin())


def _joined(*parts: Said) -> Said:
    return Said(*(np.concatenate(each) for each in zip(*parts, strict=True)))


def _curve(found: Bottom, j: int) -> Curve:
    tilt = 2.0 * np.einsum("nk,nk->n", found.said.slope[:, :, j], found.said.mean)
    return Curve(j, found.v, found.said.distance, found.said.error, tilt)


def _grid(expected: Expected, ends: np.ndarray, modes: np.ndarray, j: int, rule: Rule) -> np.ndarray:
    """Values of parameter j to look at, rising."""
    width = float(ends[1, j] - ends[0, j])
    parts = [np.linspace(ends[0, j], ends[1, j], _GRID)]
    if len(modes):
        chosen = spread(modes[:, [j]], _VALLEYS)[:, 0]
        rows = modes[[int(np.abs(modes[:, j] - value).argmin()) for value in chosen]]
        slope = expected.at(rows).slope
        tight = np.einsum("nki,nkj->nij", slope, slope) + _FLOOR * np.eye(modes.shape[1])
        half = np.sqrt(rule.rise * np.linalg.inv(tight)[:, j, j])
        near = chosen[:, None] + np.minimum(half, width / _GRID)[:, None] * _LOCAL
        parts.append(near.ravel())
    values = np.unique(np.clip(np.concatenate(parts), ends[0, j], ends[1, j]))
    return values[np.concatenate([[True], np.diff(values) > 1e-9 * width])]


def _held(which: np.ndarray, d: int) -> np.ndarray:
    return free(d, np.eye(d)[which])


def sought(expected: Expected, ends: np.ndarray, pool: np.ndarray, which: np.ndarray, values: np.ndarray) -> Bottom:
    """The least distances where parameters `which` (n, h) have `values` (n, h), begun at the best of a pool (m, d)."""
    n, d = len(values), pool.shape[1]
    pool = pool[:_POOL]
    starts = np.repeat(pool[None], n, axis=0)
    moving = np.repeat(free(d), n, axis=0)
    every = np.arange(n)
    for one, value in zip(which.T, values.T, strict=True):
        starts[every, :, one] = value[:, None]
        moving[every, one, one] = 0.0
    height = expected.distances(starts.reshape(-1, d)).reshape(n, len(pool))
    best = np.argsort(height, axis=1)[:, :_STARTS]
    rows = np.take_along_axis(starts, best[:, :, None], 1)
    count = rows.shape[1]
    found = lowest(expected, ends, rows.reshape(-1, d), np.repeat(moving, count, axis=0), _ROUNDS)
    pick = found.said.distance.reshape(n, count).argmin(1)
    return found.of(np.arange(n) * count + pick)


def _learned(expected: Expected, ends: np.ndarray, found: Bottom, which: np.ndarray) -> Bottom:
    """Each point begun again at what its neighbours on either side have found, and kept where that is lower."""
    n, d = found.v.shape
    for side in (-1, 1):
        other = np.clip(np.arange(n) + side, 0, n - 1)
        other = np.where(which[other] == which, other, np.arange(n))
        starts = found.v[other].copy()
        starts[np.arange(n), which] = found.v[np.arange(n), which]
        tried = lowest(expected, ends, starts, _held(which, d), _ROUNDS // 2)
        better = tried.said.distance < found.said.distance
        for mine, its in zip((found.v, *found.said), (tried.v, *tried.said), strict=True):
            mine[better] = its[better]
    return found


def _bisected(
    expected: Expected, ends: np.ndarray, found: Bottom, which: np.ndarray, level: float
) -> tuple[np.ndarray, Bottom]:
    """With points besides on either side of each crossing of the level, as near as halving sixteen times makes them."""
    inside = found.said.distance <= level
    left = np.flatnonzero((which[1:] == which[:-1]) & (inside[1:] != inside[:-1]))
    if not left.size:
        return which, found
    d = found.v.shape[1]
    near, far = np.where(inside[left], left, left + 1), np.where(inside[left], left + 1, left)
    own, crossing = which[left], np.arange(len(left))
    low, high = found.of(near), found.of(far)
    for _ in range(_BISECTIONS):
        middle = (low.v[crossing, own] + high.v[crossing, own]) / 2.0
        starts = np.concatenate([low.v, high.v])
        starts[np.arange(len(starts)), np.tile(own, 2)] = np.tile(middle, 2)
        tried = lowest(expected, ends, starts, _held(np.tile(own, 2), d), _ROUNDS // 2)
        better = tried.said.distance.reshape(2, -1).argmin(0)
        best = tried.of(crossing + better * len(left))
        belongs = best.said.distance <= level
        low, high = _swapped(low, best, belongs), _swapped(high, best, ~belongs)
    joined = Bottom(np.concatenate([found.v, low.v, high.v]), _joined(found.said, low.said, high.said))
    which = np.concatenate([which, own, own])
    order = np.lexsort((joined.v[np.arange(len(which)), which], which))
    return which[order], joined.of(order)


def _swapped(old: Bottom, new: Bottom, where: np.ndarray) -> Bottom:
    return Bottom(np.where(where[:, None], new.v, old.v), old.said.mixed(new.said, where))
