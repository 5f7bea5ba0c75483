"""The likelihood of series by kernel densities of simulated ones.

Jakob Grazzini, Matteo Richiardi and Mike Tsionas (2017, Journal of Economic Dynamics and Control 77:26): times are
taken as independent draws of one density, which runs at a point show. It is quick and asks for no moments; it does not
see in what order things happen.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy.special import ndtr

from .._errors import MethodError
from .._types import Key
from ..core.executor import Ticker
from ..problem.problem import Problem
from .neural_likelihood import observed, stacked
from .population import kernel_width
from .run_likelihood import RunLikelihood, Weighed, replicated


class KernelLikelihood(RunLikelihood):
    """The product over times of a kernel density of the numbers of that time.

    All series that the moments read are taken together. Gaussian kernels of Silverman's width in each direction.

    **Arguments:** `replicates`: runs at a point; `pooled`: one density for all times, of the numbers of all times, for
    series that are stationary; else one a time, which takes many replicates.
    """

    replicates: int = eqx.field(static=True, default=1)
    pooled: bool = eqx.field(static=True, default=True)

    def runs(self) -> int:
        return self.replicates

    def check(self, task: Problem) -> None:
        times = len(observed(task.target))
        at_hand = self.replicates * (times if self.pooled else 1)
        if at_hand < 10:
            raise MethodError(f"a density of {at_hand} numbers is none: give more replicates")

    def assumes(self) -> str:
        pooled = ", and all times for alike" if self.pooled else ""
        return f"times for independent of each other{pooled}"

    def weigh(self, task: Problem, real: np.ndarray, key: Key, ticker: Ticker) -> Weighed:
        points, data = len(real), observed(task.target)
        answer, good = replicated(task, real, self.replicates, key, ticker, keep=True)
        if answer.excluded.all():
            nothing = np.full(points, np.nan)
            return Weighed(np.full(points, -np.inf), nothing, answer.excluded, answer.reasons)
        series = stacked(task.target, answer.observations).reshape(points, self.replicates, *data.shape)
        levels, strange = np.full(points, -np.inf), np.full(points, np.nan)
        for i in np.flatnonzero(good.all(1)):
            levels[i] = self._level(series[i], data)
            strange[i] = _remembers(series[i])
        return Weighed(levels, strange, answer.excluded, answer.reasons)

    def _level(self, made: np.ndarray, data: np.ndarray) -> float:
        if self.pooled:
            return float(
                np.asarray(_log_density(jnp.asarray(made.reshape(-1, data.shape[1])), jnp.asarray(data))).sum()
            )
        each = jax.vmap(_log_density, in_axes=(1, 0))(jnp.asarray(made), jnp.asarray(data[:, None]))
        return float(np.asarray(each).sum())


@jax.jit
def _log_density(made: Float[Array, "n m"], at: Float[Array, "t m"]) -> Float[Array, " t"]:
    """The logarithm of the kernel density of numbers at others; minus infinity where numbers do not vary."""
    n, m = made.shape
    width = kernel_width(m, n) * made.std(0, ddof=1)
    z = (at[:, None] - made[None]) / width
    each = jax.scipy.special.logsumexp(-0.5 * (z**2).sum(-1), axis=1)
    level = each - jnp.log(n) - jnp.log(width).sum() - 0.5 * m * jnp.log(2.0 * jnp.pi)
    return jnp.where((width > 0).all(), level, -jnp.inf)


def _remembers(made: np.ndarray) -> float:
    """The p-value of runs (r, times, m) whose neighbouring times have nothing to do with each other.

    Of n pairs the correlation of neighbours is nearly Gaussian with variance 1/n; the largest of the m is looked at.
    """
    deviation = made - made.mean(1, keepdims=True)
    spread = (deviation**2).mean((0, 1))
    if not spread.all() or made.shape[1] < 3:
        return np.nan
    ahead = (deviation[:, 1:] * deviation[:, :-1]).mean((0, 1)) / spread
    pairs = made.shape[0] * (made.shape[1] - 1)
    return float(min(1.0, made.shape[2] * 2.0 * ndtr(-np.abs(ahead).max() * np.sqrt(pairs))))
