"""A round of gradients: at each of several points, moments from some runs and the gradient of the loss from others.

With g the gap of the expected moments to the data and V their covariance, the loss g' V^-1 g has the gradient
E[w' dm], w = 2 V^-1 g. The weights w come from runs of their own, so that the product is unbiased, and the values w'm
of the other runs give the loss itself without the simulation's variance.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg
from jaxtyping import Array, Float

from .._errors import GradientError, MethodError
from .._types import Key
from ..core import executor
from ..core.ensemble import Outcome, one_run
from ..core.executor import Ticker
from ..core.rounds import Ask
from ..core.simulate import NEVER
from ..gradients.estimator import Estimator, side_by_side
from ..gradients.loss import ExpectedLoss, WeighedMoments
from ..problem.covariance import factor
from ..problem.problem import Problem, Simulated
from ..problem.simulators import Simulation
from ..problem.space import Space


class Unscaled(eqx.Module):
    """From the prior's spreads to parameters: `{"v": (d,)}` to a value a name."""

    middle: Float[Array, " d"]
    spread: Float[Array, " d"]
    space: Space = eqx.field(static=True)

    def __call__(self, at: dict[str, Array]) -> dict[str, Array]:
        real = self.middle + at["v"] * self.spread
        return {name: value[0] for name, value in self.space.from_real(real[None]).items()}


def native(task: Problem) -> Simulation:
    """The model of a problem.

    **Raises:** `GradientError` where there is none.
    """
    if not isinstance(task.simulator, Simulation):
        raise GradientError(
            f"a {type(task.simulator).__name__} has no sites to differentiate through: fit it with DifferencesDescent "
            "or SequentialABC"
        )
    return task.simulator


@dataclass(frozen=True)
class Slopes:
    """Of each point: `gradients`, `variances` (s, d) of the loss by v, `losses` (s,), `counted` (s,) keys that count;
    and what was excluded, as of simulated moments.
    """

    gradients: np.ndarray
    variances: np.ndarray
    losses: np.ndarray
    counted: np.ndarray
    seen: Simulated


class AskGradients(Ask):
    """Ask for the gradients at points `v` (s, d), with `weighing` and `sloping` keys (R,) each.

    `together`: hand all points over at once, which compiles anew for another number of them.
    """

    v: Float[Array, "points d"]
    weighing: Key
    sloping: Key
    through: Unscaled
    estimator: Estimator
    together: bool = eqx.field(static=True, default=False)

    def calls(self) -> int:
        each = self.weighing.shape[0] + self.sloping.shape[0] * self.estimator.runs({"v": self.v[0]})
        return int(np.ceil(self.v.shape[0] * each))

    def answer(self, task: Problem, ticker: Ticker) -> Slopes:
        s = self.v.shape[0]
        rows = (self.v, repeated(self.weighing, s), repeated(self.sloping, s))
        found = at_points(_at_one, self._shared(task), rows, together=self.together)
        ticker.advance(self.calls())
        gap, values, sound, gradients = found
        use = np.flatnonzero(task.target.fitted)
        data = task.target.values[use]
        weights = 2.0 * _inverse(task).astype(np.float64) @ np.asarray(gap, np.float64)[:, :, None]
        losses = _mean(values, sound) / 2.0 - (weights[:, :, 0] @ data) / 2.0
        return replace(slopes_of(values, sound, gradients), losses=losses)

    def _shared(self, task: Problem) -> Any:
        use = np.flatnonzero(task.target.fitted)
        data = jnp.asarray(task.target.values[use], jnp.float32)
        arrays = (jnp.asarray(use), data, jnp.asarray(_inverse(task), jnp.float32))
        return _Work(native(task), self.through, self.estimator, task.target.summary, arrays)


class _Work(eqx.Module):
    """What one point's round is given besides the point and its keys."""

    simulation: Simulation
    through: Unscaled
    estimator: Estimator
    summary: Any = eqx.field(static=True)
    arrays: tuple[Array, Array, Array]


