"""Four series whose likelihood is known: two markets, a Brownian motion in three dimensions, a herding market.

Brock and Hommes with four beliefs, noisy (beta = 10) and smooth (beta = 120) in its parameters; log-increments of a
geometric Brownian motion; Reiner Franke and Frank Westerhoff (2012), herding, predisposition and misalignment. 100
times; parameters are uniform on boxes.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import numpyro.distributions as dist
from jaxtyping import Array, Float

import populace as pop
from populace.calibration import nuts, population
from populace.zoo import franke_westerhoff
from populace.zoo.franke_westerhoff import FrankeWesterhoff, Prices

TIMES = 100
POINTS = 2_000_000
ENOUGH = 2_000
REFERENCE = 10_000

Simulator = Callable[[Array, Any], Array]
LogLikelihood = Callable[[Array, Array], Array]


@dataclass(frozen=True)
class Case:
    """A simulator (theta, key) to a series (times, m), its log-likelihood (theta, series), the box and the truth."""

    name: str
    simulate: Simulator
    log_likelihood: LogLikelihood
    box: tuple[tuple[float, float], ...]
    truth: tuple[float, ...]

    @property
    def low(self) -> Array:
        return jnp.array([low for low, _ in self.box], jnp.float32)

    @property
    def high(self) -> Array:
        return jnp.array([high for _, high in self.box], jnp.float32)

    def data(self, number: int) -> np.ndarray:
        """One observed series (times, m)."""
        return np.asarray(self.simulate(jnp.array(self.truth, jnp.float32), jr.key(100 + number)), np.float64)

    def problem(self, data: np.ndarray) -> pop.Problem:
        return pop.Problem(pop.Traceable(self._run), pop.Space(theta=dist.Uniform(self.low, self.high)), _target(data))

    def _run(self, parameters: dict[str, Array], key: Any) -> dict[str, Array]:
        return {"y": self.simulate(parameters["theta"], key)}

    def exact(self, data: np.ndarray, count: int = POINTS) -> np.ndarray:
        """Draws (REFERENCE, d) of the exact posterior: of so many points of the box, weighed by the likelihood, where
        enough of them count; by NUTS on the exact likelihood where the posterior is too narrow for that.
        """
        seen, rng = jnp.asarray(data, jnp.float32), np.random.default_rng(0)
        points = self.low + (self.high - self.low) * jr.uniform(jr.key(1), (count, len(self.box)))
        levels = np.asarray(_levels(self.log_likelihood, points, seen), np.float64)
        weights = np.exp(levels - levels.max())
        weights /= weights.sum()
        if 1.0 / (weights**2).sum() >= ENOUGH:
            return np.asarray(points, np.float64)[rng.choice(count, REFERENCE, p=weights)]
        density = _Exact(self.log_likelihood, self.low, self.high, seen)
        levels = [functools.partial(nuts.levels, one) for one in (density, _Logistic())]
        found = population.found(*levels, lambda n: rng.logistic(size=(n, len(self.box))), jr.key(2))
        chains = nuts.walked(density, found, jr.key(3), 8, REFERENCE // 8)
        r_hat, size = chains.worst()
        if r_hat > 1.01 or size < ENOUGH:
            raise RuntimeError(f"{self.name}: the reference is not good enough (R-hat {r_hat:.3f}, {size:.0f} draws)")
        real = jnp.asarray(chains.path.reshape(-1, len(self.box)), jnp.float32)
        return np.asarray(self.low + (self.high - self.low) * jax.nn.sigmoid(real), np.float64)


def _target(data: np.ndarray) -> pop.Target:
    """The series, whose means and spreads stand for it among the moments."""
    return pop.Target({"y": data}, [pop.mean("y"), pop.standard_deviation("y")])


class _Logistic(eqx.Module):
    """A uniform law on a box, on the real line."""

    def __call__(self, real: Float[Array, " d"]) -> Float[Array, ""]:
        return (jax.nn.log_sigmoid(real) + jax.nn.log_sigmoid(-real)).sum()


class _Exact(eqx.Module):
    log_likelihood: LogLikelihood = eqx.field(static=True)
    low: Array
    high: Array
    seen: Array

    def __call__(self, real: Float[Array, " d"]) -> Float[Array, ""]:
        theta = self.low + (self.high - self.low) * jax.nn.sigmoid(real)
        return _Logistic()(real) + self.log_likelihood(theta, self.seen)


@eqx.filter_jit
def _levels(log_likelihood: LogLikelihood, points: Array, seen: Array) -> Array:
    return jax.lax.map(lambda theta: log_likelihood(theta, seen), points, batch_size=4_096)


def _market(beta: float) -> tuple[Simulator, LogLikelihood]:
    """Brock-Hommes with four beliefs: x follows the mean forecast of those whose forecasts paid."""
    r, spread = 1.01, 0.04 / 1.01

    def mean(theta: Array, one: Array, two: Array, three: Array) -> Array:
        g = jnp.stack([0.0, theta[0], theta[2], 1.01])
        b = jnp.stack([0.0, theta[1], theta[3], 0.0])
        profit = (one - r * two) * (g * three + b - r * two)
        return (jax.nn.softmax(beta * profit) * (g * one + b)).sum() / r

    def simulate(theta: Array, key: Any) -> Array:
        def step(last: tuple[Array, Array, Array], noise: Array) -> tuple[tuple[Array, Array, Array], Array]:
            x = mean(theta, *last) + spread * noise
            return (x, last[0], last[1]), x

        zero = jnp.float32(0.0)
        return jax.lax.scan(step, (zero, zero, zero), jr.normal(key, (TIMES,)))[1][:, None]

    def log_likelihood(theta: Array, seen: Array) -> Array:
        x = jnp.concatenate([jnp.zeros(3), seen[:, 0]])
        means = jax.vmap(lambda one, two, three: mean(theta, one, two, three))(x[2:-1], x[1:-2], x[:-3])
        return -0.5 * (((seen[:, 0] - means) / spread) ** 2).sum()

    return simulate, log_likelihood


def _brownian() -> tuple[Simulator, LogLikelihood]:
    """Increments of logarithms: N(dt (b - c), dt S S'), c half the row sums of S squared."""
    s = np.array([[0.5, 0.1, 0.0], [0.0, 0.1, 0.3], [0.0, 0.0, 0.2]])
    c, dt = 0.5 * (s**2).sum(1), 1.0 / (TIMES - 1)
    root = np.linalg.cholesky(s @ s.T * dt)

    def simulate(theta: Array, key: Any) -> Array:
        return dt * (theta - c) + jr.normal(key, (TIMES - 1, 3)) @ root.T

    def log_likelihood(theta: Array, seen: Array) -> Array:
        z = (seen - dt * (theta - c)) @ np.linalg.inv(root).T
        return -0.5 * (z**2).sum()

    return simulate, log_likelihood


def _herding() -> tuple[Simulator, LogLikelihood]:
    """Franke-Westerhoff: the share of fundamentalists follows an attitude that remembers itself."""

    def market(theta: Array) -> FrankeWesterhoff:
        return FrankeWesterhoff(alpha_0=theta[0], alpha_n=theta[1], alpha_p=theta[2], sigma_c=theta[3])

    def simulate(theta: Array, key: Any) -> Array:
        model = market(theta)

        def step(now: Prices, noise: Array) -> tuple[Prices, Array]:
            mean, spread, attitude = model.next(now)
            after = Prices(attitude, mean + spread * noise, now.price)
            return after, after.price

        return jax.lax.scan(step, model.start(), jr.normal(key, (TIMES,)))[1][:, None]

    return simulate, lambda theta, seen: franke_westerhoff.log_likelihood(market(theta), seen[:, 0])


_UP, _DOWN, _WIDE = (0.0, 1.0), (-1.0, 0.0), (-1.0, 1.0)
CASES = (
    Case("brock_hommes_noisy", *_market(10.0), (_DOWN, _DOWN, _UP, _UP), (-0.7, -0.4, 0.5, 0.3)),
    Case("brock_hommes_smooth", *_market(120.0), (_UP, _UP, _UP, _DOWN), (0.9, 0.2, 0.9, -0.2)),
    Case("brownian_3d", *_brownian(), (_WIDE, _WIDE, _WIDE), (0.2, -0.5, 0.0)),
    Case(
        "franke_westerhoff",
        *_herding(),
        (_WIDE, (0.0, 2.0), (0.0, 20.0), (0.0, 5.0)),
        (-0.327, 1.79, 18.43, 2.087),
    ),
)
