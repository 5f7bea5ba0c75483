"""Counts by inversion: one uniform number a count, and the smaller the number the larger the count.

Inversion is what makes common random numbers work for counts: a small change of a rate changes few counts, and each
by one. (`jax.random.poisson` rejects: at rates 50 and 50.5 its differences vary 33 times as much.) It goes by the
upper tail, so that a rare count is as exact as a rare event: a binomial of one trial is the Bernoulli of its number.

Up to a mean of 16 the tail is summed term by term. Above, the count is the rounded value of a continuous variable
with the count's cumulants, less 1/12 from the second and plus 1/120 to the fourth (Sheppard's corrections), by the
expansion of Cornish and Fisher to third order. The distribution function is then off by less than 2e-5 up to a mean
of a million, where float32 takes over (tests/core/test_quantiles.py measures it).
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

_SUMMED_BELOW = 16.0

Counts = Float[Array, "..."]


def poisson(uniform: Counts, rate: Counts) -> Counts:
    """The largest k with P(Poisson(rate) >= k) > uniform; all arguments of one shape; a rate that is none gives 0."""
    small = rate < _SUMMED_BELOW
    low = jnp.where(small, jnp.maximum(rate, 0.0), 0.0)
    summed = _count(uniform, -jnp.expm1(-low), low * jnp.exp(-low), lambda k: low / k)
    high = jnp.where(small, 2.0 * _SUMMED_BELOW, rate)
    expanded = _expand(uniform, mean=high, cumulants=(high, high, high, high))
    return jnp.where(small, summed, jnp.where(jnp.isfinite(rate), jnp.maximum(expanded, 0.0), 0.0))


def binomial(uniform: Counts, trials: Counts, p: Counts) -> Counts:
    """The largest k with P(Binomial(trials, p) >= k) > uniform, for whole `trials` >= 0 and 0 <= p <= 1."""
    flipped = p > 0.5
    q = jnp.where(flipped, 1.0 - p, p)
    u = jnp.where(flipped, 1.0 - uniform, uniform)
    mean = trials * q
    small = mean < _SUMMED_BELOW
    n, q_low = jnp.where(small, trials, 0.0), jnp.where(small, q, 0.0)
    odds, logs = q_low / (1.0 - q_low), n * jnp.log1p(-q_low)
    summed = _count(u, -jnp.expm1(logs), n * odds * jnp.exp(logs), lambda k: odds * jnp.maximum(n - k + 1.0, 0.0) / k)
    m, v, s = jnp.where(small, 32.0, mean), jnp.where(small, 16.0, mean * (1.0 - q)), 1.0 - 2.0 * q
    fourth, fifth = v * (1.0 - 6.0 * q * (1.0 - q)), v * s * (1.0 - 12.0 * q * (1.0 - q))
    expanded = jnp.clip(_expand(u, mean=m, cumulants=(v, v * s, fourth, fifth)), 0.0, trials)
    k = jnp.where(small, summed, expanded)
    k = jnp.where(flipped, trials - k, k)
    return jnp.where(jnp.isnan(mean), 0.0, k)


def _count(uniform: Counts, some: Counts, first: Counts, ratio: Callable[[Array], Counts]) -> Counts:
    """How many k >= 1 have P(N >= k) > `uniform`.

    `some` is P(N >= 1), `first` P(N = 1), and `ratio(k)` P(N = k) / P(N = k - 1), falling in k. The tail is `some`
    less the masses gone by; far out, where rounding has eaten it, its geometric bound P(N = k) / (1 - ratio(k + 1))
    is the better value. Both fall, so an entry's count does not hang on how long others keep the loop going.
    """

    def reached(k: Array, mass: Counts, tail: Counts) -> Array:
        left = 1.0 - ratio(k + 1.0)
        return uniform < jnp.minimum(tail, jnp.where(left > 0.0, mass / jnp.where(left > 0.0, left, 1.0), 1.0))

    def unfinished(carry: tuple[Array, Counts, Counts, Counts]) -> Array:
        return jnp.any(reached(*carry[:3]))

    def step(carry: tuple[Array, Counts, Counts, Counts]) -> tuple[Array, Counts, Counts, Counts]:
        k, mass, tail, count = carry
        count = jnp.where(reached(k, mass, tail), k, count)
        return k + 1.0, mass * ratio(k + 1.0), tail - mass, count

    return jax.lax.while_loop(unfinished, step, (jnp.float32(1.0), first, some, jnp.zeros_like(uniform)))[3]


def _expand(uniform: Counts, *, mean: Counts, cumulants: tuple[Counts, Counts, Counts, Counts]) -> Counts:
    """Cornish and Fisher (1938): the count at the upper tail probability `uniform`, from its cumulants 2 to 5."""
    second, third, fourth, fifth = cumulants
    spread = jnp.sqrt(second - 1.0 / 12.0)
    a, b, c = third / spread**3, (fourth + 1.0 / 120.0) / spread**4, fifth / spread**5
    z = jnp.clip(-jax.scipy.special.ndtri(uniform), -6.5, 6.5)
    z2 = z * z
    w = z + (z2 - 1.0) * a / 6.0
    w = w + z * (z2 - 3.0) * b / 24.0 - z * (2.0 * z2 - 5.0) * a**2 / 36.0
    w = w + ((z2 - 6.0) * z2 + 3.0) * c / 120.0 - ((z2 - 5.0) * z2 + 2.0) * a * b / 24.0
    w = w + ((12.0 * z2 - 53.0) * z2 + 17.0) * a**3 / 324.0
    return jnp.ceil(mean + spread * w - 0.5)
