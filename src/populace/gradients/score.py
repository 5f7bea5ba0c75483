"""The score function: unbiased for any loss and any jumps, and noisy, because it weighs luck instead of following it.

    d E[f] = E[ sum over draws of (d log P(draw)) times (what of f can still change, less a baseline) ]

(Glynn 1990; Williams 1992; surrogate loss of Schulman, Heess, Weber and Abbeel 2015). Continuous draws stay
reparameterised: their derivative passes along the path.
"""

import abc
from collections.abc import Mapping
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .._types import Key
from ..core.distributions import Bernoulli, Binomial, Categorical, Distribution, Geometric, Poisson
from ..core.plug import Plug, Proceed
from ..core.site import Site
from .estimator import Estimator, Sample
from .loss import ExpectedLoss
from .walk import walked

DISCRETE = (Bernoulli, Binomial, Poisson, Geometric, Categorical)


class Scored(Plug):
    """Puts the log-probability of every discrete draw on the tape, summed over the agents that drew."""

    def sites(self) -> tuple[str, ...]:
        return ()

    def around(self, site: Site, proceed: Proceed) -> Any:
        value = proceed(site)
        if isinstance(site.mechanism, DISCRETE):
            site.emit({"log_prob": log_prob(site.mechanism, site, jax.lax.stop_gradient(value)).sum()})
        return value


def log_prob(mechanism: Distribution, site: Site, value: Any) -> Float[Array, "..."]:
    """The log-probability of each agent's value; 0, without derivative, where it is masked."""
    drew = site.mask() > 0
    logs = jnp.broadcast_to(_safe(mechanism, drew).log_prob(value), site.shape)
    return jnp.where(drew, logs, 0.0)


def _safe(mechanism: Distribution, drew: Array) -> Distribution:
    """The mechanism with harmless numbers where nobody draws, so that no NaN comes from there."""

    def tame(leaf: Array) -> Array:
        if not leaf.ndim:
            return leaf
        mask = drew.reshape(drew.shape + (1,) * (leaf.ndim - drew.ndim))
        return jnp.where(mask, leaf, 0.5)

    return jax.tree.map(tame, mechanism)


class Baseline(eqx.Module):
    """What a run's loss is compared with, so that the score weighs luck and not level."""

    @abc.abstractmethod
    def advantage(self, to_go: Float[Array, "keys times"], seen: Float[Array, "keys times features"]) -> Array:
        """`to_go` less a prediction that its own run had no part in.

        **Arguments:** `to_go`: the loss that draws at each time can still change; `seen`: what was observed before
        each time. **Returns:** (keys, times).
        """


class LeaveOneOut(Baseline):
    """The mean over the other runs."""

    def advantage(self, to_go: Float[Array, "keys times"], seen: Float[Array, "keys times features"]) -> Array:
        n = to_go.shape[0]
        return (to_go - to_go.mean(0)) * (n / (n - 1.0))


class Learned(Baseline):
    """A linear prediction from what was observed so far, fitted to the other runs at each time.

    Leave-one-out residuals of a regression come without fitting it anew: e / (1 - h), h the leverage.

    **Arguments:** `ridge`: a penalty on the slopes of standardised features, as a share of the runs.
    """

    ridge: float = eqx.field(static=True, default=1e-2)

    def advantage(self, to_go: Float[Array, "keys times"], seen: Float[Array, "keys times features"]) -> Array:
        def at(y: Array, x: Array) -> Array:
            n = y.shape[0]
            x = (x - x.mean(0)) / jnp.maximum(x.std(0), 1e-6 * (1.0 + jnp.abs(x).max()))
            design = jnp.concatenate([jnp.ones((n, 1)), x], axis=1)
            penalty = jnp.diag(jnp.concatenate([jnp.zeros(1), jnp.full(x.shape[1], self.ridge * n)]))
            inner = jnp.linalg.solve(design.T @ design + penalty, design.T)
            leverage = jnp.einsum("nf,fn->n", design, inner)
            return (y - design @ (inner @ y)) / jnp.maximum(1.0 - leverage, 0.1)

        return jax.vmap(at, in_axes=(1, 1), out_axes=1)(to_go, seen)


class Score(Estimator):
    """The score function with reward-to-go and a baseline.

    A draw at time t cannot change what was observed before: of a loss that returns a term a row, only the terms from t
    on are weighed. Models with jumps that are no chance events (thresholds, comparisons on continuous numbers that a
    parameter moves) are outside what it knows.

    **Arguments:** `baseline`: what to compare with; `group`: runs that are compared with each other.
    """

    unbiased: ClassVar[bool] = True
    differentiates: ClassVar[bool] = True
    baseline: Baseline = LeaveOneOut()
    group: int = eqx.field(static=True, default=16)

    def least(self) -> int:
        return self.group

    def runs(self, at: Mapping[str, Array]) -> float:
        return 4.0

    def sample(self, expected: ExpectedLoss, at: dict[str, Array], keys: Key) -> Sample:
        def seen(values: dict[str, Array], key: Key) -> tuple[tuple[Array, Array], Array]:
            run = expected.bound(values)
            observations, tape0, tape = walked(run, key, (Scored(),))
            logs = jnp.concatenate([_summed(tape0, 1), _summed(tape, run.steps)])
            return (expected.terms(observations), logs), _features(observations)

        (terms, logs), pull, features = jax.vmap(
            lambda key: jax.vjp(lambda values: seen(values, key), at, has_aux=True)
        )(keys)
        times = np.asarray(expected.rows())
        to_go, before = _to_go(terms, times, logs.shape[1]), _before(features, times, logs.shape[1])
        weights = self.baseline.advantage(to_go, before)
        (gradients,) = jax.vmap(lambda back, cotangent: back(cotangent))(pull, (jnp.ones_like(terms), weights))
        return Sample(terms.sum(1), gradients)

    @property
    def name(self) -> str:
        return f"Score({type(self.baseline).__name__})"


def _summed(tape: dict[str, Any], times: int) -> Float[Array, " times"]:
    """The log-probability of all draws at each time."""
    total = jnp.zeros(times)
    for note in tape.values():
        if isinstance(note, dict) and "log_prob" in note:
            total = total + note["log_prob"].reshape(times, -1).sum(1)
    return total


def _features(observations: dict[str, Array]) -> Float[Array, "rows features"]:
    """What was observed, a row each; per-agent observations as their mean."""
    parts = [v.reshape(v.shape[0], -1).astype(jnp.float32) for v in observations.values()]
    return jax.lax.stop_gradient(jnp.stack([part.mean(1) for part in parts], axis=1))


def _to_go(terms: Float[Array, "keys terms"], times: np.ndarray, count: int) -> Float[Array, "keys times"]:
    """The sum of terms that draws at times 0, 1, ... can change."""
    if terms.shape[1] != times.size:
        return jnp.broadcast_to(terms.sum(1, keepdims=True), (terms.shape[0], count))
    later = times[None, :] >= np.arange(count)[:, None]
    return terms @ jnp.asarray(later.T, jnp.float32)


def _before(features: Float[Array, "keys rows features"], times: np.ndarray, count: int) -> Array:
    """The last row observed before each time; zeros at first."""
    last = np.searchsorted(times, np.arange(count)) - 1
    found = features[:, np.maximum(last, 0)]
    return jnp.where((last >= 0)[None, :, None], found, 0.0)
