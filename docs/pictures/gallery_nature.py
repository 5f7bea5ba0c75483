"""The gallery: animals, forests and walkers."""

import jax.random as jr
import numpy as np
from gallery_panels import bare, beside, dots, law, mark, panel
from matplotlib.figure import Figure

import populace as pop
from populace.reporting.style import INK, PALETTE
from populace.zoo.birth_death_migration import BirthDeathMigration, turns_for
from populace.zoo.flocking import Flocking
from populace.zoo.forest_fire import ForestFire
from populace.zoo.random_walk import RandomWalk
from populace.zoo.sublattices import Sublattices
from populace.zoo.wolf_sheep import WolfSheep


def birth_death_migration(figure: Figure) -> None:
    """Density over time in units of the birth rate, for which the mean field is one curve."""
    axes = panel(figure, "Birth, death, migration: clusters cost births")
    time = np.arange(1, 49) / 4
    law(axes, time, 0.5 / (1 + 9 * np.exp(-0.5 * time)), "mean field")
    for moves, colour in ((100, PALETTE[0]), (10, PALETTE[1]), (1, PALETTE[2])):
        birth, interval = 1 / moves, 0.25 * moves
        turns = turns_for(1 + 1.5 * birth, interval, 0.8)
        rates = {"birth": birth, "death": birth / 2, "interval": interval}
        model = pop.bind(BirthDeathMigration(Sublattices(120, 120), turns), rates)
        density = pop.simulate(model, jr.key(1), 48).observations["density"]
        label = f"a run: {moves} move{'s' if moves > 1 else ''} a birth"
        axes.plot(time, density, color=colour, linewidth=1.5, label=label)
    axes.set(xlabel="time, birth rates", ylabel="share of cells taken", ylim=(0, 0.72), xlim=(0, 12))
    axes.legend(loc="upper left", ncols=2)


def flocking(figure: Figure) -> None:
    """Where birds are and fly to, at the start and after 300 steps."""
    film = pop.film(Flocking(pop.Box((50.0, 50.0), periodic=True), birds=200), jr.key(1), 300, every=300)
    for axes, shot, when in zip(
        beside(figure, "Flocking: one direction out of many"),
        film.snapshots,
        ("at the start", "after 300 steps"),
        strict=True,
    ):
        place, way = (np.asarray(x) for x in (shot.state.position, shot.state.heading))
        axes.quiver(
            *place.T,
            *way.T,
            np.arctan2(way[:, 1], way[:, 0]),
            cmap="hsv",
            clim=(-np.pi, np.pi),
            scale=22,
            width=0.008,
        )
        axes.set(xlim=(0, 50), ylim=(0, 50), aspect="equal")
        bare(axes, f"{when}: order {np.hypot(*way.mean(0)):.2f}")


def forest_fire(figure: Figure) -> None:
    """The share of trees that burn in forests of two sizes."""
    axes = panel(figure, "Forest fire: all burns above a threshold")
    density = np.array([0.3, 0.4, 0.45, 0.5, 0.54, 0.56, 0.58, 0.6, 0.62, 0.64, 0.67, 0.7, 0.75, 0.8, 0.9])
    for side, colour in ((25, PALETTE[1]), (100, PALETTE[0])):
        fire = ForestFire(pop.Grid(side, side, pop.VonNeumann()))
        seen = pop.ensemble(fire, jr.key(1), 8 * side, runs=12, parameters={"density": density}, record=pop.Last())
        burned = np.asarray(seen.observations["burned"])[:, :, 0] / (density[:, None] * side**2)
        axes.plot(density, 100 * burned.mean(1), color=colour, linewidth=0.8)
        dots(axes, density, 100 * burned, f"{side} x {side} cells", colour)
    mark(axes, 0.592746, "0.5927: the threshold of\npercolation on a large grid", height=0.35)
    axes.set(xlabel="share of cells with a tree", ylabel="trees burned, %", ylim=(0, 103))
    axes.legend(loc="upper left")


def random_walk(figure: Figure) -> None:
    """Walks, and the mean and spread that they must have."""
    axes = panel(figure, "Random walk: mean and spread are known")
    walker = pop.bind(RandomWalk(), {"p": 0.6})
    walks = np.asarray(pop.ensemble(walker, jr.key(1), 200, runs=60).observations["position"][0])
    time = np.arange(1, 201)
    axes.plot(time, walks.T, color=PALETTE[0], linewidth=0.5, alpha=0.5)
    axes.plot([], [], color=PALETTE[0], linewidth=1.0, label="60 walkers, p = 0.6")
    for sign in (-2, 0, 2):
        name = {-2: None, 0: "T (2p - 1)", 2: "and two standard deviations"}[sign]
        style = "-" if sign == 0 else "--"
        axes.plot(time, 0.2 * time + sign * np.sqrt(4 * time * 0.24), style, color=INK, linewidth=1.2, label=name)
    axes.set(xlabel="step T", ylabel="position", xlim=(0, 200))
    axes.legend(loc="upper left")


def wolf_sheep(figure: Figure) -> None:
    """Numbers of all three."""
    axes = panel(figure, "Wolf-sheep: three swings, wolves after sheep")
    seen = pop.simulate(WolfSheep(), jr.key(1), 250).observations
    for name, share, colour, label in (
        ("grass", 4, PALETTE[2], "grass, cells / 4"),
        ("sheep", 1, PALETTE[0], "sheep"),
        ("wolves", 1, PALETTE[1], "wolves"),
    ):
        axes.plot(np.arange(1, 251), np.asarray(seen[name]) / share, color=colour, linewidth=1.4, label=label)
    axes.set(xlabel="step", ylabel="number", xlim=(0, 250))
    axes.set_ylim(0, 1.25 * axes.get_ylim()[1])
    axes.legend(loc="upper center", ncols=3)


NATURE = {
    "birth-death-migration": birth_death_migration,
    "flocking": flocking,
    "forest-fire": forest_fire,
    "random-walk": random_walk,
    "wolf-sheep": wolf_sheep,
}
