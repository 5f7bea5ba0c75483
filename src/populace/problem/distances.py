"""How far runs lie from the data: in standard errors of moments, or between samples."""

import abc
import math
from collections.abc import Callable
from typing import final

import equinox as eqx
import numpy as np
import scipy.linalg
from scipy.spatial.distance import cdist

from .._errors import TargetError
from .covariance import factor
from .target import Target

_BLOCK = 1 << 22
"""How many pairs of points are held at once."""


class Distance(eqx.Module):
    """How far each run of a batch lies from a target."""

    @property
    def needs_covariance(self) -> bool:
        """Whether the target's covariance has to be known."""
        return True

    @abc.abstractmethod
    def __call__(self, simulated: np.ndarray, target: Target) -> np.ndarray:
        """The distances.

        **Arguments:** `simulated` (n, k) float64, from `target.summarise`; held-out moments are not looked at.

        **Returns:** (n,) float64; infinity for a run of which a moment that is looked at is not finite.

        **Raises:** `TargetError` when the target has not what the distance needs.
        """


@final
class Quadratic(Distance):
    """sqrt(g' V^-1 g), g the gap of the fitted moments and V their covariance: the distance in standard errors.

    Its square is the J statistic: chi-squared with as many degrees of freedom as fitted moments, at the truth, for
    Gaussian moments and known V. V is factorised (Cholesky, float64), never inverted; one that is not known, or of
    lower rank, is refused.
    """

    def __call__(self, simulated: np.ndarray, target: Target) -> np.ndarray:
        if target.covariance is None:
            raise TargetError(
                "the covariance of the target's moments is not known: give Target(..., covariance=...), or estimate "
                "it from replicates: target.with_covariance(...)"
            )
        use = np.flatnonzero(target.fitted)
        lower = factor(target.covariance[np.ix_(use, use)], [target.labels[i] for i in use])
        gaps = np.asarray(simulated, np.float64)[:, use] - target.values[use]
        sound = np.all(np.isfinite(gaps), axis=1)
        white = scipy.linalg.solve_triangular(lower, np.where(sound[:, None], gaps, 0.0).T, lower=True)
        return np.where(sound, np.sqrt((white**2).sum(0)), np.inf)


@final
class Standardised(Distance):
    """The root mean square gap in standard errors: over the numbers of each fitted moment, and then over the
    moments, so
    that a long series counts as much as a single number. Correlations are left aside.

    It weighs each moment by itself, and so does not ask of a model that cannot be quite right to match to the last
    digit the combinations of moments that vary least. `Quadratic` does, and is efficient when the model is right.
    """

    def __call__(self, simulated: np.ndarray, target: Target) -> np.ndarray:
        errors = target.standard_errors
        if errors is None:
            raise TargetError(
                "the standard errors of the target's moments are not known: give Target(..., covariance=...), or "
                "estimate them from replicates: target.with_covariance(...)"
            )
        use = np.flatnonzero(target.fitted)
        names = [target.summary.names[i] for i in use]
        weights = np.array([1.0 / names.count(name) for name in names]) / len(set(names))
        gaps = (np.asarray(simulated, np.float64)[:, use] - target.values[use]) / errors[use]
        sound = np.all(np.isfinite(gaps), axis=1)
        return np.where(sound, np.sqrt(np.where(sound[:, None], gaps, 0.0) ** 2 @ weights), np.inf)


