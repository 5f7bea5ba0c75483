"""The picture of the bottom-up economy: credit and work over time, the curve of Phillips, and what leverage does.

python docs/pictures/bank.py docs/pictures/bank.png
"""

import sys
from itertools import pairwise

import jax
import jax.random as jr
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import populace as pop
from populace.core.draw import Draw
from populace.reporting.style import INK, PALETTE, SOFT, styled
from populace.zoo.bottom_up_accounts import Economy
from populace.zoo.bottom_up_economy import BottomUpEconomy

RUNS, BURN_IN, QUARTERS = 12, 100, 200
LEVERAGES = (-1.0, 0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 10.0)
"""Bounds of leverage, the first of which holds the firms without debt."""


class Closer(pop.Model):
    """The economy, observed firm by firm, and what the bank was given."""

    model: BottomUpEconomy

    def init(self, draw: Draw) -> Economy:
        return self.model.init(draw)

    def step(self, draw: Draw, state: Economy) -> Economy:
        return self.model.step(draw, state)

    def observe(self, state: Economy) -> dict[str, jax.Array]:
        more = {"leverage": self.model.leverage(state), "failed": state.firms.failed, "given": state.flows.capital[2]}
        return {**self.model.observe(state), **more}


def seen() -> dict[str, np.ndarray]:
    """Observations of all runs, (runs, quarters, ...)."""
    model = Closer(BottomUpEconomy())
    runs = [pop.simulate(model, jr.key(run), BURN_IN + QUARTERS).observations for run in range(RUNS)]
    return {name: np.stack([np.asarray(run[name])[BURN_IN:] for run in runs]) for name in runs[0]}


def history(axes: Axes, series: dict[str, np.ndarray]) -> None:
    """Who is out of work and what is lent in one run, and when the bank was given equity."""
    years = np.arange(QUARTERS) / 4
    axes.plot(years, 100 * series["unemployment"][0], color=PALETTE[0], linewidth=1.0, label="out of work")
    axes.plot(years, 100 * series["loans"][0], color=PALETTE[1], linewidth=1.0, label="loans, of wages paid")
    given = series["given"][0] > 0
    axes.plot(years[given], np.full(given.sum(), -1.2), "^", color=INK, markersize=4, label="new equity for the bank")
    axes.set(xlabel="year", xlim=(0, QUARTERS / 4), ylim=(-3, 25), ylabel="%", title="One run")
    axes.legend(loc="upper right", fontsize=7, frameon=False)


def phillips(axes: Axes, series: dict[str, np.ndarray]) -> None:
    """Years of all runs."""
    wage = np.log(series["wage"])[:, ::4]
    idle = series["unemployment"].reshape(RUNS, -1, 4).mean(-1)[:, :-1]
    axes.axhline(0, color=SOFT, linewidth=0.8)
    axes.plot(100 * idle.ravel(), 100 * np.diff(wage).ravel(), "o", color=PALETTE[0], markersize=2.5, alpha=0.6)
    axes.set(xlabel="unemployment, %", ylabel="wage growth, % a year", title=f"{idle.size} years of {RUNS} runs")


def failures(axes: Axes, series: dict[str, np.ndarray]) -> None:
    """The share that fails in the next quarter, by leverage, with two standard errors over runs."""
    leverage, failed = series["leverage"][:, :-1], series["failed"][:, 1:]
    names = ["none"] + [f"{low:g} to {high:g}" for low, high in pairwise(LEVERAGES[1:-1])]
    for place, (low, high) in enumerate(pairwise(LEVERAGES)):
        some = (leverage > low) & (leverage <= high)
        share = 100 * (failed * some).sum((1, 2)) / some.sum((1, 2))
        error = 2 * share.std(ddof=1) / np.sqrt(RUNS)
        axes.errorbar(place, share.mean(), error, fmt="o", color=PALETTE[0], markersize=4, linewidth=1.2)
    axes.set_xticks(range(len(names) + 1), [*names, f"over {LEVERAGES[-2]:g}"], rotation=35, ha="right", fontsize=7)
    axes.set(xlabel="debt by a firm's own money", ylabel="fail in the next quarter, %", title="What leverage does")
    axes.set_ylim(0, None)


def main(out: str) -> None:
    """Draw the picture."""
    series = seen()
    with styled():
        figure = Figure(figsize=(11, 3.2), layout="constrained")
        for axes, draw in zip(figure.subplots(1, 3), (history, phillips, failures), strict=True):
            draw(axes, series)
            axes.title.set_color(INK)
        figure.savefig(out, dpi=90)


if __name__ == "__main__":
    main(*sys.argv[1:])
