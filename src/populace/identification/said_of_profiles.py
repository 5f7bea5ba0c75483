"""A profile in words: its intervals in the parameter's own units, what ends each, and one sentence."""

from dataclasses import dataclass

import numpy as np

from .._results import Code, Verdict
from ..calibration.regions import Scale
from .expected import valued
from .reaches import End, Ended, Stretch, named

_BLURRED = 0.6
"""A least distance is known well enough if its error is less than this part of the threshold."""


@dataclass(frozen=True)
class Interval:
    """A stretch of a parameter's values, from `low` to `high`, with the standard error of each end (0 where it is the
    prior's), what ended it, in words (`low_end`, `high_end`), and how (`ended`); `unit`: both ends as prior
    probabilities; `sure`: whether where it ends at the prior's end it is beyond doubt that it reaches so far.
    """

    low: float
    high: float
    low_error: float
    high_error: float
    low_end: str
    high_end: str
    ended: tuple[Ended, Ended]
    unit: tuple[float, float]
    sure: bool

    @property
    def shown(self) -> str:
        """In words."""
        return f"{self.low:.4g} to {self.high:.4g}"

    def record(self) -> dict[str, float | str]:
        """As JSON."""
        return {
            "low": self.low,
            "low_error": self.low_error,
            "low_end": self.low_end,
            "high": self.high,
            "high_error": self.high_error,
            "high_end": self.high_end,
        }


def intervals(scale: Scale, j: int, bottom: np.ndarray, found: tuple[Stretch, ...]) -> tuple[Interval, ...]:
    """Stretches of parameter j in its own units."""
    return tuple(_interval(scale, j, bottom, one) for one in found)


def _interval(scale: Scale, j: int, bottom: np.ndarray, one: Stretch) -> Interval:
    low, high = one.low, one.high
    return Interval(
        low=_value(scale, j, bottom, low),
        high=_value(scale, j, bottom, high),
        low_error=_error(scale, j, bottom, low),
        high_error=_error(scale, j, bottom, high),
        low_end=_why(scale, low),
        high_end=_why(scale, high),
        ended=(low.ended, high.ended),
        unit=(_unit(scale, j, low), _unit(scale, j, high)),
        sure=low.sure and high.sure,
    )


def _value(scale: Scale, j: int, bottom: np.ndarray, end: End, off: float = 0.0) -> float:
    row = bottom[None].copy()
    row[0, j] = end.own + off
    if off:
        row = scale.held(row)
    return float(valued(scale, row)[0, j])


def _error(scale: Scale, j: int, bottom: np.ndarray, end: End) -> float:
    return abs(_value(scale, j, bottom, end, end.error) - _value(scale, j, bottom, end, -end.error)) / 2.0


def _unit(scale: Scale, j: int, end: End) -> float:
    return float(scale.unit(np.full((1, scale.bounded.size), end.own))[0, j])


def _why(scale: Scale, end: End) -> str:
    if end.ended is Ended.OTHER:
        return named(scale.space, end.by)
    return end.ended.value


def profile_verdict(
    label: str, found: tuple[Interval, ...], rise: np.ndarray, threshold: float, error: float
) -> Verdict:
    """The class of a profile, and its sentence.

    **Arguments:** `rise` (m,): of the distance along it; `error`: of the least distance, from which it rises.
    """
    numbers = _numbers(found)
    if not found or error > _BLURRED * threshold:
        seen = f" As far as it is seen, {label} goes from {found[0].low:.4g} to {found[-1].high:.4g}." if found else ""
        text = (
            f"{label} cannot be judged: the luck of runs leaves the least distance unknown by {error:.2g}, and a rise "
            f"of {threshold:.3g} decides. Raise the budget.{seen}"
        )
        return Verdict(label, Code.UNJUDGED, text, numbers)
    code, text = _class(label, list(found), rise, threshold)
    unsure = " At an end of the prior the rise is within its error of the threshold."
    return Verdict(label, code, text if all(one.sure for one in found) else text + unsure, numbers)


def _class(label: str, found: list[Interval], rise: np.ndarray, threshold: float) -> tuple[Code, str]:
    if len(found) > 1:
        listed = " or ".join(one.shown for one in found)
        cuts = _cuts(found)
        where = f" There{cuts}" if cuts else ""
        return Code.SEVERAL, f"{label} lies in one of {len(found)} valleys: {listed}.{where}"
    one = found[0]
    if Ended.OTHER in one.ended:
        return Code.CUT, f"{label} may be anywhere from {one.shown}, but not by the data alone:{_cuts(found)}"
    if one.ended == (Ended.OWN, Ended.OWN):
        text = f"over its whole prior ({one.shown}) the distance rises by {max(float(rise.max()), 0.0):.2g} at the most"
        return Code.FLAT, f"{label} is flat: {text}, less than {threshold:.3g}."
    if Ended.OWN in one.ended:
        below = one.ended[0] is Ended.DATA
        limit = f"at least {one.low:.4g}" if below else f"at most {one.high:.4g}"
        side = "below" if below else "above"
        text = f"{label} is bounded from {side} only: {limit}; on the other side its prior ends first."
        return Code.ONE_SIDED, text
    return Code.BOUNDED, f"{label} is bounded by the data: {one.shown}, whatever the other parameters are."


def _cuts(found: list[Interval]) -> str:
    """Which ends are cut, and by what."""
    parts: list[str] = []
    for one in found:
        for value, why, how in zip((one.low, one.high), (one.low_end, one.high_end), one.ended, strict=True):
            if how is Ended.OTHER:
                parts.append(f" at {value:.4g} its profile is cut by {why}")
    return f"{';'.join(parts)}." if parts else ""


def _numbers(found: tuple[Interval, ...]) -> dict[str, float]:
    numbers: dict[str, float] = {}
    for i, one in enumerate(found):
        tail = "" if len(found) == 1 else f" {i + 1}"
        numbers |= {
            f"low{tail}": one.low,
            f"high{tail}": one.high,
            f"low error{tail}": one.low_error,
            f"high error{tail}": one.high_error,
        }
    return numbers
