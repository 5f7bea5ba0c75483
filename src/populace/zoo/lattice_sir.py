"""An epidemic among people who walk on a crowded lattice: how mixing makes or breaks the mean field.

The second model of Nardini, Baker, Simpson and Flores (2021, Journal of the Royal Society Interface 18:20200987). On a
periodic lattice with one person a cell everybody tries to move at rate 1 to one of four neighbouring cells at random,
if that is empty; the ill try to infect whoever stands in one at rate `infect`, and recover at rate `recover`. Mean
field for the shares of cells: dS/dt = -infect S I, dI/dt = infect S I - recover I, with the reproduction number
R0 = infect (S + I) / recover at the start. Turns are those of `BirthDeathMigration`.

Facts it must reproduce (tests/zoo): nobody is lost; without infection the ill decay as exp(-recover t); where people
move little between infections, the epidemic stays below the mean field.
"""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Int8

from ..core.domain import nonnegative, positive, unit
from ..core.draw import Draw
from ..core.model import Model, parameter
from .sublattices import Sublattices

EMPTY, SUSCEPTIBLE, ILL, RECOVERED = range(4)


class LatticeSIR(Model):
    """People on a lattice. `Sublattices(40, 40, 4)` is the paper's; `turns`: stride^2 x rates x interval at least, or
    `busy` faults.

    Sites: `settle` in init, which places exactly the numbers of people that are asked for; `turn/one/plane`;
    `turn/event`, whose whole part is a direction and whose fraction says what happens; `busy`. Observed: `susceptible`,
    `ill`, `recovered`, as shares of cells.
    """

    lattice: Sublattices
    turns: int = eqx.field(static=True, default=32)
    infect: Float[Array, ""] = parameter(default=0.1, domain=nonnegative, unit="1/time", doc="tries to infect")
    recover: Float[Array, ""] = parameter(default=0.01, domain=nonnegative, unit="1/time", doc="recoveries")
    move: Float[Array, ""] = parameter(default=1.0, domain=nonnegative, unit="1/time", doc="tries to move")
    susceptible: Float[Array, ""] = parameter(default=0.49, domain=unit, doc="share of cells at time 0")
    ill: Float[Array, ""] = parameter(default=0.01, domain=unit, doc="share of cells at time 0")
    interval: Float[Array, ""] = parameter(default=1.0, domain=positive, unit="time", doc="length of a step")

    def init(self, draw: Draw) -> Int8[Array, "planes rows columns"]:
        size = self.lattice.size
        order = draw.permutation("settle", size)
        ill, all_ = jnp.round(self.ill * size), jnp.round((self.ill + self.susceptible) * size)
        cells = jnp.where(order < ill, ILL, jnp.where(order < all_, SUSCEPTIBLE, EMPTY)).astype(jnp.int8)
        return self.lattice.split(cells.reshape(self.lattice.rows, self.lattice.columns))

    def step(self, draw: Draw, planes: Int8[Array, "planes rows columns"]) -> Int8[Array, "planes rows columns"]:
        rates = jnp.stack([self.infect, self.recover, self.move])
        infects, recovers, moves = jnp.cumsum(rates) * float(self.lattice.stride**2) * self.interval / self.turns

        def update(towards: Array, event: Array, here: Array, around: Array) -> tuple[Array, Array]:
            caught = towards & (around == SUSCEPTIBLE) & ((here == ILL) & (event < infects))
            goes = towards & (around == EMPTY) & ((here != EMPTY) & (event >= recovers) & (event < moves))
            heals = (here == ILL) & (event >= infects) & (event < recovers)
            after = jnp.where(goes, here, jnp.where(caught, jnp.int8(ILL), around))
            stays = jnp.where(heals, jnp.int8(RECOVERED), here)
            return jnp.where(goes.any(0), jnp.int8(EMPTY), stays), after

        return self.lattice.turns(draw, planes, self.turns, moves, update)

    def observe(self, planes: Int8[Array, "planes rows columns"]) -> dict[str, Array]:
        names = {"susceptible": SUSCEPTIBLE, "ill": ILL, "recovered": RECOVERED}
        return {name: (planes == kind).mean(dtype=jnp.float32) for name, kind in names.items()}
