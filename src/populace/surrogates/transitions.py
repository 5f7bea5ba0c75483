"""The law of a series where parameters are given, learned step by step: how each time follows from those before it.

A run of T times is T examples of one law, so that few runs say much (Manuel Gloeckler, Shoji Toyota, Kenji Fukumizu and
Jakob Macke 2024, arXiv:2411.02728). A linear regression on parameters and on the latest times is taken out first; a
mixture of Gaussians, told by a network, is left to say how the rest is not N(0, I). What the latest times do not hold
is carried on by a memory with gates that do not look at it (Leo Feng and others 2024, arXiv:2410.01201), so that all
times are worked out at once:

    h_t = (1 - z_t) h_(t-1) + z_t c_t,    z_t and c_t told by a network from the latest times and the parameters.
"""

import functools
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Float

from .._errors import MethodError
from .._types import Key
from ..core.noise import host_generator
from . import networks, training
from .conditional import LEAST, Line, Squashed
from .training import Losses

_HELD = 2_048
"""Left-out runs that a member looks at, at the most."""
_AT_ONCE = 128
_ROOM = 1_024
"""Rows that there is room for at the least: rounds of few runs share what is compiled."""
_SHARPEST = 5.0
"""How narrow a component may be: exp(-5) of what the regression leaves. Otherwise a number that never varies would
have an infinite density."""


