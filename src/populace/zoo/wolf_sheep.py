"""Wolves, sheep and grass: numbers that rise and fall.

Wilensky (1997, NetLogo Wolf Sheep Predation), in the form that frameworks are compared by. In a step sheep move, eat
grass, die and are born; then wolves move, eat sheep, die and are born; then grass grows.

Facts it must reproduce (tests/zoo): with the default parameters the three mostly live on together and their numbers
swing, those of wolves after those of sheep; without wolves sheep are held by the grass; without sheep wolves die out;
no grass is eaten twice and no sheep is; energy is what was eaten and not spent.

Everybody of a kind moves at the same time; who of several on a cell eats first is decided by lot. That is the law of
a run in which they go one after another in random order, since nobody acts on others than those of his cell.
"""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from .._errors import ModelError
from ..core.capacity import capacity
from ..core.domain import nonnegative, unit
from ..core.draw import Draw
from ..core.model import Model, parameter
from ..core.population import Population, births, deaths, founders
from ..interact.encounters import encounters
from ..interact.grid import Grid
from ..interact.lots import lots, winners


class Animals(Population):
    """Sheep or wolves: where each stands, and its energy."""

    cell: Int[Array, " agents"]
    energy: Float[Array, " agents"]


class Meadow(eqx.Module):
    """`regrowth`: after how many steps grass stands again on each cell, 0 where it stands; `grazed`, `hunted`: how
    often sheep and wolves ate in the last step.
    """

    sheep: Animals
    wolves: Animals
    regrowth: Float[Array, " cells"]
    grazed: Float[Array, ""]
    hunted: Float[Array, ""]


class Walker(eqx.Module):
    """What an animal sees that moves: its cell and its energy."""

    cell: Int[Array, " agents"]
    energy: Float[Array, " agents"]


