"""A forest fire: trees on a grid at random, lit along one side.

The fire model of percolation theory (Stauffer & Aharony 1994, Introduction to Percolation Theory, section 1.3), widely
used to introduce agent-based models: the left column burns, each burning tree lights its neighbours and burns out.

Facts it must reproduce (tests/zoo): what has burned in the end is the trees that a chain of neighbouring trees joins to
the left side; with four neighbours fires cross large forests above a density of .592746 (the threshold of site
percolation on the square lattice) and die out below; at the threshold they cross half of all square forests.
"""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..core.domain import unit
from ..core.draw import Draw
from ..core.model import Model, parameter
from ..interact.flags import Flags
from ..interact.grid import Grid
from ..interact.neighbourhood import VonNeumann


class Forest(eqx.Module):
    """Trees that stand, trees that burn; the others have burned or never were. `planted`: how many there were."""

    standing: Flags
    burning: Flags
    planted: Float[Array, ""]


class ForestFire(Model):
    """Each burning tree lights the trees beside it and is ash a step later.

    Sites: `tree` in init. A step leaves nothing to chance.
    """

    land: Grid = eqx.field(default_factory=lambda: Grid(100, 100, VonNeumann()))
    density: Float[Array, ""] = parameter(default=0.7, domain=unit, doc="share of cells with a tree")

    def init(self, draw: Draw) -> Forest:
        trees = Flags.of(self.land, draw.bernoulli("tree", self.density, size=self.land.size))
        left = Flags.of(self.land, self.land.row_column(jnp.arange(self.land.size))[1] == 0)
        return Forest(trees & ~left, trees & left, trees.count())

    def step(self, draw: Draw, forest: Forest) -> Forest:
        caught = forest.burning.beside() & forest.standing
        return Forest(forest.standing & ~caught, caught, forest.planted)

    def observe(self, forest: Forest) -> dict[str, Array]:
        burning = forest.burning.count()
        return {"burning": burning, "burned": forest.planted - forest.standing.count() - burning}
