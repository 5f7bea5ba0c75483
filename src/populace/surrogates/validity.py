"""Where runs fail: the probability that a run counts, learned from those that do and those that do not.

A Gaussian process on marks of 1 and -1 (least-squares classification; Rasmussen and Williams 2006, section 6.5), whose
left-out predictions are turned into probabilities by the likeliest logistic function (Platt 1999). Where one kind is
much rarer, or runs are many, the commoner kind is thinned, and the odds corrected for it. The response is learned from
runs that count alone: a failed run says nothing of what it would have shown.
"""

from dataclasses import dataclass

import jax.random as jr
import numpy as np
from scipy.optimize import minimize
from scipy.special import expit, log_expit

from .._types import Key
from ..core.noise import host_generator
from .gaussian_process import Process, learned

_FEWEST = 5
"""With fewer of either kind only one rate is estimated for the whole space."""
_ROOM = 800
"""Runs of each kind that are learned from, at most."""
_STARTS = 2


@dataclass(frozen=True)
class Validity:
    """`rate`: the share of valid runs, by Laplace's rule; `process` and the logistic function's `slope` and `shift`
    where places could be told apart, else None.
    """

    rate: float
    process: Process | None = None
    slope: float = 0.0
    shift: float = 0.0

    def __call__(self, inputs: np.ndarray) -> np.ndarray:
        """The probability that a run at inputs (m, d) counts, (m,)."""
        if self.process is None:
            return np.full(inputs.shape[0], self.rate)
        return expit(self.slope * self.process.mean(inputs) + self.shift)


def validity(inputs: np.ndarray, valid: np.ndarray, key: Key) -> Validity:
    """Learn from runs at inputs (n, d), of which `valid` (n,) count."""
    rate = (valid.sum() + 1.0) / (valid.size + 2.0)
    fewest = min(int(valid.sum()), int((~valid).sum()))
    if fewest < _FEWEST:
        return Validity(float(rate))
    pick, search = jr.split(key)
    generator = host_generator(pick)
    kinds = [generator.permutation(np.flatnonzero(valid == kind))[:_ROOM] for kind in (True, False)]
    rows = np.concatenate(kinds)
    marks = np.where(valid[rows], 1.0, -1.0)
    process = learned(inputs[rows], marks - marks.mean(), np.ones(rows.size), _STARTS, search)
    slope, shift = _logistic(marks - marks.mean() - process.left_out(), marks)
    # Thinning one kind changed the odds by a known factor.
    thinned = np.log(valid.sum() / kinds[0].size) - np.log((~valid).sum() / kinds[1].size)
    return Validity(float(rate), process, slope, float(shift + thinned))


def _logistic(values: np.ndarray, marks: np.ndarray) -> tuple[float, float]:
    """Slope and shift of the likeliest logistic function of marks +-1 on values, with a weak prior on their sizes."""

    def loss(theta: np.ndarray) -> tuple[float, np.ndarray]:
        at = marks * (theta[0] * values + theta[1])
        pull = -marks * expit(-at)
        gradient = np.array([(pull * values).sum() + 1e-2 * theta[0], pull.sum() + 1e-2 * theta[1]])
        return float(-log_expit(at).sum() + 5e-3 * (theta @ theta)), gradient

    slope, shift = minimize(loss, np.array([1.0, 0.0]), jac=True, method="L-BFGS-B").x
    return max(float(slope), 0.0), float(shift)
