"""Losses of a generalised posterior: prior x exp(-loss), and how to ask for the loss, or its gradient, at points.

P. G. Bissiri, C. C. Holmes and S. G. Walker (2016), Journal of the Royal Statistical Society B 78:1103: any loss makes
a coherent update of a prior, at a rate that has to be chosen. With half of g' V^-1 g, g the gap of the expected moments
to the data, it is the Gaussian likelihood of the moments, and the rate is 1.
"""

import abc
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Float

from .._types import Key
from ..core.executor import Ticker
from ..core.host import split
from ..core.rounds import Ask
from ..gradients.estimator import Estimator, side_by_side
from ..gradients.loss import ExpectedLoss
from ..problem.problem import Problem, Simulated
from .gradients_asked import (
    AskGradients,
    Slopes,
    Unscaled,
    at_points,
    group_of,
    keys_a_round,
    native,
    repeated,
    slopes_of,
)
from .judgement import whitened
from .pairs import products

FEWEST = 2
"""Runs at a point of which a loss and its error can be had."""


@final
@dataclass(frozen=True)
class Levels:
    """Of each point: `losses`, their `variances` (s,), `counted` (s,) runs; and what was excluded."""

    losses: np.ndarray
    variances: np.ndarray
    counted: np.ndarray
    seen: Simulated


class GeneralLoss(eqx.Module):
    """What a generalised posterior weighs parameters by."""

    @property
    def needs_covariance(self) -> bool:
        """Whether it measures moments in standard errors."""
        return True

    @abc.abstractmethod
    def rate(self) -> float:
        """What multiplies what is asked for below, to be the loss."""

    @abc.abstractmethod
    def gradients(self, v: Array, key: Key, through: Unscaled, estimator: Estimator, replicates: int) -> Ask:
        """Ask for `Slopes` at points v (s, d), in the prior's spreads."""

    @abc.abstractmethod
    def levels(self, v: Array, key: Key, through: Unscaled, replicates: int) -> Ask:
        """Ask for `Levels` at points v (s, d), of any simulator."""

    @abc.abstractmethod
    def check(self, task: Problem) -> None:
        """Raise what is wrong with the problem for this loss."""


@final
class MomentLoss(GeneralLoss):
    """Half of g' V^-1 g: the Gaussian likelihood of the fitted moments' expectations. The target needs a covariance."""

    def rate(self) -> float:
        return 0.5

    def gradients(self, v: Array, key: Key, through: Unscaled, estimator: Estimator, replicates: int) -> Ask:
        count = keys_a_round(estimator, replicates)
        weighing, sloping = (split(one, count) for one in jr.split(key))
        return AskGradients(v, weighing, sloping, through, estimator, together=True)

    def levels(self, v: Array, key: Key, through: Unscaled, replicates: int) -> Ask:
        return _AskLevels(v, key, through, replicates, None)

    def check(self, task: Problem) -> None:
        whitened(task, np.zeros((1, len(task.target.labels))))


@final
class RunLoss(GeneralLoss):
    """weight x E[loss(observations of a run)], for any loss.

    **Arguments:** `loss`: a JAX function of one run's observations (see `ExpectedLoss`); `weight`: the learning rate of
    the posterior. Nothing but judgement sets it: the posterior is as wide as one over it.
    """

    loss: Callable[[dict[str, Array]], Array]
    weight: float = eqx.field(static=True, default=1.0)

    @property
    def needs_covariance(self) -> bool:
        return False

    def rate(self) -> float:
        return self.weight

    def gradients(self, v: Array, key: Key, through: Unscaled, estimator: Estimator, replicates: int) -> Ask:
        return _AskRunGradients(v, split(key, keys_a_round(estimator, replicates)), through, estimator, self.loss)

    def levels(self, v: Array, key: Key, through: Unscaled, replicates: int) -> Ask:
        return _AskLevels(v, key, through, replicates, self.loss)

    def check(self, task: Problem) -> None:
        """Nothing is asked of the target."""


class Keyed(Ask):
    """Work to do, and the key that belongs to it: of the draws it is done at, or of what is done with its answer."""

    work: Ask
    key: Key

    def calls(self) -> int:
        return self.work.calls()

    def answer(self, task: Problem, ticker: Ticker) -> Any:
        return self.work.answer(task, ticker)


