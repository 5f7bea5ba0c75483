"""The picture of the economies: prices that come together, and two curves of the baseline economy.

python docs/pictures/economies.py docs/pictures/economies.png
"""

import sys

import jax.numpy as jnp
import jax.random as jr
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import populace as pop
from populace.reporting.style import INK, PALETTE, SOFT, styled
from populace.zoo.baseline_economy import BaselineEconomy
from populace.zoo.sugarscape import Sugarscape


def prices(axes: Axes) -> None:
    """Mean log price of each step, and its spread."""
    run = pop.simulate(Sugarscape(people=400, vision=jnp.float32(3.0)), jr.key(0), 150)
    centre, spread = (np.asarray(run.observations[name]) for name in ("log_price", "spread"))
    axes.axhline(0, color=SOFT, linewidth=0.8)
    axes.fill_between(run.times, centre - spread, centre + spread, color=PALETTE[0], alpha=0.25, linewidth=0)
    axes.plot(run.times, centre, color=PALETTE[0], linewidth=1.0)
    axes.set(xlabel="step", ylabel="log price of sugar in spice", title="Sugarscape: mean and spread of prices")


def curves(out: Axes, rises: Axes) -> None:
    """Half-years of forty years: Beveridge's curve and that of Phillips."""
    run = pop.simulate(BaselineEconomy(households=300, firms=30), jr.key(0), 540)
    seen = {name: np.asarray(series)[59:] for name, series in run.observations.items()}
    seen["inflation"] = 1200 * np.diff(np.log(seen["wage"]))
    idle = 100 * seen["unemployment"][1:].reshape(-1, 6).mean(axis=1)
    out.plot(idle, 100 * seen["vacancies"][1:].reshape(-1, 6).mean(axis=1), "o", color=PALETTE[0], markersize=3)
    rises.plot(
        idle, seen["inflation"][: 6 * len(idle)].reshape(-1, 6).mean(axis=1), "o", color=PALETTE[1], markersize=3
    )
    rises.axhline(0, color=SOFT, linewidth=0.8)
    out.set(xlabel="unemployment, %", ylabel="vacancies, % of households", title="Baseline economy: Beveridge")
    rises.set(xlabel="unemployment, %", ylabel="wage growth, % a year", title="Baseline economy: Phillips")


def main(out: str) -> None:
    """Draw the picture."""
    with styled():
        figure = Figure(figsize=(11, 3.2), layout="constrained")
        first, second, third = figure.subplots(1, 3)
        prices(first)
        curves(second, third)
        for axes in (first, second, third):
            axes.title.set_color(INK)
        figure.savefig(out, dpi=90)


if __name__ == "__main__":
    main(*sys.argv[1:])
