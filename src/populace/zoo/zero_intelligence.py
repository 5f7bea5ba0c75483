"""A double auction among traders without intelligence, which is efficient all the same.

Gode and Sunder (1993, Journal of Political Economy 101:119). Buyers may redeem units of a good at values that fall from
unit to unit, sellers make them at costs that rise. One after another a trader at random shouts a price for his next
unit: with no constraint anything from 1 to `top` ticks (ZI-U), or with a budget constraint (ZI-C) at most its value, at
least its cost. A shout stands if it is better than what stands on its side; where bid and ask cross, they trade at the
one that stood first, and all other shouts are void.

Here: values and costs are drawn evenly from 1 to `top` at the start of a run and stay; a step is a period of `turns`
shouts, after which everybody begins anew.

Facts it must reproduce (tests/zoo): money and goods are conserved to the last unit; with ZI-C nobody ever loses, and
efficiency, the surplus made over the largest there is, is near 1 (the paper's five markets: 97.1 to 99.9 %); without a
constraint all units are traded in the end, so that efficiency is (values - costs) / largest surplus exactly, and much
less (48.8 to 90.0 %), below 0 in some markets; prices of ZI-C come closer to equilibrium while a period goes on,
those of ZI-U do not.
"""

from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from .._errors import ModelError
from ..core.draw import Draw
from ..core.model import Model
from ..interact.look import Layer, Look
from ..interact.order_book import OrderBook
from ..interact.orders import ALL, NONE, Orders


class Shouting(eqx.Module):
    """What a trader knows whose turn it is, (1,) each: whether it `buys`; what its next unit is `worth` to it, its
    value or its cost; the largest price `top`; and the best `bid` and `ask` that stand, 0 and top + 1 where none does.
    """

    buys: Bool[Array, " one"]
    worth: Int[Array, " one"]
    top: Int[Array, " one"]
    bid: Int[Array, " one"]
    ask: Int[Array, " one"]


class Floor(NamedTuple):
    """`values` (buyers, units), falling, and `costs` (sellers, units), rising, in ticks; the book; `money` and `goods`
    (traders,), buyers first; `prices` (units of all buyers,) of the period's trades, of which there are `trades`.
    """

    values: Int[Array, "buyers units"]
    costs: Int[Array, "sellers units"]
    book: OrderBook
    money: Int[Array, " traders"]
    goods: Int[Array, " traders"]
    prices: Int[Array, " most"]
    trades: Int[Array, ""]


def constrained(view: Shouting, draw: Draw) -> Int[Array, " one"]:
    """ZI-C: any price at which the trader does not lose."""
    low = jnp.where(view.buys, 1, view.worth)
    return _any_price(draw, low, jnp.where(view.buys, view.worth, view.top))


def unconstrained(view: Shouting, draw: Draw) -> Int[Array, " one"]:
    """ZI-U: any price."""
    return _any_price(draw, jnp.ones_like(view.top), view.top)


def _any_price(draw: Draw, low: Array, high: Array) -> Int[Array, " one"]:
    share = draw.uniform("price", size=low.shape)
    return jnp.minimum(low + jnp.floor(share * (high - low + 1)).astype(jnp.int32), high)


