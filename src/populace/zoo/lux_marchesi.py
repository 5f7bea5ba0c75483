"""An asset market whose traders change camps: optimists, pessimists and fundamentalists, and turbulence that they make.

Lux and Marchesi (1999, Nature 397:498; 2000, International Journal of Theoretical and Applied Finance 3:675). Of N
traders n+ are optimistic chartists, n- pessimistic ones, nc both, and nf fundamentalists; x = (n+ - n-) / nc, p is the
price, p' its mean slope over the last fifth of a unit of time. Traders change camps at rates

    from - to +:  v1 (nc / N) exp(U1),     from + to -:  v1 (nc / N) exp(-U1),     U1 = a1 x + (a2 / v1) p' / p,
    from f to +:  v2 (n+ / N) exp(U21),    from + to f:  v2 (nf / N) exp(-U21),
    from f to -:  v2 (n- / N) exp(U22),    from - to f:  v2 (nf / N) exp(-U22),
    U21 = a3 ((R pf + p' / v2) / p - R - s |pf - p| / p),    U22 = a3 (R - (R pf + p' / v2) / p - s |pf - p| / p).

The price moves in ticks, up or down with the sign of ED + m at rate beta |ED + m| / tick, where
ED = (n+ - n-) tc + nf gamma (pf - p) and m ~ N(0, sigma_mu^2). The logarithm of the fundamental value pf walks at
random.

Here: a step is a unit of time in `turns` turns (the paper's short ones are 1/500, its others 1/100). In a turn ticks
are Poisson and not one at the most, so that the price is never slower than demand has it, and a camp that a turn would
leave with fewer than four traders keeps them all.

Facts it must reproduce (tests/zoo): while nobody changes camp the mean price relaxes as
p* + (p - p*) (1 - beta nf gamma / turns)^turns with p* = pf + (n+ - n-) tc / (nf gamma); sizes of returns go together
for long, returns themselves do not (but that the price comes back to the fundamental value within a step or two), and
returns have fatter tails than the news of fundamentals, which is Gaussian; the price stays near the fundamental value;
turbulence comes with chartists.
"""

from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Shaped

from .._errors import ModelError
from ..core.domain import nonnegative, positive, unit
from ..core.draw import Draw
from ..core.model import Model, parameter

FUNDAMENTALIST, OPTIMIST, PESSIMIST = 0, 1, 2
FIRST, SECOND = (OPTIMIST, PESSIMIST, OPTIMIST), (PESSIMIST, FUNDAMENTALIST, FUNDAMENTALIST)
"""Where the two exits of each camp lead."""
LEAST = 4
"""Traders that a camp keeps."""
MEMORY = 0.2
"""Units of time over which the slope of prices is taken."""


class Market(NamedTuple):
    """The camp of each trader; the fundamental value; prices of the last fifth of a unit of time, the latest last; the
    return over the step.
    """

    camp: Int[Array, " traders"]
    fundamental: Float[Array, ""]
    prices: Float[Array, " memory"]
    returns: Float[Array, ""]


