"""A polynomial as a regressor: the cheap fit by which many rules are screened.

Legendre polynomials of the inputs up to a total degree, by weighted least squares with a little ridge. The noise
variance is the exponential of a polynomial of degree 2, learned from squared residuals (Davidian and Carroll 1987,
Journal of the American Statistical Association 82:1079). A fit takes milliseconds, where a Gaussian process takes
seconds; with few inputs, and moments that bend smoothly over the prior, it is as good.
"""

import itertools
from dataclasses import dataclass

import equinox as eqx
import numpy as np

from .._errors import MethodError
from .._types import Key
from ..core.noise import host_generator
from .regressor import Fitted, Prediction, Regressor, Standard, check_enough, normalised

_RIDGE = 1e-3
_PER_TERM = 6
"""Points that a term takes, at the least: the degree is the highest that leaves so many."""
_SPREAD = 50.0
"""How far a point's noise variance may lie from the common one, as a factor."""
_LOG_CHI2 = 1.2704
"""Minus the mean of the logarithm of a squared standard Gaussian number."""


class Polynomial(Regressor):
    """Polynomials with a noise that varies; `degree`: the highest that is tried."""

    degree: int = eqx.field(static=True, default=5)

    def __check_init__(self) -> None:
        if self.degree < 1:
            raise MethodError(f"Polynomial(degree={self.degree}): 1 or more")

    @property
    def name(self) -> str:
        return "a polynomial"

    def least(self, inputs: int) -> int:
        return _PER_TERM * (1 + inputs)

    def fit(self, inputs: np.ndarray, outputs: np.ndarray, key: Key) -> "FittedPolynomial":
        check_enough(self, inputs)
        n, d = inputs.shape
        standard = Standard.of(outputs)
        powers = next(p for p in (_powers(d, m) for m in range(self.degree, 0, -1)) if _PER_TERM * len(p) <= n)
        rough = _powers(d, 2 if _PER_TERM * len(_powers(d, 2)) <= n else 1)
        columns = [_column(_terms(inputs, powers), _terms(inputs, rough), y) for y in standard(outputs).T]
        weights, covariances, logs, levels = (np.stack(part) for part in zip(*columns, strict=True))
        return FittedPolynomial(
            powers, rough, weights, covariances, logs, levels, standard, _relevance(powers, weights)
        )


@dataclass(frozen=True)
class FittedPolynomial(Fitted):
    """Polynomials that have learned: `powers` (p, d) and `rough` (q, d), the degrees of their terms; by output,
    `weights` (k, p), their `covariances` (k, p, p), `logs` (k, q) of the noise variance, and its `levels` (k,).
    """

    powers: np.ndarray
    rough: np.ndarray
    weights: np.ndarray
    covariances: np.ndarray
    logs: np.ndarray
    levels: np.ndarray
    standard: Standard
    relevances: np.ndarray

    def predict(self, inputs: np.ndarray) -> Prediction:
        x, rough = _terms(inputs, self.powers), _terms(inputs, self.rough)
        doubt = np.einsum("np,kpq,nq->nk", x, self.covariances, x)
        return self.standard.back(x @ self.weights.T, self.levels * _relative(rough, self.logs), doubt)

    def sample(self, inputs: np.ndarray, key: Key, draws: int) -> np.ndarray:
        x, rng = _terms(inputs, self.powers), host_generator(key)
        p = x.shape[1]
        lower = np.linalg.cholesky(self.covariances + 1e-12 * np.eye(p))
        weights = self.weights + np.einsum("kpq,skq->skp", lower, rng.standard_normal((draws, len(lower), p)))
        return np.einsum("np,skp->snk", x, weights) * self.standard.scale + self.standard.centre

    def relevance(self) -> np.ndarray:
        return self.relevances


def _powers(inputs: int, degree: int) -> np.ndarray:
    """The degrees (p, d) of all terms up to a total degree, the constant first."""
    every = itertools.product(range(degree + 1), repeat=inputs) if inputs < 5 else _few(inputs, min(degree, 2))
    return np.array(sorted((one for one in every if sum(one) <= degree), key=lambda one: (sum(one), one)))


def _few(inputs: int, degree: int) -> list[tuple[int, ...]]:
    """The same for many inputs, without walking through all products."""
    picked = itertools.chain.from_iterable(
        itertools.combinations_with_replacement(range(inputs), m) for m in range(degree + 1)
    )
    return [tuple(np.bincount(np.array(one, int), minlength=inputs).tolist()) for one in picked]


def _terms(inputs: np.ndarray, powers: np.ndarray) -> np.ndarray:
    """The terms (n, p) at inputs (n, d), of mean square 1 each over the unit cube."""
    held = 2.0 * np.clip(inputs, 0.0, 1.0) - 1.0
    basis = np.polynomial.legendre.legvander(held, int(powers.max())) * np.sqrt(2.0 * np.arange(powers.max() + 1) + 1.0)
    return np.stack([basis[:, range(len(one)), one].prod(1) for one in powers], axis=1)


def _column(x: np.ndarray, rough: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """Weights, their covariance, logarithms of the relative noise variance, and its level, of one output."""
    relative, logs = np.ones(len(y)), np.zeros(rough.shape[1])
    for last in (False, True):
        scaled = x / relative[:, None]
        penalty = _RIDGE * np.eye(x.shape[1])
        penalty[0, 0] = 0.0
        back = np.linalg.inv(scaled.T @ x + penalty)
        weights = back @ (scaled.T @ y)
        leverage = np.clip((scaled * (x @ back)).sum(1), 0.0, 0.9)
        residual = (y - x @ weights) / np.sqrt(1.0 - leverage)
        if not last:
            squares = np.log(np.maximum(residual**2, 1e-12 + 1e-6 * residual.var())) + _LOG_CHI2
            ridge = np.diag([0.0, *np.full(rough.shape[1] - 1, 10.0)])  # slopes of the noise only where they are plain
            logs = np.linalg.solve(rough.T @ rough + ridge, rough.T @ squares)
            logs[0] = 0.0
            relative = _relative(rough, logs[None])[:, 0]
    level = max(float((residual**2 / relative).mean()), 1e-12)
    return weights, level * back, logs, level


def _relative(rough: np.ndarray, logs: np.ndarray) -> np.ndarray:
    """Noise variances relative to their level, (n, k)."""
    return np.clip(np.exp(rough @ logs.T), 1.0 / _SPREAD, _SPREAD)


def _relevance(powers: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """By the mean square of the terms that an input stands in, weighed by its degree there."""
    return normalised(np.sqrt(((weights**2).sum(0)[:, None] * powers**2).sum(0)))
