"""The order book against a plain one, trade by trade, and what it promises."""

import bisect
import itertools
import operator

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

import populace as pop
from populace._results import BandPanel
from populace.interact.orders import ALL, FOREVER, NONE

trade = eqx.filter_jit(lambda book, orders: book.trade(orders))
AGENTS, CAPACITY, COUNT = 12, 40, 150
FOUR = pop.Orders.limit(np.arange(4), np.array([3, 2, -4, -1]), np.array([10, 11, 14, 13]))


class PlainBook:
    """Price-time priority in lists: the reference."""

    def __init__(self):
        self.bids, self.asks, self.number = [], [], itertools.count()

    def send(self, owner, size, price, rests, until, cancels):
        """One order, to its trades (buyer, seller, price, quantity)."""
        number, made = next(self.number), []
        if cancels != NONE:
            for side in (self.bids, self.asks):
                side[:] = [o for o in side if not (o["owner"] == owner and cancels in (ALL, o["number"]))]
        other, sign = (self.asks, 1) if size > 0 else (self.bids, -1)
        left = abs(size)
        while left and other and other[0]["price"] * sign <= price * sign:
            best = other[0]
            lots = min(left, best["lots"])
            pair = (owner, best["owner"]) if size > 0 else (best["owner"], owner)
            made.append((*pair, best["price"], lots))
            left, best["lots"] = left - lots, best["lots"] - lots
            if not best["lots"]:
                other.pop(0)
        if left and rests:
            mine = self.bids if size > 0 else self.asks
            place = bisect.bisect([-sign * o["price"] for o in mine], -sign * price)
            mine.insert(place, {"owner": owner, "price": price, "lots": left, "number": number, "until": until})
        return made

    def expire(self, time):
        for side in (self.bids, self.asks):
            side[:] = [o for o in side if o["until"] >= time]


def stream(rng: np.random.Generator, first: int) -> pop.Orders:
    """Orders of all kinds; numbers from `first`. Prices of either sign, few of them, so that times decide."""
    kind = rng.choice(4, COUNT, p=[0.7, 0.1, 0.1, 0.1])
    price = rng.integers(-5, 6, COUNT)
    size = rng.integers(1, 8, COUNT) * rng.choice([-1, 1], COUNT)
    size[rng.random(COUNT) < 0.05] = 0
    cancels = np.select([kind == 1, kind == 2], [ALL, first + rng.integers(-60, COUNT, COUNT)], NONE)
    market = kind == 3
    return pop.Orders(
        *(jnp.asarray(x, jnp.int32) for x in (rng.integers(0, AGENTS, COUNT), size)),
        price=jnp.asarray(np.where(market, np.sign(size) * 2**30, price), jnp.int32),
        rests=jnp.asarray(~market),
        until=jnp.asarray(np.where(rng.random(COUNT) < 0.5, rng.integers(0, 4, COUNT), FOREVER), jnp.int32),
        cancels=jnp.asarray(cancels, jnp.int32),
    )


def rows(trades: pop.Trades) -> list[tuple[int, ...]]:
    columns = [np.asarray(x) for x in (trades.buyer, trades.seller, trades.price, trades.quantity)]
    return [tuple(int(x) for x in row) for row in zip(*columns, strict=True) if row[3]]


def resting(book: pop.OrderBook) -> list[tuple[int, ...]]:
    """(number, owner, size, price) of what waits, by number."""
    columns = [np.asarray(x) for x in (book.identity, book.owner, book.size, book.price)]
    return sorted(tuple(int(x) for x in row) for row in zip(*columns, strict=True) if row[2])


@pytest.mark.parametrize("seed", range(8))
def test_it_trades_as_a_plain_book_does_order_by_order(seed: int):
    rng, plain, book = np.random.default_rng(seed), PlainBook(), pop.OrderBook.empty(CAPACITY * 5)
    seen = 0
    for time in range(4):
        orders = stream(rng, time * COUNT)
        plain.expire(time)
        book, trades = trade(book.at(time), orders)
        columns = [np.asarray(x).tolist() for x in jax.tree.leaves(orders)]
        wanted = [made for row in zip(*columns, strict=True) for made in plain.send(*row)]
        assert rows(trades) == wanted
        sides = [(1, o) for o in plain.bids] + [(-1, o) for o in plain.asks]
        left = [(o["number"], o["owner"], sign * o["lots"], o["price"]) for sign, o in sides]
        assert resting(book) == sorted(left)
        assert (np.asarray(book.alive) == (np.asarray(book.size) != 0)).all()
        seen += len(wanted)
        for accounts in (trades.money(AGENTS), trades.goods(AGENTS)):
            assert int(accounts.sum()) == 0
    assert seen > 150 and int(book.needed) <= book.capacity and int(book.born) == 4 * COUNT