@eqx.filter_jit
def log_prior(through: Unscaled, v: Float[Array, "n d"]) -> Float[Array, " n"]:
    """The prior's log-density over v."""
    return through.space.log_prob_real(through.middle + v * through.spread) + jnp.log(through.spread).sum()


class _AskRunGradients(Ask):
    """The gradients of an expected loss at points v (s, d), `keys` (R,) each."""

    v: Float[Array, "points d"]
    keys: Key
    through: Unscaled
    estimator: Estimator
    loss: Callable[[dict[str, Array]], Array]

    def calls(self) -> int:
        return int(np.ceil(self.v.shape[0] * self.keys.shape[0] * self.estimator.runs({"v": self.v[0]})))

    def answer(self, task: Problem, ticker: Ticker) -> Slopes:
        rows = (self.v, repeated(self.keys, self.v.shape[0]))
        expected = ExpectedLoss(native(task), self.loss, self.through)
        values, sound, gradients = at_points(_run_gradients, (expected, self.estimator), rows, together=True)
        ticker.advance(self.calls())
        return slopes_of(values, sound, gradients)


def _run_gradients(shared: tuple[ExpectedLoss, Estimator], one: tuple[Array, Key]) -> tuple[Array, Array, Array]:
    """Of one point: values (R,), which are sound, and gradients (R, d)."""
    (expected, estimator), (v, keys) = shared, one
    at_once = side_by_side(lambda key: expected.one({"v": v}, key), keys[0])
    groups = keys.reshape(-1, group_of(estimator, keys.shape[0], at_once))
    sample = jax.lax.map(lambda some: estimator.sample(expected, {"v": v}, some), groups)
    values = sample.values.reshape(-1)
    gradients = sample.gradients["v"].reshape(values.size, -1)
    sound = jnp.isfinite(values) & jnp.isfinite(gradients).all(1)
    return jnp.where(sound, values, 0.0), sound, jnp.where(sound[:, None], gradients, 0.0)


class _AskLevels(Ask):
    """The losses at points v (s, d), from `replicates` runs each; of the moments where no `loss` of a run is given."""

    v: Float[Array, "points d"]
    key: Key
    through: Unscaled
    replicates: int = eqx.field(static=True)
    loss: Callable[[dict[str, Array]], Array] | None

    def calls(self) -> int:
        return self.v.shape[0] * self.replicates

    def answer(self, task: Problem, ticker: Ticker) -> Levels:
        s, r = self.v.shape[0], self.replicates
        real = jnp.repeat(self.through.middle + self.v * self.through.spread, r, axis=0)
        seen = task.simulate(task.space.from_real(real), jr.split(self.key, s * r), ticker, keep=self.loss is not None)
        sound = ~seen.excluded.reshape(s, r)
        if self.loss is None:
            rows = whitened(task, seen.moments).reshape(s, r, -1)
            pairs = [_of_pairs(one[ok]) for one, ok in zip(rows, sound, strict=True)]
        else:
            values = np.asarray(_run_losses(self.loss, seen.observations), np.float64).reshape(s, r)
            sound &= np.isfinite(values)
            pairs = [_of_runs(one[ok]) for one, ok in zip(values, sound, strict=True)]
        losses, variances = np.array(pairs).T
        return Levels(losses, variances, sound.sum(1).astype(float), seen)


@eqx.filter_jit
def _run_losses(loss: Callable[[dict[str, Array]], Array], observations: dict[str, np.ndarray]) -> Array:
    return jax.vmap(lambda seen: jnp.asarray(loss(seen), jnp.float32).sum())(observations)


def _of_runs(values: np.ndarray) -> tuple[float, float]:
    if values.size < FEWEST:
        return np.nan, np.nan
    return float(values.mean()), float(values.var(ddof=1) / values.size)


def _of_pairs(gaps: np.ndarray) -> tuple[float, float]:
    """E[g]'E[g] of whitened gaps (R, k) without the bias of a mean's square, and its variance."""
    if len(gaps) < FEWEST + 1:
        return np.nan, np.nan
    found = products(gaps[:, :, None])
    return float(found.value[0, 0]), float(found.variance(found.changes[:, 0, 0]))
