"""Riots: people who join once enough others have, each with a threshold of its own.

Granovetter (1978, American Journal of Sociology 83:1420). Of N people those act in the next step who acted before, or
whose threshold is not above the number that acts now.

Facts it must reproduce (tests/zoo): with thresholds 0, 1, .., 99 one person after the other joins until all 100 act,
and with a threshold 2 in place of the 1 a single person does: averages that hardly differ, and ends that have
nothing in common; in large populations the share r that acts in the end is the smallest with F(r) = r, where F is the
distribution of thresholds; with thresholds N(25 %, s^2) it jumps from about 6 % to nearly all as s passes 12.2 %.
"""

import abc

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from .._errors import ModelError
from ..core.domain import nonnegative
from ..core.draw import Draw
from ..core.model import Model, Module, parameter

SLACK = 1e-3
"""Of a person: what rounding may not decide."""


class Thresholds(Module):
    """What it takes for each person to join, in numbers of people who act."""

    @abc.abstractmethod
    def of(self, draw: Draw, agents: int) -> Float[Array, " agents"]:
        """The thresholds of a population: 0 or below for who begins alone, above `agents` for who never joins."""


class Given(Thresholds):
    """One threshold a person, as listed; the default is Granovetter's example of a hundred people."""

    number: Float[Array, " agents"] = eqx.field(default_factory=lambda: jnp.arange(100.0), converter=jnp.asarray)

    def of(self, draw: Draw, agents: int) -> Float[Array, " agents"]:
        if self.number.shape != (agents,):
            raise ModelError(f"there are {agents} agents, and thresholds of shape {self.number.shape}: list one each")
        return self.number.astype(jnp.float32)


class Normal(Thresholds):
    """Thresholds from a normal law, as shares of the population."""

    mean: Float[Array, ""] = parameter(default=0.25, doc="mean threshold, of the population")
    s: Float[Array, ""] = parameter(default=0.122, domain=nonnegative, doc="standard deviation, of the population")

    def of(self, draw: Draw, agents: int) -> Float[Array, " agents"]:
        return agents * (self.mean + self.s * draw.normal("threshold", size=agents))


class Crowd(eqx.Module):
    """What a person sees, (agents,) float32: whether it acts, how many do, and how many it takes for it to join."""

    acts: Float[Array, " agents"]
    number: Float[Array, " agents"]
    threshold: Float[Array, " agents"]


class Granovetter(Model):
    """Sites: those of the thresholds (`threshold`) in init; `join`, `join/enough` in a step. Observed: `acting`, a
    number of people.
    """

    thresholds: Thresholds = eqx.field(default_factory=Given)
    agents: int = eqx.field(static=True, default=100)

    def init(self, draw: Draw) -> Crowd:
        nobody = jnp.zeros(self.agents)
        return Crowd(nobody, nobody, self.thresholds.of(draw, self.agents))

    def step(self, draw: Draw, crowd: Crowd) -> Crowd:
        joined = draw.decide("join", crowd, join_if_enough, where=1.0 - crowd.acts)
        acts = crowd.acts + joined
        return Crowd(acts, jnp.full(self.agents, acts.sum()), crowd.threshold)

    def observe(self, crowd: Crowd) -> dict[str, Array]:
        return {"acting": crowd.acts.sum()}


def join_if_enough(crowd: Crowd, draw: Draw) -> Float[Array, " agents"]:
    """1 for whom so many act as it takes."""
    return draw.threshold("enough", crowd.number - crowd.threshold + SLACK)
