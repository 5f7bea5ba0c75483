"""Networks that learn how far runs lie from the data, and from that which are acceptable.

A label says little of a run, its distance more: each network has a mean and a variance of the logarithm of the
distance over the tolerance, and the odds that a run counts at all. Both together are the probability that a run is
acceptable, P(counts) Phi(-mean / sd), and the loss holds all three against the runs: beta-weighted Gaussian (Seitzer
and others 2022, arXiv:2203.09168), and two cross-entropies. Left-out runs say by the last when to stop.
"""

from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Float

from .._types import Key
from ..core.noise import host_generator
from . import networks, training
from .acceptance import Classifier, FittedClassifier
from .networks import Weights

_LOW, _HIGH = -6.0, 2.0
"""Bounds of the logarithm of the margin's variance, margins in units of their spread."""
_NEAR, _FAR = 0.15, 20.0
"""Ratios of distance to tolerance beyond which nothing more is learned of a run."""
_SURE = 1e-6
_ROOM = 1_024
"""Rows that are made room for at the least: rounds that grow from a few runs to many learn by one program."""
_FEW, _AT_ONCE = 2_048, 16_384
"""Points that are asked for at once, in two sizes."""


class MarginEnsemble(Classifier):
    """An ensemble of perceptrons on the logarithm of distance over tolerance.

    **Arguments:** `members`: how many, each leaving its share of the runs out; `width`, `depth`: of the hidden layers;
    `steps`, `batch`, `rate`: of Adam, with a one-cycle schedule; `decays`: of weights, of which the one is kept with
    the least cross-entropy on left-out runs: a strong one while runs are few.
    """

    members: int = eqx.field(static=True, default=8)
    width: int = eqx.field(static=True, default=64)
    depth: int = eqx.field(static=True, default=3)
    steps: int = eqx.field(static=True, default=1000)
    batch: int = eqx.field(static=True, default=128)
    rate: float = eqx.field(static=True, default=3e-3)
    decays: tuple[float, ...] = eqx.field(static=True, default=(0.5, 2.0))

    @property
    def name(self) -> str:
        return "an ensemble of neural networks"

    def fit(self, inputs: np.ndarray, ratios: np.ndarray, key: Key) -> "FittedMargins":
        n, d = inputs.shape
        margins, valid = _margins(ratios)
        x = training.padded(inputs, 0.5, _ROOM)
        split, start = jr.split(key)
        choices = len(self.decays)
        rows = training.folds(n, self.members, host_generator(split), x.shape[0])
        weights, least = training.trained(
            training.Plan(self.steps, self.batch, self.rate),
            networks.First((d, *([self.width] * self.depth), 3)),
            _loss,
            _look,
            (x, training.padded(margins, least=_ROOM), training.padded(valid, least=_ROOM)),
            jax.tree.map(lambda leaf: jnp.tile(leaf, (choices,) + (1,) * (leaf.ndim - 1)), rows),
            jnp.repeat(jnp.asarray(self.decays, jnp.float32), self.members),
            jnp.tile(jr.split(start, self.members), choices),
        )
        first = int(np.asarray(least).reshape(choices, self.members).mean(1).argmin()) * self.members
        return FittedMargins(jax.tree.map(lambda leaf: leaf[first : first + self.members], weights))


@dataclass(frozen=True)
class FittedMargins(FittedClassifier):
    """Networks that have learned: weights with members on the leading axis."""

    weights: Weights

    def probabilities(self, inputs: np.ndarray) -> np.ndarray:
        parts = [inputs[i : i + _AT_ONCE] for i in range(0, inputs.shape[0], _AT_ONCE)]
        least = _FEW if inputs.shape[0] <= _FEW else _AT_ONCE
        said = [np.asarray(_each(self.weights, training.padded(part, 0.5, least)))[:, : len(part)] for part in parts]
        return np.concatenate(said, axis=1).astype(np.float64)


def _margins(ratios: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Logarithms of ratios in units of their spread, 0 still the tolerance, and which runs count, (n,) each."""
    valid = np.isfinite(ratios)
    logs = np.log(np.clip(np.where(valid, ratios, 1.0), _NEAR, _FAR))
    spread = max(float(logs[valid].std()), 0.1) if valid.any() else 1.0
    return np.where(valid, logs / spread, 0.0), valid.astype(np.float64)


def _heads(weights: Weights, inputs: Array) -> tuple[Array, Array, Array]:
    """Odds of a run that counts, mean and log-variance of its margin, at inputs (n, d): (n,) each, logarithms."""
    said = networks.perceptron(weights, (jnp.clip(inputs, 0.0, 1.0) - 0.5) * jnp.sqrt(12.0))
    return said[:, 0], said[:, 1], jnp.clip(said[:, 2], _LOW, _HIGH)


def _log_probability(odds: Array, mean: Array, log: Array) -> Array:
    return jax.nn.log_sigmoid(odds) + jax.scipy.stats.norm.logcdf(-mean * jnp.exp(-0.5 * log))


def _cross_entropy(odds: Array, mean: Array, log: Array, rows: tuple[Array, Array, Array]) -> Array:
    _, margins, valid = rows
    sure = jnp.minimum(_log_probability(odds, mean, log), -_SURE)
    return jnp.where((valid > 0) & (margins <= 0.0), -sure, -jnp.log1p(-jnp.exp(sure)))


def _loss(weights: Weights, rows: tuple[Array, Array, Array], key: Key) -> Float[Array, " n"]:
    inputs, margins, valid = rows
    odds, mean, log = _heads(weights, inputs)
    counts = jax.nn.softplus(jnp.where(valid > 0, -odds, odds))
    plain = 0.5 * (jnp.square(mean - margins) * jnp.exp(-log) + log)
    weighted = plain * jax.lax.stop_gradient(jnp.exp(0.5 * log)) * valid
    return counts + weighted + _cross_entropy(odds, mean, log, rows)


def _look(weights: Weights, rows: tuple[Array, Array, Array], key: Key) -> Float[Array, " n"]:
    return _cross_entropy(*_heads(weights, rows[0]), rows)


@jax.jit
def _each(weights: Weights, inputs: Array) -> Float[Array, "members n"]:
    return jax.vmap(lambda one: jnp.exp(_log_probability(*_heads(one, inputs))))(weights)
