"""Order books in plain Python, for `markets.py`: one written for this, with heaps, and lightmatchingengine from PyPI.

`python markets_peers.py BOOK` reads {"orders": [[size, price, cancels], ...]} as JSON from the standard input, of which
`cancels` is the place of an earlier order or -1, and prints one JSON object: trades, lots, turnover and seconds of
processor time. `python markets_peers.py zero RUNS TURNS` runs the zoo's zero intelligence, in plain Python.
"""

import heapq
import itertools
import json
import random
import sys
import time


class Heaps:
    """Price-time priority in two heaps; a cancelled order stays in its heap, with nothing left, until it is on top."""

    def __init__(self):
        self.sides, self.orders, self.trades = {1: [], -1: []}, [], []

    def send(self, size, price, cancels):
        if cancels >= 0:
            self.orders[cancels][2] = 0
        sign = 1 if size > 0 else -1
        other, left = self.sides[-sign], abs(size)
        while left and other and other[0][0] <= sign * price:
            best = other[0]
            lots = min(left, best[2])
            if lots:
                self.trades.append((sign, sign * best[0], lots))
                left, best[2] = left - lots, best[2] - lots
            if not best[2]:
                heapq.heappop(other)
        order = [-sign * price, len(self.orders), left]
        self.orders.append(order)
        if left:
            heapq.heappush(self.sides[sign], order)


class Light:
    """lightmatchingengine, whose prices are positive; who asks it to cancel a filled order gets an assertion."""

    def __init__(self):
        from lightmatchingengine.lightmatchingengine import LightMatchingEngine, Side

        self.engine, self.side, self.orders, self.trades = LightMatchingEngine(), Side, [], []

    def send(self, size, price, cancels):
        if cancels >= 0 and self.orders[cancels] is not None and self.orders[cancels].leaves_qty > 0:
            self.engine.cancel_order(self.orders[cancels].order_id, "good")
        if not size:
            self.orders.append(None)
            return
        side = self.side.BUY if size > 0 else self.side.SELL
        order, trades = self.engine.add_order("good", price, abs(size), side)
        self.orders.append(order)
        self.trades += [(0, t.trade_price, t.trade_qty) for t in trades if t.order_id != order.order_id]


def run(book, orders):
    """The summaries of a stream, and the seconds of processor time that it took."""
    began = time.process_time()
    for size, price, cancels in orders:
        book.send(size, price, cancels)
    seconds = time.process_time() - began
    return {
        "trades": len(book.trades),
        "lots": sum(lots for _, _, lots in book.trades),
        "turnover": sum(price * lots for _, price, lots in book.trades),
        "seconds": seconds,
    }


def zero_intelligence(rng, turns, traders=6, units=4, top=200):
    """The efficiency of one period of a market with budget constraints."""
    values = [sorted((rng.randint(1, top) for _ in range(units)), reverse=True) for _ in range(traders)]
    costs = [sorted(rng.randint(1, top) for _ in range(units)) for _ in range(traders)]
    done, bid, ask, surplus = [0] * (2 * traders), (0, None), (top + 1, None), 0
    for _ in range(turns):
        who = rng.randrange(2 * traders)
        if done[who] == units:
            continue
        if who < traders:
            price = rng.randint(1, values[who][done[who]])
            if price > bid[0]:
                bid = (price, who)
        else:
            price = rng.randint(costs[who - traders][done[who]], top)
            if price < ask[0]:
                ask = (price, who)
        if bid[0] >= ask[0]:
            buyer, seller = bid[1], ask[1]
            surplus += values[buyer][done[buyer]] - costs[seller - traders][done[seller]]
            done[buyer], done[seller] = done[buyer] + 1, done[seller] + 1
            bid, ask = (0, None), (top + 1, None)
    wanted, offered = (sorted(itertools.chain(*table)) for table in (values, costs))
    best = zip(reversed(wanted), offered, strict=True)
    return surplus / max(1, sum(max(v - c, 0) for v, c in best))


def zero(runs, turns):
    """The efficiency of each run, and the seconds of processor time that they took."""
    rng = random.Random(0)
    began = time.process_time()
    found = [zero_intelligence(rng, turns) for _ in range(runs)]
    return {"efficiency": found, "seconds": time.process_time() - began}


def main(what, *numbers):
    if what == "zero":
        return zero(*map(int, numbers))
    books = {"heaps": Heaps, "lightmatchingengine": Light}
    return run(books[what](), json.load(sys.stdin)["orders"])


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
