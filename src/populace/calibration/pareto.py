"""The Pareto shape of importance weights: whether a sample can stand for the distribution it should.

Aki Vehtari, Daniel Simpson, Andrew Gelman, Yuling Yao and Jonah Gabry (2024), Journal of Machine Learning Research 25;
the fit of the tail: Jin Zhang and Michael A. Stephens (2009), Technometrics 51:316.
"""

import math

import numpy as np

GOOD = 0.7
"""Above this shape the weights have no usable variance."""
_LEAST_TAIL = 5


def pareto_shape(log_weights: np.ndarray) -> float:
    """The shape k of the upper tail of importance weights, from their logarithms (n,).

    Below .5 the variance is finite; up to .7 estimates converge; above, the sample misses where the mass is. Infinite
    where the tail is too short to say.
    """
    n = log_weights.size
    tail = min(math.ceil(0.2 * n), math.ceil(3.0 * math.sqrt(n)))
    if tail < _LEAST_TAIL:
        return math.inf
    ordered = np.sort(log_weights.astype(np.float64))
    ordered = ordered - ordered[-1]
    excess = np.exp(ordered[-tail:]) - np.exp(ordered[-tail - 1])
    if not excess[-1] > 0:
        return -math.inf  # all weights are one
    return _shape(np.maximum(excess, 1e-300))


def _shape(excess: np.ndarray) -> float:
    """The shape of a generalised Pareto law with sorted draws (n,), by its quasi-posterior mean."""
    n = excess.size
    grid = 30 + int(math.sqrt(n))
    places = np.arange(1, grid + 1) - 0.5
    quartile = excess[int(n / 4 + 0.5) - 1]
    inverse = 1.0 / excess[-1] + (1.0 - np.sqrt(grid / places)) / (3.0 * quartile)
    shapes = np.log1p(-inverse[:, None] * excess).mean(1)
    fits = n * (np.log(-inverse / shapes) - shapes - 1.0)
    weights = 1.0 / np.exp(fits[None, :] - fits[:, None]).sum(1)
    best = float((inverse * weights).sum() / weights.sum())
    k = float(np.log1p(-best * excess).mean())
    return (n * k + 10 * 0.5) / (n + 10)  # drawn a little towards 1/2, as in the reference