class LuxMarchesi(Model):
    """The defaults are the first set of parameters of the paper of 2000, with the news of that of 1999.

    Sites: `world/news`, `turn/switch`, `turn/price/noise`, `turn/price/ticks`. Observed: `returns`, of the logarithm of
    the price over a step; `price`; `fundamental`; `chartists`, a share of all; `opinion`, x.
    """

    traders: int = eqx.field(static=True, default=500)
    turns: int = eqx.field(static=True, default=100)
    v1: Float[Array, ""] = parameter(default=3.0, unit="1/time", domain=nonnegative, doc="frequency of new opinions")
    v2: Float[Array, ""] = parameter(default=2.0, unit="1/time", domain=positive, doc="frequency of new strategies")
    beta: Float[Array, ""] = parameter(default=6.0, unit="1/time", domain=nonnegative, doc="speed of the price")
    Tc: Float[Array, ""] = parameter(default=10.0, domain=nonnegative, doc="N tc, what all could trade as chartists")
    Tf: Float[Array, ""] = parameter(default=5.0, domain=nonnegative, doc="N gamma, reaction of all as fundamentalists")
    a1: Float[Array, ""] = parameter(default=0.6, domain=nonnegative, doc="weight of others' opinion")
    a2: Float[Array, ""] = parameter(default=0.2, domain=nonnegative, doc="weight of the price's slope")
    a3: Float[Array, ""] = parameter(default=0.5, domain=nonnegative, doc="weight of profits in a change of strategy")
    s: Float[Array, ""] = parameter(default=0.75, domain=unit, doc="discount of fundamentalists' profits to come")
    R: Float[Array, ""] = parameter(default=0.0004, domain=nonnegative, doc="return of other investments")
    sigma_mu: Float[Array, ""] = parameter(default=0.05, domain=nonnegative, doc="noise of excess demand")
    sigma_e: Float[Array, ""] = parameter(default=0.005, domain=nonnegative, doc="news of the fundamental value a step")
    z: Float[Array, ""] = parameter(default=0.1, domain=unit, doc="chartists at the start, of all")
    pf: Float[Array, ""] = parameter(default=10.0, domain=positive, doc="price and fundamental value at the start")
    tick: Float[Array, ""] = parameter(default=0.01, domain=positive, doc="smallest change of the price")

    def __check_init__(self) -> None:
        if self.traders < 4 * LEAST or self.turns < 5:
            raise ModelError(
                f"a market has {4 * LEAST} traders and 5 turns a step or more, not {self.traders} and {self.turns}"
            )

    def init(self, draw: Draw) -> Market:
        place = (jnp.arange(self.traders) + 0.5) / self.traders
        camp = jnp.where(place < self.z, jnp.where(place < 0.5 * self.z, OPTIMIST, PESSIMIST), FUNDAMENTALIST)
        return Market(camp, self.pf, jnp.full(round(MEMORY * self.turns) + 1, self.pf), jnp.float32(0.0))

    def step(self, draw: Draw, market: Market) -> Market:
        fundamental = market.fundamental * jnp.exp(self.sigma_e * draw.child("world").normal("news", size=()))

        def turn(draw: Draw, _: Array, now: tuple[Array, Array]) -> tuple[Array, Array]:
            camp = self._switched(draw, *now, fundamental)
            price = self._moved(draw.child("price"), camp, now[1][-1], fundamental)
            return camp, jnp.concatenate([now[1][1:], price[None]])

        camp, prices = draw.loop("turn", self.turns, turn, (market.camp, market.prices))
        return Market(camp, fundamental, prices, jnp.log(prices[-1] / market.prices[-1]))

    def observe(self, market: Market) -> dict[str, Array]:
        _, up, down = _counts(market.camp)
        chartists = up + down
        return {
            "returns": market.returns,
            "price": market.prices[-1],
            "fundamental": market.fundamental,
            "chartists": chartists / self.traders,
            "opinion": (up - down) / jnp.maximum(chartists, 1.0),
        }

    def _switched(self, draw: Draw, camp: Array, prices: Array, fundamental: Array) -> Int[Array, " traders"]:
        """The camps after a turn: each has two exits."""
        counts = _counts(camp)
        rates = self._exits(counts, prices, fundamental)
        total = rates.sum(axis=1)
        leaves = -jnp.expm1(-total / self.turns)
        first = leaves * rates[:, 0] / jnp.maximum(total, 1e-30)
        share = draw.uniform("switch", size=self.traders)
        early, goes = share < _of(camp, first), share < _of(camp, leaves)
        goal = jnp.where(early, _of(camp, FIRST), jnp.where(goes, _of(camp, SECOND), camp))
        kept = counts - jnp.stack([((camp == each) & goes).sum(dtype=jnp.float32) for each in range(3)])
        return jnp.where(_of(camp, kept < LEAST), camp, goal)

    def _exits(self, counts: Array, prices: Array, fundamental: Array) -> Float[Array, "3 2"]:
        """The rates at which a member of each camp leaves it, for where FIRST and SECOND lead."""
        rest, up, down = counts / self.traders
        price, slope = prices[-1], (prices[-1] - prices[0]) * (self.turns / (prices.shape[0] - 1))
        trend = self.a2 * slope / (price * jnp.maximum(self.v1, 1e-30))
        mood = self.a1 * (up - down) / jnp.maximum(up + down, 1e-30) + trend
        gain = (self.R * fundamental + slope / self.v2) / price - self.R
        off = self.s * jnp.abs(fundamental - price) / price
        better, worse = self.a3 * (gain - off), self.a3 * (-gain - off)
        rows = (
            (self.v2 * up * jnp.exp(better), self.v2 * down * jnp.exp(worse)),
            (self.v1 * (up + down) * jnp.exp(-mood), self.v2 * rest * jnp.exp(-better)),
            (self.v1 * (up + down) * jnp.exp(mood), self.v2 * rest * jnp.exp(-worse)),
        )
        return jnp.stack([jnp.stack(row) for row in rows])

    def _moved(self, draw: Draw, camp: Array, price: Array, fundamental: Array) -> Float[Array, ""]:
        """The price after a turn."""
        rest, up, down = _counts(camp)
        demand = ((up - down) * self.Tc + rest * self.Tf * (fundamental - price)) / self.traders
        push = demand + self.sigma_mu * draw.normal("noise", size=())
        ticks = draw.poisson("ticks", self.beta * jnp.abs(push) / (self.tick * self.turns), size=())
        return jnp.maximum(price + jnp.sign(push) * self.tick * ticks, self.tick)


def _counts(camp: Int[Array, " traders"]) -> Float[Array, " 3"]:
    """How many are in each camp."""
    return jnp.stack([(camp == each).sum(dtype=jnp.float32) for each in range(3)])


def _of(camp: Int[Array, " traders"], table: Array | tuple[int, int, int]) -> Shaped[Array, " traders"]:
    """The entry of each trader's camp: picked by comparing, which takes less time than to look it up."""
    return jnp.where(camp == 0, table[0], jnp.where(camp == 1, table[1], table[2]))
