"""The mathematics of moments: each function reduces the leading (time) axis of one series.

All work in float32 and are written for `jax.jit`. A sum over a series is always taken of deviations: the first value
is subtracted first (exactly, where neighbours are close), then the mean of what is left, so that prices around 1e4
lose nothing beyond the rounding of the input, and a constant series has deviations that are exactly zero. Where a
statistic is 0/0 the result is NaN.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .._errors import TargetError

Series = Float[Array, "times ..."]
Reduced = Float[Array, "..."]

_STEEPEST = 30.0
"""The largest growth rate that is looked for, per step: a factor of 1e13 from one time to the next."""


def deviations(x: Series) -> Series:
    """`x` less its mean over time."""
    shifted = x - x[:1]
    once = shifted - shifted.mean(0, keepdims=True)
    return once - once.mean(0, keepdims=True)


def mean(x: Series) -> Reduced:
    """The mean over time."""
    return x[0] + (x - x[:1]).mean(0)


def variance(x: Series) -> Reduced:
    """The sum of squared deviations over (times - 1); NaN for one time."""
    return (deviations(x) ** 2).sum(0) / jnp.float32(x.shape[0] - 1)


def standard_deviation(x: Series) -> Reduced:
    """The square root of `variance`."""
    return jnp.sqrt(variance(x))


def _scaled(x: Series) -> Series:
    """Deviations over the largest of them, so that no power overflows; NaN for a constant series."""
    d = deviations(x)
    return d / jnp.abs(d).max(0, keepdims=True)


def skewness(x: Series) -> Reduced:
    """m3 / m2^(3/2), m_j the mean of the j-th power of the deviations."""
    d = _scaled(x)
    return (d**3).mean(0) / (d**2).mean(0) ** 1.5


def kurtosis(x: Series) -> Reduced:
    """m4 / m2^2 - 3: 0 for a Gaussian."""
    d = _scaled(x)
    return (d**4).mean(0) / (d**2).mean(0) ** 2 - 3.0


def cross_correlation(a: Series, b: Series, lag: int) -> Reduced:
    """sum_t (a_t - abar)(b_{t+lag} - bbar) / sqrt(sum_t (a_t - abar)^2 sum_t (b_t - bbar)^2), over the t that exist."""
    da, db = _scaled(a), _scaled(b)
    times = a.shape[0]
    pairs = da[: times - lag] * db[lag:] if lag >= 0 else da[-lag:] * db[: times + lag]
    return pairs.sum(0) / jnp.sqrt((da**2).sum(0) * (db**2).sum(0))


def peak_step(x: Series) -> Reduced:
    """1 for the first time, ...: the step of the maximum, the first of equals; NaN if any value is."""
    return jnp.where(jnp.isnan(x).any(0), jnp.nan, (jnp.argmax(x, axis=0) + 1).astype(jnp.float32))


def hill(x: Series, share: float) -> Reduced:
    """1 / ((1/k) sum_{i=1..k} log(v_i / v_{k+1})), v the absolute values in falling order, k = floor(share times).

    NaN where v_{k+1} is 0 or the k + 1 largest are equal.
    """
    times = x.shape[0]
    k = int(share * times + 1e-9)
    if k < 1:
        raise TargetError(f"a Hill index of the largest {share:g} of {times} values has no values: raise the share")
    top = jnp.moveaxis(jax.lax.top_k(jnp.moveaxis(jnp.abs(x), 0, -1), k + 1)[0], -1, 0)
    threshold = top[-1:]
    excess = jnp.log1p((top[:-1] - threshold) / threshold).mean(0)
    return jnp.where((threshold[0] > 0) & (excess > 0), 1.0 / excess, jnp.nan)


def growth_rate(x: Series) -> Reduced:
    """The r for which sum_t t x_t / sum_t x_t = sum_t t e^(rt) / sum_t e^(rt): see `moments.growth_rate`.

    The right side rises with r, so the root is bracketed and halved, then polished by two Newton steps.
    """
    times = x.shape[0]
    t = (jnp.arange(times, dtype=jnp.float32) - (times - 1) / 2.0).reshape((times,) + (1,) * (x.ndim - 1))
    peak = x.max(0, keepdims=True)
    weight = x / peak
    wanted = (t * weight).sum(0) / weight.sum(0)

    def tilted(rate: Reduced) -> tuple[Reduced, Reduced]:
        share = jax.nn.softmax(rate * t, axis=0)
        centre = (share * t).sum(0)
        return centre, (share * (t - centre) ** 2).sum(0)

    def halve(_: int, ends: tuple[Reduced, Reduced]) -> tuple[Reduced, Reduced]:
        low, high = ends
        middle = 0.5 * (low + high)
        below = tilted(middle)[0] < wanted
        return jnp.where(below, middle, low), jnp.where(below, high, middle)

    ends = jnp.full_like(wanted, -_STEEPEST), jnp.full_like(wanted, _STEEPEST)
    low, high = jax.lax.stop_gradient(jax.lax.fori_loop(0, 30, halve, ends))
    rate = 0.5 * (low + high)
    for _ in range(2):
        centre, spread = tilted(rate)
        rate = rate - (centre - wanted) / spread
    last = (times - 1) / 2.0
    defined = (x >= 0).all(0) & (peak[0] > 0) & (jnp.abs(wanted) < last * (1.0 - 1e-6)) & (jnp.abs(rate) < _STEEPEST)
    return jnp.where(defined, rate, jnp.nan)
