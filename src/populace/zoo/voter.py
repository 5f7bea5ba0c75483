"""The voter model: people who take over the opinion of a neighbour at random, until all hold the same.

Clifford and Sudbury (1973, Biometrika 60:581); Holley and Liggett (1975, Annals of Probability 3:643). Each agent wakes
at rate 1 and takes over the opinion of one neighbour. A step of `dt` wakes an agent with probability
w = 1 - exp(-dt), and who wakes together hears what others held before.

Facts it must reproduce (tests/zoo), for every dt: the mean opinion, weighed by degrees, is a martingale, so that all
end with opinion 1 with the probability that it has at the start (a share x of all; on a star half of it is the hub's);
of N agents who all know each other two different ones disagree with probability 2 x (1 - x) (1 - c)^t after t steps,
where c = 2 w (1 - w) / (N - 1) + w^2 (N - 2) / (N - 1)^2; and the time to consensus grows as N, by
-(2 / c) [x log x + (1 - x) log(1 - x)] steps, near N log 2 units of time from x = 1/2 with short steps.
"""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..core.domain import unit
from ..core.draw import Draw
from ..core.model import Model, parameter
from ..interact.grid import Grid
from ..interact.neighbourhood import VonNeumann
from ..interact.topology import Topology


class Heard(eqx.Module):
    """What an agent that wakes knows, (agents,) float32: its own opinion and that of the neighbour it met."""

    own: Float[Array, " agents"]
    other: Float[Array, " agents"]


class Voter(Model):
    """Opinions are 0 or 1. Who has no neighbour keeps its own.

    Sites: `opinion` in init; `meet`, `wake`, `adopt` in a step. Observed: `share`, of agents with opinion 1; `active`,
    the share of ties whose ends disagree.
    """

    contacts: Topology = eqx.field(default_factory=lambda: Grid(40, 40, VonNeumann(), periodic=True))
    x: Float[Array, ""] = parameter(default=0.5, domain=unit, doc="probability of opinion 1 at the start")
    dt: float = eqx.field(static=True, default=0.5)

    def init(self, draw: Draw) -> Float[Array, " agents"]:
        return draw.bernoulli("opinion", self.x, size=self.contacts.size)

    def step(self, draw: Draw, opinion: Float[Array, " agents"]) -> Float[Array, " agents"]:
        met = self.contacts.neighbour(draw, "meet")
        wakes = draw.bernoulli("wake", -jnp.expm1(-jnp.float32(self.dt)), where=met.present)
        taken = draw.decide("adopt", Heard(opinion, met.take(opinion)), take_over, where=wakes)
        return jnp.where(wakes > 0, taken, opinion)

    def observe(self, opinion: Float[Array, " agents"]) -> dict[str, Array]:
        degree, ones = self.contacts.degree(), self.contacts.sum(opinion)
        unlike = (opinion * (degree - ones) + (1.0 - opinion) * ones).sum()
        return {"share": opinion.mean(), "active": unlike / jnp.maximum(degree.sum(), 1.0)}


def take_over(heard: Heard, draw: Draw) -> Float[Array, " agents"]:
    """The opinion of the other."""
    return heard.other
