"""The picture of markets: the depth of an order book, and prices of traders without intelligence.

python docs/pictures/markets.py docs/pictures/markets.png
"""

import sys

import jax.numpy as jnp
import jax.random as jr
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import populace as pop
from populace.reporting.style import INK, PALETTE, SOFT, styled
from populace.zoo.zero_intelligence import ZeroIntelligence, unconstrained


def depth(axes: Axes) -> None:
    """What waits on both sides after 400 limit orders."""
    rng = np.random.default_rng(1)
    side = rng.choice([-1, 1], 400)
    price = np.round(1_000 - side * rng.gamma(2.0, 12.0, 400) + rng.normal(0, 6, 400)).astype(int)
    orders = pop.Orders.limit(np.arange(400), side * rng.integers(1, 10, 400), price)
    book, _ = pop.OrderBook.empty(400).trade(orders)
    levels = np.arange(930, 1_071)
    bids, asks = (np.asarray(x) for x in book.depth(jnp.asarray(levels)))
    for lots, colour, name in ((bids, PALETTE[0], "bids"), (asks, PALETTE[1], "asks")):
        axes.fill_between(levels, lots, step="mid", color=colour, alpha=0.25, linewidth=0)
        axes.step(levels, lots, where="mid", color=colour, linewidth=1.0, label=name)
    axes.axvline(float(book.quotes().middle(0.0)), ymax=0.75, color=SOFT, linewidth=0.8)
    axes.set(xlabel="price, ticks", ylabel="lots at this price or better", title="An order book", ylim=(0, 1_150))
    axes.legend(loc="upper center")


def prices(axes: Axes) -> None:
    """Five periods of one market, trade by trade, with budgets and without."""
    at = 0.0
    for model, colour, name in (
        (ZeroIntelligence(rule=unconstrained), PALETTE[1], "any price"),
        (ZeroIntelligence(), PALETTE[0], "within budgets"),
    ):
        snapshot, times, series = None, [], []
        for period in range(5):
            run = pop.simulate(model, jr.key(4), 1, start=snapshot)
            snapshot = run.final
            trades, at = int(snapshot.state.trades), float(run.observations["equilibrium"][0])
            times += [*(period + 1 + (np.arange(trades) + 0.5) / trades), np.nan]
            series += [*np.asarray(snapshot.state.prices)[:trades], np.nan]
        axes.plot(times, series, color=colour, linewidth=0.9, label=name)
    axes.axhline(at, color=SOFT, linewidth=0.8, label="equilibrium")
    axes.set(xlabel="period", ylabel="price, ticks", title="Zero intelligence: Gode and Sunder", ylim=(0, 240))
    axes.legend(loc="upper center", ncols=3)


def main(out: str) -> None:
    """Draw the picture."""
    with styled():
        figure = Figure(figsize=(9, 3.2), layout="constrained")
        for axes, paint in zip(figure.subplots(1, 2).flat, (depth, prices), strict=True):
            paint(axes)
            axes.title.set_color(INK)
        figure.savefig(out, dpi=90)


if __name__ == "__main__":
    main(*sys.argv[1:])
