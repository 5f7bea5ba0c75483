"""Conditional densities by flow matching: a velocity field that carries N(0, I) to where the values are.

First a linear regression of the values on what is given is taken out, and its residuals are made N(0, I) as far as a
matrix can: what is left to learn is how they are not.

Yaron Lipman, Ricky Chen, Heli Ben-Hamu, Maximilian Nickel and Matt Le (2023), arXiv:2210.02747; for posteriors Jonas
Wildberger and others (2023), arXiv:2305.17161. On the straight way x = (1 - t) z + t v from z ~ N(0, I) to a residual
v, a network learns E[v - z | x, t, given]. It is asked only for what the field of v ~ N(0, I) leaves open, in units of
that field's own noise (the preconditioning of Tero Karras and others 2022, arXiv:2206.00364): with s = (1 - t)^2 + t^2,

    velocity = (2 t - 1) x / s + network(x / sqrt(s), t, given) / sqrt(s).

A network that says nothing leaves the regression with Gaussian residuals. Members of an ensemble leave other rows out,
stop where they do best on these, and their velocities are averaged: one field, with one density.
"""

from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Float
from scipy.stats import norm

from .._types import Key
from ..core.noise import host_generator
from . import networks, training
from .conditional import ConditionalDensity, Density, Line, Squashed, check_rows
from .networks import Weights

_TIMES = 8
"""Times a left-out row is looked at."""
_WAVES = 1
"""Frequencies at which a network sees the logarithm of a time's odds."""
_NEAR = 0.003
"""How near the ends that logarithm resolves."""
_GRID = 1.0 - (1.0 - np.arange(41) / 40) ** 2
"""Times on the way from noise to values, closer towards the end."""
_AT_ONCE = 8_192


class FlowMatching(ConditionalDensity):
    """A density by flow matching.

    **Arguments:** `members`: how many networks, each leaving its share of the rows out; `width`, `depth`: of their
    hidden layers; `steps` (2,000 for a thousand rows and as its root for more, if None), `batch`, `rate`: of Adam, with
    a one-cycle schedule; `decay`: of weights.
    """

    members: int = eqx.field(static=True, default=4)
    width: int = eqx.field(static=True, default=64)
    depth: int = eqx.field(static=True, default=3)
    steps: int | None = eqx.field(static=True, default=None)
    batch: int = eqx.field(static=True, default=128)
    rate: float = eqx.field(static=True, default=2e-3)
    decay: float = eqx.field(static=True, default=0.1)

    @property
    def name(self) -> str:
        return "flow matching"

    def fit(self, values: np.ndarray, given: np.ndarray, weights: np.ndarray, key: Key) -> "FittedFlow":
        check_rows(self, values)
        (n, d), k = values.shape, given.shape[1]
        squashed = Squashed.of(given)
        near = squashed(given)
        line = Line.of(values, near, weights)
        data = tuple(training.padded(part) for part in (line.off(values, near), near, weights))
        split, start = jr.split(key)
        rows = training.folds(n, self.members, host_generator(split), data[0].shape[0])
        found, least = training.trained(
            training.Plan(self.steps or training.steps_for(n, 2_000), min(self.batch, n), self.rate),
            networks.First((d + k + 1 + 2 * _WAVES, *([self.width] * self.depth), d), last=0.0),  # it says nothing yet
            _loss,
            _look,
            data,
            rows,
            jnp.full(self.members, self.decay, jnp.float32),
            jr.split(start, self.members),
        )
        return FittedFlow(found, squashed, line, float(least.mean()))


def _spoken(weights: Weights, x: Array, t: Array, given: Array) -> Array:
    """What a network says at x (..., d) and t (...,)."""
    odds = jnp.log((t + _NEAR) / (1.0 - t + _NEAR))[..., None] / 4.0
    phases = odds * jnp.pi * 2.0 ** jnp.arange(_WAVES)
    seen = [x, given, odds, jnp.sin(phases), jnp.cos(phases)]
    return networks.perceptron(weights, jnp.concatenate(seen, axis=-1))


def _gaps(weights: Weights, values: Array, given: Array, t: Array, noise: Array) -> Array:
    """The squared gap (n,) of a network to what it should say, in units of the noise that a Gaussian would leave."""
    s = ((1.0 - t) ** 2 + t**2)[:, None]
    x = (1.0 - t)[:, None] * noise + t[:, None] * values
    root = jnp.sqrt(s)
    wanted = (values - noise - (2.0 * t[:, None] - 1.0) * x / s) * root
    return ((_spoken(weights, x / root, t, given) - wanted) ** 2).mean(1)


def _late(uniform: Array) -> Array:
    """Times of the way, more of them towards its end, where narrow laws are told from wide ones."""
    return 1.0 - (1.0 - uniform) ** 2


def _loss(weights: Weights, rows: tuple[Array, Array, Array], key: Key) -> Array:
    values, given, weight = rows
    when, noise = jr.split(key)
    n = values.shape[0]
    t = _late((jnp.arange(n) + jr.uniform(when, (n,))) / n)  # evenly spread: less noise than independent times
    return weight * _gaps(weights, values, given, t, jr.normal(noise, values.shape))


