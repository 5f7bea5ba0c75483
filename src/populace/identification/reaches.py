"""Where a profile stays below its threshold, and what ends each of these stretches: the data, the parameter's own
prior, or the end of another parameter's prior.

The last kind is what makes an interval out of a prior: y = a b x with b at most 5 "bounds" a below. It is told at the
crossing of the threshold. If another parameter lies at an end of its prior there, and the distance would stay low if
that one parameter (with all that is free) could go on, by the slopes of expected moments, then it was the end that cut
the profile, and not the data.
"""

import enum
from dataclasses import dataclass

import numpy as np

from ..problem.space import Space
from .curves import Curve, Traced
from .expected import Expected, end_name

_AT_END = 2e-3
"""A parameter lies at an end of its prior if so near, as a part of its width."""
_KEEPS = 0.5
"""The profile would go on if, with the end away, it rises by less than this part of the threshold."""
_FAR = 1.5
"""How far beyond an end a parameter is followed by slopes, in spreads of its prior."""
_SURE, _CLEAR = 2.0, 3.0


class Ended(enum.Enum):
    """What ends a stretch."""

    DATA = "the data"
    OWN = "its own prior"
    OTHER = "the end of another parameter's prior"


@dataclass(frozen=True)
class End:
    """An end of a stretch: the parameter's place `own` on the scale with its standard `error`, why it `ended`, the ends
    of other priors that cut it, `by` (index, whether upper), and whether D there is `sure` to be on its side.
    """

    own: float
    error: float
    ended: Ended
    by: tuple[tuple[int, bool], ...] = ()
    sure: bool = True


@dataclass(frozen=True)
class Stretch:
    """A stretch of values that belong, from `low` to `high`."""

    low: End
    high: End


def stretches(expected: Expected, ends: np.ndarray, traced: Traced, curve: Curve) -> tuple[Stretch, ...]:
    """The stretches of a profile below its threshold; two with no clear rise between them are one."""
    belongs = np.concatenate([[False], curve.distance <= traced.threshold, [False]])
    starts = np.flatnonzero(~belongs[:-1] & belongs[1:])
    stops = np.flatnonzero(belongs[:-1] & ~belongs[1:]) - 1
    joined: list[tuple[int, int]] = []
    for start, stop in zip(starts.tolist(), stops.tolist(), strict=True):
        if joined:
            between = slice(joined[-1][1] + 1, start)
            clear = curve.distance[between] - traced.threshold > _CLEAR * np.hypot(curve.error[between], traced.error)
            if not clear.any():
                joined[-1] = (joined[-1][0], stop)
                continue
        joined.append((start, stop))
    return tuple(
        Stretch(_end(expected, ends, traced, curve, start, -1), _end(expected, ends, traced, curve, stop, 1))
        for start, stop in joined
    )


def _end(expected: Expected, ends: np.ndarray, traced: Traced, curve: Curve, i: int, side: int) -> End:
    """The end at point i of a curve, below (-1) or above (1)."""
    j, width = curve.index, float(np.ptp(ends[:, curve.index]))
    error = float(np.hypot(curve.error[i], traced.error))
    if not 0 <= i + side < len(curve.own):
        sure = bool(traced.threshold - curve.distance[i] > _SURE * error)
        return End(float(curve.own[i]), 0.0, Ended.OWN, (), sure)
    inside, outside = curve.distance[i], curve.distance[i + side]
    part = float(np.clip((traced.threshold - inside) / max(outside - inside, 1e-12), 0.0, 1.0))
    own = float(curve.own[i] + part * (curve.own[i + side] - curve.own[i]))
    steep = max(abs(float(curve.tilt[i + side])), error / width)
    by = _cut(expected, ends, traced, curve.v[i + side], j)
    return End(own, error / steep, Ended.OTHER if by else Ended.DATA, by)


def _cut(expected: Expected, ends: np.ndarray, traced: Traced, v: np.ndarray, j: int) -> tuple[tuple[int, bool], ...]:
    """The ends of other priors without which the profile of j would go on beyond v (d,)."""
    said = expected.at(v[None])
    d, width = len(v), ends[1] - ends[0]
    low, high = v <= ends[0] + _AT_END * width, v >= ends[1] - _AT_END * width
    pushed = [i for i in range(d) if i != j and (low[i] or high[i])]
    loose = [i for i in range(d) if i != j and i not in pushed]
    rise = traced.threshold - traced.least if traced.threshold > traced.least else traced.threshold
    still = rise / 2.0 / _FAR**2

    def kept(others: list[int]) -> float:
        """The distance above the least if these go on, and how far they go counts against them."""
        slope = said.slope[0][:, loose + others]
        step = -np.linalg.solve(slope.T @ slope + still * np.eye(slope.shape[1]), slope.T @ said.mean[0])
        out = np.array([1.0 if high[i] else -1.0 for i in others])
        if np.any(step[len(loose) :] * out <= 0.0):
            return np.inf
        left = said.mean[0] + slope @ step
        return float(left @ left + still * step @ step - said.mean.shape[1] * said.doubt[0] - traced.least)

    found = [i for i in pushed if kept([i]) < _KEEPS * rise]
    if not found and len(pushed) > 1 and kept(pushed) < _KEEPS * rise:
        found = pushed
    return tuple((i, bool(high[i])) for i in found)


def named(space: Space, by: tuple[tuple[int, bool], ...]) -> str:
    """The ends that cut, in words."""
    return " and ".join(end_name(space, i, upper) for i, upper in by)
