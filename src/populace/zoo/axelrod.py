"""The dissemination of culture: neighbours who are alike talk, and become more alike; some never talk.

Axelrod (1997, Journal of Conflict Resolution 41:203). A site of a grid has F features with one of q traits each. A site
and one of its four neighbours talk with a probability that is the share of features that they have in common; if they
do, the site takes over one of the traits in which they differ. A tie is active if the two have something in common, but
not all.

In a step every site picks a neighbour, lots decide among pairs that overlap, and the pairs that are left act: what
they would do one after the other, in any order: three of ten sites a step. (On a grid with borders the sites in the
corners, whom fewer ask, act a sixth more often than those in the middle; in the paper all act alike.)

Facts it must reproduce (tests/zoo): the run ends when no tie is active; at the start two neighbours have k features
in common with the binomial probability of 1/q; with F = 5 few traits end in one culture and many in fragments, more
regions the more traits and the fewer the fewer features; the change between the two is sharp, from a largest region of
nearly all sites to one of a few (Castellano, Marsili and Vespignani 2000, Physical Review Letters 85:3536).
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from .._errors import ModelError
from ..core.domain import Domain
from ..core.draw import Draw
from ..core.model import Model, parameter
from ..interact.grid import Grid
from ..interact.lots import NOBODY, lots
from ..interact.neighbourhood import VonNeumann
from ..interact.topology import sampled

_ODD = 2654435761
"""Odd, so that the code of a culture modulo 2^32 forgets no feature."""


class Axelrod(Model):
    """The state is `trait` (sites, features), whole numbers from 0; sites are numbered row by row.

    Sites: `trait` in init; `meet`, `lot`, `talk`, `feature` in a step. Observed: `active`, the share of ties that are;
    `alike`, the mean share of common features of neighbours; `cultures`, how many different ones there are, and
    `largest`, the share of sites with the commonest (told apart by a code of 32 bits).
    """

    rows: int = eqx.field(static=True, default=10)
    columns: int = eqx.field(static=True, default=10)
    F: int = eqx.field(static=True, default=5)
    q: Float[Array, ""] = parameter(default=15, domain=Domain(low=1.0), doc="traits a feature, a whole number")
    periodic: bool = eqx.field(static=True, default=False)

    def __check_init__(self) -> None:
        if self.F < 1 or self.rows * self.columns < 2:
            raise ModelError(f"two sites and a feature are the least, not {self.rows} x {self.columns}, F = {self.F}")

    @property
    def land(self) -> Grid:
        """Who is beside whom."""
        return Grid(self.rows, self.columns, VonNeumann(), self.periodic)

    def init(self, draw: Draw) -> Int[Array, "sites features"]:
        sites = self.rows * self.columns
        share = draw.uniform("trait", size=(sites, self.F))
        return jnp.minimum(jnp.floor(share * self.q), jnp.ceil(self.q) - 1.0).astype(jnp.int32)

    def step(self, draw: Draw, trait: Int[Array, "sites features"]) -> Int[Array, "sites features"]:
        met = self.land.neighbour(draw, "meet")
        acts = apart(lots(draw.uniform("lot", size=trait.shape[0])), met.index) * met.present
        theirs = trait[met.index]
        differs = trait != theirs
        many = differs.sum(axis=1)
        talks = draw.bernoulli("talk", (self.F - many) / self.F, where=acts * (many > 0))
        place = sampled(draw.uniform("feature", size=trait.shape[0]), many)
        taken = differs & (jnp.cumsum(differs, axis=1) - 1 == place[:, None]) & (talks > 0)[:, None]
        return jnp.where(taken, theirs, trait)

    def observe(self, trait: Int[Array, "sites features"]) -> dict[str, Array]:
        common = self.common(trait)
        code = jnp.zeros(trait.shape[0], jnp.uint32)
        for feature in range(self.F):
            code = code * jnp.uint32(_ODD) + trait[:, feature].astype(jnp.uint32)
        code = jnp.sort(code)
        place, first = jnp.arange(1, code.shape[0] + 1), jnp.diff(code, prepend=code[0] - jnp.uint32(1)) != 0
        before = jax.lax.cummax(jnp.where(first, place - 1, 0))
        return {
            "active": ((common > 0) & (common < self.F)).mean(dtype=jnp.float32),
            "alike": common.mean(dtype=jnp.float32) / self.F,
            "cultures": first.sum(),
            "largest": (place - before).max() / code.shape[0],
        }

    def common(self, trait: Int[Array, "sites features"]) -> Int[Array, " ties"]:
        """How many features the two ends of each tie have in common: ties along the rows, then along the columns."""
        table = trait.reshape(self.rows, self.columns, self.F)
        ends = []
        for axis in (1, 0):
            if self.periodic:
                ends.append((table, jnp.roll(table, -1, axis)))
            else:
                ends.append((table[:, :-1], table[:, 1:]) if axis else (table[:-1], table[1:]))
        return jnp.concatenate([(one == other).sum(axis=2).reshape(-1) for one, other in ends])


def apart(lot: Int[Array, " sites"], met: Int[Array, " sites"]) -> Bool[Array, " sites"]:
    """Which sites have the least lot of all who meet them or whom they meet: their pairs do not overlap."""
    least = jnp.full(lot.shape, NOBODY, jnp.int32).at[met].min(lot)
    least = jnp.minimum(least, lot)
    return (least == lot) & (least[met] == lot)
