"""An epidemic on a network: susceptible, infected, recovered.

The classic of Kermack & McKendrick (1927, Proceedings of the Royal Society A 115:700), agent by agent, with contacts
that need not be everybody's: on a small-world network it is the epidemic of Watts & Strogatz (1998, Nature 393:440).

Facts it must reproduce (tests/zoo): where everybody meets everybody, the share z ever infected in a large outbreak
solves 1 - z = (1 - seeded) exp(-R0 z) with R0 = beta (agents - 1) / gamma, whatever the length of a step; who has no
contact is infected only if he was seeded; a few shortcuts in a ring bring an infection to half of it sooner.
"""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..core.domain import positive, unit
from ..core.draw import Draw
from ..core.model import Model, parameter
from ..interact.topology import Topology


class People(eqx.Module):
    """Who is infected and who has recovered: (agents,) float32, 0 or 1."""

    infected: Float[Array, " agents"]
    recovered: Float[Array, " agents"]


class SIR(Model):
    """Susceptible agents catch an infection from infected contacts, and recover for good. A step is a day.

    Sites: `seed` in init; `infect`, `recover` in a step.
    """

    contacts: Topology
    beta: Float[Array, ""] = parameter(unit="1/day", domain=positive, doc="hazard per infected contact")
    gamma: Float[Array, ""] = parameter(unit="1/day", domain=unit, doc="probability of recovering within a day")
    seeded: Float[Array, ""] = parameter(default=0.01, domain=unit, doc="share of agents infected at time 0")

    def init(self, draw: Draw) -> People:
        ill = draw.bernoulli("seed", self.seeded, size=self.contacts.size)
        return People(ill, jnp.zeros_like(ill))

    def step(self, draw: Draw, people: People) -> People:
        susceptible = 1 - people.infected - people.recovered
        pressure = self.contacts.sum(people.infected)
        caught = draw.bernoulli("infect", -jnp.expm1(-self.beta * pressure), where=susceptible)
        healed = draw.bernoulli("recover", self.gamma, where=people.infected)
        return People(people.infected + caught - healed, people.recovered + healed)

    def observe(self, people: People) -> dict[str, Array]:
        return {"infected": people.infected.sum(), "recovered": people.recovered.sum()}
