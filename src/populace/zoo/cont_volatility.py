"""Traders with thresholds of their own, which few of them bring up to date: volatility that clusters.

Rama Cont (2007, in Teyssiere and Kirman, Long Memory in Economics, 289-309; also Ghoulmie, Cont and Nadal 2005, Journal
of Physics: Condensed Matter 17:S1259). Each period a common piece of news e ~ N(0, news^2) arrives. A trader with
threshold v buys a unit if e > v and sells one if e < -v; the return is

    r = (bought - sold) / (N depth),

and then each trader takes |r| for the new threshold with probability s. Thresholds start log-normal.

Facts it must reproduce (tests/zoo): returns hardly depend on each other while their sizes do for long, and they have
fatter tails than the news.
"""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..core.domain import positive, unit
from ..core.draw import Draw
from ..core.model import Model, parameter


class Traders(eqx.Module):
    """Each trader's threshold, and the last return."""

    threshold: Float[Array, " traders"]
    moved: Float[Array, ""]


class ContVolatility(Model):
    """Comparisons are sites, so that a derivative can pass: `buy` and `sell`. Other sites: `start`, `update`,
    `news/shock`. Observed: `returns`.
    """

    traders: int = eqx.field(static=True, default=1000)
    location: Float[Array, ""] = parameter(default=-6.2, doc="mean of the logarithm of the first thresholds")
    scale: Float[Array, ""] = parameter(default=0.5, domain=positive, doc="standard deviation of that logarithm")
    news: Float[Array, ""] = parameter(default=0.001, domain=positive, doc="standard deviation of the news")
    depth: Float[Array, ""] = parameter(default=10.0, domain=positive, doc="orders a trader that move the price by one")
    s: Float[Array, ""] = parameter(default=0.1, domain=unit, doc="probability of a new threshold")

    def init(self, draw: Draw) -> Traders:
        logs = draw.normal("start", self.location, self.scale, size=self.traders)
        return Traders(jnp.exp(logs), jnp.float32(0))

    def step(self, draw: Draw, traders: Traders) -> Traders:
        news = draw.child("news").normal("shock", 0.0, self.news, size=())
        bought = draw.threshold("buy", news - traders.threshold)
        sold = draw.threshold("sell", -news - traders.threshold)
        moved = (bought - sold).sum() / (self.traders * self.depth)
        new = draw.bernoulli("update", self.s, size=self.traders)
        return Traders(new * jnp.abs(moved) + (1.0 - new) * traders.threshold, moved)

    def observe(self, traders: Traders) -> dict[str, Array]:
        return {"returns": traders.moved}