def test_a_batch_of_books_trades_as_each_alone():
    rng = np.random.default_rng(3)
    orders = [stream(rng, 0) for _ in range(3)]
    book = pop.OrderBook.empty(CAPACITY * 5)
    many = jax.tree.map(lambda *leaves: jnp.stack(leaves), *orders)
    books, trades = jax.jit(jax.vmap(lambda one: book.trade(one)))(many)
    for place, one in enumerate(orders):
        alone, made = trade(book, one)
        batched = [jax.tree.map(operator.itemgetter(place), tree) for tree in (books, trades)]
        assert resting(batched[0]) == resting(alone) and rows(batched[1]) == rows(made)


def test_quotes_and_depth():
    book = pop.OrderBook.empty(8)
    quotes = book.quotes()
    assert not bool(quotes.two_sided) and int(quotes.spread()) == 0 and float(quotes.middle(7.5)) == 7.5
    book, _ = trade(book, FOUR)
    quotes = book.quotes()
    assert [int(x) for x in (quotes.bid, quotes.bid_size, quotes.ask, quotes.ask_size)] == [11, 2, 13, 1]
    assert float(quotes.middle(0.0)) == 12.0 and int(quotes.spread()) == 2
    bids, asks = book.depth(jnp.array([9, 10, 11, 12, 13, 14]))
    assert bids.tolist() == [5, 5, 2, 0, 0, 0] and asks.tolist() == [0, 0, 0, 0, 1, 5]
    late = pop.Orders.market([5], [7]) + pop.Orders.limit([6], [-9], [11], rests=False) + pop.Orders.cancel([8, 9])
    book, trades = trade(book, late)
    assert rows(trades) == [(5, 3, 13, 1), (5, 2, 14, 4), (1, 6, 11, 2)]
    assert float(book.quotes().middle(0.0)) == 10.0 and not bool(book.quotes().two_sided)
    assert int(trades.last_price(jnp.int32(0))) == 11 and int(trades.volume()) == 7


def test_a_chart_of_its_depth():
    book, _ = trade(pop.OrderBook.empty(8), FOUR)
    chart = pop.depth_chart(book)
    assert [x.tolist() for x in (chart.prices, chart.bids, chart.asks)] == [
        [10, 11, 13, 14],
        [3, 2, 0, 0],
        [0, 0, 1, 4],
    ]
    (section,) = chart.sections()
    (panel,) = section.figures[0].panels
    assert isinstance(panel, BandPanel)
    bids, asks = panel.bands
    assert (bids.x.tolist(), bids.median.tolist()) == ([10, 10, 11], [5, 2, 2])
    assert (asks.x.tolist(), asks.median.tolist()) == ([13, 14, 14], [1, 1, 5])
    assert section.tables[0].rows == ((None, 14, 4), (None, 13, 1), (2, 11, None), (3, 10, None))
    assert not pop.depth_chart(pop.OrderBook.empty(3)).sections()[0].figures


class Crowded(pop.Model):
    """Each step three more bids that nobody takes."""

    room: int = eqx.field(static=True)

    def init(self, draw):
        return pop.OrderBook.empty(self.room)

    def step(self, draw, book):
        return book.at(draw.time).trade(pop.Orders.limit([0, 1, 2], 1, 5))[0]

    def observe(self, book):
        return {"waiting": book.alive.sum()}


def test_a_full_book_is_an_error_that_says_how_much_room_is_needed():
    with pytest.raises(pop.CapacityError, match="capacity=12"):
        pop.simulate(Crowded(10), jr.key(0), 4)
    assert float(pop.simulate(Crowded(12), jr.key(0), 4).observations["waiting"][-1]) == 12


def test_orders_are_whole_numbers_of_one_length():
    with pytest.raises(pop.ModelError, match="count money in ticks"):
        pop.Orders.limit([0, 1], [1, 1], [1.5, 2.0])
    with pytest.raises(pop.ModelError, match="shapes do not fit: owner \\(2,\\), size \\(3,\\)"):
        pop.Orders.limit([0, 1], [1, 1, 1], 3)
    with pytest.raises(pop.ModelError, match="room for one order"):
        pop.OrderBook.empty(0)
