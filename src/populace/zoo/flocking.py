"""Birds that fly together: cohesion, separation and alignment.

Reynolds (1987, Computer Graphics 21(4):25), in the form of Wilensky (1998, NetLogo Flocking) that frameworks are
compared by: each bird turns to where its neighbours are, away from those too near, and into their direction, all by
weights; all turn at the same time and fly on at one speed.

Facts it must reproduce (tests/zoo): from directions at random, whose mean length is near 1 / sqrt(birds), flocks of one
direction form; without cohesion and alignment none do; separation keeps birds apart; where the flock is in a periodic
sky makes no difference.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from .._errors import ModelError
from ..core.activation import Activation, Acts
from ..core.domain import nonnegative, positive
from ..core.draw import Draw
from ..core.model import Model, parameter
from ..interact.all_pairs import AllPairs
from ..interact.box import Box
from ..interact.pairs import Extent, Pair, columns


class Birds(eqx.Module):
    """Where birds are, and where they fly to: a direction of length 1."""

    position: Float[Array, "birds axes"]
    heading: Float[Array, "birds axes"]


class Sight(eqx.Module):
    """What a bird sees: how many neighbours, the sum of the ways to them, of the ways to those that are too near, and
    of their headings; and its own heading.
    """

    neighbours: Float[Array, " birds"]
    ways: Float[Array, "birds axes"]
    crowd: Float[Array, "birds axes"]
    headings: Float[Array, "birds axes"]
    heading: Float[Array, "birds axes"]


class Flocking(Model):
    """Birds in a box of two or three dimensions; all turn at the same time, or as `activation` says.

    `reach`: a bound on `vision` that lets large flocks be found by lists of cells (see `Box.within`).

    Sites: `place`, `heading` in init; `turn` in a step (`turn/turn` under an activation), whose rule returns the new
    heading, of any length.
    """

    sky: Box = eqx.field(default_factory=lambda: Box((100.0, 100.0), periodic=True))
    birds: int = eqx.field(static=True, default=200)
    vision: Float[Array, ""] = parameter(default=5.0, domain=positive, doc="how far a bird sees")
    cohesion: Float[Array, ""] = parameter(default=0.03, domain=nonnegative, doc="weight of the ways to neighbours")
    separation: Float[Array, ""] = parameter(default=0.015, domain=nonnegative, doc="weight of the ways from the near")
    alignment: Float[Array, ""] = parameter(default=0.05, domain=nonnegative, doc="weight of neighbours' headings")
    distance: Float[Array, ""] = parameter(default=1.0, domain=positive, doc="below which a neighbour is too near")
    speed: Float[Array, ""] = parameter(default=1.0, domain=nonnegative, doc="length flown a step")
    reach: float | None = eqx.field(static=True, default=None)
    activation: Activation | None = None

    def __check_init__(self) -> None:
        if self.birds < 1:
            raise ModelError(f"a flock has one bird or more, not {self.birds}")

    def init(self, draw: Draw) -> Birds:
        size = self.birds, len(self.sky.sides)
        position = draw.uniform("place", size=size) * jnp.asarray(self.sky.sides)
        return Birds(self.sky.inside(position), _direction(draw.normal("heading", size=size), jnp.ones(size)))

    def step(self, draw: Draw, birds: Birds) -> Birds:
        if self.activation is None:
            return self._fly(draw, birds)

        def some(draw: Draw, birds: Birds, who: Float[Array, " birds"]) -> Birds:
            flown = self._fly(draw, birds)
            return jax.tree.map(lambda new, old: jnp.where(who[:, None] > 0, new, old), flown, birds)

        acts = Acts(self.birds, (some,), lambda _: jnp.ones(self.birds), self._fly_one)
        return self.activation.activate(draw, birds, acts)

    def _fly(self, draw: Draw, birds: Birds) -> Birds:
        near = self.sky.within(birds.position, self.vision, self.reach)
        sight = _sight(near.total(self._seen, columns(birds.heading)), birds.heading)
        turned = draw.decide("turn", sight, self._rule)
        heading = _direction(turned, birds.heading)
        return Birds(self.sky.inside(birds.position + self.speed * heading), heading)

    def _fly_one(self, draw: Draw, birds: Birds, bird: Int[Array, ""]) -> Birds:
        """After one bird has looked at all others and flown."""
        others = AllPairs(birds.position, self.vision, Extent(self.sky.sides, self.sky.periodic))
        seen = others.total_of(bird, self._seen, columns(birds.heading))
        position, heading = birds.position[bird, None], birds.heading[bird, None]
        sight = _sight(jax.tree.map(lambda total: total[None], seen), heading)
        turned = _direction(draw.decide("turn", sight, self._rule), heading)
        flown = self.sky.inside(position + self.speed * turned)
        return Birds(birds.position.at[bird].set(flown[0]), birds.heading.at[bird].set(turned[0]))

    def observe(self, birds: Birds) -> dict[str, Array]:
        """The length of the mean heading: 1 if all fly in one direction."""
        return {"order": jnp.sqrt((birds.heading.mean(axis=0) ** 2).sum())}

    def _seen(self, pair: Pair) -> tuple[Array, tuple[Array, ...], tuple[Array, ...], tuple[Array, ...]]:
        """What a neighbour adds to a sight."""
        crowd = pair.square < self.distance**2
        return jnp.float32(1.0), pair.apart, tuple(jnp.where(crowd, way, 0.0) for way in pair.apart), pair.theirs

    def _rule(self, sight: Sight, draw: Draw) -> Float[Array, "birds axes"]:
        """Wilensky's: the mean over neighbours of what pulls, added to one's own heading."""
        del draw
        pull = self.cohesion * sight.ways - self.separation * sight.crowd + self.alignment * sight.headings
        return sight.heading + pull / jnp.maximum(sight.neighbours, 1.0)[:, None]


def _sight(seen: Any, heading: Float[Array, "birds axes"]) -> Sight:
    """Of what was seen of all neighbours, an axis at a time."""
    count, *sums = seen
    ways, crowd, mates = (jnp.stack(parts, axis=1) for parts in sums)
    return Sight(count, ways, crowd, mates, heading)


def _direction(way: Float[Array, "birds axes"], otherwise: Float[Array, "birds axes"]) -> Float[Array, "birds axes"]:
    """`way` at length 1; `otherwise` where it has none."""
    square = (way**2).sum(axis=1, keepdims=True)
    return jnp.where(square > 0, way / jnp.sqrt(jnp.where(square > 0, square, 1.0)), otherwise)
