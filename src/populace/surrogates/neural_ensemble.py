"""An ensemble of neural networks, each with a mean and a noise variance (Lakshminarayanan, Pritzel and Blundell 2017).

Members minimise the beta-weighted Gaussian likelihood of Seitzer and others (2022, arXiv:2203.09168) with beta = 1/2:
the plain one makes little of points that it does not fit yet and calls them noise. Every member starts elsewhere and
leaves out a part of the runs of its own, on which the weight decay of all is chosen, and the moment to stop.
"""

from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array

from .._types import Key
from ..core.noise import host_generator
from . import networks, training
from .networks import Weights
from .regressor import Fitted, Prediction, Regressor, Standard, check_enough, normalised

_LOW, _HIGH = -10.0, 1.0
"""Bounds of the logarithm of the noise variance, outputs standardised."""
_ROWS = 512
"""Rows at which derivatives are taken for the relevance of inputs."""


class NeuralEnsemble(Regressor):
    """Neural networks trained together.

    **Arguments:** `members`: how many, each leaving its share of the runs out; `width`, `depth`: of the hidden layers;
    `steps`, `batch`, `rate`: of Adam, with a one-cycle schedule; `decays`: weight decays, of which that with the
    least mean squared error on left-out runs is kept.
    """

    members: int = eqx.field(static=True, default=10)
    width: int = eqx.field(static=True, default=64)
    depth: int = eqx.field(static=True, default=3)
    steps: int = eqx.field(static=True, default=2000)
    batch: int = eqx.field(static=True, default=128)
    rate: float = eqx.field(static=True, default=3e-3)
    decays: tuple[float, ...] = eqx.field(static=True, default=(0.25, 0.7, 2.0))

    @property
    def name(self) -> str:
        return "an ensemble of neural networks"

    def least(self, inputs: int) -> int:
        return max(4 * self.members, 5 + 3 * inputs)

    def fit(self, inputs: np.ndarray, outputs: np.ndarray, key: Key) -> "FittedEnsemble":
        check_enough(self, inputs)
        standard = Standard.of(outputs)
        n, k = outputs.shape
        x = training.padded(inputs, 0.5)
        y = jnp.asarray(np.concatenate([standard(outputs), np.zeros((x.shape[0] - n, k))]), jnp.float32)
        split, start = jr.split(key)
        rows = training.folds(n, self.members, host_generator(split), x.shape[0])
        choices = len(self.decays)
        sizes = (3 * inputs.shape[1], *([self.width] * self.depth), 2 * k)
        weights, least = training.trained(
            training.Plan(self.steps, min(self.batch, n), self.rate),
            networks.First(sizes),
            _likelihood,
            _square,
            (x, y),
            jax.tree.map(lambda leaf: jnp.tile(leaf, (choices,) + (1,) * (leaf.ndim - 1)), rows),
            jnp.repeat(jnp.asarray(self.decays, jnp.float32), self.members),
            jnp.tile(jr.split(start, self.members), choices),
        )
        chosen = int(np.asarray(least).reshape(choices, self.members).mean(1).argmin())
        kept = jax.tree.map(lambda leaf: leaf[chosen * self.members : (chosen + 1) * self.members], weights)
        return FittedEnsemble(kept, standard, _relevance(kept, inputs, k), self.decays[chosen])


@dataclass(frozen=True)
class FittedEnsemble(Fitted):
    """Networks that have learned: weights with members on the leading axis; `decay`: the one that was chosen."""

    weights: Weights
    standard: Standard
    relevances: np.ndarray
    decay: float

    def predict(self, inputs: np.ndarray) -> Prediction:
        means, noise = self._members(inputs)
        return self.standard.back(means.mean(0), noise.mean(0), means.var(0, ddof=1))

    def sample(self, inputs: np.ndarray, key: Key, draws: int) -> np.ndarray:
        """A Gaussian draw with the members' mean and covariance: random combinations of them."""
        means, _ = self._members(inputs)
        centre = means.mean(0)
        mixed = host_generator(key).standard_normal((draws, means.shape[0])) / np.sqrt(means.shape[0] - 1)
        functions = centre + np.tensordot(mixed, means - centre, axes=1)
        return functions * self.standard.scale + self.standard.centre

    def relevance(self) -> np.ndarray:
        return self.relevances

    def _members(self, inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Means and noise variances of each member, (members, m, k), standardised."""
        out = np.asarray(networks.each_said(self.weights, training.padded(inputs, 0.5)), np.float64)[
            :, : inputs.shape[0]
        ]
        k = out.shape[-1] // 2
        return out[..., :k], np.exp(np.clip(out[..., k:], _LOW, _HIGH))


def _likelihood(weights: Weights, rows: tuple[Array, Array], key: Key) -> Array:
    """Beta-weighted Gaussian loss, (n,)."""
    inputs, outputs = rows
    says, k = networks.said(weights, inputs), outputs.shape[-1]
    mean, log = says[:, :k], jnp.clip(says[:, k:], _LOW, _HIGH)
    plain = 0.5 * (jnp.square(mean - outputs) * jnp.exp(-log) + log)
    return (plain * jax.lax.stop_gradient(jnp.exp(0.5 * log))).sum(1)


def _square(weights: Weights, rows: tuple[Array, Array], key: Key) -> Array:
    inputs, outputs = rows
    return jnp.square(networks.said(weights, inputs)[:, : outputs.shape[-1]] - outputs).sum(1)


def _relevance(weights: Weights, inputs: np.ndarray, outputs: int) -> np.ndarray:
    """The root mean square derivative of the mean along each input, over at most 512 of the points learned from."""
    taken = inputs[np.linspace(0, inputs.shape[0] - 1, min(_ROWS, inputs.shape[0])).astype(int)]
    found = np.asarray(networks.slopes(weights, training.padded(taken, 0.5)), np.float64)[:, : taken.shape[0], :outputs]
    return normalised(np.sqrt((found**2).mean((0, 1, 2))))
