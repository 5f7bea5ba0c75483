"""Cascades on random networks: one agent in thousands that sets off nearly all of them, or nobody.

Watts (2002, Proceedings of the National Academy of Sciences 99:5766). An agent turns active for good once a share phi
of its neighbours is; one at random is active at the start. With degrees of law p_k and mean z, agents with no more than
K = floor(1 / phi) neighbours turn with a single one: the vulnerable.

Facts it must reproduce (tests/zoo), on large random networks: cascades run through the whole where the vulnerable
percolate, sum over k <= K of k (k - 1) p_k > z; with Poisson degrees and phi = .18 this is the window 1.02 < z < 5.76.
Let h = 1 - sum over k <= K of k p_k (1 - h^(k-1)) / z; then an agent sets off a global cascade with probability
1 - sum of p_k h^k. The share that a global cascade reaches solves the equations of Gleeson and Cahalane (2007, Physical
Review E 75:056103). At the lower end of the window sizes have a heavy tail, that of the clusters of a percolation
near its threshold; near the upper end cascades are rare, and reach nearly all.
"""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..core.domain import unit
from ..core.draw import Draw
from ..core.model import Model, parameter
from ..interact.topology import Topology

SLACK = 1e-4
"""Of a neighbour: what rounding may not decide."""


class Around(eqx.Module):
    """What an agent sees, (agents,) float32: how many neighbours are active, how many there are, and the share phi that
    it takes.
    """

    active: Float[Array, " agents"]
    all: Float[Array, " agents"]
    share: Float[Array, " agents"]


class WattsCascade(Model):
    """Sites: `seed` in init; `adopt`, `adopt/enough` in a step. Observed: `active`, the share of agents; `turned`, how
    many turned active in the step.
    """

    contacts: Topology
    phi: Float[Array, ""] = parameter(default=0.18, domain=unit, doc="share of active neighbours that it takes")
    seeds: int = eqx.field(static=True, default=1)

    def init(self, draw: Draw) -> dict[str, Float[Array, " agents"]]:
        nobody = jnp.zeros(self.contacts.size)
        active = nobody.at[draw.choice("seed", self.contacts.size, self.seeds)].set(1.0)
        return {"active": active, "turned": nobody}

    def step(self, draw: Draw, state: dict[str, Float[Array, " agents"]]) -> dict[str, Float[Array, " agents"]]:
        active, all_ = state["active"], self.contacts.degree()
        around = Around(self.contacts.sum(active), all_, jnp.full(all_.shape, self.phi))
        turned = draw.decide("adopt", around, adopt_if_enough, where=(1.0 - active) * (all_ > 0))
        return {"active": active + turned, "turned": turned}

    def observe(self, state: dict[str, Float[Array, " agents"]]) -> dict[str, Array]:
        return {"active": state["active"].mean(), "turned": state["turned"].sum()}


def adopt_if_enough(around: Around, draw: Draw) -> Float[Array, " agents"]:
    """1 where the share of active neighbours has reached what it takes."""
    return draw.threshold("enough", around.active - around.share * around.all + SLACK)
