"""The pictures of docs/howto/look.md: python docs/pictures/look.py docs/pictures"""

import sys
from pathlib import Path

import jax.numpy as jnp
import jax.random as jr
import numpy as np

import populace as pop
from populace.zoo.flocking import Flocking
from populace.zoo.forest_fire import ForestFire
from populace.zoo.schelling import Schelling
from populace.zoo.sir import SIR
from populace.zoo.wolf_sheep import WolfSheep


def stills(folder: Path, name: str, film: pop.Film) -> None:
    """The frames of a film side by side."""
    pop.plot(pop.Figure("stills", "", film.panels(np.arange(len(film.looks))))).savefig(folder / f"{name}.png", dpi=75)


def main(folder: Path) -> None:
    """Make all of them."""
    town = pop.small_world(jr.key(0), 250, degree=4, rewire=0.05)
    sir = SIR(town, jnp.float32(0.25), jnp.float32(0.1), jnp.float32(0.02))
    stills(folder, "look-sir", pop.film(sir, jr.key(2), 24, every=12))
    stills(folder, "look-flocking", pop.film(Flocking(birds=250), jr.key(1), 300, every=150))
    fire = ForestFire(pop.Grid(70, 70, pop.VonNeumann()), jnp.float32(0.64))
    stills(folder, "look-forest-fire", pop.film(fire, jr.key(3), 80, every=40))
    pop.animate(pop.film(Schelling(pop.Grid(30, 30)), jr.key(0), 20), folder / "look-schelling.gif", width=260)
    meadow = WolfSheep(pop.Grid(20, 20), 60, 30)
    pop.animate(pop.film(meadow, jr.key(1), 24, every=2), folder / "look-wolf-sheep.gif", width=260)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
