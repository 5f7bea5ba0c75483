"""Firms that choose quantities of one good: A. A. Cournot (1838), "Recherches sur les principes mathematiques de la
theorie des richesses", chapter 7.

The price is A - Q, never negative, for a total quantity Q; a unit costs c. The answers, with m = A - c: the Nash
equilibrium m / (n + 1) each, a cartel m / (2 n), price takers m / n. A subsidy of s on each unit stands beside the
price: firms in equilibrium make (m + s) / (n + 1) each, which is the price takers' m / n at s = m / n.

Facts it must reproduce (tests/zoo): with A = 100 and c = 10, two firms that reply to each other end at 30 each, a price
of 40 and a profit of 900; three at 22.5, a price of 32.5 and 506.25; five at 15, 25 and 225.
"""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from .._errors import ModelError
from ..core.domain import nonnegative, positive, unit
from ..core.draw import Draw
from ..core.model import Model, parameter


class Market(eqx.Module):
    """What each firm sold in the last step, and earned."""

    quantity: Float[Array, " agents"]
    profit: Float[Array, " agents"]


class Cournot(Model):
    """Site `quantity`: each firm sees its own last quantity and its rivals' total, {"own", "rivals"} each (agents,),
    and says how much it makes, (agents,) from 0.

    The rule moves `haste` of the way to the best reply to what the rivals sold; it settles while haste < 4 / (n + 1).
    Firms start with quantities of their own, between nothing and what a price taker would make.
    """

    firms: int = eqx.field(static=True, default=2)
    intercept: Float[Array, ""] = parameter(default=100.0, domain=positive, doc="A: the price where nothing is sold")
    cost: Float[Array, ""] = parameter(default=10.0, domain=nonnegative, doc="c: of a unit")
    subsidy: Float[Array, ""] = parameter(default=0.0, doc="what a firm is paid for a unit beside its price")
    haste: Float[Array, ""] = parameter(default=0.3, domain=unit, doc="the part of the way to the best reply")

    def __check_init__(self) -> None:
        if self.firms < 1:
            raise ModelError(f"a market has one firm or more, not {self.firms}")

    def init(self, draw: Draw) -> Market:
        most = jnp.maximum(self.intercept - self.cost, 0.0) / self.firms
        return Market(most * draw.uniform("first", size=self.firms), jnp.zeros(self.firms))

    def step(self, draw: Draw, market: Market) -> Market:
        view = {"own": market.quantity, "rivals": market.quantity.sum() - market.quantity}
        quantity = draw.decide("quantity", view, self.reply)
        return Market(quantity, (self.price(quantity) - self.cost + self.subsidy) * quantity)

    def observe(self, market: Market) -> dict[str, Array]:
        return {"quantity": market.quantity.sum(), "price": self.price(market.quantity), "profit": market.profit.sum()}

    def price(self, quantity: Float[Array, " agents"]) -> Float[Array, ""]:
        """What a unit sells for."""
        return jnp.maximum(self.intercept - quantity.sum(), 0.0)

    def reply(self, view: dict[str, Array], draw: Draw) -> Float[Array, " agents"]:
        """Some of the way from the own last quantity to the best reply to the rivals'."""
        best = jnp.maximum(self.intercept - self.cost + self.subsidy - view["rivals"], 0.0) / 2.0
        return view["own"] + self.haste * (best - view["own"])
