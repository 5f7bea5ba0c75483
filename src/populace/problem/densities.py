"""Log-densities of counts that stay exact in single precision.

Catherine Loader (2000, "Fast and accurate computation of binomial probabilities"): the logarithms of factorials are
split into Stirling's formula, whose large parts cancel on paper, what it lacks, and deviances. Differences of log-gamma
functions lose all digits at counts of a hundred thousand.
"""

import jax.numpy as jnp
from jax.scipy.special import gammaln
from jaxtyping import Array, Float

_HALF_LOG = 0.9189385332046727
"""Half the logarithm of 2 pi."""
_SERIES = 16.0


def log_poisson(count: Float[Array, "..."], mean: Float[Array, "..."]) -> Float[Array, "..."]:
    """Of a count with this mean."""
    n, m = jnp.maximum(count, 1e-30), jnp.maximum(mean, 1e-30)
    level = -_lacking(n) - _deviance(n, m) - _HALF_LOG - 0.5 * jnp.log(n)
    return jnp.where(count == 0, -mean, jnp.where(mean > 0, level, -jnp.inf))


def log_binomial(count: Float[Array, "..."], n: Float[Array, "..."], p: Float[Array, "..."]) -> Float[Array, "..."]:
    """Of a count of successes in n trials with probability p; n need not be whole."""
    hit, miss = jnp.clip(count, 1e-30, None), jnp.clip(n - count, 1e-30, None)
    mean, rest = jnp.maximum(n * p, 1e-30), jnp.maximum(n * (1.0 - p), 1e-30)
    inner = (
        _lacking(jnp.maximum(n, 1e-30)) - _lacking(hit) - _lacking(miss) - _deviance(hit, mean) - _deviance(miss, rest)
    )
    inner += 0.5 * (jnp.log(jnp.maximum(n, 1e-30)) - jnp.log(hit) - jnp.log(miss)) - _HALF_LOG
    level = jnp.where(count == 0, n * jnp.log1p(-jnp.minimum(p, 1.0 - 1e-7)), inner)
    level = jnp.where((count == n) & (count > 0), n * jnp.log(jnp.maximum(p, 1e-30)), level)
    level = jnp.where(((p <= 0) & (count > 0)) | ((p >= 1) & (count < n)), -jnp.inf, level)
    return jnp.where((count < 0) | (count > n), -jnp.inf, level)


def log_negative_binomial(
    count: Float[Array, "..."], mean: Float[Array, "..."], dispersion: Float[Array, "..."]
) -> Float[Array, "..."]:
    """Of a count with this mean m and variance m + dispersion m^2."""
    size = 1.0 / dispersion
    share = 1.0 / (1.0 + dispersion * mean)
    none = -size * jnp.log1p(dispersion * mean)
    some = jnp.log(size / (size + jnp.maximum(count, 1.0))) + log_binomial(size, size + jnp.maximum(count, 1.0), share)
    level = jnp.where(count == 0, none, some)
    return jnp.where((count < 0) | ((mean <= 0) & (count > 0)), -jnp.inf, level)


def log_normal(value: Float[Array, "..."], mean: Float[Array, "..."], sd: Float[Array, "..."]) -> Float[Array, "..."]:
    """Of a Gaussian number."""
    return -0.5 * ((value - mean) / sd) ** 2 - jnp.log(sd) - _HALF_LOG


def _lacking(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """What log x! is more than Stirling's formula (x + 1/2) log x - x + log(2 pi) / 2."""
    small = jnp.minimum(x, _SERIES)
    direct = gammaln(small + 1.0) - (small + 0.5) * jnp.log(small) + small - _HALF_LOG
    large = jnp.maximum(x, _SERIES)
    series = 1.0 / (12.0 * large) - 1.0 / (360.0 * large**3)
    return jnp.where(x < _SERIES, direct, series)


def _deviance(x: Float[Array, "..."], m: Float[Array, "..."]) -> Float[Array, "..."]:
    """The deviance x log(x / m) + m - x, by its series where x is near m."""
    v = (x - m) / (x + m)
    near = jnp.where(jnp.abs(v) < 0.1, v, 0.0)
    square = near**2
    series = (x - m) * near + 2.0 * x * near * square * (1 / 3 + square * (1 / 5 + square * (1 / 7 + square / 9)))
    return jnp.where(jnp.abs(v) < 0.1, series, x * jnp.log(x / m) + m - x)
