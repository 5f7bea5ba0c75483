"""What one draw would have been otherwise, and how fast that becomes so when its parameters move.

For whole numbers with tail S_k = P(N >= k) the derivative of an expectation is

    d E[f(N)] = sum over k of dS_k (f(k) - f(k - 1)).

Each step k - 1 | k is looked at from both of its sides, in proportion to their probabilities: seen from N = x the way
up has weight dS_{x+1} / (p_x + p_{x+1}) and the way down dS_x / (p_{x-1} + p_x), so that no weight is large where a
value is rare. A Bernoulli draw has the weight dp on either side. For a choice of probabilities q the weight of option
j is dq_j, whatever was chosen, because the dq sum to 0.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax.scipy.special import gammaln
from jaxtyping import Array, Float, Int

from ..core.choice import Choice, chosen
from ..core.distributions import Bernoulli, Binomial, Categorical, Geometric, Mechanism, Poisson


@dataclass(frozen=True)
class Flips:
    """Ways to flip the draws of a site, inside a trace.

    `weight` (ways, *population): what multiplies (f flipped - f); `value`: a way's number to the flipped values.
    """

    weight: Float[Array, "ways *population"]
    value: Callable[[Int[Array, ""]], Any]


def flips(mechanism: Mechanism, change: Mechanism, value: Any, where: Array) -> Flips | None:
    """The flips of a site, or None where it has none (continuous draws, kinks, decisions).

    **Arguments:** `mechanism`, with numbers of the population's shape; `change`: its tangent; `where`: the mask.
    """
    match mechanism, change:
        case Bernoulli(p=p), Bernoulli(p=dp):
            sign = jnp.where(value > 0, -1.0, 1.0)
            inside = (where > 0) & (p >= 0.0)
            return Flips(jnp.where(inside, sign * dp, 0.0)[None], lambda way: 1.0 - value)
        case Poisson(rate=rate), Poisson(rate=d_rate):
            tail = lambda k: d_rate * jnp.exp(_poisson(k - 1.0, rate))  # noqa: E731
            return _counted(value, where, lambda k: jnp.exp(_poisson(k, rate)), tail)
        case Binomial(n=n, p=p), Binomial(p=dp):
            mass = lambda k: _binomial(k, n, p)  # noqa: E731
            tail = lambda k: dp * n * _binomial(k - 1.0, n - 1.0, p)  # noqa: E731
            return _counted(value, where, mass, tail)
        case Geometric(p=p), Geometric(p=dp):
            mass = lambda k: jnp.where(k >= 1.0, p * _power(1.0 - p, k - 1.0), 0.0)  # noqa: E731
            tail = lambda k: -dp * (k - 1.0) * _power(1.0 - p, k - 2.0)  # noqa: E731
            return _counted(value, where, mass, tail)
        case Categorical(logits=logits), Categorical(logits=d_logits):
            return _chosen(value, where, logits, d_logits)
        case _:
            return None


def _counted(value: Array, where: Array, mass: Any, tail: Any) -> Flips:
    """One up and one down."""
    here, above, below = mass(value), mass(value + 1.0), mass(value - 1.0)
    up = _ratio(tail(value + 1.0), here + above)
    down = _ratio(tail(value), here + below) * (below > 0)
    drew = where > 0
    weight = jnp.stack([jnp.where(drew, up, 0.0), jnp.where(drew, -down, 0.0)])
    return Flips(weight, lambda way: jnp.where(way == 0, value + 1.0, value - 1.0))


def _chosen(value: Choice, where: Array, logits: Array, d_logits: Array) -> Flips:
    q = jax.nn.softmax(logits)
    pushed = jnp.where(q > 0, d_logits, 0.0)
    dq = q * (pushed - (q * pushed).sum(-1, keepdims=True))
    options = logits.shape[-1]
    dq = jnp.broadcast_to(dq, (*value.index.shape, options))
    drew = (where > 0)[..., None] & (jax.nn.one_hot(value.index, options) == 0)
    weight = jnp.moveaxis(jnp.where(drew, dq, 0.0), -1, 0)
    return Flips(weight, lambda way: chosen(jnp.broadcast_to(way, value.index.shape), options))


def _ratio(above: Array, below: Array) -> Array:
    """`above` / `below`, 0 where the draw could not have come out so."""
    return jnp.where(below > 0, above / jnp.where(below > 0, below, 1.0), 0.0)


def _power(base: Array, exponent: Array) -> Array:
    return jnp.where(exponent >= 0, jnp.power(base, jnp.maximum(exponent, 0.0)), 0.0)


def _poisson(k: Array, rate: Array) -> Array:
    """The log-probability; minus infinity below 0."""
    at = jnp.maximum(k, 0.0)
    logs = jnp.where(at > 0, at * jnp.log(jnp.where(rate > 0, rate, 1.0)), 0.0) - rate - gammaln(at + 1.0)
    possible = (k >= 0) & ((rate > 0) | (at == 0))
    return jnp.where(possible, logs, -jnp.inf)


def _binomial(k: Array, n: Array, p: Array) -> Array:
    """The probability; 0 outside 0 .. n."""
    inside = (k >= 0) & (k <= n)
    at, of = jnp.where(inside, k, 0.0), jnp.maximum(n, 0.0)
    ways = gammaln(of + 1.0) - gammaln(at + 1.0) - gammaln(of - at + 1.0)
    left = of - at
    some, rest = (at > 0), (left > 0)
    logs = ways + jnp.where(some, at * jnp.log(jnp.where(some & (p > 0), p, 1.0)), 0.0)
    logs = logs + jnp.where(rest, left * jnp.log1p(-jnp.where(rest & (p < 1), p, 0.0)), 0.0)
    possible = inside & ((p > 0) | ~some) & ((p < 1) | ~rest)
    return jnp.where(possible, jnp.exp(logs), 0.0)
