"""Statistics of few trainings: an interquartile mean, and a bootstrap over trainings and their runs."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

_DRAWS = 1000


def interquartile_mean(values: np.ndarray) -> float:
    """The mean of the middle half of all values: it moves little with one training that failed.

    R. Agarwal, M. Schwarzer, P. S. Castro, A. Courville and M. G. Bellemare (2021), "Deep reinforcement learning at the
    edge of the statistical precipice", NeurIPS.
    """
    ordered = np.sort(np.ravel(values))
    cut = ordered.size // 4
    return float(ordered[cut : ordered.size - cut].mean())


def bootstrap(
    values: np.ndarray, statistic: Callable[[np.ndarray], float], generator: np.random.Generator
) -> tuple[float, float]:
    """The 95 % interval of a statistic of values (trainings, runs): trainings are drawn anew, and of each its runs."""
    sets, runs = values.shape
    drawn = []
    for _ in range(_DRAWS):
        rows = generator.integers(sets, size=sets)
        columns = generator.integers(runs, size=(sets, runs))
        drawn.append(statistic(values[rows[:, None], columns]))
    low, high = np.quantile(drawn, [0.025, 0.975])
    return float(low), float(high)


class Middle(NamedTuple):
    """An interquartile mean with its 95 % interval."""

    middle: float
    low: float
    high: float


def middle_of(values: np.ndarray, generator: np.random.Generator) -> Middle:
    """Of values (trainings, runs)."""
    return Middle(interquartile_mean(values), *bootstrap(values, interquartile_mean, generator))


def rise(before: np.ndarray, after: np.ndarray) -> tuple[float, float]:
    """How much higher the mean of one stretch of curves (seeds, updates) is than that of the one before, and its
    standard error, of means over four blocks of updates each.
    """
    blocks = [np.stack([b.mean(1) for b in np.array_split(part, 4, axis=1)], axis=1) for part in (before, after)]
    error = np.sqrt(sum(b.var(axis=1, ddof=1).mean() / (4 * b.shape[0]) for b in blocks))
    return float(blocks[1].mean() - blocks[0].mean()), float(error)