def _look(weights: Weights, rows: tuple[Array, Array, Array], key: Key) -> Array:
    values, given, weight = rows
    n = values.shape[0]

    def one(i: Array) -> Array:
        when, noise = jr.split(jr.fold_in(key, i))
        t = _late((jr.uniform(when, (n,)) + i) / _TIMES)
        return _gaps(weights, values, given, t, jr.normal(noise, values.shape))

    return weight * jax.lax.map(one, jnp.arange(_TIMES)).mean(0)


@dataclass(frozen=True)
class FittedFlow(Density):
    """A field that has been learned: weights with members leading; `loss`: of members on the rows they left out, 1
    where what is given says nothing.
    """

    weights: Weights
    squashed: Squashed
    line: Line
    loss: float

    def sample(self, given: np.ndarray, key: Key, count: int) -> np.ndarray:
        near = self.squashed(given)
        noise = host_generator(key).standard_normal((count, self.line.centre.size))
        found = [_carried(self.weights, part, jnp.asarray(near, jnp.float32)) for part in _parts(noise)]
        return self.line.on(np.concatenate([np.asarray(part, np.float64) for part in found])[:count], near)

    def log_prob(self, values: np.ndarray, given: np.ndarray) -> np.ndarray:
        near = self.squashed(given)
        noise, stretch = self._carried(self.line.off(values, near), near, _GRID[::-1].copy())
        return norm.logpdf(noise).sum(1) + stretch - np.log(np.diag(self.line.root)).sum()

    def typical(self, given: np.ndarray, key: Key, draws: int) -> tuple[np.ndarray, np.ndarray]:
        """The noise's own density is known in expectation: draws tell that of the stretching alone, which varies less,
        and not at all where the field is linear.
        """
        n, size = given.shape[0], self.line.centre.size
        near = np.repeat(self.squashed(given), draws, axis=0)
        noise = host_generator(key).standard_normal((n * draws, size))
        _, stretch = self._carried(noise, near, _GRID)
        left = (-stretch - np.log(np.diag(self.line.root)).sum()).reshape(n, draws)
        logs = left + norm.logpdf(noise).sum(1).reshape(n, draws)
        return logs, left.mean(1) - 0.5 * size * (1.0 + np.log(2.0 * np.pi))

    def _carried(self, rows: np.ndarray, near: np.ndarray, grid: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rows (n, d) carried along the field through the times of a grid, and the logarithm of the stretching (n,)."""
        times = jnp.asarray(grid, jnp.float32)
        found = [
            _stretched(self.weights, part, there, times) for part, there in zip(_parts(rows), _parts(near), strict=True)
        ]
        ends, logs = (np.concatenate([np.asarray(one[i], np.float64) for one in found])[: len(rows)] for i in (0, 1))
        return ends, logs


def _parts(rows: np.ndarray) -> list[Array]:
    """Rows (n, ...) in pieces of a few shapes, the last filled up."""
    pieces = [rows[i : i + _AT_ONCE] for i in range(0, rows.shape[0], _AT_ONCE)]
    return [training.padded(piece) for piece in pieces]


def _velocity(weights: Weights, x: Array, t: Array, given: Array) -> Float[Array, "*n d"]:
    """The mean velocity of all members at x (..., d) and one time."""
    s = (1.0 - t) ** 2 + t**2
    root = jnp.sqrt(s)
    when = jnp.broadcast_to(t, x.shape[:-1])
    given = jnp.broadcast_to(given, (*x.shape[:-1], given.shape[-1]))
    spoken = jax.vmap(lambda one: _spoken(one, x / root, when, given))(weights).mean(0)
    return (2.0 * t - 1.0) * x / s + spoken / root


@jax.jit
def _carried(weights: Weights, noise: Array, given: Array) -> Float[Array, "n d"]:
    """Noise (n, d) carried to values, by Heun's method."""
    times = jnp.asarray(_GRID, jnp.float32)

    def step(x: Array, ends: tuple[Array, Array]) -> tuple[Array, None]:
        t, until = ends
        first = _velocity(weights, x, t, given)
        second = _velocity(weights, x + (until - t) * first, until, given)
        return x + 0.5 * (until - t) * (first + second), None

    return jax.lax.scan(step, noise, (times[:-1], times[1:]))[0]


@jax.jit
def _stretched(
    weights: Weights, values: Array, given: Array, times: Array
) -> tuple[Float[Array, "n d"], Float[Array, " n"]]:
    """Values (n, d) carried through some times, and the integral of the divergence on the way (Heun)."""

    def moved(x: Array, t: Array, near: Array) -> tuple[Array, Array]:
        """Velocity (d,) and its divergence at one point."""
        jacobian = jax.jacfwd(lambda at: _velocity(weights, at, t, near))(x)
        return _velocity(weights, x, t, near), jnp.trace(jacobian)

    each = jax.vmap(moved, in_axes=(0, None, 0))

    def step(carry: tuple[Array, Array], ends: tuple[Array, Array]) -> tuple[tuple[Array, Array], None]:
        (x, log), (t, until) = carry, ends
        h = until - t
        first, spread = each(x, t, given)
        second, later = each(x + h * first, until, given)
        return (x + 0.5 * h * (first + second), log + 0.5 * h * (spread + later)), None

    return jax.lax.scan(step, (values, jnp.zeros(values.shape[0])), (times[:-1], times[1:]))[0]