@final
class BetweenSamples(Distance):
    """A distance between two samples, the run's and the data's: their points are the numbers of whole moments.

    `BetweenSamples(wasserstein, ("level(returns)",))` compares the distribution of the returns of a run with that of
    the data, without regard to their order. With several names of moments of equal length, points have as many
    coordinates. No covariance is needed.

    **Arguments:** `measure(x, y)`: from samples (n_x, d) and (n_y, d) to a number; `of`: names of fitted moments.
    """

    measure: Callable[[np.ndarray, np.ndarray], float] = eqx.field(static=True)
    of: tuple[str, ...] = eqx.field(static=True)

    @property
    def needs_covariance(self) -> bool:
        return False

    def __call__(self, simulated: np.ndarray, target: Target) -> np.ndarray:
        columns = [target.columns(name) for name in self.of]
        if not columns or len({len(one) for one in columns}) > 1:
            lengths = {name: len(one) for name, one in zip(self.of, columns, strict=True)}
            raise TargetError(
                f"points need coordinates of equal length, and moments have {lengths}: name moments of one length"
            )
        index = np.stack(columns, axis=1)
        if not target.fitted[index].all():
            raise TargetError(f"{list(self.of)} holds a moment that is held out: a fit may not look at it")
        data, runs = target.values[index], np.asarray(simulated, np.float64)[:, index]
        sound = np.all(np.isfinite(runs), axis=(1, 2))
        apart = [self.measure(run, data) if ok else np.inf for run, ok in zip(runs, sound, strict=True)]
        return np.array(apart, np.float64)


def _points(x: np.ndarray) -> np.ndarray:
    x = np.asarray(x, np.float64)
    return x[:, None] if x.ndim == 1 else x


