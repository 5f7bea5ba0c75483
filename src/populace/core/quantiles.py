"""Counts by inversion: one uniform number a count, monotone in it.

Inversion is what makes common random numbers work for counts: a small change of a rate changes few counts, and each
by one. (`jax.random.poisson` rejects: at rates 50 and 50.5 its differences vary 33 times as much.)

Up to a mean of 16 the distribution function is summed term by term. Above, the count is read off a Cornish-Fisher
expansion of the count plus a uniform number on (-1/2, 1/2), whose cumulants are those of the count with 1/12 added to
the second and 1/120 taken from the fourth (Sheppard); the distribution function is then off by less than 2e-4
(tests/core/test_quantiles.py measures it).
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

_SUMMED_BELOW = 16.0

Counts = Float[Array, "..."]


def poisson(uniform: Counts, rate: Counts) -> Counts:
    """The smallest k with P(Poisson(rate) <= k) >= uniform; all arguments of one shape; a NaN rate gives 0."""
    small = rate < _SUMMED_BELOW
    low = jnp.where(small, rate, 0.0)
    summed = _search(uniform, jnp.exp(-low), lambda k, mass: mass * low / k, active=small)
    high = jnp.where(small, 2.0 * _SUMMED_BELOW, rate)
    expanded = _expand(uniform, mean=high, variance=high, third=high, fourth=high)
    return jnp.where(small, summed, jnp.where(jnp.isnan(rate), 0.0, jnp.maximum(expanded, 0.0)))


def binomial(uniform: Counts, trials: Counts, p: Counts) -> Counts:
    """The smallest k with P(Binomial(trials, p) <= k) >= uniform, for whole `trials` >= 0 and 0 <= p <= 1."""
    flipped = p > 0.5
    q = jnp.where(flipped, 1.0 - p, p)
    u = jnp.where(flipped, 1.0 - uniform, uniform)
    mean = trials * q
    small = mean < _SUMMED_BELOW
    n, q_low = jnp.where(small, trials, 0.0), jnp.where(small, q, 0.0)
    odds = q_low / (1.0 - q_low)
    first = jnp.exp(n * jnp.log1p(-q_low))
    summed = _search(u, first, lambda k, mass: mass * odds * jnp.maximum(n - k + 1.0, 0.0) / k, active=small)
    summed = jnp.minimum(summed, n)
    m, v = jnp.where(small, 32.0, mean), jnp.where(small, 16.0, mean * (1.0 - q))
    skew, tail = v * (1.0 - 2.0 * q), v * (1.0 - 6.0 * q * (1.0 - q))
    expanded = jnp.clip(_expand(u, mean=m, variance=v, third=skew, fourth=tail), 0.0, trials)
    k = jnp.where(small, summed, expanded)
    k = jnp.where(flipped, trials - k, k)
    return jnp.where(jnp.isnan(mean), 0.0, k)


def _search(
    uniform: Counts, first: Counts, following: Callable[[Array, Counts], Counts], *, active: Array
) -> Counts:
    """Sum masses from 0 upwards until they reach `uniform`. Stops when a further mass no longer changes any sum."""

    def unfinished(carry: tuple[Array, Counts, Counts, Counts]) -> Array:
        k, mass, below, _ = carry
        return jnp.any(active & (below < uniform) & ((below + mass > below) | (k < _SUMMED_BELOW)))

    def step(carry: tuple[Array, Counts, Counts, Counts]) -> tuple[Array, Counts, Counts, Counts]:
        k, mass, below, count = carry
        going = active & (below < uniform) & ((mass > 0) | (k < _SUMMED_BELOW))
        mass = following(k, mass)
        return k + 1.0, mass, below + mass, jnp.where(going, k, count)

    start = (jnp.float32(1.0), first, first, jnp.zeros_like(uniform))
    return jax.lax.while_loop(unfinished, step, start)[3]


def _expand(uniform: Counts, *, mean: Counts, variance: Counts, third: Counts, fourth: Counts) -> Counts:
    """Cornish and Fisher (1938) to second order, on the smoothed count."""
    spread = jnp.sqrt(variance + 1.0 / 12.0)
    g1, g2 = third / spread**3, (fourth - 1.0 / 120.0) / spread**4
    z = jnp.clip(jax.scipy.special.ndtri(uniform), -6.5, 6.5)
    w = z + (z**2 - 1.0) * g1 / 6.0 + (z**3 - 3.0 * z) * g2 / 24.0 - (2.0 * z**3 - 5.0 * z) * g1**2 / 36.0
    return jnp.ceil(mean + spread * w - 0.5)
