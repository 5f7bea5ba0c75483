"""Kernel ridge regression with a metric that it learns: what summaries say of parameters, many outputs at once.

f(x) = sum_i w_i k(|R (x - x_i)|), with the Matern-3/2 kernel k(r) = (1 + sqrt(3) r / l) exp(-sqrt(3) r / l) and
w = (K + ridge I)^-1 (y - mean y): the mean of a Gaussian process. One Cholesky factor serves all outputs, which is why
parameters and their combinations are learned together. Of hundreds of summaries few may matter, and a kernel that
looks at all of them alike sees none: so the root R of the metric is learned from the derivatives of a first fit,
R'R = the mean of (df/dx)(df/dx)', and once more from those of the second (recursive feature machines: Adityanarayanan
Radhakrishnan, Daniel Beaglehole, Parthe Pandit and Mikhail Belkin 2024, Science 383:1461). Metric, length l and ridge
are those that predict a third of some of the rows best.
"""

from dataclasses import dataclass

import numpy as np
import scipy.linalg

from .._types import Key
from ..core.noise import host_generator

_MOST = 4000
"""Rows that are learned from, at the most: the work grows with their cube."""
_TRIED = 1200
"""Rows on which metric, length and ridge are chosen, at the most; a third of them are predicted."""
_SLOPES = 300
"""Points at which derivatives are taken."""
_LENGTHS = (0.35, 0.7, 1.4, 2.8)
_RIDGES = (0.003, 0.03, 0.3, 3.0)
_TURNS = 2
_KEPT = 0.1
"""The share of the first metric in those that are learned: no direction is quite forgotten."""
_AT_ONCE = 1000


@dataclass(frozen=True)
class Kernel:
    """What is chosen before learning: `root` (d, d) of the metric, `length`, `ridge`."""

    root: np.ndarray
    length: float
    ridge: float


@dataclass(frozen=True)
class KernelRidge:
    """What was learned: with a `kernel`, from inputs in its metric (n, d), weights (n, k) and the centre (k,)."""

    kernel: Kernel
    inputs: np.ndarray
    weights: np.ndarray
    centre: np.ndarray

    def __call__(self, inputs: np.ndarray) -> np.ndarray:
        """Outputs (m, k) at inputs (m, d)."""
        said = np.empty((inputs.shape[0], self.weights.shape[1]))
        for start in range(0, inputs.shape[0], _AT_ONCE):
            rows = slice(start, start + _AT_ONCE)
            apart = _distances(inputs[rows] @ self.kernel.root, self.inputs)
            said[rows] = _matern(apart, self.kernel.length) @ self.weights
        return said + self.centre


def chosen(inputs: np.ndarray, outputs: np.ndarray, key: Key) -> Kernel:
    """Metric, length and ridge with the least squared error on a third of some of the rows.

    **Arguments:** inputs (n, d), outputs (n, k).
    """
    order = host_generator(key).permutation(inputs.shape[0])[:_TRIED]
    inputs, outputs = inputs[order], outputs[order]
    cut = order.size - order.size // 3
    learn = slice(0, cut)
    scale = outputs.std(0)
    outputs = (outputs - outputs[learn].mean(0)) / np.where(scale > 0, scale, 1.0)
    plain = root = np.diag(_spread(inputs))
    best = (np.inf, Kernel(plain, _LENGTHS[-1], _RIDGES[-1]))
    for turn in range(_TURNS + 1):
        placed = inputs @ root
        error, length, ridge = _least(_distances(placed, placed[learn]), outputs, cut)
        kernel = Kernel(root, length, ridge)
        best = min(best, (error, kernel), key=lambda one: one[0])
        if turn < _TURNS:
            root = _metric(learned(kernel, inputs[learn], outputs[learn], key), inputs[learn], plain)
    return best[1]


def learned(kernel: Kernel, inputs: np.ndarray, outputs: np.ndarray, key: Key) -> KernelRidge:
    """Learn outputs (n, k) at inputs (n, d); of more than 4,000 rows, 4,000 drawn at random."""
    if inputs.shape[0] > _MOST:
        rows = host_generator(key).permutation(inputs.shape[0])[:_MOST]
        inputs, outputs = inputs[rows], outputs[rows]
    placed, centre = inputs @ kernel.root, outputs.mean(0)
    weights = _solved(_matern(_distances(placed, placed), kernel.length), outputs - centre, kernel.ridge)
    return KernelRidge(kernel, placed, weights, centre)


def _least(apart: np.ndarray, outputs: np.ndarray, cut: int) -> tuple[float, float, float]:
    """The least squared error on the rows from `cut` on, with its length and ridge; distances (n, cut)."""
    tried = []
    for length in _LENGTHS:
        near = _matern(apart, length)
        for ridge in _RIDGES:
            weights = _solved(near[:cut].copy(), outputs[:cut], ridge)
            tried.append((float(((near[cut:] @ weights - outputs[cut:]) ** 2).mean()), length, ridge))
    return min(tried)


def _solved(near: np.ndarray, outputs: np.ndarray, ridge: float) -> np.ndarray:
    near[np.diag_indices_from(near)] += ridge
    factor = scipy.linalg.cho_factor(near, lower=True, overwrite_a=True, check_finite=False)
    return scipy.linalg.cho_solve(factor, outputs, check_finite=False)


def _spread(inputs: np.ndarray) -> np.ndarray:
    """What brings inputs to mean square 1 / d, (d,): the square of a distance is then about 2."""
    spread = inputs.std(0)
    return 1.0 / (np.where(spread > 0, spread, 1.0) * np.sqrt(inputs.shape[1]))


def _metric(fitted: KernelRidge, inputs: np.ndarray, plain: np.ndarray) -> np.ndarray:
    """The root (d, d) of the mean outer product of derivatives, as large as the first metric and mixed with it."""
    kernel = fitted.kernel
    at = (inputs @ kernel.root)[:_SLOPES]
    near = np.exp(-np.sqrt(3.0) * _distances(at, fitted.inputs) / kernel.length)
    # df/dx = -(3 / l^2) sum_i w_i exp(-sqrt(3) r_i / l) (x - x_i), in the fit's own coordinates.
    sums = near @ fitted.weights
    slopes = [at * sums[:, [k]] - near @ (fitted.weights[:, [k]] * fitted.inputs) for k in range(sums.shape[1])]
    steep = np.concatenate(slopes) @ kernel.root.T
    product = steep.T @ steep
    if np.trace(product) <= 0:
        return plain
    # In units of the inputs' spread both are dimensionless, and have the trace 1.
    inside = np.linalg.inv(plain)
    steep = inside @ product @ inside
    mixed = (1.0 - _KEPT) * steep / np.trace(steep) + _KEPT * np.eye(len(plain)) / len(plain)
    values, vectors = np.linalg.eigh(mixed)
    return plain @ (vectors * np.sqrt(np.maximum(values, 0.0) * len(plain)))


def _distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    squares = (a**2).sum(1)[:, None] + (b**2).sum(1) - 2.0 * a @ b.T
    return np.sqrt(np.maximum(squares, 0.0))


def _matern(distances: np.ndarray, length: float) -> np.ndarray:
    r = np.sqrt(3.0) / length * distances
    return (1.0 + r) * np.exp(-r)
