"""Intervals that hold what they promise, whatever the surrogate's variances are worth: split-conformal prediction.

The distances |y - mean| / sd of n runs that the surrogate did not learn from are put in order. An interval of
probability p reaches as many sd to both sides as the ceil((n + 1) p)-th of them, and holds a further run with at least
that probability, on average over points like those of the n (Vovk, Gammerman and Shafer 2005; Lei and others 2018).
"""

from dataclasses import dataclass

import numpy as np

from .._errors import MethodError
from .regressor import Prediction


@dataclass(frozen=True)
class Conformal:
    """`distances` (n, k): in rising order; `source`: where the runs come from, in words."""

    distances: np.ndarray
    source: str

    @staticmethod
    def of(prediction: Prediction, outputs: np.ndarray, source: str) -> "Conformal":
        """From a prediction of outputs (n, k) that were not learned from."""
        sd = np.sqrt(np.maximum(prediction.variance, 1e-300))
        return Conformal(np.sort(np.abs(outputs - prediction.mean) / sd, axis=0), source)

    @property
    def runs(self) -> int:
        """How many left-out runs, n."""
        return self.distances.shape[0]

    def reach(self, probability: float) -> np.ndarray:
        """How many standard deviations an interval of this probability reaches, (k,).

        **Raises:** `MethodError` where n runs cannot promise it.
        """
        if not 0.0 < probability < 1.0:
            raise MethodError(f"an interval of probability {probability}: give a number between 0 and 1")
        place = int(np.ceil((self.runs + 1) * probability - 1e-9))
        if place > self.runs:
            needed = int(np.ceil(probability / (1.0 - probability)))
            raise MethodError(
                f"{self.runs} left-out runs cannot promise an interval of {100 * probability:g} %: it takes {needed}"
            )
        return self.distances[place - 1]

    def interval(self, prediction: Prediction, probability: float) -> tuple[np.ndarray, np.ndarray]:
        """Low and high ends, (m, k) each, for one run at each of the predicted points."""
        half = self.reach(probability) * np.sqrt(prediction.variance)
        return prediction.mean - half, prediction.mean + half
