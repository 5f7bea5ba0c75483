"""What a classifier of runs is: it learns which parameters give runs within a tolerance of the data, and how surely.

A run is acceptable when its distance is at most the tolerance. At one point some seeds are and some are not: what is
learned is the probability over seeds, and members of an ensemble that disagree on it say what more runs would teach.
"""

import abc

import equinox as eqx
import numpy as np

from .._types import Key


class FittedClassifier(abc.ABC):
    """A classifier that has learned. One method; inputs (m, d) lie in the unit cube."""

    @abc.abstractmethod
    def probabilities(self, inputs: np.ndarray) -> np.ndarray:
        """What each member takes for the probability that a run is acceptable, (members, m) float64 in [0, 1]."""


class Classifier(eqx.Module):
    """How to learn. One method, and a name for people."""

    @property
    @abc.abstractmethod
    def name(self) -> str:
        """What people call it."""

    @abc.abstractmethod
    def fit(self, inputs: np.ndarray, ratios: np.ndarray, key: Key) -> FittedClassifier:
        """Learn from runs at inputs (n, d) in the unit cube: `ratios` (n,) of their distance to the tolerance, at most
        1 for an acceptable run, NaN for one that failed. Where all runs are of one kind, there is nothing to tell
        apart, and every probability is near that kind's.
        """


def accepted(ratios: np.ndarray) -> np.ndarray:
    """Which runs are acceptable, (n,) bool: a failed one is not."""
    return np.isfinite(ratios) & (np.nan_to_num(ratios, nan=np.inf) <= 1.0)


def f1_threshold(probabilities: np.ndarray) -> tuple[float, float]:
    """From which probability on a point is best called acceptable, and the F1 score that is then expected.

    If the probabilities (m,) of points from the prior are right, the k surest hold sum_k p of sum p acceptable ones,
    and F1 = 2 sum_k p / (k + sum p) is largest at some k. With rare acceptance that is far below a half (Lipton, Elkan
    and Naryanaswamy 2014, ECML).
    """
    sure = np.sort(np.asarray(probabilities, np.float64))[::-1]
    scores = 2.0 * np.cumsum(sure) / (np.arange(1, sure.size + 1) + sure.sum())
    best = int(scores.argmax())
    return float(sure[best]), float(scores[best])
