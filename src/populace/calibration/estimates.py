"""What a method ends with: a weighted sample, or a point with its covariance."""

import abc
import math

import equinox as eqx
import numpy as np

from .._types import Key
from ..core.noise import host_generator
from ..problem.problem import Problem


class Estimate(eqx.Module):
    """What is known of the parameters after a fit. Parameters are rows on the real scale of the space (see `Space`)."""

    @abc.abstractmethod
    def draws(self, problem: Problem, key: Key, count: int) -> np.ndarray:
        """`count` draws of the parameters, (count, d) on the real scale, equally weighted."""

    @abc.abstractmethod
    def centre(self, problem: Problem) -> np.ndarray:
        """One value to stand for the estimate, (d,) on the real scale."""

    @abc.abstractmethod
    def notes(self) -> tuple[str, ...]:
        """What the method has to say about this estimate, a sentence each."""

    @property
    def effective_size(self) -> float:
        """How many independent draws `draws` can give at most; infinitely many where each is drawn anew."""
        return math.inf


def worth(weights: np.ndarray) -> float:
    """How many equally weighted draws a sample is worth, 1 / sum of squared weights (which sum to 1)."""
    return float(1.0 / (weights**2).sum())


class Posterior(Estimate):
    """A weighted sample of the posterior.

    `real` (n, d): parameters on the real scale; `weights` (n,), summing to 1; `moments` (n, k): what was simulated at
    each (chosen near the data, so no predictive sample; NaN where the method simulates none at its draws);
    `remarks`: sentences.
    """

    real: np.ndarray
    weights: np.ndarray
    moments: np.ndarray
    remarks: tuple[str, ...] = eqx.field(static=True)

    def draws(self, problem: Problem, key: Key, count: int) -> np.ndarray:
        """Systematic resampling: each particle is taken its weight times `count`, rounded up or down by chance."""
        return self.real[systematic(key, self.weights, count)]

    def centre(self, problem: Problem) -> np.ndarray:
        """The weighted mean."""
        return self.weights @ self.real

    def notes(self) -> tuple[str, ...]:
        return self.remarks

    @property
    def effective_size(self) -> float:
        return worth(self.weights)


class Point(Estimate):
    """A point with the covariance of its sampling error on the real scale; `covariance` is NaN where it has none."""

    real: np.ndarray
    covariance: np.ndarray
    loss: float
    remarks: tuple[str, ...] = eqx.field(static=True)

    def draws(self, problem: Problem, key: Key, count: int) -> np.ndarray:
        """Gaussian draws with the point's covariance; the point itself where that is not known."""
        if not np.isfinite(self.covariance).all():
            return np.repeat(self.real[None], count, axis=0)
        values, vectors = np.linalg.eigh(self.covariance)
        noise = host_generator(key).standard_normal((count, self.real.size))
        return self.real + noise @ (vectors * np.sqrt(np.maximum(values, 0.0))).T

    def centre(self, problem: Problem) -> np.ndarray:
        return self.real

    def notes(self) -> tuple[str, ...]:
        return self.remarks


def systematic(key: Key, weights: np.ndarray, count: int) -> np.ndarray:
    """Indices (count,) drawn in proportion to `weights` with one uniform number, in shuffled order."""
    rng = host_generator(key)
    places = (np.arange(count) + rng.uniform()) / count
    edges = np.cumsum(np.asarray(weights, np.float64))
    picked = np.searchsorted(edges / edges[-1], places, side="right")
    return np.minimum(picked, weights.size - 1)[rng.permutation(count)]


def weighted_covariance(rows: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The covariance (d, d) of weighted rows (n, d), weights summing to 1, with the reliability correction."""
    centred = rows - weights @ rows
    return (centred * weights[:, None]).T @ centred / max(1.0 - float((weights**2).sum()), 1e-12)


def root_of(covariance: np.ndarray) -> np.ndarray:
    """The Cholesky factor of a covariance (d, d), which may be of less than full rank: it gets a little more of all."""
    d = len(covariance)
    return np.linalg.cholesky(covariance + (1e-9 * np.trace(covariance) / d + 1e-12) * np.eye(d))
