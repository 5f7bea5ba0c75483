"""A continuous double auction: a limit-order book by price and time, as a population of orders."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Num

from .._errors import ModelError
from ..core.population import Population, deaths, founders
from .orders import ALL, NONE, Orders
from .trades import Trades

_NO_PRICE = 2**31 - 1


class Quotes(eqx.Module):
    """The top of a book: the best `bid` and `ask` in ticks, 0 where there is none, and the lots that wait there."""

    bid: Int[Array, ""]
    ask: Int[Array, ""]
    bid_size: Int[Array, ""]
    ask_size: Int[Array, ""]

    @property
    def two_sided(self) -> Bool[Array, ""]:
        """Whether there are both."""
        return (self.bid_size > 0) & (self.ask_size > 0)

    def middle(self, otherwise: Num[Array, ""] | float) -> Float[Array, ""]:
        """Half-way between bid and ask; the one that there is, or else `otherwise`."""
        one = jnp.where(self.bid_size > 0, self.bid, self.ask).astype(jnp.float32)
        middle = jnp.where(self.two_sided, 0.5 * (self.bid.astype(jnp.float32) + self.ask.astype(jnp.float32)), one)
        return jnp.where((self.bid_size > 0) | (self.ask_size > 0), middle, otherwise)

    def spread(self) -> Int[Array, ""]:
        """The ask less the bid, 1 tick or more; 0 where a side is empty."""
        return jnp.where(self.two_sided, self.ask - self.bid, 0)


class OrderBook(Population):
    """Resting limit orders: a population, whose agents are orders, `identity` their numbers by arrival.

    `owner` (agents,): whose; `size`: lots that still wait, positive to buy, negative to sell, 0 in a free slot;
    `price`: the limit in ticks; `until`: the last time at which it stands. `born`: how many orders ever arrived.

    The best price comes first, and of one price the order that arrived first; a trade is made at the price of the order
    that waited. Orders that find no room are lost, and the run ends with a `CapacityError` that says how much is
    needed, as of every population.
    """

    owner: Int[Array, " agents"]
    size: Int[Array, " agents"]
    price: Int[Array, " agents"]
    until: Int[Array, " agents"]

    @classmethod
    def empty(cls, capacity: int) -> "OrderBook":
        """A book without orders, with room for `capacity` that rest at once.

        **Raises:** `ModelError` for no room.
        """
        if capacity < 1:
            raise ModelError(f"an order book has room for one order or more, not {capacity}")
        zero = jnp.zeros(capacity, jnp.int32)
        return cls(**founders(0, capacity), owner=zero, size=zero, price=zero, until=zero)

    def at(self, time: Int[Array, ""] | int) -> "OrderBook":
        """The book without the orders that stand no longer: those whose `until` is before `time`."""
        return self.without(self.until < time)

    def without(self, where: Bool[Array, " agents"]) -> "OrderBook":
        """The book without the orders in the slots that `where` marks."""
        gone = where & (self.size != 0)
        return eqx.tree_at(lambda book: book.size, deaths(self, gone), jnp.where(gone, 0, self.size))

    def trade(self, orders: Orders) -> tuple["OrderBook", Trades]:
        """The book after these orders, one by one, and the trades that they made.

        Each order cancels what it is to cancel, trades with what waits on the other side at its limit or better, and
        then rests, or is gone. The i-th of them gets the number `book.born + i`; entries of size 0 count too. Who meets
        an own order trades with himself.

        A pass over the slots a trade, or an order without one: time (orders + trades) x capacity.

        **Returns:** the book, and the trades, (orders + capacity,) entries: each uses up an order.
        """
        count = orders.size.shape[0]
        if not count:
            return self, _blank(0)
        orders = jax.lax.stop_gradient(orders)
        slots = _Slots(self.identity, self.owner, self.size, self.price, self.until)
        zero, resting = jnp.int32(0), (self.size != 0).sum()
        start = _Turn(slots, _blank(count + self.capacity), zero, zero, zero, zero, resting)
        done = jax.lax.while_loop(lambda turn: turn.place < count, lambda turn: _after(turn, orders, self.born), start)
        needed = jnp.maximum(done.most, jnp.where(done.lost > 0, self.capacity + done.lost, 0))
        book = OrderBook(
            alive=(done.slots.size != 0).astype(jnp.float32),
            identity=done.slots.number,
            born=self.born + count,
            needed=jnp.maximum(self.needed, needed),
            owner=done.slots.owner,
            size=done.slots.size,
            price=done.slots.price,
            until=done.slots.until,
        )
        return book, done.made

    def quotes(self) -> Quotes:
        """The best prices and what waits there."""
        buys, sells = self.size > 0, self.size < 0
        bid = jnp.where(buys, self.price, -_NO_PRICE).max()
        ask = jnp.where(sells, self.price, _NO_PRICE).min()
        bid_size = jnp.where(buys & (self.price == bid), self.size, 0).sum()
        ask_size = -jnp.where(sells & (self.price == ask), self.size, 0).sum()
        return Quotes(jnp.where(bid_size > 0, bid, 0), jnp.where(ask_size > 0, ask, 0), bid_size, ask_size)

    def depth(self, prices: Int[Array, " levels"]) -> tuple[Int[Array, " levels"], Int[Array, " levels"]]:
        """The lots that would be bought at each of `prices` or more, and those that would be sold at it or less."""
        prices = jnp.asarray(prices)[:, None]
        bids = jnp.where((self.size > 0) & (self.price >= prices), self.size, 0).sum(axis=1)
        asks = jnp.where((self.size < 0) & (self.price <= prices), -self.size, 0).sum(axis=1)
        return bids, asks


class _Slots(NamedTuple):
    """The slots of a book while it trades."""

    number: Int[Array, " slots"]
    owner: Int[Array, " slots"]
    size: Int[Array, " slots"]
    price: Int[Array, " slots"]
    until: Int[Array, " slots"]


class _Turn(NamedTuple):
    """Slots; trades, of which `trades` are made; the place of the order whose turn it is; what is left of it, 0 if it
    is new; orders lost for want of room; the most that ever rested, and those that rest now.
    """

    slots: _Slots
    made: Trades
    trades: Int[Array, ""]
    place: Int[Array, ""]
    left: Int[Array, ""]
    lost: Int[Array, ""]
    most: Int[Array, ""]


def _after(turn: _Turn, orders: Orders, born: Int[Array, ""]) -> _Turn:
    """One trade of the order whose turn it is; where no other can follow, it rests and its turn is over."""
    one: Orders = jax.tree.map(lambda leaf: leaf[turn.place], orders)
    slots, capacity = turn.slots, turn.slots.size.shape[0]
    own = (slots.number == one.cancels) | (one.cancels == ALL)
    cancelled = own & (slots.owner == one.owner) & (one.cancels != NONE)
    size = jnp.where(cancelled, 0, slots.size)
    left = jnp.where(turn.left == 0, one.size, turn.left)
    sign = jnp.sign(left)

    slot, meets = _first(slots, size, sign, one.price)
    fill = jnp.where(meets, jnp.minimum(jnp.abs(left), jnp.abs(size[slot])), 0)
    made = _recorded(turn.made, turn.trades, sign, one.owner, slots.owner[slot], slots.price[slot], fill)
    size = size.at[slot].add(sign * fill)
    left = left - sign * fill

    again = meets & (left != 0)
    rests = ~again & (left != 0) & one.rests
    free = jnp.where(size == 0, jnp.arange(capacity), capacity).min()
    into = jnp.where(rests, free, capacity)
    values = _Slots(born + turn.place, one.owner, left, one.price, one.until)
    after = _Slots(
        *(
            array.at[into].set(value, mode="drop")
            for array, value in zip(slots._replace(size=size), values, strict=True)
        )
    )
    return _Turn(
        after,
        made,
        turn.trades + (fill > 0),
        turn.place + jnp.where(again, 0, 1),
        jnp.where(again, left, 0),
        turn.lost + (rests & (free == capacity)),
        jnp.maximum(turn.most, (after.size != 0).sum()),
    )


def _first(
    slots: _Slots, size: Int[Array, " slots"], sign: Int[Array, ""], price: Int[Array, ""]
) -> tuple[Int[Array, ""], Bool[Array, ""]]:
    """The slot of the order that is first to meet one of this sign and limit, and whether it does."""
    capacity = size.shape[0]
    cost = jnp.where(size * sign < 0, slots.price * sign, _NO_PRICE)
    best = cost.min()
    early = jnp.where(cost == best, slots.number, _NO_PRICE).min()
    there = (cost == best) & (slots.number == early)
    slot = jnp.minimum(jnp.where(there, jnp.arange(capacity), capacity).min(), capacity - 1)
    return slot, (best < _NO_PRICE) & (best <= price * sign) & (sign != 0)


def _blank(entries: int) -> Trades:
    zero = jnp.zeros(entries, jnp.int32)
    return Trades(zero, zero, zero, zero)


def _recorded(
    made: Trades,
    place: Int[Array, ""],
    sign: Int[Array, ""],
    incoming: Int[Array, ""],
    waiting: Int[Array, ""],
    price: Int[Array, ""],
    fill: Int[Array, ""],
) -> Trades:
    """The trades with one more, or with an entry of quantity 0 that the next one takes."""
    buyer, seller = jnp.where(sign > 0, incoming, waiting), jnp.where(sign > 0, waiting, incoming)
    values = Trades(buyer, seller, price, fill)
    return jax.tree.map(lambda array, value: array.at[place].set(value, mode="drop"), made, values)
