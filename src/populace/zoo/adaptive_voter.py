"""The adaptive voter model: people who take over an opinion, or turn to those who share theirs.

Holme and Newman (2006, Physical Review E 74, 056108). Agents hold one of N / gamma opinions and have a tie or more to
each other, 4 in the mean in the paper. An agent wakes at rate 1 and looks at one of its ties: with probability phi it
moves the other end to an agent at random of its own opinion, otherwise it takes over the opinion at the other end. A
step of `dt` wakes an agent with probability 1 - exp(-dt), and all who wake act on what was before; of two who move one
tie, one does, by lot. A tie that would double another, or join an agent to itself, stays where it was.

Facts it must reproduce (tests/zoo): the number of ties is kept; with phi = 1 no opinion changes, and the groups at the
end are those of the start, of about gamma agents; with phi = 0 no tie moves, and each component of the network comes to
one opinion; in the end no tie joins two opinions; and between lies a transition, with gamma = 10 and mean degree 4 near
phi = .458 in the paper: below it most agents hold one opinion, above it none is held by many.
"""

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float, Int

from .._errors import ModelError
from ..core.domain import unit
from ..core.draw import Draw
from ..core.model import Model, parameter
from ..interact.dynamic_network import DynamicNetwork
from ..interact.generators import random_network
from ..interact.look import Layer, Look
from ..interact.lots import lots, winners
from ..interact.rewiring import strangers
from .voter import Heard, take_over


class Society(eqx.Module):
    """`opinion` (agents,) int32, and the ties as they stand."""

    opinion: Int[Array, " agents"]
    network: DynamicNetwork


class AdaptiveVoter(Model):
    """Opinions are numbers 0 .. opinions - 1, given out at random at the start. Who has no tie keeps its own.

    Rule of the house at `adopt`: the opinion of the other.

    Sites: `opinion` in init; `meet`, `wake`, `rewire`, `to`, `first`, `adopt` in a step. Observed: `largest`, the share
    of agents with the commonest opinion; `held`, how many opinions are held; `active`, the share of ties whose ends
    disagree; `ties`.
    """

    network: DynamicNetwork = eqx.field(
        default_factory=lambda: DynamicNetwork.of(random_network(jr.key(0), 300, degree=4.0))
    )
    phi: Float[Array, ""] = parameter(default=0.5, domain=unit, doc="probability of moving a tie and not one's mind")
    opinions: int = eqx.field(static=True, default=30)
    dt: float = eqx.field(static=True, default=0.5)

    def __check_init__(self) -> None:
        if self.opinions < 1 or not self.dt > 0.0:
            raise ModelError(f"there is one opinion or more, and dt is above 0, not {self.opinions} and {self.dt}")

    def init(self, draw: Draw) -> Society:
        place = draw.uniform("opinion", 0.0, self.opinions, size=self.network.size)
        return Society(jnp.minimum(place.astype(jnp.int32), self.opinions - 1), self.network)

    def step(self, draw: Draw, society: Society) -> Society:
        opinion, network = society.opinion, society.network
        agents = network.size
        tie = network.pick(draw, "meet")
        met = network.across(tie)
        wakes = draw.bernoulli("wake", -jnp.expm1(-jnp.float32(self.dt)), where=met.present)
        rewires = draw.bernoulli("rewire", self.phi, where=wakes)
        own = jnp.arange(agents, dtype=jnp.int32)
        alike = strangers(draw, "to", own, agents, group=opinion, groups=self.opinions)
        turn = lots(draw.uniform("first", size=agents))
        moves = winners(tie, turn, rewires * alike.present, network.ties.capacity)
        changed = network.redirected(tie, own, alike.index, moves, draw.time)
        taken = draw.decide("adopt", Heard(opinion, met.take(opinion)), take_over, where=wakes - rewires)
        return Society(jnp.where(wakes - rewires > 0, taken, opinion).astype(jnp.int32), changed.network)

    def observe(self, society: Society) -> dict[str, Array]:
        holders, ties = self._holders(society), society.network.ties
        one, other = society.network.at_ends(society.opinion)
        return {
            "largest": holders.max() / society.opinion.shape[0],
            "held": (holders > 0).sum(dtype=jnp.float32),
            "active": (ties.alive * (one != other)).sum() / jnp.maximum(ties.alive.sum(), 1.0),
            "ties": ties.alive.sum(),
        }

    def look(self, society: Society) -> Look:
        """The network as it stands, and the opinions that most hold."""
        rank = jnp.argsort(jnp.argsort(-self._holders(society)))[society.opinion]
        kinds = ("other opinions", "commonest", "second", "third", "fourth")
        return Look(society.network, (Layer("opinion", jnp.where(rank < len(kinds) - 1, rank + 1, 0), kinds),))

    def _holders(self, society: Society) -> Float[Array, " opinions"]:
        return jnp.zeros(self.opinions, jnp.float32).at[society.opinion].add(1.0)
