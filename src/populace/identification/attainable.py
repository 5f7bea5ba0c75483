"""Moment by moment: what range the prior attains, and how near it comes to the data."""

from dataclasses import dataclass

import numpy as np

from .._results import Code, Verdict
from ..problem.target import Target

_NEAREST = 20
"""Parameter sets nearest to the data by a moment, whose runs tell how it varies there."""
_SIZE = 0.02
_FEW = 3
"""Replicates from which on their spread is looked at."""


@dataclass(frozen=True)
class Attainable:
    """One moment over all parameter sets that were run.

    `low`, `high`: the least and the largest of the patterns; `data`; `nearest`: the pattern next to the data; `p`: how
    often a run at parameters there is as far from the middle of its replicates as the data are, of single runs how
    often one of all is as far out on the data's side.
    """

    label: str
    low: float
    high: float
    data: float
    nearest: float
    p: float

    @property
    def reached(self) -> bool:
        """Whether some parameter reaches the data's value."""
        return self.low <= self.data <= self.high or self.p >= _SIZE

    def verdict(self) -> Verdict:
        """In words."""
        numbers = {"data": self.data, "low": self.low, "high": self.high, "nearest": self.nearest, "p": self.p}
        span = f"{self.low:.4g} to {self.high:.4g}"
        if self.reached:
            text = f"{self.label}: the data say {self.data:.4g}, and the model makes {span}."
            return Verdict(self.label, Code.WITHIN_REACH, text, numbers)
        text = (
            f"{self.label}: no parameter reaches the data's {self.data:.4g}; the model makes {span} (p = {self.p:.2g})."
        )
        return Verdict(self.label, Code.OUT_OF_REACH, text, numbers)


def attainable(target: Target, runs: np.ndarray, patterns: np.ndarray) -> tuple[Attainable, ...]:
    """Of runs (n, R, k) and their medians, the patterns (n, k), a line a moment; one without a finite pattern is left
    out.
    """
    found = []
    for i, label in enumerate(target.labels):
        sound = np.isfinite(patterns[:, i])
        if sound.any():
            found.append(_one(label, float(target.values[i]), runs[sound][:, :, i], patterns[sound, i]))
    return tuple(found)


def _one(label: str, data: float, runs: np.ndarray, patterns: np.ndarray) -> Attainable:
    gaps = np.abs(patterns - data)
    nearest = int(gaps.argmin())
    if runs.shape[1] >= _FEW:
        near = np.argsort(gaps, kind="stable")[:_NEAREST]
        away = np.abs(runs[near] - patterns[near][:, None])
        away, gap = away[np.isfinite(away)], gaps[nearest]
        # A median of few runs lies near to them: what is left of their deviations is put right.
        p = (1.0 + (away * _widened(runs.shape[1]) >= gap).sum()) / (1.0 + away.size)
    else:
        single = runs[np.isfinite(runs)]
        p = (1.0 + min((single >= data).sum(), (single <= data).sum())) / (1.0 + single.size)
    return Attainable(label, float(patterns.min()), float(patterns.max()), data, float(patterns[nearest]), float(p))


def _widened(count: int) -> float:
    """By what the data, a further run, are farther from the median of `count` runs than these are: root of the ratio of
    (1 + c / R) to (1 - c' / R), for Gaussian runs about sqrt((R + 1.57) / (R - 1)).
    """
    return float(np.sqrt((count + 1.57) / (count - 1.0)))
