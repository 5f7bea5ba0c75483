"""Which of several models made a run: a logistic regression on moments, their squares and products.

The logarithm of the odds of two Gaussian laws is of this form, and so it is of any two, in the small. Mark Beaumont
(2008, in Simulations, Genetics and Human Prehistory, 135-154) reads model probabilities at the data off such a
regression on simulated runs. Its coefficients are the maximum of a likelihood with a ridge that left-out rows choose,
and their errors the sandwich's.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import logsumexp

from .._types import Key
from ..core.noise import host_generator

_RIDGES = (1e-3, 1e-2, 1e-1, 1.0)
"""A row, on features of variance about 1."""
_CROSSED = 10
"""Moments up to which all products are features; of more, only their squares."""
_FAR = 5.0
"""Standard deviations beyond which a moment counts as no farther."""
_FOLDS = 5
_STEPS = 30


@dataclass(frozen=True)
class Odds:
    """A regression that has learned.

    `features` makes (n, p) of rows; `weights` (classes, p); `covariance` (classes p, classes p): of the weights;
    `left_out` (n, classes): log-probabilities of the rows it learned from, each by a regression that left it out.
    """

    features: "Features"
    weights: np.ndarray
    covariance: np.ndarray
    left_out: np.ndarray

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        """Log-probabilities (n, classes) of rows (n, k), had all classes equal shares."""
        return _log_softmax(self.features(rows) @ self.weights.T)

    def errors(self, row: np.ndarray) -> np.ndarray:
        """Standard errors (classes, classes) of the log-odds of each class against each, at a row (k,)."""
        x, (classes, p) = self.features(row[None])[0], self.weights.shape
        whole = np.einsum("p,apbq,q->ab", x, self.covariance.reshape(classes, p, classes, p), x)
        each = np.diag(whole)
        return np.sqrt(np.maximum(each[:, None] + each[None] - 2.0 * whole, 0.0))


@dataclass(frozen=True)
class Features:
    """Rows (n, k) made independent and standard (`centre` (k,), `turn` (k, r)), with squares and products, in standard
    units (`middle`, `scale` (p - 1,)), behind a constant.
    """

    centre: np.ndarray
    turn: np.ndarray
    middle: np.ndarray
    scale: np.ndarray

    @staticmethod
    def of(rows: np.ndarray, classes: np.ndarray, shares: np.ndarray) -> "Features":
        """From rows (n, k) of classes (n,), which weigh `shares` (n,): about their classes' means, moments that never
        vary left out.
        """
        centred = rows.copy()
        for c in np.unique(classes):
            mine = classes == c
            centred[mine] -= np.average(rows[mine], axis=0, weights=shares[mine])
        spread = np.sqrt((centred**2).mean(0) + 1e-4 * rows.var(0))
        alive = spread > 1e-9 * np.maximum(np.abs(rows).max(0), 1e-300)
        unit = np.where(alive, 1.0 / np.where(alive, spread, 1.0), 0.0)
        correlation = (centred * unit).T @ (centred * unit) / len(rows)
        values, vectors = np.linalg.eigh(correlation)
        kept = values > 1e-6 * max(float(values[-1]), 1e-12)
        turn = unit[:, None] * vectors[:, kept] / np.sqrt(values[kept])
        first = Features(rows.mean(0), turn, np.zeros(0), np.zeros(0))
        made = first._made(rows)
        scale = made.std(0)
        return Features(first.centre, turn, made.mean(0), np.where(scale > 1e-9, scale, 1.0))

    def _made(self, rows: np.ndarray) -> np.ndarray:
        z = np.clip((rows - self.centre) @ self.turn, -_FAR, _FAR)
        if z.shape[1] > _CROSSED:
            return np.concatenate([z, z**2], axis=1)
        i, j = np.triu_indices(z.shape[1])
        return np.concatenate([z, z[:, i] * z[:, j]], axis=1)

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        made = (self._made(rows) - self.middle) / self.scale
        return np.concatenate([np.ones((len(rows), 1)), made], axis=1)


def logistic(rows: np.ndarray, classes: np.ndarray, key: Key, shares: np.ndarray | None = None) -> Odds:
    """Learn the classes (n,) of rows (n, k), numbers from 0; `shares` (n,): what a row weighs in its class, whose total
    is made the same for each class.
    """
    shares = np.ones(len(rows)) if shares is None else shares
    number = int(classes.max()) + 1
    totals = np.array([shares[classes == c].sum() for c in range(number)])
    shares = shares * len(rows) / number / totals[classes]
    features = Features.of(rows, classes, shares)
    x, y = features(rows), np.eye(number)[classes]
    place = np.empty(len(rows), int)
    place[host_generator(key).permutation(len(rows))] = np.arange(len(rows)) % _FOLDS
    tried = []
    for ridge in _RIDGES:
        said = np.empty((len(rows), number))
        for fold in range(_FOLDS):
            out = place == fold
            said[out] = _log_softmax(x[out] @ _learned(x[~out], y[~out], shares[~out], ridge)[0].T)
        tried.append((-float((shares * said[np.arange(len(rows)), classes]).sum()), ridge, said))
    _, ridge, said = min(tried, key=lambda one: one[0])
    weights, hessian = _learned(x, y, shares, ridge)
    gap = shares[:, None] * (np.exp(_log_softmax(x @ weights.T)) - y)
    pulls = (gap[:, :, None] * x[:, None]).reshape(len(rows), -1)
    back = np.linalg.inv(hessian)
    return Odds(features, weights, back @ (pulls.T @ pulls) @ back, said)


def _learned(x: np.ndarray, y: np.ndarray, shares: np.ndarray, ridge: float) -> tuple[np.ndarray, np.ndarray]:
    """The weights (classes, p) of largest penalised likelihood, and the Hessian there: Newton's steps, halved where
    they lead up.
    """
    (n, p), classes = x.shape, y.shape[1]
    penalty = n * ridge * np.concatenate([[1e-4], np.ones(p - 1)])

    def loss(weights: np.ndarray) -> float:
        return float(-(shares[:, None] * y * _log_softmax(x @ weights.T)).sum() + 0.5 * (penalty * weights**2).sum())

    def slopes(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        said = np.exp(_log_softmax(x @ weights.T))
        slope = (shares[:, None] * (said - y)).T @ x + penalty * weights
        hessian = np.zeros((classes, p, classes, p))
        for a in range(classes):
            for b in range(a, classes):
                pull = shares * said[:, a] * ((a == b) - said[:, b])
                hessian[a, :, b] = hessian[b, :, a] = x.T @ (pull[:, None] * x)
            hessian[a, :, a] += np.diag(penalty)
        return slope, hessian.reshape(classes * p, classes * p)

    weights = np.zeros((classes, p))
    now = loss(weights)
    for _ in range(_STEPS):
        slope, hessian = slopes(weights)
        step = np.linalg.solve(hessian, slope.ravel()).reshape(weights.shape)
        size = 1.0
        while loss(weights - size * step) > now and size > 1e-4:
            size *= 0.5
        weights = weights - size * step
        before, now = now, loss(weights)
        if before - now < 1e-9 * n:
            break
    return weights, slopes(weights)[1]


def _log_softmax(levels: np.ndarray) -> np.ndarray:
    return levels - logsumexp(levels, axis=-1, keepdims=True)
