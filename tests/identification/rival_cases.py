"""Simulators with known evidence, shared by the tests of rivals."""

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import numpyro.distributions as dist
from jaxtyping import Array
from scipy.stats import multivariate_normal

import populace as pop

SLOPE = np.array([1.0, 0.5, 2.0])
CHEAP = pop.SurrogatePosterior(rounds=1, regressors=(pop.Polynomial(3),))

Seen = dict[str, Array]


def plain(at: Seen, key: Array) -> Seen:
    """Three numbers around a line, N(m SLOPE, 1/4), and a fourth that nothing else shows, N(m, 1/4)."""
    noise = jr.normal(key, (4,))
    x = at["m"] * jnp.append(jnp.asarray(SLOPE, jnp.float32), 1.0) + 0.5 * noise
    return {"x": x[:3], "later": x[3:]}


def other_later(at: Seen, key: Array) -> Seen:
    """The same law of the three numbers, and a fourth that varies five times as much."""
    seen = plain(at, key)
    return {"x": seen["x"], "later": at["m"] + 5.0 * (seen["later"] - at["m"])}


def bent(at: Seen, key: Array) -> Seen:
    """Another law of the three: the third number has the other sign."""
    seen = plain(at, key)
    return {"x": seen["x"] - jnp.array([0.0, 0.0, 4.0]) * at["m"], "later": seen["later"]}


def problem(simulator, values, held_out: bool = False, spread: float = 1.0) -> pop.Problem:
    data = {"x": np.asarray(values, np.float32), "later": np.zeros(1, np.float32)}
    target = pop.Target(data, [pop.level("x")], [pop.level("later")] if held_out else [])
    return pop.Problem(pop.Traceable(simulator), pop.Space(m=dist.Normal(0.0, spread)), target)


def exact(values: np.ndarray, spread: float = 1.0, slope: np.ndarray = SLOPE) -> float:
    """The log-density of the three numbers: N(0, I / 4 + spread^2 slope slope')."""
    covariance = 0.25 * np.eye(3) + spread**2 * np.outer(slope, slope)
    return float(multivariate_normal.logpdf(values, np.zeros(3), covariance))
