"""Pairs of parameters as numbers of their own: sums, differences, products and ratios, each on its probability scale.

On the scale of its own ranks every combination is uniform, as parameters are on their priors', so that one measure
compares them: the share of the spread that summaries leave.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations as pairs_of

import numpy as np
from scipy.stats import rankdata

_ALIKE = 2.0
"""Ranges within this factor are added as they are; others are weighted, so that both members count."""


@dataclass(frozen=True)
class Pair:
    """A combination of two parameters: its text, the places of its members, and its values (n,)."""

    text: str
    members: tuple[int, int]
    values: np.ndarray

    def ranks(self) -> np.ndarray:
        """The values on their own probability scale, (n,)."""
        return ranks(self.values)


def ranks(values: np.ndarray) -> np.ndarray:
    """Values (n,) on their own probability scale; equal ones share a rank."""
    return (rankdata(values) - 0.5) / values.size


def pairs(labels: Sequence[str], values: np.ndarray) -> list[Pair]:
    """The combinations of any two columns of values (n, d): products and ratios of those that are never negative."""
    found = []
    for i, j in pairs_of(range(len(labels)), 2):
        a, b, x, y = labels[i], labels[j], values[:, i], values[:, j]
        weight = np.ptp(x) / np.ptp(y)
        if 1.0 / _ALIKE <= weight <= _ALIKE:
            weight, times = 1.0, b
        else:
            times = f"{weight:.3g} x {b}"
        forms = [(f"{a} + {times}", x + weight * y), (f"{a} - {times}", x - weight * y)]
        if x.min() >= 0 and y.min() >= 0:
            forms.append((f"{a} x {b}", x * y))
            if (y > 0).all():
                forms.append((f"{a} / {b}", x / y))
        found += [Pair(text, (i, j), numbers) for text, numbers in forms]
    return found
