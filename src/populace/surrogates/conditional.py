"""What a conditional density is: it learns how likely values are where something else is given.

Values have mean 0 and variance 1 before anything is given: parameters on a scale of their priors.
"""

import abc

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import scipy.linalg
from jaxtyping import Array

from .._errors import MethodError
from .._types import Key


class Density(abc.ABC):
    """A conditional density that has learned. Two methods; a third is had of them where it is not given."""

    @abc.abstractmethod
    def sample(self, given: np.ndarray, key: Key, count: int) -> np.ndarray:
        """Draws (count, d) of the values where `given` (k,) is."""

    @abc.abstractmethod
    def log_prob(self, values: np.ndarray, given: np.ndarray) -> np.ndarray:
        """The logarithm of the density (n,) at values (n, d), each where its row of `given` (n, k) is."""

    def typical(self, given: np.ndarray, key: Key, draws: int) -> tuple[np.ndarray, np.ndarray]:
        """The log-densities (n, draws) of draws where each row of `given` (n, k) is, and their expectation (n,), the
        negative entropy, as well as so many draws tell it.
        """
        n = given.shape[0]
        drawn = np.concatenate([self.sample(row, jr.fold_in(key, i), draws) for i, row in enumerate(given)])
        logs = self.log_prob(drawn, np.repeat(given, draws, axis=0)).reshape(n, draws)
        return logs, logs.mean(1)


class ConditionalDensity(eqx.Module):
    """How to learn one. A method, and a name for people."""

    @property
    @abc.abstractmethod
    def name(self) -> str:
        """What people call it."""

    @abc.abstractmethod
    def fit(self, values: np.ndarray, given: np.ndarray, weights: np.ndarray, key: Key) -> Density:
        """Learn from values (n, d) and what was given with each (n, k), all finite, with weights (n,) of mean 1.

        **Raises:** `MethodError` for too few rows.
        """


LEAST = 50
_PLAIN = 3.0


def check_rows(density: ConditionalDensity, values: np.ndarray) -> None:
    """Refuse too few rows.

    **Raises:** `MethodError`, which says how many are needed.
    """
    if values.shape[0] < LEAST:
        raise MethodError(f"{density.name} cannot learn from {values.shape[0]} valid runs: give {LEAST} or more")


class Squashed(eqx.Module):
    """Numbers of any units and tails on a scale for networks: distances from the median in robust spreads, as they are
    up to three, and beyond by the logarithm. What is linear stays so where nearly all rows are.

    `middle`, `spread`: (k,) each.
    """

    middle: np.ndarray
    spread: np.ndarray

    @staticmethod
    def of(rows: np.ndarray) -> "Squashed":
        """Of rows (n, k)."""
        middle = np.median(rows, axis=0)
        low, high = np.quantile(rows, [0.16, 0.84], axis=0)
        spread = np.where(high > low, (high - low) / 2.0, rows.std(0))
        still = spread <= 1e-12 * np.maximum(np.abs(middle), 1e-300)
        return Squashed(middle, np.where(still, 1.0, spread))

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        far = (rows - self.middle) / self.spread
        return np.clip(far, -_PLAIN, _PLAIN) + np.sign(far) * np.log1p(_beyond(far))

    def traced(self, rows: Array) -> Array:
        """The same inside a trace."""
        far = (rows - self.middle) / self.spread
        return jnp.clip(far, -_PLAIN, _PLAIN) + jnp.sign(far) * jnp.log1p(jnp.maximum(jnp.abs(far) - _PLAIN, 0.0))

    def log_slopes(self, rows: np.ndarray) -> np.ndarray:
        """The logarithm of the derivative of each number, (..., k)."""
        return -np.log(self.spread) - np.log1p(_beyond((rows - self.middle) / self.spread))


def _beyond(far: np.ndarray) -> np.ndarray:
    """How far numbers lie outside the plain part."""
    return np.maximum(np.abs(far) - _PLAIN, 0.0)


class Line(eqx.Module):
    """A linear regression of values (d) on what is given (k), with a covariance of residuals.

    `slopes` (k, d); `centre` (d,); `root` (d, d): the Cholesky factor of that covariance.
    """

    slopes: np.ndarray
    centre: np.ndarray
    root: np.ndarray

    @staticmethod
    def of(values: np.ndarray, given: np.ndarray, weights: np.ndarray) -> "Line":
        """By least squares; the ridge is for columns that never vary, or vary together."""
        share = weights / weights.sum()
        centre, middle = share @ values, share @ given
        x, y = given - middle, values - centre
        gram = (x * share[:, None]).T @ x + 1e-6 * np.eye(x.shape[1])
        slopes = np.linalg.solve(gram, (x * share[:, None]).T @ y)
        left = y - x @ slopes
        spread = (left * share[:, None]).T @ left
        floor = 1e-6 * np.trace(spread) / len(spread) + 1e-12
        return Line(slopes, centre - middle @ slopes, np.linalg.cholesky(spread + floor * np.eye(len(spread))))

    def off(self, values: np.ndarray, given: np.ndarray) -> np.ndarray:
        """Values (n, d) as residuals."""
        left = values - self.centre - given @ self.slopes
        return scipy.linalg.solve_triangular(self.root, left.T, lower=True).T

    def on(self, residuals: np.ndarray, given: np.ndarray) -> np.ndarray:
        """Residuals (n, d) as values."""
        return self.centre + given @ self.slopes + residuals @ self.root.T