def _mean_over_pairs(x: np.ndarray, y: np.ndarray, of: Callable[[np.ndarray], np.ndarray]) -> float:
    """The mean of a function of the Euclidean distance over all n_x n_y pairs, a few rows at a time."""
    rows = max(1, _BLOCK // len(y))
    return sum(float(of(cdist(x[i : i + rows], y)).sum()) for i in range(0, len(x), rows)) / (len(x) * len(y))


def median_bandwidth(*samples: np.ndarray) -> float:
    """The median Euclidean distance between different points of the pooled samples (n, d).

    Of more than 2,000 points, 2,000 at even places are taken.
    """
    pooled = np.concatenate([_points(sample) for sample in samples])
    if len(pooled) > 2000:
        pooled = pooled[np.linspace(0, len(pooled) - 1, 2000).astype(int)]
    apart = cdist(pooled, pooled)[np.triu_indices(len(pooled), 1)]
    width = float(np.median(apart)) if apart.size else 0.0
    if not width > 0.0:
        raise TargetError(
            "more than half of the pairs of points coincide, so that the median bandwidth is 0: give a bandwidth"
        )
    return width


def _kernel_means(x: np.ndarray, y: np.ndarray, bandwidth: float | None) -> tuple[float, float, float]:
    h = median_bandwidth(x, y) if bandwidth is None else float(bandwidth)

    def kernel(r: np.ndarray) -> np.ndarray:
        return np.exp(-((r / h) ** 2) / 2.0)

    return _mean_over_pairs(x, x, kernel), _mean_over_pairs(y, y, kernel), _mean_over_pairs(x, y, kernel)


def mmd_squared(x: np.ndarray, y: np.ndarray, bandwidth: float | None = None) -> float:
    """The squared maximum mean discrepancy, biased: mean k(x, x') + mean k(y, y') - 2 mean k(x, y) over all pairs, a
    point with itself included (Gretton et al. 2012, eq. 5). Never negative, and about (1 - E k)(1/n_x + 1/n_y) where
    the distributions are the same.

    **Arguments:** samples (n_x, d) and (n_y, d); k(a, b) = exp(-|a - b|^2 / (2 h^2)), h the `bandwidth`, or the median
    distance of the pooled samples. To compare distances of different runs, fix it: `functools.partial(mmd_squared,
    bandwidth=median_bandwidth(data))`.
    """
    within_x, within_y, between = _kernel_means(_points(x), _points(y), bandwidth)
    return max(within_x + within_y - 2.0 * between, 0.0)


def mmd_squared_unbiased(x: np.ndarray, y: np.ndarray, bandwidth: float | None = None) -> float:
    """As `mmd_squared`, without the pairs of a point with itself (Gretton et al. 2012, eq. 3): its mean is 0 where the
    distributions are the same, so that it may be negative. For fixed bandwidth; needs two points a sample.
    """
    x, y = _points(x), _points(y)
    if min(len(x), len(y)) < 2:
        raise TargetError("the unbiased discrepancy needs two points in each sample; take mmd_squared")
    within_x, within_y, between = _kernel_means(x, y, bandwidth)
    n, m = len(x), len(y)
    return (n * within_x - 1.0) / (n - 1) + (m * within_y - 1.0) / (m - 1) - 2.0 * between


def _steps(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The difference F - G of two empirical distribution functions between the pooled points, and the widths there."""
    pooled = np.sort(np.concatenate([x, y]))
    below = [np.searchsorted(np.sort(sample), pooled[:-1], side="right") / len(sample) for sample in (x, y)]
    return below[0] - below[1], np.diff(pooled)


def _on_the_line(name: str, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    x, y = _points(x), _points(y)
    if x.shape[1] != 1 or y.shape[1] != 1:
        raise TargetError(
            f"this {name} distance is of samples on the line, not in {x.shape[1]} dimensions; take energy"
        )
    return x[:, 0], y[:, 0]


def wasserstein(x: np.ndarray, y: np.ndarray) -> float:
    """The 1-Wasserstein distance of two samples on the line, exactly: integral |F^-1 - G^-1| = integral |F - G|.

    **Arguments:** (n_x,) or (n_x, 1), and (n_y,) or (n_y, 1); sizes may differ.
    """
    gap, width = _steps(*_on_the_line("Wasserstein", x, y))
    return float((np.abs(gap) * width).sum())


def kolmogorov_smirnov(x: np.ndarray, y: np.ndarray) -> float:
    """The largest difference sup |F - G| of the distribution functions of two samples on the line, (n_x,) or (n_x, 1)
    and (n_y,) or (n_y, 1).
    """
    gap, _ = _steps(*_on_the_line("Kolmogorov-Smirnov", x, y))
    return float(np.abs(gap).max())


def kolmogorov_smirnov_critical(n_x: int, n_y: int, level: float = 0.05) -> float:
    """The distance above which the exact two-sample Kolmogorov-Smirnov test rejects at a level, for independent points
    of continuous distributions: midway between two that such samples can have, so that no rounding decides.
    """
    step = math.lcm(n_x, n_y)
    low, high = 0, step + 1  # the test accepts the distance low / step and rejects high / step
    while high - low > 1:
        middle = (low + high) // 2
        accepted = _chance_of(n_x, n_y, middle) > level
        low, high = (middle, high) if accepted else (low, middle)
    return (low + 0.5) / step


def _chance_of(n_x: int, n_y: int, bound: int) -> float:
    """P(D >= bound / lcm(n_x, n_y)): one less the share of all orders of the pooled points that stay below (Hodges
    1958). Of the orders of i points of x among the first s, a share i / s has its last in x.
    """
    step = math.lcm(n_x, n_y)
    i = np.arange(n_x + 1)
    below = np.zeros(n_x + 1)
    below[0] = 1.0
    for s in range(1, n_x + n_y + 1):
        share = np.minimum(i / s, 1.0)
        below = np.concatenate([[0.0], below[:-1]]) * share + below * (1.0 - share)
        below[(np.abs(i * (step // n_x) - (s - i) * (step // n_y)) >= bound) | (i > s) | (s - i > n_y)] = 0.0
    return 1.0 - float(below[n_x])


def energy(x: np.ndarray, y: np.ndarray) -> float:
    """The energy distance sqrt(2 E|X - Y| - E|X - X'| - E|Y - Y'|) of two samples, over all pairs (Szekely and Rizzo
    2013); on the line it is sqrt(2 integral (F - G)^2). 0 only for equal distributions.

    **Arguments:** samples (n_x, d) and (n_y, d).
    """
    x, y = _points(x), _points(y)
    if x.shape[1] == 1:
        gap, width = _steps(x[:, 0], y[:, 0])
        return float(np.sqrt(2.0 * (gap**2 * width).sum()))
    within = _mean_over_pairs(x, x, np.abs) + _mean_over_pairs(y, y, np.abs)
    return float(np.sqrt(max(2.0 * _mean_over_pairs(x, y, np.abs) - within, 0.0)))