class WolfSheep(Model):
    """Wolves eat sheep, sheep eat grass. `sheep_room`, `wolf_room`: how many there may be at once.

    Rule of the house at `move`: to one of the cells of the neighbourhood at random. A policy returns a cell's number.

    Sites: `sheep/cell`, `sheep/energy`, the same of wolves, `grass`, `growing` in init; `sheep/move`, `sheep/first`,
    `sheep/lamb`, `wolves/move`, `wolves/first`, `wolves/cub`, `prey/first` in a step. Numbers are drawn by slot.
    """

    land: Grid = eqx.field(default_factory=lambda: Grid(25, 25))
    sheep: int = eqx.field(static=True, default=60)
    wolves: int = eqx.field(static=True, default=40)
    sheep_room: int = capacity(default=1000)
    wolf_room: int = capacity(default=1000)
    grass_energy: Float[Array, ""] = parameter(default=5.0, domain=nonnegative, doc="what grass gives a sheep")
    sheep_energy: Float[Array, ""] = parameter(default=13.0, domain=nonnegative, doc="what a sheep gives a wolf")
    lambing: Float[Array, ""] = parameter(default=0.2, domain=unit, doc="probability that a sheep has a lamb in a step")
    cubbing: Float[Array, ""] = parameter(default=0.1, domain=unit, doc="probability that a wolf has a cub in a step")
    regrowth: Float[Array, ""] = parameter(
        default=20.0, unit="steps", domain=nonnegative, doc="how long grass takes to grow again"
    )

    def __check_init__(self) -> None:
        if not (0 <= self.sheep <= self.sheep_room and 0 <= self.wolves <= self.wolf_room):
            raise ModelError(
                f"{self.sheep} sheep in room for {self.sheep_room}, {self.wolves} wolves in room for {self.wolf_room}"
            )
        if not (self.sheep_room and self.wolf_room):
            raise ModelError("give room for one sheep and one wolf or more")

    def init(self, draw: Draw) -> Meadow:
        sheep = self._settled(draw.child("sheep"), self.sheep, self.sheep_room, self.grass_energy)
        wolves = self._settled(draw.child("wolves"), self.wolves, self.wolf_room, self.sheep_energy)
        bare = 1.0 - draw.bernoulli("grass", 0.5, size=self.land.size)
        growing = 1.0 + jnp.floor(draw.uniform("growing", 0.0, self.regrowth, where=bare))
        return Meadow(sheep, wolves, bare * growing, jnp.zeros(()), jnp.zeros(()))

    def step(self, draw: Draw, meadow: Meadow) -> Meadow:
        sheep, regrowth, grazed = self._graze(draw.child("sheep"), meadow.sheep, meadow.regrowth)
        prey = lots(draw.child("prey").uniform("first", size=self.sheep_room))
        wolves, sheep, hunted = self._hunt(draw.child("wolves"), meadow.wolves, sheep, prey)
        return Meadow(sheep, wolves, jnp.maximum(regrowth - 1.0, 0.0), grazed, hunted)

    def observe(self, meadow: Meadow) -> dict[str, Array]:
        return {
            "sheep": meadow.sheep.alive.sum(),
            "wolves": meadow.wolves.alive.sum(),
            "grass": (meadow.regrowth <= 0).sum(dtype=jnp.float32),
            "grazed": meadow.grazed,
            "hunted": meadow.hunted,
        }

    def _settled(self, draw: Draw, count: int, room: int, gain: Float[Array, ""]) -> Animals:
        """At random cells, with a whole energy from 0 to 2 gain - 1."""
        base = founders(count, room)
        cell = jnp.floor(draw.uniform("cell", 0.0, self.land.size, where=base["alive"])).astype(jnp.int32)
        energy = jnp.floor(draw.uniform("energy", 0.0, 2.0 * gain, where=base["alive"]))
        return Animals(**base, cell=jnp.minimum(cell, self.land.size - 1), energy=energy)

    def _moved(self, draw: Draw, animals: Animals) -> Animals:
        def at_random(seen: Walker, draw: Draw) -> Int[Array, " agents"]:
            return self.land.walk(draw, "step", seen.cell, where=animals.alive)

        cell = draw.decide("move", Walker(animals.cell, animals.energy), at_random)
        return _with(animals, cell, animals.energy - animals.alive)

    def _graze(self, draw: Draw, sheep: Animals, regrowth: Array) -> tuple[Animals, Array, Array]:
        """Sheep after their turn, the grass that they leave, and how often they ate."""
        sheep = self._moved(draw, sheep)
        lot = lots(draw.uniform("first", size=sheep.capacity))
        stands = regrowth.at[sheep.cell].get(mode="clip") <= 0
        eats = winners(sheep.cell, lot, sheep.alive * stands, self.land.size)
        eaten = jnp.where(eats > 0, sheep.cell, self.land.size)
        regrowth = regrowth.at[eaten].set(self.regrowth + 1.0, mode="drop")
        fed = _with(sheep, sheep.cell, sheep.energy + self.grass_energy * eats)
        return _bred(draw, "lamb", fed, self.lambing), regrowth, eats.sum()

    def _hunt(self, draw: Draw, wolves: Animals, sheep: Animals, prey: Array) -> tuple[Animals, Animals, Array]:
        """Wolves after their turn, the sheep that they leave, and how many they ate."""
        wolves = self._moved(draw, wolves)
        lot = lots(draw.uniform("first", size=wolves.capacity))
        hunters, hunted = (wolves.cell, lot, wolves.alive), (sheep.cell, prey, sheep.alive)
        caught = encounters(*hunters, *hunted, self.land.size)
        eaten = jnp.where(caught.present > 0, caught.index, sheep.capacity)
        sheep = deaths(sheep, jnp.zeros(sheep.capacity).at[eaten].set(1.0, mode="drop"))
        fed = _with(wolves, wolves.cell, wolves.energy + self.sheep_energy * caught.present)
        return _bred(draw, "cub", fed, self.cubbing), sheep, caught.present.sum()


def _with(animals: Animals, cell: Array, energy: Array) -> Animals:
    return eqx.tree_at(lambda a: (a.cell, a.energy), animals, (cell, energy))


def _bred(draw: Draw, name: str, animals: Animals, chance: Float[Array, ""]) -> Animals:
    """Without those whose energy is used up, and with young ones, who get half of a parent's energy."""
    animals = deaths(animals, animals.energy < 0)
    born = draw.bernoulli(name, chance, where=animals.alive)
    halved = _with(animals, animals.cell, animals.energy * (1.0 - 0.5 * born))
    return births(halved, halved, born)
