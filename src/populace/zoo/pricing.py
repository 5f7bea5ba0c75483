"""Firms that set prices again and again, and remember the last ones: E. Calvano, G. Calzolari, V. Denicolo and S.
Pastorello (2020), "Artificial intelligence, algorithmic pricing, and collusion", American Economic Review 110,
3267-3297.

Demand is logit: firm i sells q_i = exp((a - p_i) / mu) / (sum_j exp((a - p_j) / mu) + exp(a_0 / mu)) and earns
(p_i - c) q_i. Prices come from a grid of `options` that spans from a little below the Nash price of one period to a
little above the cartel's.

Facts it must reproduce (tests/zoo): with two firms, a = 2, a_0 = 0, mu = 1/4 and c = 1 the prices of Nash and cartel
are 1.47293 and 1.92498, the profits .22293 and .33749; on the paper's grid of 15 the game of one period has equilibria
at 1.4665 and 1.5052. Two firms that learn by tables of worth end near 85 % of the way from the profit of Nash to the
cartel's (benchmarks/learning_known.py).
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from .._errors import ModelError
from ..core.domain import nonnegative, positive
from ..core.draw import Draw
from ..core.model import Model, parameter


class Offers(eqx.Module):
    """Each firm's last price, as its number on the grid, and what it earned."""

    price: Int[Array, " agents"]
    profit: Float[Array, " agents"]


class Pricing(Model):
    """Site `price`: each firm sees its own last price and its rivals', {"own": (agents,), "rivals": (agents, firms -
    1)} as numbers of the grid, and names the number of its next, (agents,) int32.

    The rule is the best reply, on the grid and for one period, to what the rivals asked last. First prices are drawn.
    `pricing()` makes the paper's grid.
    """

    prices: Float[Array, " options"]
    firms: int = eqx.field(static=True, default=2)
    quality: Float[Array, ""] = parameter(default=2.0, doc="a: what a buyer thinks of a firm's good")
    outside: Float[Array, ""] = parameter(default=0.0, doc="a_0: and of buying nothing")
    spread: Float[Array, ""] = parameter(default=0.25, domain=positive, doc="mu: how unlike buyers and goods are")
    cost: Float[Array, ""] = parameter(default=1.0, domain=nonnegative, doc="c: of a unit")

    def __check_init__(self) -> None:
        if self.firms < 2:
            raise ModelError(f"firms that compete are two or more, not {self.firms}")
        if self.prices.ndim != 1 or self.prices.shape[0] < 2:
            raise ModelError(f"a grid of prices has two or more on one axis, not shape {self.prices.shape}")

    def init(self, draw: Draw) -> Offers:
        first = draw.categorical("first", jnp.zeros(self.prices.shape), size=self.firms).index
        return Offers(first, jnp.zeros(self.firms))

    def step(self, draw: Draw, offers: Offers) -> Offers:
        view = {"own": offers.price, "rivals": offers.price[self._rivals()]}
        price = draw.decide("price", view, self.reply)
        return Offers(price, self.profits(self.prices[price]))

    def observe(self, offers: Offers) -> dict[str, Array]:
        return {"price": self.prices[offers.price].mean(), "profit": offers.profit.mean()}

    def profits(self, prices: Float[Array, " agents"]) -> Float[Array, " agents"]:
        """What each firm earns in a period at these prices."""
        # In units of the largest, so that no exponential overflows.
        worth = jnp.append((self.quality - prices) / self.spread, self.outside / self.spread)
        share = jax.nn.softmax(worth)[:-1]
        return (prices - self.cost) * share

    def reply(self, view: dict[str, Array], draw: Draw) -> Int[Array, " agents"]:
        """The price on the grid that earns most in one period if the rivals ask what they asked last."""

        def of_one(rivals: Array) -> Array:
            earned = jax.vmap(lambda own: self.profits(jnp.append(self.prices[rivals], own))[-1])(self.prices)
            return jnp.argmax(earned).astype(jnp.int32)

        return jax.vmap(of_one)(view["rivals"])

    def _rivals(self) -> np.ndarray:
        """(firms, firms - 1): who the others are."""
        everyone = np.arange(self.firms)
        return np.stack([np.delete(everyone, firm) for firm in everyone])


def pricing(firms: int = 2, options: int = 15, beyond: float = 0.1) -> Pricing:
    """The paper's market: a grid of `options` prices from a tenth (`beyond`) of the way from Nash to cartel below the
    Nash price to as much above the cartel's.
    """
    nash, cartel = one_period_price(firms), one_period_price(firms, together=firms)
    more = beyond * (cartel - nash)
    return Pricing(jnp.linspace(nash - more, cartel + more, options), firms)


def one_period_price(
    firms: int,
    together: int = 1,
    quality: float = 2.0,
    outside: float = 0.0,
    spread: float = 0.25,
    cost: float = 1.0,
) -> float:
    """The price of one period where firms price in groups of `together`: 1 for Nash, `firms` for the cartel.

    It solves p = c + mu / (1 - k q(p)), with q the share of one of all at the same price and k the group's size.
    """
    low, high = cost, cost + spread * (2.0 + firms * np.exp((quality - outside - cost) / spread))
    for _ in range(200):  # bisection: the right side falls as the price rises
        price = 0.5 * (low + high)
        worth = np.exp((quality - price) / spread)
        share = worth / (firms * worth + np.exp(outside / spread))
        low, high = (price, high) if price < cost + spread / (1.0 - together * share) else (low, price)
    return 0.5 * (low + high)
