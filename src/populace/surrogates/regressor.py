"""What a regressor is: it learns outputs from inputs, and says what it does not know.

Two kinds of not knowing are kept apart. The *noise variance* is what another seed changes at the same point; more runs
nearby do not lower it. The *epistemic variance* is what the regressor does not know of the mean; more runs do.
"""

import abc
from dataclasses import dataclass

import equinox as eqx
import numpy as np

from .._errors import MethodError
from .._types import Key


@dataclass(frozen=True)
class Prediction:
    """At m points, of k outputs: `mean`, `noise` and `epistemic` (variances), each (m, k) float64."""

    mean: np.ndarray
    noise: np.ndarray
    epistemic: np.ndarray

    @property
    def variance(self) -> np.ndarray:
        """The variance of one run's output, (m, k): noise and epistemic."""
        return self.noise + self.epistemic


class Fitted(abc.ABC):
    """A regressor that has learned. Three methods; inputs (m, d) lie in the unit cube."""

    @abc.abstractmethod
    def predict(self, inputs: np.ndarray) -> Prediction:
        """Mean and variances at inputs (m, d)."""

    @abc.abstractmethod
    def sample(self, inputs: np.ndarray, key: Key, draws: int) -> np.ndarray:
        """What the mean function may be at inputs (m, d): (draws, m, k), jointly over the points of a draw."""

    @abc.abstractmethod
    def relevance(self) -> np.ndarray:
        """How fast outputs change along each input, (d,), positive, with mean square 1: the metric that distances to
        the design are measured in.
        """


class Regressor(eqx.Module):
    """How to learn. Two methods, and a name for people."""

    @property
    @abc.abstractmethod
    def name(self) -> str:
        """What people call it."""

    @abc.abstractmethod
    def least(self, inputs: int) -> int:
        """How many points it takes to learn a function of so many inputs at all."""

    @abc.abstractmethod
    def fit(self, inputs: np.ndarray, outputs: np.ndarray, key: Key) -> Fitted:
        """Learn outputs (n, k) float64, all finite, at inputs (n, d) in the unit cube.

        **Raises:** `MethodError` for fewer than `least(d)` points.
        """


def check_enough(regressor: Regressor, inputs: np.ndarray) -> None:
    """Refuse too few points.

    **Raises:** `MethodError`, which says how many are needed.
    """
    n, d = inputs.shape
    least = regressor.least(d)
    if n < least:
        raise MethodError(
            f"{regressor.name} cannot learn {d} parameters from {n} valid runs: give {least} or more, at least "
            f"{least - n} in addition"
        )


@dataclass(frozen=True)
class Standard:
    """Centre and scale of outputs, (k,) each; an output that never changes has scale 1."""

    centre: np.ndarray
    scale: np.ndarray

    @staticmethod
    def of(outputs: np.ndarray) -> "Standard":
        """Of outputs (n, k)."""
        spread = outputs.std(0)
        still = spread <= 1e-12 * np.maximum(np.abs(outputs).max(0), 1e-300)
        return Standard(outputs.mean(0), np.where(still, 1.0, spread))

    def __call__(self, outputs: np.ndarray) -> np.ndarray:
        return (outputs - self.centre) / self.scale

    def back(self, mean: np.ndarray, noise: np.ndarray, epistemic: np.ndarray) -> Prediction:
        """A prediction of standardised outputs in their own units."""
        return Prediction(mean * self.scale + self.centre, noise * self.scale**2, epistemic * self.scale**2)


def normalised(relevance: np.ndarray) -> np.ndarray:
    """Relevances (d,) with mean square 1, none below a thousandth of the largest."""
    raised = np.maximum(relevance, 1e-3 * relevance.max()) if relevance.max() > 0 else np.ones_like(relevance)
    return raised / np.sqrt((raised**2).mean())
