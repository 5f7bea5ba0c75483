"""Interface trials: throw-away code that leans on the frozen interfaces as later rooms will."""

from collections.abc import Callable

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import pytest
from jaxtyping import Array, Float

import populace as pop


class People(eqx.Module):
    infected: Float[Array, " agents"]
    recovered: Float[Array, " agents"]


class SIR(pop.Model):
    contacts: pop.Topology
    beta: Float[Array, ""] = pop.parameter(default=0.1, domain=pop.positive)
    gamma: Float[Array, ""] = pop.parameter(default=0.2, domain=pop.unit)
    seeded: Float[Array, ""] = pop.parameter(default=0.1, domain=pop.unit)

    def init(self, draw):
        ill = draw.bernoulli("seed", self.seeded, size=self.contacts.size)
        return People(ill, 0 * ill)

    def step(self, draw, people):
        susceptible = 1 - people.infected - people.recovered
        pressure = self.contacts.sum(people.infected)
        caught = draw.bernoulli("infect", -jnp.expm1(-self.beta * pressure), where=susceptible)
        healed = draw.bernoulli("recover", self.gamma, where=people.infected)
        return People(people.infected + caught - healed, people.recovered + healed)

    def observe(self, people):
        return {"infected": people.infected.sum(), "recovered": people.recovered.sum()}


@pytest.fixture
def sir() -> Callable[[int], SIR]:
    """An epidemic on a small world of so many agents."""
    return lambda agents: SIR(pop.small_world(jr.key(0), agents, degree=4, rewire=0.1))
