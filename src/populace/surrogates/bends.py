"""Bending outputs before learning: growth that explodes in one corner is learned on a scale where it does not.

z = arcsinh((y - c) / w), with c the median and w the standard deviation: linear for most runs, logarithmic for those
far out, on both sides. If z is Gaussian with mean m and variance v, then E sinh(z) = exp(v/2) sinh(m) and Var sinh(z) =
(exp(v) - 1) (exp(v) cosh(2m) + 1) / 2, so that predictions come back in closed form.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from .._types import Key
from .regressor import Fitted, Prediction, Regressor, check_enough


class Bend(NamedTuple):
    """`centre`, `width` (k,): z = arcsinh((y - centre) / width); `most` (k,): the variance of the sample's z, beyond
    which no variance is bent back: a mean would be made by its own uncertainty.
    """

    centre: np.ndarray
    width: np.ndarray
    most: np.ndarray

    @staticmethod
    def of(outputs: np.ndarray) -> "Bend":
        """The bend of outputs (n, k), one by one."""
        spread = outputs.std(0)
        centre, width = np.median(outputs, axis=0), np.where(spread > 0, spread, 1.0)
        return Bend(centre, width, np.arcsinh((outputs - centre) / width).var(0))

    def __call__(self, outputs: np.ndarray) -> np.ndarray:
        return np.arcsinh((outputs - self.centre) / self.width)

    def back(self, bent: Prediction) -> Prediction:
        """A prediction on the bent scale in the outputs' own units."""
        epistemic = np.minimum(bent.epistemic, self.most)
        noise = np.minimum(bent.noise, self.most - epistemic)
        whole = _sinh(bent.mean, noise + epistemic)
        known = np.exp(noise) * _sinh(bent.mean, epistemic)[1]
        return Prediction(
            self.centre + self.width * whole[0],
            self.width**2 * np.maximum(whole[1] - known, 0.0),
            self.width**2 * known,
        )


def _sinh(mean: np.ndarray, variance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of sinh(z) for Gaussian z."""
    centre = np.exp(0.5 * variance) * np.sinh(mean)
    # Var sinh = (e^v - 1)(e^v cosh 2m + 1) / 2, which cancels nothing for small v.
    return centre, 0.5 * np.expm1(variance) * (np.exp(variance) * np.cosh(2.0 * mean) + 1.0)


class Bent(Regressor):
    """Another regressor that learns outputs on a bent scale."""

    of: Regressor

    @property
    def name(self) -> str:
        return f"{self.of.name} on a bent scale"

    def least(self, inputs: int) -> int:
        return self.of.least(inputs)

    def fit(self, inputs: np.ndarray, outputs: np.ndarray, key: Key) -> "Unbent":
        check_enough(self, inputs)
        bend = Bend.of(outputs)
        return Unbent(self.of.fit(inputs, bend(outputs), key), bend)


@dataclass(frozen=True)
class Unbent(Fitted):
    """What was learned on a bent scale, in the outputs' own units."""

    inner: Fitted
    bend: Bend

    def predict(self, inputs: np.ndarray) -> Prediction:
        return self.bend.back(self.inner.predict(inputs))

    def sample(self, inputs: np.ndarray, key: Key, draws: int) -> np.ndarray:
        said = self.inner.predict(inputs)
        noise = np.minimum(said.noise, self.bend.most - np.minimum(said.epistemic, self.bend.most))
        functions = self.inner.sample(inputs, key, draws)
        return self.bend.centre + self.bend.width * np.exp(0.5 * noise) * np.sinh(functions)

    def relevance(self) -> np.ndarray:
        return self.inner.relevance()