@dataclass(frozen=True)
class Shape:
    """Sizes of a network: parameters, numbers a time, times it sees, its memory, layers, and components."""

    parameters: int
    numbers: int
    lags: int
    memory: int
    layers: tuple[int, ...]
    components: int

    @property
    def seen(self) -> int:
        return self.lags * (self.numbers + 1) + self.parameters

    def __call__(self, key: Key) -> Any:
        """A member's first weights."""
        remember, say = jr.split(key)
        m = self.numbers
        heads = self.components * (1 + m + m * (m + 1) // 2)
        carried = networks.First((self.seen, self.layers[0] // 2, 2 * self.memory), last=1.0)(remember)
        return carried, networks.First((self.seen + self.memory, *self.layers, heads))(say)


class Transitions(eqx.Module):
    """How the law of a series is learned.

    **Arguments:** `lags`: how many of the latest times the next one is seen to depend on at once; `memory`: numbers
    that carry what came before; `components`: of the mixture; `members`: networks, each leaving its share of the runs
    out, whose densities are averaged; `width`, `depth`: of hidden layers; `steps` (4,000 for a thousand runs and as its
    root for more, if None), `batch` (runs), `rate`: of Adam with a one-cycle schedule; `decay`: of weights.
    """

    lags: int = eqx.field(static=True, default=4)
    memory: int = eqx.field(static=True, default=16)
    components: int = eqx.field(static=True, default=2)
    members: int = eqx.field(static=True, default=3)
    width: int = eqx.field(static=True, default=64)
    depth: int = eqx.field(static=True, default=3)
    steps: int | None = eqx.field(static=True, default=None)
    batch: int = eqx.field(static=True, default=16)
    rate: float = eqx.field(static=True, default=4e-3)
    decay: float = eqx.field(static=True, default=0.1)

    @property
    def name(self) -> str:
        return "a network that learns each step"

    def fit(
        self, values: Float[np.ndarray, "n d"], series: Float[np.ndarray, "n times m"], key: Key
    ) -> "FittedTransitions":
        """Learn from runs: parameters on a scale of the prior, and the series of each.

        **Raises:** `MethodError` for too few runs.
        """
        n, times, m = series.shape
        if n < LEAST:
            raise MethodError(f"{self.name} cannot be learned from {n} valid runs: give {LEAST} or more")
        split, start, dither = jr.split(key, 3)
        squashed = Squashed.of(series.reshape(-1, m))
        near = squashed(series)
        seen = _windows(near, self.lags)
        aim = near
        if np.array_equal(series, np.round(series)):  # counts have no density: they are spread over their units
            aim = squashed(series + host_generator(dither).uniform(-0.5, 0.5, series.shape))
        given = np.concatenate([seen, np.repeat(values[:, None], times, axis=1)], axis=2).reshape(n * times, -1)
        line = Line.of(aim.reshape(-1, m), given, np.ones(n * times))
        left = line.off(aim.reshape(-1, m), given).reshape(n, times, m)
        shape = Shape(values.shape[1], m, self.lags, self.memory, (self.width,) * self.depth, self.components)
        data = tuple(training.padded(part, least=_ROOM) for part in (seen, values, left))
        rows = training.folds(n, self.members, host_generator(split), data[0].shape[0])
        held = min(_HELD, data[0].shape[0])
        rows = rows._replace(hold=rows.hold[:, :held], hold_count=jnp.minimum(rows.hold_count, held))
        loss, look = _losses(shape)
        found, least = training.trained(
            training.Plan(self.steps or training.steps_for(n, 4_000), min(self.batch, n), self.rate),
            *(shape, loss, look, data, rows),
            jnp.full(self.members, self.decay, jnp.float32),
            jr.split(start, self.members),
        )
        return FittedTransitions(shape, found, squashed, line, float(least.mean()))


def _windows(near: np.ndarray, lags: int) -> np.ndarray:
    """The latest times of each time, (..., times, lags (m + 1)), the latest first; each with whether there is one."""
    times = near.shape[-2]
    there = np.concatenate([near, np.ones((*near.shape[:-1], 1))], axis=-1)
    before = np.concatenate([np.zeros((*near.shape[:-2], lags, there.shape[-1])), there], axis=-2)
    parts = [before[..., lags - i : lags - i + times, :] for i in range(1, lags + 1)]
    return np.concatenate([np.zeros((*near.shape[:-1], 0)), *parts], axis=-1)


def _said(shape: Shape, weights: Any, seen: Array, values: Array) -> Float[Array, "times heads"]:
    """What a member says of each time of one run."""
    remember, say = weights
    told = jnp.concatenate([seen, jnp.broadcast_to(values, (seen.shape[0], values.size))], axis=1)
    if shape.memory == 0:
        return networks.perceptron(say, told)
    gates, news = jnp.split(networks.perceptron(remember, told), 2, axis=1)
    new = jax.nn.sigmoid(gates - 1.0)
    _, carried = jax.lax.associative_scan(lambda a, b: (a[0] * b[0], b[0] * a[1] + b[1]), (1.0 - new, new * news))
    return networks.perceptron(say, jnp.concatenate([told, carried], axis=1))


def _log_mixture(shape: Shape, told: Array, left: Array) -> Float[Array, " times"]:
    """The log-density of residuals (times, m) where the heads are."""
    k, m = shape.components, shape.numbers
    shares, means, rest = jnp.split(told, [k, k + k * m], axis=1)
    rest = rest.reshape(-1, k, m * (m + 1) // 2)
    spread = jnp.linspace(-0.5, 0.5, k)[:, None] if k > 1 else 0.0  # components that are alike would stay so
    sharp = jnp.minimum(rest[..., :m] + spread, _SHARPEST)
    gap = left[:, None] - means.reshape(-1, k, m)
    lower = jnp.zeros((*gap.shape, m)).at[..., *np.tril_indices(m, -1)].set(rest[..., m:])
    z = (gap + jnp.einsum("tkij,tkj->tki", lower, gap)) * jnp.exp(sharp)
    each = (sharp - 0.5 * z**2).sum(-1) - 0.5 * m * jnp.log(2.0 * jnp.pi)
    return jax.scipy.special.logsumexp(jax.nn.log_softmax(shares) + each, axis=1)


@functools.lru_cache
def _losses(shape: Shape) -> tuple[Losses, Losses]:
    """What is minimised, and what is looked at: minus the mean log-density of a run's times."""

    def one(weights: Any, row: tuple[Array, Array, Array]) -> Array:
        seen, values, left = row
        return -_log_mixture(shape, _said(shape, weights, seen, values), left).mean()

    def loss(weights: Any, rows: Any, key: Key) -> Array:
        return jax.vmap(functools.partial(one, weights))(rows)

    def look(weights: Any, rows: Any, key: Key) -> Array:
        return jax.lax.map(functools.partial(one, weights), rows, batch_size=_AT_ONCE)

    return loss, look


@dataclass(frozen=True)
class FittedTransitions:
    """A law that has been learned: weights with members leading; `loss`: of members on the runs they left out, a time.

    `line` regresses on the latest times and, last, on the parameters.
    """

    shape: Shape
    weights: Any
    squashed: Squashed
    line: Line
    loss: float

    def at(self, series: Float[np.ndarray, "times m"]) -> "SeriesLikelihood":
        """The likelihood of parameters where these series were seen."""
        near = self.squashed(series)
        seen = _windows(near, self.shape.lags)
        cut = seen.shape[1]
        rest = near - self.line.centre - seen @ self.line.slopes[:cut]
        inverse = np.linalg.inv(self.line.root)
        scale = np.log(np.diag(inverse)).sum() * len(near) + self.squashed.log_slopes(series).sum()
        seen, rest, slopes, inverse, scale = (
            jnp.asarray(one, jnp.float32) for one in (seen, rest, self.line.slopes[cut:], inverse, scale)
        )
        return SeriesLikelihood(self.shape, self.weights, seen, rest, slopes, inverse, scale)

    def log_prob(self, values: np.ndarray, series: np.ndarray) -> np.ndarray:
        """The log-density (n,) of one observed series (times, m) under each row of parameters (n, d)."""
        return np.asarray(log_likelihoods(self.at(series), jnp.asarray(values, jnp.float32)), np.float64)


class SeriesLikelihood(eqx.Module):
    """The likelihood at one observed series, a function of parameters (d,) on the scale of the prior. Plain JAX."""

    shape: Shape = eqx.field(static=True)
    weights: Any
    seen: Float[Array, "times features"]
    rest: Float[Array, "times m"]
    slopes: Float[Array, "d m"]
    inverse: Float[Array, "m m"]
    scale: Float[Array, ""]

    def __call__(self, values: Float[Array, " d"]) -> Float[Array, ""]:
        left = (self.rest - values @ self.slopes) @ self.inverse.T
        each = jax.vmap(lambda w: _log_mixture(self.shape, _said(self.shape, w, self.seen, values), left))(self.weights)
        return (jax.scipy.special.logsumexp(each, axis=0) - jnp.log(each.shape[0])).sum() + self.scale


@eqx.filter_jit
def log_likelihoods(likelihood: Any, values: Float[Array, "n d"]) -> Float[Array, " n"]:
    """A likelihood at many parameters, a few at once."""
    return jax.lax.map(likelihood, values, batch_size=_AT_ONCE)
