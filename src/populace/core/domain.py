"""Where a parameter may lie."""

import math
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Domain:
    """An interval of the real line, each end open or closed.

    **Arguments:** `low`, `high`: the ends, infinite allowed; `low_open`, `high_open`: whether the end itself is out.
    """

    low: float = -math.inf
    high: float = math.inf
    low_open: bool = False
    high_open: bool = False

    def contains(self, value: np.ndarray | float) -> bool:
        """Whether every entry of a concrete `value` lies inside (a NaN never does)."""
        value = np.asarray(value)
        above = value > self.low if self.low_open else value >= self.low
        below = value < self.high if self.high_open else value <= self.high
        return bool(np.all(above & below & np.isfinite(value)))

    def __str__(self) -> str:
        left = "(" if self.low_open or math.isinf(self.low) else "["
        right = ")" if self.high_open or math.isinf(self.high) else "]"
        return f"{left}{self.low:g}, {self.high:g}{right}"


real = Domain()
"""Any finite number."""
positive = Domain(low=0.0, low_open=True)
"""Above 0."""
nonnegative = Domain(low=0.0)
"""0 or above."""
unit = Domain(low=0.0, high=1.0)
"""A share or probability: 0 to 1, ends included."""


def interval(low: float, high: float) -> Domain:
    """The closed interval from `low` to `high`."""
    return Domain(low=float(low), high=float(high))
