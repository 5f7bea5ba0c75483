"""The picture of the zoo: bubbles, turbulence, a cascade, camps of opinion, segregation, an epidemic.

python docs/pictures/zoo.py docs/pictures/zoo.png
"""

import sys
from typing import Any

import jax.numpy as jnp
import jax.random as jr
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

import populace as pop
from populace.core.simulate import begin
from populace.reporting.style import INK, PALETTE, SOFT, styled
from populace.zoo.franke_westerhoff import FrankeWesterhoff
from populace.zoo.hegselmann_krause import HegselmannKrause
from populace.zoo.lux_marchesi import LuxMarchesi
from populace.zoo.schelling import Schelling
from populace.zoo.sir import SIR
from populace.zoo.watts_cascade import WattsCascade


def states(model: pop.Model, key: Any, steps: int) -> list[Any]:
    """The states at times 0, 1, .., `steps`."""
    found = [begin(model, key)]
    for _ in range(steps):
        found.append(pop.simulate(model, key, 1, start=found[-1]).final)
    return [snapshot.state for snapshot in found]


def bubbles(axes: Axes) -> None:
    """Chartists take the price away from its fundamental value, until so far off a price scares them."""
    run = pop.simulate(FrankeWesterhoff(), jr.key(2), 2_500)
    axes.axhline(0, color=SOFT, linewidth=0.8)
    axes.plot(run.times, run.observations["price"], color=PALETTE[0], linewidth=0.7)
    axes.set(xlabel="day", ylabel="log price less fundamental", title="Bubbles: Franke and Westerhoff")


def turbulence(axes: Axes) -> None:
    """Returns, and the share of chartists."""
    run = pop.simulate(LuxMarchesi(), jr.key(3), 800)
    axes.plot(run.times, 100 * run.observations["returns"], color=PALETTE[0], linewidth=0.6, label="return, %")
    axes.plot(run.times, 20 * run.observations["chartists"] - 35, color=PALETTE[1], linewidth=0.8, label="chartists")
    axes.set(xlabel="unit of time", title="Turbulence: Lux and Marchesi", yticks=[-10, 0, 10], ylim=(-37, 31))
    axes.legend(loc="upper left", ncols=2)


def cascade(axes: Axes) -> None:
    """Forty seeds on one network."""
    network = pop.random_network(jr.key(1), 2_000, degree=4.0)
    seen = pop.ensemble(WattsCascade(network), jr.key(2), 24, runs=40)
    axes.plot(seen.times, seen.observations["active"][0].T, color=PALETTE[1], linewidth=0.7)
    axes.set(xlabel="step", ylabel="share active", title="Cascades: Watts, 40 seeds", ylim=(-0.02, 1.02))


def camps(axes: Axes) -> None:
    """The opinions of 300 people."""
    seen = states(HegselmannKrause(300, jnp.float32(0.12)), jr.key(0), 15)
    opinion = np.stack([np.asarray(state["opinion"]) for state in seen])
    axes.plot(np.arange(16), opinion, color=PALETTE[0], linewidth=0.35)
    axes.set(xlabel="step", ylabel="opinion", title="Camps: Hegselmann and Krause", ylim=(0, 1), xticks=[0, 5, 10, 15])


def segregation(axes: Axes) -> None:
    """Who lives where once all are content."""
    people = pop.simulate(Schelling(pop.Grid(50, 50), jnp.float32(0.5)), jr.key(1), 60).final.state
    table = np.asarray(people.seats.lay(people.present * (1.0 + people.kind))).reshape(50, 50)
    axes.imshow(table, cmap=ListedColormap(["white", PALETTE[0], PALETTE[1]]), interpolation="nearest")
    axes.set(xticks=[], yticks=[], title="Segregation: Schelling")
    axes.set_xlabel("two kinds of people, and empty cells")


def epidemic(axes: Axes) -> None:
    """Twelve outbreaks on one small-world network."""
    town = pop.small_world(jr.key(0), 2_000, degree=8, rewire=0.05)
    seen = pop.ensemble(SIR(town, jnp.float32(0.06), jnp.float32(0.1)), jr.key(4), 110, runs=12)
    axes.plot(seen.times, seen.observations["infected"][0].T / 2_000, color=PALETTE[2], linewidth=0.8)
    axes.set(xlabel="day", ylabel="share infected", title="Epidemics: a small world, 12 runs", ylim=(0, None))


def main(out: str) -> None:
    """Draw the picture."""
    with styled():
        figure = Figure(figsize=(10, 5.4), layout="constrained")
        for axes, paint in zip(
            figure.subplots(2, 3).flat, (bubbles, turbulence, cascade, camps, segregation, epidemic), strict=True
        ):
            paint(axes)
            axes.title.set_color(INK)
        figure.savefig(out, dpi=90)


if __name__ == "__main__":
    main(*sys.argv[1:])
