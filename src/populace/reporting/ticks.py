"""Axis ticks that read like the tables do: `12,000`, `−0.5`, whole numbers for days, a power of ten in the label."""

import itertools
import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axis import Axis
from matplotlib.ticker import Formatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

from populace.reporting.cells import fixed, number, superscript

_LARGE, _SMALL = 1e7, 1e-4  # beyond these the axis counts in a power of ten


class Plain(Formatter):
    """Writes all ticks of a linear axis with the same decimals, in units of ten to the power of `exponent`."""

    def __init__(self, exponent: int = 0):
        self.exponent = exponent

    def __call__(self, x: float, pos: int | None = None) -> str:
        return number(x / 10.0**self.exponent)

    def format_ticks(self, values: Sequence[float]) -> list[str]:  # pyright: ignore[reportIncompatibleMethodOverride]
        scaled = [float(value) / 10.0**self.exponent for value in values]
        gaps = [abs(b - a) for a, b in itertools.pairwise(scaled) if a != b]
        if not gaps:
            return [number(value) for value in scaled]
        scaled = [0.0 if abs(value) < 1e-6 * min(gaps) else value for value in scaled]
        decimals = max(-_place(min(gaps)), 0)
        group = max(abs(value) for value in scaled) >= 10_000
        return [fixed(value, decimals, group=group) for value in scaled]


class PlainLog(Formatter):
    """Writes each tick of a logarithmic axis on its own: `0.01`, `1000`, `10⁻⁷`."""

    def __call__(self, x: float, pos: int | None = None) -> str:
        exponent = round(math.log10(x))
        if not _SMALL <= x < _LARGE and math.isclose(x, 10.0**exponent):
            return f"10{superscript(exponent)}"
        return number(x)


def whole_numbers(values: np.ndarray) -> bool:
    """Whether every finite value is an integer (days, counts)."""
    values = np.asarray(values, np.float64)
    values = values[np.isfinite(values)]
    return bool(values.size) and bool(np.all(values == np.round(values)))


def linear(axis: Axis, *, most: int = 6, whole: bool = False) -> None:
    """Puts at most about `most` round ticks on a linear axis whose label and limits are set.

    `whole` keeps them integers. Very large or small numbers are counted in a power of ten that the label names.
    """
    steps = [1, 2, 5, 10] if whole else [1, 2, 2.5, 5, 10]
    axis.set_major_locator(MaxNLocator(most, integer=whole, steps=steps, min_n_ticks=1 if whole else 2))
    low, high = axis.get_view_interval()
    largest = max(abs(low), abs(high))
    exponent = 0
    if largest >= _LARGE or 0 < largest < _SMALL:
        exponent = 3 * math.floor(math.log10(largest) / 3)
        axis.set_label_text(f"{axis.get_label_text()} (×10{superscript(exponent)})".strip())
    axis.set_major_formatter(Plain(exponent))


def logarithmic(axis: Axis, *, most: int = 6) -> None:
    """Puts ticks on a logarithmic axis whose limits are set: decades, or 1-2-5 steps in a short range."""
    low, high = sorted(axis.get_view_interval())
    decades = math.log10(high) - math.log10(low)
    if decades < 0.7:
        axis.set_major_locator(MaxNLocator(most - 1, steps=[1, 2, 2.5, 5, 10]))
        axis.set_major_formatter(Plain())
    else:
        subs = (1.0, 2.0, 5.0) if decades < 1.6 else (1.0,) if decades > 2.5 else (1.0, 3.0)
        axis.set_major_locator(LogLocator(10, subs=subs, numticks=most))
        axis.set_major_formatter(PlainLog())
    axis.set_minor_locator(NullLocator())
    axis.set_minor_formatter(NullFormatter())


def _place(spacing: float) -> int:
    """The decimal place of the last digit that `spacing` needs: 0.25 -> -2, 20 -> 1."""
    place = math.floor(math.log10(spacing) + 1e-9)
    return place if abs(spacing / 10.0**place - round(spacing / 10.0**place)) < 1e-3 else place - 1
