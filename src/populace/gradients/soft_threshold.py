"""A threshold with the slope of a smooth step."""

from collections.abc import Callable
from typing import TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..core.distributions import Threshold
from ..core.domain import positive
from ..core.site import Site
from .relaxation import Relaxation, setting, sloped

Density: TypeAlias = Callable[[Array], Array]


def logistic(z: Float[Array, "..."]) -> Float[Array, "..."]:
    """The standard logistic density, the slope of the sigmoid."""
    return jax.nn.sigmoid(z) * jax.nn.sigmoid(-z)


class SoftThreshold(Relaxation):
    """d 1[margin > 0] = density(margin / width) / width d margin.

    What it says of one margin is wrong: a step has slope 0 almost everywhere. It is right of many. Over agents or runs
    whose margins M have a continuous law, the mean of 1[M > 0] moves at the density of M at 0, and this is the kernel
    estimate of it: bias like width^2, variance like 1 / (agents x width). So the width goes below the scale on which
    margins vary, and not so far below that few agents lie within it. Where all margins are one number, as with one
    tolerance common to all, there is no derivative, and what this returns means nothing.

    **Arguments:** `width`: in units of the margin, above 0; `density`: of a symmetric law around 0, a function of
    margin / width: `logistic`, or for instance `jax.scipy.stats.norm.pdf`.
    """

    width: Float[Array, ""]
    density: Density = eqx.field(static=True)

    def __init__(self, width: float | Array = 0.1, density: Density = logistic):
        self.width, self.density = setting("the width of SoftThreshold", width, positive), density

    def sites(self) -> tuple[str, ...]:
        return ()

    def soft(self, site: Site, value: Array) -> Array | None:
        if not isinstance(site.mechanism, Threshold):
            return None
        margin, width = site.mechanism.margin, jax.lax.stop_gradient(self.width)
        step = (margin > 0.0).astype(jnp.float32)
        return sloped(step, (self.density(jax.lax.stop_gradient(margin) / width) / width, margin))
