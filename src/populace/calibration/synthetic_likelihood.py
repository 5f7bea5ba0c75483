"""The likelihood of moments that are taken for Gaussian.

Synthetic likelihood (Simon Wood 2010, Nature 466:1102): runs at one point give the mean and the covariance of the
moments there, and the data's moments their density. With the plain plug-in the density is biased by how many runs
there are; here it is the unbiased estimator of S. G. Ghurye and Ingram Olkin (1969, Annals of Mathematical Statistics
40:1261), as Leah Price, Christopher Drovandi, Anthony Lee and David Nott (2018, Journal of Computational and Graphical
Statistics 27:1) use it: importance weights of an unbiased likelihood give the exact posterior of the moments, if they
are Gaussian.
"""

import equinox as eqx
import numpy as np
from jaxtyping import Float
from scipy.special import gammaln
from scipy.stats import shapiro

from .._errors import MethodError
from .._types import Key
from ..core.executor import Ticker
from ..problem.problem import Problem
from .run_likelihood import RunLikelihood, Weighed, replicated


class SyntheticLikelihood(RunLikelihood):
    """The density of the data's fitted moments under a Gaussian law of the moments of `replicates` runs.

    It needs more than k + 3 runs for k moments, and is steady with a few times as many. Excluded runs are left out.
    """

    replicates: int = eqx.field(static=True, default=50)

    def runs(self) -> int:
        return self.replicates

    def check(self, task: Problem) -> None:
        k = int(task.target.fitted.sum())
        if self.replicates < k + 4:
            raise MethodError(
                f"{self.replicates} runs a point do not give the covariance of {k} moments: take "
                f"replicates={max(2 * k, 30)} or so, or fewer moments"
            )

    def assumes(self) -> str:
        return "the fitted moments of runs at one point for Gaussian"

    def weigh(self, task: Problem, real: np.ndarray, key: Key, ticker: Ticker) -> Weighed:
        points, fitted = len(real), task.target.fitted
        answer, good = replicated(task, real, self.replicates, key, ticker)
        moments = answer.moments[:, fitted].reshape(points, self.replicates, -1)
        found = [_judged(m[g], task.target.values[fitted]) for m, g in zip(moments, good, strict=True)]
        levels, strange = np.array(found, np.float64).reshape(points, 2).T
        return Weighed(levels, strange, answer.excluded, answer.reasons)


def _judged(moments: np.ndarray, data: np.ndarray) -> tuple[float, float]:
    """The logarithm of the density, and the p-value of the moments' being Gaussian."""
    n, k = moments.shape
    if n < k + 4 or not np.ptp(moments, axis=0).all():
        return -np.inf, np.nan
    return unbiased_log_density(moments, data), min(1.0, k * min(float(shapiro(column).pvalue) for column in moments.T))


def unbiased_log_density(sample: Float[np.ndarray, "n k"], at: Float[np.ndarray, " k"]) -> float:
    """The logarithm of an unbiased estimate of a Gaussian density from a sample of it, minus infinity where that is 0.

    With mean m and scatter M = sum (x - m)(x - m)', c(k, v) = 2^(-kv/2) pi^(-k(k-1)/4) / prod_i Gamma((v - i + 1) / 2):
    (2 pi)^(-k/2) c(k, n-2) / (c(k, n-1) (1 - 1/n)^(k/2)) |M|^(-(n-k-2)/2) |M - (y - m)(y - m)'/(1 - 1/n)|^((n-k-3)/2),
    or 0 where the last matrix is not positive definite. It takes n > k + 3.
    """
    n, k = sample.shape
    mean, scale = sample.mean(0), sample.std(0)
    z, y = (sample - mean) / scale, (at - mean) / scale
    scatter = z.T @ z
    values, vectors = np.linalg.eigh(scatter)
    if values[0] <= 1e-10 * values[-1]:  # moments that follow from each other: no density
        return -np.inf
    share = float((((vectors.T @ y) ** 2) / values).sum()) / (1.0 - 1.0 / n)
    if share >= 1.0:
        return -np.inf
    log_scatter = float(np.log(values).sum())
    power = 0.5 * (n - k - 3)  # |M - y y'| = |M| (1 - y' M^-1 y)
    return float(
        -0.5 * k * np.log(2.0 * np.pi)
        + _log_c(k, n - 2)
        - _log_c(k, n - 1)
        - 0.5 * k * np.log(1.0 - 1.0 / n)
        - 0.5 * log_scatter
        + power * np.log1p(-share)
        - np.log(scale).sum()
    )


def _log_c(k: int, v: int) -> float:
    return float(
        -0.5 * k * v * np.log(2.0)
        - 0.25 * k * (k - 1) * np.log(np.pi)
        - gammaln(0.5 * (v - np.arange(1, k + 1) + 1)).sum()
    )
