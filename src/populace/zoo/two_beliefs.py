"""An asset market of two beliefs: traders switch to the forecast that paid, and pay for the better one.

Brock and Hommes (1998, Journal of Economic Dynamics and Control 22:1235) with two types and memory, in the form that
Lamperti, Roventini and Sani (2018, Journal of Economic Dynamics and Control 90:366) calibrate to returns. x is the
price's deviation from its fundamental value; a type expects g x + b. With n the share of the first type, R the gross
return of the safe asset, y the x before the last and e uniform on (-d, d),

    x' = [n (g1 x + b1) + (1 - n)(g2 x + b2)] / R + e
    U_h' = w U_h + (x'' - R x)(g_h y + b_h - R x) / (a s2) - C [h = 1],    x'' = x' - e
    n' = exp(beta U_1') / (exp(beta U_1') + exp(beta U_2'))

from n = 1/2, x = 0.2, y = 0.8 and U = 0. A market breaks down, and returns nothing any more, once x leaves [0, 100] or
an exponential overflows in double precision; and from the start, unless the first expectation is above 0.

Facts it must reproduce (tests/zoo): without intensity of choice (beta = 0) or differences between the types, x is an
AR(1); a cost that only the first type pays empties it; the shares of the box that hold a market, and returns that pass
for those of the S&P 500, which shared brute-force counts give.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..core.domain import nonnegative, positive, unit
from ..core.draw import Draw
from ..core.model import Model, parameter

_OVERFLOW = 709.78
"""The largest power of e that is a number in double precision."""
_HIGHEST = 100.0


class Market(NamedTuple):
    """x and the x before it; the share of the first type; both fitnesses (2,); whether it still trades; the return."""

    x: Float[Array, ""]
    before: Float[Array, ""]
    share: Float[Array, ""]
    fitness: Float[Array, " 2"]
    trades: Float[Array, ""]
    gained: Float[Array, ""]


class TwoBeliefs(Model):
    """Site: `noise`. Observed: `returns`, the differences of log x; NaN once the market has broken down.

    `variance`: s2, the variance that traders fear; `noise`: d.
    """

    beta: Float[Array, ""] = parameter(default=3.0, domain=nonnegative, doc="intensity of choice")
    b1: Float[Array, ""] = parameter(default=0.1, doc="bias of type 1")
    b2: Float[Array, ""] = parameter(default=-0.1, doc="bias of type 2")
    g1: Float[Array, ""] = parameter(default=1.0, doc="trend of type 1")
    g2: Float[Array, ""] = parameter(default=1.0, doc="trend of type 2")
    cost: Float[Array, ""] = parameter(default=0.0, domain=nonnegative, doc="C, what type 1 pays a period")
    memory: Float[Array, ""] = parameter(default=0.5, domain=unit, doc="w, the weight of past fitness")
    aversion: Float[Array, ""] = parameter(default=50.0, domain=nonnegative, doc="a, risk aversion")
    gross: Float[Array, ""] = parameter(default=1.01, domain=positive, doc="R, gross return of the safe asset")
    variance: float = eqx.field(static=True, default=0.002)
    noise: float = eqx.field(static=True, default=0.005)

    def init(self, draw: Draw) -> Market:
        x = jnp.float32(0.2)
        first = (0.5 * (self.g1 * x + self.b1) + 0.5 * (self.g2 * x + self.b2)) > 0.0
        return Market(x, jnp.float32(0.8), jnp.float32(0.5), jnp.zeros(2), first.astype(jnp.float32), jnp.float32(0))

    def step(self, draw: Draw, market: Market) -> Market:
        x, before, share, fitness, trades, _ = market
        g, b = jnp.stack([self.g1, self.g2]), jnp.stack([self.b1, self.b2])
        expected = (jnp.stack([share, 1.0 - share]) * (g * x + b)).sum() / self.gross
        paid = (expected - self.gross * x) * (g * before + b - self.gross * x) / (self.aversion * self.variance)
        fitness = self.memory * fitness + paid - jnp.stack([self.cost, jnp.zeros_like(self.cost)])
        power = self.beta * fitness
        now = expected + draw.uniform("noise", -self.noise, self.noise, size=())
        sound = (power.max() < _OVERFLOW) & jnp.isfinite(power).all() & (now >= 0.0) & (now <= _HIGHEST)
        trades = jnp.where(sound, trades, 0.0)
        gained = jnp.where(trades > 0.0, jnp.log(now) - jnp.log(x), jnp.nan)
        after = Market(now, x, jax.nn.sigmoid(power[0] - power[1]), fitness, trades, gained)
        return jax.tree.map(lambda new, old: jnp.where(trades > 0.0, new, old), after, market)._replace(
            trades=trades, gained=gained
        )

    def observe(self, market: Market) -> dict[str, Array]:
        return {"returns": market.gained}
