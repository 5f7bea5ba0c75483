"""The ratio of what is likely together to what is likely apart, learned by a classifier: p(values, given) / p(values)
p(given).

Joeri Hermans, Volodimir Begy and Gilles Louppe (2020), Proceedings of the 37th International Conference on Machine
Learning, arXiv:1903.04057. Contrastive: which of K values belongs to what is given, or none of them (Benjamin Miller,
Christoph Weniger and Patrick Forre 2022, Advances in Neural Information Processing Systems 35, arXiv:2210.06170); with
K = 1 it is the first paper's. With r_i the ratio at the i-th,

    P(none) = K / (K + sum r_j),    P(i) = r_i / (K + sum r_j),

each of both cases half of the time: the ratio is right on its own, and not only up to a factor that hangs on what is
given. Balanced, if wished: a classifier's mean opinion of pairs that belong together and of others adds up to 1, which
keeps it from being over-confident (Arnaud Delaunoy, Joeri Hermans, Francois Rozet, Antoine Wehenkel and Gilles Louppe
2022, Advances in Neural Information Processing Systems 35, arXiv:2208.13624).

Networks start from the ratio of Gaussians: that of a linear regression's residuals to that of the values. A first one
moves and stretches the residuals' where something is given, r' = exp(s) (r - m), a second adds what is left to say.
"""

import functools
from dataclasses import dataclass
from typing import TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import scipy.linalg
from jaxtyping import Array, Float

from .._errors import MethodError
from .._types import Key
from ..core.noise import host_generator
from . import networks, training
from .conditional import LEAST, Line, Squashed
from .networks import Weights
from .training import Losses

_FAR = 3.0
"""Residuals up to as many are seen as they are, and beyond by the logarithm."""

_SHARPEST = 5.0
"""How narrow a Gaussian may become: exp(-5) of the regression's residuals."""

Members: TypeAlias = tuple[Weights, Weights]
Rows: TypeAlias = tuple[Array, Array, Array, Array, Array]


class ContrastiveRatio(eqx.Module):
    """How a ratio is learned.

    **Arguments:** `contrasts`: K, how many values a classifier tells apart; `balance`: what a step out of balance costs
    (0: nothing; 100 as in the paper); `members`: networks, each leaving its share of the rows out, whose ratios are
    averaged; `width`, `depth`: of hidden layers; `steps` (2,000 for a thousand rows and as its root for more, if None),
    `batch`, `rate`: of Adam with a one-cycle schedule; `decay`: of weights.
    """

    contrasts: int = eqx.field(static=True, default=7)
    balance: float = eqx.field(static=True, default=0.0)
    members: int = eqx.field(static=True, default=4)
    width: int = eqx.field(static=True, default=64)
    depth: int = eqx.field(static=True, default=3)
    steps: int | None = eqx.field(static=True, default=None)
    batch: int = eqx.field(static=True, default=128)
    rate: float = eqx.field(static=True, default=2e-3)
    decay: float = eqx.field(static=True, default=0.1)

    @property
    def name(self) -> str:
        return "a contrastive classifier"

    def fit(self, values: Float[np.ndarray, "n d"], given: Float[np.ndarray, "n k"], key: Key) -> "FittedRatio":
        """Learn from values and what was given with each, all finite, values of about mean 0 and variance 1.

        **Raises:** `MethodError` for too few rows, or no contrasts.
        """
        (n, d), k = values.shape, given.shape[1]
        if n < LEAST:
            raise MethodError(f"{self.name} cannot learn from {n} valid runs: give {LEAST} or more")
        batch = min(self.batch, n)
        if not 1 <= self.contrasts < batch:
            raise MethodError(
                f"{self.contrasts} contrasts of a batch of {batch}: take 1 or more, and fewer than it has"
            )
        squashed = Squashed.of(given)
        near, plain = squashed(given), np.ones(n)
        line, alone = Line.of(values, near, plain), Line.of(values, np.zeros((n, 1)), plain)
        frame = Frame.of(line, alone)
        data = tuple(training.padded(part) for part in (*frame.of_values(values), *frame.of_given(near)))
        split, start = jr.split(key)
        rows = training.folds(n, self.members, host_generator(split), data[0].shape[0])
        loss, look = _losses(self.contrasts, self.balance)
        found, least = training.trained(
            training.Plan(self.steps or training.steps_for(n, 2_000), batch, self.rate),
            Start(d, k, (self.width,) * self.depth),
            loss,
            look,
            data,
            rows,
            jnp.full(self.members, self.decay, jnp.float32),
            jr.split(start, self.members),
        )
        return FittedRatio(found, squashed, frame, float(least.mean()))


@dataclass(frozen=True)
class Start:
    """A member's first weights, of both its networks: they say nothing yet."""

    values: int
    given: int
    layers: tuple[int, ...]

    def __call__(self, key: Key) -> tuple[Weights, Weights]:
        move, add = jr.split(key)
        moves = networks.First((self.given, *self.layers, 2 * self.values), last=0.0)(move)
        return moves, networks.First((2 * self.values + self.given, *self.layers, 1), last=0.0)(add)


