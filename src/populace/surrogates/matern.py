"""The ARD Matern-5/2 kernel on bent inputs, and the marginal likelihood of a process with it, in float64 on the host.

k(x, x') = s^2 (1 + q + q^2 / 3) exp(-q), q^2 = 5 sum_i (w_i - w'_i)^2 / l_i^2 (Rasmussen and Williams 2006, Gaussian
Processes for Machine Learning, chapters 4 and 5), with each input bent by the distribution function of Kumaraswamy,
w = 1 - (1 - x^a)^b on the unit interval, so that a function may change fast at one end and slowly at the other (Snoek
and others 2014, arXiv:1402.0929; their priors on log a and log b, log-normal, keep a bend from being made of nothing).
"""

from dataclasses import dataclass

import numpy as np
import scipy.linalg

_ROOT = np.sqrt(5.0)
_JITTER = 1e-8
"""Added to the diagonal, as a share of the signal's variance."""
_END = 1e-6
"""How near to 0 and 1 an input may come before it is bent: the bend's slope is infinite there."""
_BENT = 0.75
"""Prior standard deviation of log a and log b."""
_LENGTH, _LENGTHS = 0.5, 2.0
"""Prior mean and standard deviation of log l: so broad that they matter only where the data say nothing."""


@dataclass(frozen=True)
class Hyper:
    """Numbers of a process on d inputs: `scales` l, `a`, `b` (d,); `signal` s^2 and `noise`, variances."""

    scales: np.ndarray
    signal: float
    noise: float
    a: np.ndarray
    b: np.ndarray

    @staticmethod
    def of(theta: np.ndarray) -> "Hyper":
        """From logarithms (3 d + 2,): scales, signal, noise, a, b."""
        d = (theta.size - 2) // 3
        numbers = np.exp(theta)
        return Hyper(
            numbers[:d], float(numbers[d]), float(numbers[d + 1]), numbers[d + 2 : 2 * d + 2], numbers[2 * d + 2 :]
        )

    def bent(self, inputs: np.ndarray) -> np.ndarray:
        """Inputs (n, d) bent and in units of the lengths."""
        held = np.clip(inputs, _END, 1.0 - _END)
        return (1.0 - (1.0 - held**self.a) ** self.b) / self.scales

    def covariance(self, one: np.ndarray, other: np.ndarray) -> np.ndarray:
        """Of the function at bent inputs (n, d) and (m, d): (n, m)."""
        reach = _ROOT * np.sqrt(squares(one, other))
        return self.signal * (1.0 + reach + reach**2 / 3.0) * np.exp(-reach)

    def factored(self, bent: np.ndarray, relative: np.ndarray) -> np.ndarray:
        """The lower Cholesky factor of the covariance of runs at bent inputs (n, d), whose noise variances are
        `relative` (n,) times the common one.
        """
        matrix = self.covariance(bent, bent)
        matrix[np.diag_indices_from(matrix)] += self.noise * relative + _JITTER * self.signal
        return scipy.linalg.cholesky(matrix, lower=True, overwrite_a=True, check_finite=False)


def squares(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Squared distances (n, m) between rows."""
    return np.maximum((one**2).sum(1)[:, None] + (other**2).sum(1) - 2.0 * (one @ other.T), 0.0)


def bounds(inputs: int, noise: float | None) -> list[tuple[float, float]]:
    """Of theta: wide, and only to keep the search from numbers that mean nothing; a noise variance that is known is
    kept.
    """
    known = (-14.0, 1.0) if noise is None else (float(np.log(noise)), float(np.log(noise)))
    return [(-4.0, 5.0)] * inputs + [(-6.0, 8.0), known] + [(-3.0, 3.0)] * (2 * inputs)


def loss(theta: np.ndarray, inputs: np.ndarray, outputs: np.ndarray, relative: np.ndarray) -> tuple[float, np.ndarray]:
    """Minus the log posterior of theta, a point, and its gradient (3 d + 2,).

    **Arguments:** `theta`: as in `Hyper.of`; `inputs` (n, d) in the unit cube; `outputs` (n,), standardised;
    `relative` (n,): each point's noise variance as a multiple of the common one.
    """
    n, d = inputs.shape
    hyper = Hyper.of(theta)
    bent = hyper.bent(inputs)
    reach = _ROOT * np.sqrt(squares(bent, bent))
    decay = hyper.signal * np.exp(-reach)
    smooth = (1.0 + reach + reach**2 / 3.0) * decay
    matrix = smooth.copy()
    matrix[np.diag_indices(n)] += hyper.noise * relative + _JITTER * hyper.signal
    lower = scipy.linalg.cholesky(matrix, lower=True, overwrite_a=True, check_finite=False)
    weights = scipy.linalg.cho_solve((lower, True), outputs, check_finite=False)
    value = 0.5 * outputs @ weights + np.log(np.diag(lower)).sum() + 0.5 * n * np.log(2.0 * np.pi)
    (invert,) = scipy.linalg.get_lapack_funcs(("potri",), (lower,))
    half, _ = invert(lower, lower=True)
    gap = np.tril(half) + np.tril(half, -1).T - np.outer(weights, weights)
    pull = gap * (5.0 / 3.0 * (1.0 + reach) * decay)
    moved = bent * pull.sum(1)[:, None] - pull @ bent
    gradient = np.empty_like(theta)
    gradient[:d] = (moved * bent).sum(0)
    gradient[d] = 0.5 * ((gap * smooth).sum() + _JITTER * hyper.signal * np.trace(gap))
    gradient[d + 1] = 0.5 * hyper.noise * (np.diag(gap) * relative).sum()
    gradient[d + 2 :] = -_bending(hyper, inputs, moved / hyper.scales)
    prior, slope = _prior(theta, d)
    return (float(value) + prior) / n, (gradient + slope) / n


def _bending(hyper: Hyper, inputs: np.ndarray, force: np.ndarray) -> np.ndarray:
    """Forces on bent inputs (n, d), summed along d w / d log a and d w / d log b: (2 d,)."""
    held = np.clip(inputs, _END, 1.0 - _END)
    power = held**hyper.a
    rest = (1.0 - power) ** (hyper.b - 1.0)
    by_a = hyper.b * rest * power * np.log(held) * hyper.a
    by_b = -hyper.b * rest * (1.0 - power) * np.log1p(-power)
    return np.concatenate([(force * by_a).sum(0), (force * by_b).sum(0)])


def _prior(theta: np.ndarray, d: int) -> tuple[float, np.ndarray]:
    """Minus the log prior density, and its slope."""
    slope = np.zeros_like(theta)
    slope[:d] = (theta[:d] - _LENGTH) / _LENGTHS**2
    slope[d + 2 :] = theta[d + 2 :] / _BENT**2
    return 0.5 * float(slope[:d] @ (theta[:d] - _LENGTH) + slope[d + 2 :] @ theta[d + 2 :]), slope
