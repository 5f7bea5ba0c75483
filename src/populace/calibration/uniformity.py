"""Are numbers between 0 and 1 uniform? Their empirical distribution function against a band that holds all of it.

At a point z the function of n uniform numbers times n is Binomial(n, z). The band takes at every point the same
two-sided binomial tail, so small that the whole function stays inside with the wished probability; how small is found
by simulation of uniform samples (Teemu Sailynoja, Paul-Christian Buerkner and Aki Vehtari 2022, Statistics and
Computing 32). The smallest tail of a sample, against those of the simulated ones, is the test.
"""

import functools

import numpy as np
from scipy.stats import binom

_SAMPLES = 4000
"""Simulated samples: a p-value of 0.05 is known to 0.0035, and the least is 1/4001."""
_POINTS = 50
"""At how many points the function is looked at, at the most; not more than numbers."""


def points(n: int) -> np.ndarray:
    """The inner points at which the function of `n` numbers is looked at."""
    parts = max(2, min(n, _POINTS))
    return np.arange(1, parts) / parts


def below(numbers: np.ndarray) -> np.ndarray:
    """How many of the numbers (n,) lie at or below each point."""
    return np.searchsorted(np.sort(numbers), points(numbers.size), side="right")


def _tails(counts: np.ndarray, n: int) -> np.ndarray:
    z = points(n)
    return np.minimum(1.0, 2.0 * np.minimum(binom.cdf(counts, n, z), binom.sf(counts - 1, n, z)))


@functools.cache
def _smallest(n: int) -> np.ndarray:
    """The smallest tails of uniform samples of size n, in rising order; always the same ones."""
    parts = points(n).size + 1
    counts = np.random.default_rng(0).multinomial(n, np.full(parts, 1.0 / parts), size=_SAMPLES).cumsum(1)[:, :-1]
    table = _tails(np.arange(n + 1)[:, None], n)
    return np.sort(table[counts, np.arange(parts - 1)].min(1))


def band(n: int, probability: float) -> tuple[np.ndarray, np.ndarray]:
    """The lowest and highest share at or below each point, between which the function of `n` uniform numbers stays
    with this probability.
    """
    tail = _smallest(n)[int((1.0 - probability) * _SAMPLES)] / 2.0
    z = points(n)
    return binom.ppf(tail, n, z) / n, binom.isf(tail, n, z) / n


def p_value(numbers: np.ndarray) -> float:
    """The chance that uniform numbers lie as far from uniform as these (n,)."""
    found = _tails(below(numbers), numbers.size).min()
    return float((1 + np.searchsorted(_smallest(numbers.size), found * (1 + 1e-9), side="right")) / (_SAMPLES + 1))
