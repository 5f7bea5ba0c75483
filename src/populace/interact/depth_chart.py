"""What waits in an order book, as a result: a chart of its depth and a table of its best prices."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from .._errors import ModelError
from .._results import Band, BandPanel, Figure, Result, Section, Table
from .order_book import OrderBook

_ROWS = 10


@dataclass(frozen=True)
class DepthChart(Result):
    """The lots that wait at each price, `bids` and `asks` (levels,), over `prices` (levels,), rising."""

    prices: np.ndarray
    bids: np.ndarray
    asks: np.ndarray

    def sections(self) -> tuple[Section, ...]:
        if not self.prices.size:
            return (Section("Order book", text=("Nothing waits in this book.",)),)
        return (Section("Order book", figures=(self._figure(),), tables=(self._table(),)),)

    def record(self) -> dict[str, Any]:
        return {"prices": self.prices.tolist(), "bids": self.bids.tolist(), "asks": self.asks.tolist()}

    def _figure(self) -> Figure:
        """Lots at a price or better, as steps."""
        bids, asks = np.cumsum(self.bids[::-1])[::-1], np.cumsum(self.asks)
        bands = []
        for label, lots, own in (("bids", bids, self.bids), ("asks", asks, self.asks)):
            held = np.flatnonzero(own)
            if held.size:
                inside = slice(held[0], held[-1] + 1)
                x, y = np.repeat(self.prices[inside], 2), np.repeat(lots[inside], 2)
                edges = (x[1:], y[:-1]) if label == "asks" else (x[:-1], y[1:])
                bands.append(Band(label, edges[0].astype(float), edges[1].astype(float), {}, "what waits"))
        panel = BandPanel("Depth", "price, ticks", "lots at this price or better", tuple(bands))
        return Figure("depth", "What waits in the order book.", (panel,))

    def _table(self) -> Table:
        """The best prices of both sides, asks above bids as on a screen."""
        asks, bids = np.flatnonzero(self.asks)[:_ROWS][::-1], np.flatnonzero(self.bids)[::-1][:_ROWS]
        rows = [(None, int(self.prices[i]), int(self.asks[i])) for i in asks]
        rows += [(int(self.bids[i]), int(self.prices[i]), None) for i in bids]
        return Table(
            f"Best prices, up to {_ROWS} a side", ("bid for, lots", "price, ticks", "offered, lots"), tuple(rows)
        )


def depth_chart(book: OrderBook) -> DepthChart:
    """What waits in a book: `pop.plot(pop.depth_chart(book))`, or `pop.write` it.

    **Raises:** `ModelError` for a batch of books: take one.
    """
    size, price = np.asarray(book.size), np.asarray(book.price)
    if size.ndim != 1:
        raise ModelError(f"books of shape {size.shape}: a chart shows one, jax.tree.map(lambda leaf: leaf[0], books)")
    prices, place = np.unique(price[size != 0], return_inverse=True)
    waits = size[size != 0]
    bids, asks = (np.bincount(place, np.maximum(side, 0), prices.size).astype(int) for side in (waits, -waits))
    return DepthChart(prices, bids, asks)