@dataclass(frozen=True)
class Frame:
    """The two Gaussians that a ratio starts from: of residuals of a regression, `line`, and of the values, `alone`."""

    line: Line
    alone: Line
    size: float
    """The logarithm of how much smaller the residuals' is, as a determinant's root."""

    @staticmethod
    def of(line: Line, alone: Line) -> "Frame":
        sizes = [float(np.log(np.diag(one.root)).sum()) for one in (alone, line)]
        return Frame(line, alone, sizes[0] - sizes[1])

    def of_values(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Values (n, d), their part of the residuals (n, d), and minus what they alone say of their likelihood (n,)."""
        nothing = np.zeros((len(values), 1))
        part = self.line.off(values, np.zeros((len(values), self.line.slopes.shape[0])))
        return values, part, 0.5 * (self.alone.off(values, nothing) ** 2).sum(1) + self.size

    def of_given(self, near: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What is given (n, k), and its part of the residuals (n, d)."""
        return near, scipy.linalg.solve_triangular(self.line.root, (near @ self.line.slopes).T, lower=True).T


def _log_ratio(weights: Members, values: Array, part: Array, alone: Array, near: Array, taken: Array) -> Array:
    """The logarithm of the ratio (...,) by one member, from the rows of `Frame`."""
    moves, adds = weights
    shift, scale = jnp.split(networks.perceptron(moves, near), 2, axis=-1)
    scale = jnp.clip(scale, -_SHARPEST, _SHARPEST)
    residual = jnp.exp(scale) * (part - taken - shift)
    far = jnp.maximum(jnp.abs(residual) - _FAR, 0.0)
    held = jnp.clip(residual, -_FAR, _FAR) + jnp.sign(residual) * jnp.log1p(far)
    seen = jnp.concatenate([values, held, jnp.broadcast_to(near, (*values.shape[:-1], near.shape[-1]))], axis=-1)
    return networks.perceptron(adds, seen)[..., 0] + (scale - 0.5 * residual**2).sum(-1) + alone


@functools.lru_cache
def _losses(contrasts: int, balance: float) -> tuple[Losses, Losses]:
    """What is minimised, and what is looked at: the same without the price of imbalance."""

    def loss(weights: Members, rows: Rows, key: Key) -> Array:
        each, out = _contrasted(contrasts, weights, rows)
        return each + balance * out**2

    def look(weights: Members, rows: Rows, key: Key) -> Array:
        return _contrasted(contrasts, weights, rows)[0]

    return loss, look


def _contrasted(contrasts: int, weights: Members, rows: Rows) -> tuple[Array, Array]:
    """The cross-entropy (n,), and how far the mean opinions of a batch are from adding up to 1. The contrasts of a row
    are the values of the rows before it.
    """
    values, part, alone, near, taken = rows

    n = values.shape[0]
    which = (jnp.arange(n) - jnp.arange(contrasts + 1)[:, None]) % n
    said = _log_ratio(weights, values[which], part[which], alone[which], near, taken)
    own, apart = said[0], said[1:]
    nothing = jnp.full((1, n), jnp.log(contrasts))
    none, one = (jax.scipy.special.logsumexp(jnp.concatenate([nothing, among]), axis=0) for among in (apart, said[:-1]))
    none, one = none - jnp.log(contrasts), one - own
    out = jax.nn.sigmoid(own).mean() + jax.nn.sigmoid(apart).mean() - 1.0
    return 0.5 * (none + one), out


@dataclass(frozen=True)
class FittedRatio:
    """A ratio that has been learned: weights with members leading; `loss`: of members on the rows they left out."""

    weights: Members
    squashed: Squashed
    frame: Frame
    loss: float

    def at(self, given: Float[np.ndarray, " k"]) -> "RatioAt":
        """The ratio as a function of values, where this is given."""
        near, taken = self.frame.of_given(self.squashed(given)[None])
        line, alone = self.frame.line, self.frame.alone
        centres, size = (line.centre, alone.centre), self.frame.size
        parts = (near[0], taken[0], *centres, line.root, alone.root, size)
        return RatioAt(self.weights, *(jnp.asarray(part, jnp.float32) for part in parts))


class RatioAt(eqx.Module):
    """The logarithm of the ratio at what is given, a function of values (d,). Plain JAX."""

    weights: Members
    near: Float[Array, " k"]
    taken: Float[Array, " d"]
    centre: Float[Array, " d"]
    middle: Float[Array, " d"]
    root: Float[Array, "d d"]
    wide: Float[Array, "d d"]
    size: Float[Array, ""]

    def __call__(self, values: Float[Array, " d"]) -> Float[Array, ""]:
        part = jax.scipy.linalg.solve_triangular(self.root, values - self.centre, lower=True)
        out = jax.scipy.linalg.solve_triangular(self.wide, values - self.middle, lower=True)
        alone = 0.5 * (out**2).sum() + self.size
        each = jax.vmap(lambda one: _log_ratio(one, values, part, alone, self.near, self.taken))(self.weights)
        return jax.scipy.special.logsumexp(each) - jnp.log(each.shape[0])