class ZeroIntelligence(Model):
    """`buyers` and `sellers` with `units` each; a period has `turns` shouts.

    Sites: `buyers/worth`, `sellers/worth` in init; `turn/who`, `turn/shout` in a step: the rule at `shout` sees a
    `Shouting` and says a price. Observed of a period: `efficiency`; `volume`, units traded; `price`, its mean, 0
    without a trade; `roughness`, the root mean square of price less equilibrium, over equilibrium (Smith 1962, Journal
    of Political Economy 70:111); `equilibrium`, the middle of the prices at which demand meets supply.
    """

    buyers: int = eqx.field(static=True, default=6)
    sellers: int = eqx.field(static=True, default=6)
    units: int = eqx.field(static=True, default=4)
    turns: int = eqx.field(static=True, default=1000)
    top: int = eqx.field(static=True, default=200)
    rule: Callable[[Shouting, Draw], Array] = eqx.field(static=True, default=constrained)

    def __check_init__(self) -> None:
        least = min(self.buyers, self.sellers, self.units, self.turns, self.top)
        if least < 1:
            raise ModelError(f"buyers, sellers, units, turns and top are 1 or more, not {least}")

    def init(self, draw: Draw) -> Floor:
        values = jnp.sort(self._worth(draw.child("buyers"), self.buyers), axis=1)[:, ::-1]
        costs = jnp.sort(self._worth(draw.child("sellers"), self.sellers), axis=1)
        return self._opened(values, costs, OrderBook.empty(self.buyers + self.sellers))

    def step(self, draw: Draw, floor: Floor) -> Floor:
        return draw.loop("turn", self.turns, self._turn, self._opened(floor.values, floor.costs, floor.book))

    def observe(self, floor: Floor) -> dict[str, Array]:
        best, equilibrium = competitive(floor.values, floor.costs)
        made = jnp.arange(floor.prices.shape[0]) < floor.trades
        many = jnp.maximum(floor.trades, 1)
        off = jnp.where(made, floor.prices - equilibrium, 0.0)
        return {
            "efficiency": surplus(floor) / jnp.maximum(best, 1),
            "volume": floor.trades,
            "price": jnp.where(made, floor.prices, 0).sum() / many,
            "roughness": jnp.sqrt((off**2).sum() / many) / equilibrium,
            "equilibrium": equilibrium,
        }

    def look(self, floor: Floor) -> Look:
        """The prices of the period's trades."""
        made = jnp.arange(floor.prices.shape[0]) < floor.trades
        return Look(None, (Layer("price", floor.prices, present=made),))

    def conserved(self) -> dict[str, Callable[[Floor], Array]]:
        """Money and goods, agent by agent."""
        return {"money": lambda floor: floor.money, "goods": lambda floor: floor.goods}

    def _worth(self, draw: Draw, traders: int) -> Int[Array, "traders units"]:
        share = draw.uniform("worth", size=(traders, self.units))
        return jnp.minimum(jnp.floor(share * self.top).astype(jnp.int32) + 1, self.top)

    def _opened(self, values: Array, costs: Array, book: OrderBook) -> Floor:
        """The floor at the start of a period."""
        traders = self.buyers + self.sellers
        goods = jnp.where(jnp.arange(traders) < self.buyers, 0, self.units)
        prices = jnp.zeros(self.buyers * self.units, jnp.int32)
        book = book.without(jnp.ones(traders, bool))
        return Floor(values, costs, book, jnp.zeros(traders, jnp.int32), goods, prices, jnp.int32(0))

    def _turn(self, draw: Draw, _: Array, floor: Floor) -> Floor:
        """One trader shouts, and perhaps trades."""
        traders = self.buyers + self.sellers
        who = jnp.minimum(jnp.floor(draw.uniform("who", size=()) * traders).astype(jnp.int32), traders - 1)
        buys, done = who < self.buyers, jnp.where(who < self.buyers, floor.goods[who], self.units - floor.goods[who])
        unit = jnp.minimum(done, self.units - 1)
        value, cost = (
            floor.values.at[who, unit].get(mode="clip"),
            floor.costs.at[who - self.buyers, unit].get(mode="clip"),
        )
        quotes = floor.book.quotes()
        bid = jnp.where(quotes.bid_size > 0, quotes.bid, 0)
        ask = jnp.where(quotes.ask_size > 0, quotes.ask, self.top + 1)
        view = Shouting(*(x[None] for x in (buys, jnp.where(buys, value, cost), jnp.int32(self.top), bid, ask)))
        price = draw.decide("shout", view, self.rule)[0]
        better = jnp.where(buys, price > bid, price < ask) & (done < self.units)
        size = jnp.where(better, jnp.where(buys, 1, -1), 0)
        order = Orders.limit(who, size, price, cancels=jnp.where(better, ALL, NONE))
        book, trades = floor.book.trade(order)
        traded = trades.quantity[0] > 0
        return Floor(
            floor.values,
            floor.costs,
            book.without(jnp.full(traders, traded)),
            floor.money + trades.money(traders),
            floor.goods + trades.goods(traders),
            floor.prices.at[floor.trades].set(trades.price[0], mode="drop"),
            floor.trades + traded,
        )


def surplus(floor: Floor) -> Int[Array, ""]:
    """The values redeemed less the costs of the units made, in ticks."""
    units, buyers = floor.values.shape[1], floor.values.shape[0]
    unit = jnp.arange(units)
    redeemed = jnp.where(unit < floor.goods[:buyers, None], floor.values, 0).sum()
    return redeemed - jnp.where(unit < units - floor.goods[buyers:, None], floor.costs, 0).sum()


def competitive(
    values: Int[Array, "buyers units"], costs: Int[Array, "sellers units"]
) -> tuple[Int[Array, ""], Float[Array, ""]]:
    """The largest surplus that there is, in ticks, and the middle of the prices at which demand meets supply.

    The m-th highest value trades with the m-th lowest cost as long as it is not lower; the price lies between the last
    pair, and between the first pair that does not trade.
    """
    most = min(values.size, costs.size)
    demand, supply = jnp.sort(values.ravel())[::-1], jnp.sort(costs.ravel())
    pairs = (demand[:most] >= supply[:most]).sum()
    best = jnp.maximum(demand[:most] - supply[:most], 0).sum()
    last, first = jnp.maximum(pairs - 1, 0), pairs
    low = jnp.maximum(
        jnp.where(pairs > 0, supply[last], 0), jnp.where(first < demand.size, demand.at[first].get(mode="clip"), 0)
    )
    high = jnp.minimum(
        jnp.where(pairs > 0, demand[last], _MOST),
        jnp.where(first < supply.size, supply.at[first].get(mode="clip"), _MOST),
    )
    return best, 0.5 * (low + high).astype(jnp.float32)


_MOST = 2**30
