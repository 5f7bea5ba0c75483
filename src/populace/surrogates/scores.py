"""What makes one prediction better than another, and the shares in which several are best mixed."""

import abc
from collections.abc import Sequence

import equinox as eqx
import numpy as np
from scipy.optimize import nnls

from .regressor import Prediction

_WEIGHT = 1e3
_TURNS = 200
_LEAST = 0.05
"""A regressor with a smaller share is left out."""


class Score(eqx.Module):
    """A loss of predictions on runs that were left out. Two methods, and a name for people."""

    @property
    @abc.abstractmethod
    def name(self) -> str:
        """What people call it."""

    @abc.abstractmethod
    def loss(self, prediction: Prediction, outputs: np.ndarray) -> float:
        """Of a prediction of outputs (n, k); less is better."""

    @abc.abstractmethod
    def shares(self, predictions: Sequence[Prediction], outputs: np.ndarray) -> np.ndarray:
        """The shares (regressors,) of the mixture with the least loss: positive, adding up to 1."""


class SquaredError(Score):
    """The mean squared error as a share of the outputs' variance: whether means are right."""

    @property
    def name(self) -> str:
        return "mean squared error as a share of the variance"

    def loss(self, prediction: Prediction, outputs: np.ndarray) -> float:
        return float((((prediction.mean - outputs) / _scale(outputs)) ** 2).mean())

    def shares(self, predictions: Sequence[Prediction], outputs: np.ndarray) -> np.ndarray:
        scale = _scale(outputs)
        columns = np.stack([(one.mean / scale).ravel() for one in predictions], axis=1)
        centre = np.broadcast_to(outputs.mean(0) / scale, outputs.shape).ravel()
        # A heavy row asks the shares to add up to 1.
        rows = np.concatenate([columns - centre[:, None], np.full((1, len(predictions)), _WEIGHT * outputs.size**0.5)])
        wanted = np.append((outputs / scale).ravel() - centre, _WEIGHT * outputs.size**0.5)
        return _cleaned(nnls(rows, wanted)[0])


class LogScore(Score):
    """Minus the mean log density of the outputs: whether means and variances are right together."""

    @property
    def name(self) -> str:
        return "minus the mean log density"

    def loss(self, prediction: Prediction, outputs: np.ndarray) -> float:
        return float(-_log_density(prediction, outputs).mean())

    def shares(self, predictions: Sequence[Prediction], outputs: np.ndarray) -> np.ndarray:
        """By expectation and maximisation, for the mixture of densities."""
        logs = np.stack([_log_density(one, outputs).ravel() for one in predictions], axis=1)
        density = np.exp(logs - logs.max(1, keepdims=True))
        shares = np.full(len(predictions), 1.0 / len(predictions))
        for _ in range(_TURNS):
            part = shares * density
            shares = (part / part.sum(1, keepdims=True)).mean(0)
        return _cleaned(shares)


def _scale(outputs: np.ndarray) -> np.ndarray:
    spread = outputs.std(0)
    return np.where(spread > 0, spread, 1.0)


def _log_density(prediction: Prediction, outputs: np.ndarray) -> np.ndarray:
    variance = np.maximum(prediction.variance, 1e-300)
    return -0.5 * (np.log(2.0 * np.pi * variance) + (outputs - prediction.mean) ** 2 / variance)


def _cleaned(shares: np.ndarray) -> np.ndarray:
    """Small shares dropped, the others adding up to 1."""
    shares = shares / shares.sum()
    kept = np.where(shares >= min(_LEAST, shares.max()), shares, 0.0)
    return kept / kept.sum()
