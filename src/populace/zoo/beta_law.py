"""Numbers between 0 and 1 with a given mean and spread: quantiles of a Beta law, differentiable in both."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

NODES = 1024
"""Cells of the table of the distribution function."""
REACH = 12.0
"""The table covers so many standard deviations on each side of the mean."""


def beta_quantile(
    share: Float[Array, " agents"], mean: Float[Array, ""], spread: Float[Array, ""]
) -> Float[Array, " agents"]:
    """The Beta quantile of each `share` in (0, 1).

    **Arguments:** `mean`: m, 0 to 1; `spread`: s, 0 to 1 without 1, the variance as a share of m (1 - m), the largest
    that the mean allows. The parameters of the law are a = m (1 - s) / s and b = (1 - m) (1 - s) / s; with s = 0
    everybody has the mean, with s = 1/3 and m = 1/2 all values are alike.

    The density is integrated over the angle t with x = sin(t)^2, in which it is flat where a = b = 1/2, and the table
    is read backwards, linearly. Accurate to .001 for a and b above .4. Derivatives in `mean` and `spread` are those of
    the quantile; at s = 0 the derivative in the mean is 1, in the spread 0.
    """
    common = (spread <= 0.0) | (mean <= 0.0) | (mean >= 1.0)
    m, s = jnp.where(common, 0.5, mean), jnp.where(common, 0.1, spread)
    table, angle = _table(m, s)
    x = jnp.sin(jnp.interp(share, table, angle)) ** 2
    return jnp.where(common, jnp.broadcast_to(mean, share.shape), x)


def _table(mean: Float[Array, ""], spread: Float[Array, ""]) -> tuple[Array, Array]:
    """The distribution function at the ends of cells, and the angles there."""
    a, b = mean * (1.0 - spread) / spread, (1.0 - mean) * (1.0 - spread) / spread
    reach = REACH * jnp.sqrt(spread * mean * (1.0 - mean))
    low, high = (jnp.arcsin(jnp.sqrt(jnp.clip(mean + sign * reach, 0.0, 1.0))) for sign in (-1.0, 1.0))
    low, high = jax.lax.stop_gradient((low, high))
    angle = low + (high - low) * jnp.arange(NODES + 1) / NODES
    middle = 0.5 * (angle[1:] + angle[:-1])
    log_density = (2.0 * a - 1.0) * jnp.log(jnp.sin(middle)) + (2.0 * b - 1.0) * jnp.log(jnp.cos(middle))
    weight = jnp.exp(log_density - jax.lax.stop_gradient(log_density.max()))
    table = jnp.concatenate([jnp.zeros(1), jnp.cumsum(weight)])
    return table / table[-1], angle
