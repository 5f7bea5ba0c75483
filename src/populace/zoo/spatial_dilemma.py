"""Cooperation on a lattice: everybody plays with its neighbours and takes over what did best among them.

Martin Nowak and Robert May (1992, Nature 359:826). Cells hold a player who cooperates or defects. A pair of cooperators
gets 1 each; a defector gets `temptation` from a cooperator; nothing else is paid. Everybody plays with the eight cells
around and with itself, adds up, and takes over the strategy of whoever has most among these nine (its own, where a
cooperator and a defector have the same).

Facts it must reproduce (tests/zoo): with temptation between 1.8 and 2, when all act at once, cooperators and defectors
chase each other for ever, with a share of cooperators near 12 log 2 - 8 = .318 on large lattices; and one defector
among cooperators grows into a pattern with all symmetries of the square. When they act one after the other in random
order, cooperation dies out at temptation 1.85 (Bernardo Huberman and Natalie Glance 1993, Proceedings of the National
Academy of Sciences 90:7716): what had been called an explanation of cooperation was a consequence of the clock.
"""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..core.activation import Activated, Activation, Synchronous
from ..core.domain import nonnegative, unit
from ..core.draw import Draw
from ..core.model import parameter
from ..interact.grid import Grid
from ..interact.stencil import folded

_NOTHING = -1.0
"""Less than anybody is paid: what stands for the best of none."""


class Best(eqx.Module):
    """What a player knows, (cells,) float32: its own strategy, and the best pay of a cooperator and of a defector among
    the nine, -1 where there is none.
    """

    own: Float[Array, " cells"]
    cooperator: Float[Array, " cells"]
    defector: Float[Array, " cells"]


class SpatialDilemma(Activated):
    """State: 1 for a cooperator, 0 for a defector, (cells,). Sites: `cooperate` in init; `turn/copy` in a step.

    Observed: `cooperators`, their share.
    """

    grid: Grid = eqx.field(default_factory=lambda: Grid(60, 60, periodic=True))
    temptation: Float[Array, ""] = parameter(default=1.85, domain=nonnegative, doc="pay of who exploits a cooperator")
    start: Float[Array, ""] = parameter(default=0.9, domain=unit, doc="share of cooperators at the start")
    activation: Activation = Synchronous()

    @property
    def agents(self) -> int:
        return self.grid.size

    def init(self, draw: Draw) -> Float[Array, " cells"]:
        return draw.bernoulli("cooperate", self.start, size=self.grid.size)

    def act(self, draw: Draw, state: Float[Array, " cells"], who: Float[Array, " cells"]) -> Float[Array, " cells"]:
        pay = (self.grid.sum(state) + state) * jnp.where(state > 0, 1.0, self.temptation)
        best = Best(state, self._best(pay, state > 0), self._best(pay, state == 0))
        return jnp.where(who > 0, draw.decide("copy", best, imitate, where=who), state)

    def observe(self, state: Float[Array, " cells"]) -> dict[str, Array]:
        return {"cooperators": state.mean()}

    def _best(self, pay: Float[Array, " cells"], among: Array) -> Float[Array, " cells"]:
        """The largest pay of some among each cell and its neighbours."""
        own = jnp.where(among, pay, _NOTHING)
        table = own.reshape(self.grid.rows, self.grid.columns)
        around = folded(table, self.grid.near, self.grid.periodic, jnp.maximum, _NOTHING)
        return jnp.maximum(own, around.reshape(self.grid.size))


def imitate(seen: Best, draw: Draw) -> Float[Array, " cells"]:
    """The strategy of the best paid; one's own where both kinds have the same."""
    better = (seen.cooperator > seen.defector).astype(jnp.float32)
    return jnp.where(seen.cooperator == seen.defector, seen.own, better)