def _at_one(work: _Work, one: tuple[Array, Key, Key]) -> tuple[Array, Array, Array, Array]:
    """Of one point: gap (k,), values w'm (R,), which keys are sound (R,), and gradients (R, d)."""
    v, weighing, sloping = one
    use, data, inverse = work.arrays
    run = work.simulation.one().bind(work.through({"v": v}))

    def moments(key: Key) -> tuple[Array, Array]:
        out: Outcome = one_run(run, (key, {}))
        found = work.summary.of_run(out.observations)[use]
        good = jnp.isfinite(found).all() & (out.fault == NEVER) & (out.needed == 0)
        return jnp.where(good, found, 0.0), good.astype(jnp.float32)

    at_once = side_by_side(moments, weighing[0])
    found, good = jax.lax.map(moments, weighing, batch_size=min(at_once, weighing.shape[0]))
    gap = found.sum(0) / jnp.maximum(good.sum(), 1.0) - data
    weights = jnp.zeros(len(work.summary.labels)).at[use].set(2.0 * inverse @ gap)
    expected = ExpectedLoss(work.simulation, WeighedMoments(work.summary, weights), work.through)
    groups = sloping.reshape(-1, group_of(work.estimator, sloping.shape[0], at_once))
    sample = jax.lax.map(lambda keys: work.estimator.sample(expected, {"v": v}, keys), groups)
    values = sample.values.reshape(-1)
    gradients = sample.gradients["v"].reshape(values.size, -1)
    sound = jnp.isfinite(values) & jnp.isfinite(gradients).all(1)
    return gap, jnp.where(sound, values, 0.0), sound, jnp.where(sound[:, None], gradients, 0.0)


def at_points(one: Callable[[Any, Any], Any], shared: Any, rows: Any, *, together: bool) -> Any:
    """`one(shared, point)` at every point (rows on the leading axis), one after the other.

    Alone each goes to a device as it comes, so that a descent compiles once however many starts are left; together they
    cost one call, where their number stays.
    """
    if together:
        return jax.tree.map(np.asarray, _one_by_one(one, shared, rows))
    return executor.stack_rows(list(executor.chunks(one, shared, rows, size=len(jax.local_devices()))))


@eqx.filter_jit
def _one_by_one(one: Callable[[Any, Any], Any], shared: Any, rows: Any) -> Any:
    return jax.lax.map(lambda row: one(shared, row), rows)


def slopes_of(values: np.ndarray, sound: np.ndarray, gradients: np.ndarray) -> Slopes:
    """Means over the sound keys of values (s, R) and gradients (s, R, d), with the variances of these means."""
    excluded = ~sound.reshape(-1)
    reasons = {"a moment, or its derivative, is not finite": int(excluded.sum())} if excluded.any() else {}
    seen = Simulated(np.empty((excluded.size, 0)), excluded, reasons)
    counted = sound.sum(1).astype(float)
    means = _mean(gradients, sound)
    spread = np.where(sound[:, :, None], gradients - means[:, None], 0.0)
    variances = (spread.astype(np.float64) ** 2).sum(1) / np.maximum(counted * (counted - 1.0), 1.0)[:, None]
    return Slopes(means, variances, _mean(values, sound), counted, seen)


def group_of(estimator: Estimator, keys: int, at_once: int) -> int:
    """The largest share of the keys that fits, in whole groups of the estimator's."""
    least = estimator.least()
    fits = [n for n in range(least, keys + 1, least) if keys % n == 0 and n <= max(least, at_once)]
    return max(fits)


def keys_a_round(estimator: Estimator, wanted: int) -> int:
    """`wanted` keys, or the next number that makes whole groups."""
    least = estimator.least()
    return -(-wanted // least) * least


def repeated(keys: Key, times: int) -> Key:
    """The same keys (R,) for each of several points, (points, R): differences between points are then no luck."""
    return jnp.broadcast_to(keys, (times, *keys.shape))


def _mean(values: np.ndarray, sound: np.ndarray) -> np.ndarray:
    weight = sound.reshape(*sound.shape, *(1,) * (values.ndim - 2)).astype(np.float64)
    return (values * weight).sum(1) / np.maximum(weight.sum(1), 1.0)


def _inverse(task: Problem) -> np.ndarray:
    """V^-1 (k, k) of the fitted moments, by Cholesky."""
    use = np.flatnonzero(task.target.fitted)
    if task.target.covariance is None:
        raise MethodError("the loss measures gaps in standard errors: give the target a covariance")
    lower = factor(task.target.covariance[np.ix_(use, use)], [task.target.labels[i] for i in use])
    return scipy.linalg.cho_solve((lower, True), np.eye(use.size))
