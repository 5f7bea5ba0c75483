"""Birth, death and migration on a lattice with one place a cell.

The model of Nardini, Baker, Simpson and Flores (2021, Journal of the Royal Society Interface 18:20200987). On a
periodic lattice each agent tries to move at rate 1 and to give birth at rate `birth`, into one of its four neighbours
at random and only if that is empty, and dies at rate `death`. Mean field: dC/dt = birth C (1 - C) - death C for the
density C; it is right where movement mixes agents faster than births cluster them.

A step is an interval of time in `turns` turns. Each visits a ninth of the cells, far enough apart not to meet, and
whoever stands there has an event with probability x = 9 rates x interval / turns, at the most one. Expected numbers of
events are right for any x up to 1; what a large x does to correlations is measured in docs/design/coarse.md.

Facts it must reproduce (tests/zoo): without births and deaths nobody is lost, and all arrangements are alike; with few
births and much movement the density follows the mean field; with many births it stays below it, and agents cluster.
"""

import math

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from .._errors import ModelError
from ..core.domain import nonnegative, positive, unit
from ..core.draw import Draw
from ..core.model import Model, parameter
from .sublattices import Sublattices


def turns_for(rate: float, interval: float, short: float = 0.5) -> int:
    """Turns of a step of length `interval` in which agents have events at `rate` (of all kinds together), with the
    probability `short`, at the most, of an event at a turn.
    """
    if not (rate > 0 and interval > 0 and short > 0):
        raise ModelError(f"rate, interval and short are above 0, not {rate}, {interval}, {short}")
    return max(1, math.ceil(9.0 * rate * interval / short))


class BirthDeathMigration(Model):
    """Agents on a lattice. `Sublattices(120, 120)` is the paper's; `turns`: see `turns_for`.

    Sites: `settle` in init, which places exactly round(start x cells) agents; `turn/event`, whose whole part is a
    direction and whose fraction says what happens; `busy`, which faults where turns are too few. Observed:
    `density`; `pairs`, the share of neighbouring pairs of cells with two agents (density^2 were agents independent);
    `growth`, the rate at which the density is expected to grow from this very state, birth (density - pairs) - death
    density: the exact equation, in which pairs must be known.
    """

    lattice: Sublattices
    turns: int = eqx.field(static=True, default=24)
    birth: Float[Array, ""] = parameter(default=0.01, domain=nonnegative, unit="1/time", doc="tries to give birth")
    death: Float[Array, ""] = parameter(default=0.005, domain=nonnegative, unit="1/time", doc="deaths")
    move: Float[Array, ""] = parameter(default=1.0, domain=nonnegative, unit="1/time", doc="tries to move")
    start: Float[Array, ""] = parameter(default=0.05, domain=unit, doc="density at time 0")
    interval: Float[Array, ""] = parameter(default=1.0, domain=positive, unit="time", doc="length of a step")

    def init(self, draw: Draw) -> Bool[Array, "planes rows columns"]:
        scores = draw.uniform("settle", size=(self.lattice.rows, self.lattice.columns))
        return self.filled(scores, self.start)

    def filled(
        self, scores: Float[Array, "rows columns"], density: Float[Array, ""]
    ) -> Bool[Array, "planes rows columns"]:
        """A state with exactly round(density x cells) agents, on the cells with the lowest scores."""
        order = jnp.argsort(scores.reshape(-1))
        count = jnp.round(density * self.lattice.size)
        taken = jnp.zeros(self.lattice.size, bool).at[order].set(jnp.arange(self.lattice.size) < count)
        return self.lattice.split(taken.reshape(scores.shape))

    def step(self, draw: Draw, planes: Bool[Array, "planes rows columns"]) -> Bool[Array, "planes rows columns"]:
        rates = jnp.stack([self.birth, self.death, self.move])
        born, dead, moved = jnp.cumsum(rates) * float(self.lattice.stride**2) * self.interval / self.turns

        def update(towards: Array, event: Array, here: Array, around: Array) -> tuple[Array, Array]:
            dies = (event >= born) & (event < dead)
            goes = towards & ~around & (here & (event < moved) & ~dies)
            leaves = dies | (event >= dead) & goes.any(0)
            return here & ~leaves, around | goes

        return self.lattice.turns(draw, planes, self.turns, moved, update)

    def observe(self, planes: Bool[Array, "planes rows columns"]) -> dict[str, Array]:
        cells = self.lattice.join(planes)
        down, right = ((cells & jnp.roll(cells, 1, axis)).mean(dtype=jnp.float32) for axis in (0, 1))
        density, pairs = cells.mean(dtype=jnp.float32), (down + right) / 2.0
        return {"density": density, "pairs": pairs, "growth": self.birth * (density - pairs) - self.death * density}
