"""Firms that form, grow and fall apart as people move to where their work is worth most to them.

A simplified form of Axtell (1999, The emergence of firms in a population of agents, Brookings Institution, Center on
Social and Economic Dynamics, working paper 3). Agent i cares for income by theta[i] and for leisure by 1 - theta[i],
and puts in an effort e from 0 to 1. A firm whose n members put in E together makes a E + b E^2 and shares it equally:

    U = ((a E + b E^2) / n)^theta (1 - e)^(1 - theta).

With Eo the others' effort and T = 1 + Eo the best one is e = E - Eo, or 0 if that is less, where E is the root above 0
of b (1 + theta) E^2 + (a - 2 b theta T) E - a theta T = 0. In a turn one agent at random works out its best in its own
firm, in those of its friends and in a firm of its own, and takes the best of these; it stays where it is no worse.

What is simpler here: returns grow with the square of effort (in the paper with any power), everybody has the same
a and b, and a step is a given number of turns.

Facts it must reproduce (tests/zoo): the best effort is where U is greatest; nobody who has just moved is worse off than
alone; efforts and members are kept count of exactly; firms of several form out of people who work alone, and no firm
lasts: the largest is soon another one; sizes are skew, many small and few large.
"""

from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from .._errors import ModelError
from .._types import Key
from ..core.domain import nonnegative, positive
from ..core.draw import Draw
from ..core.model import Model, parameter
from ..core.noise import host_generator


class People(NamedTuple):
    """Each agent's taste for income, effort and firm, a number from 0; of each number the members and their effort."""

    theta: Float[Array, " agents"]
    effort: Float[Array, " agents"]
    firm: Int[Array, " agents"]
    members: Float[Array, " agents"]
    total: Float[Array, " agents"]


class Offers(NamedTuple):
    """Firms that an agent may work in, the first its own: the effort of the others in each, and how many work there
    with the agent; and the agent's taste, as often.
    """

    others: Float[Array, " offers"]
    members: Float[Array, " offers"]
    theta: Float[Array, " offers"]


class AxtellFirms(Model):
    """All begin alone. **Arguments:** `friends` (agents, friends): whom each agent knows, numbers from 0.

    Sites: `taste` in init; `turn/who` in a step. Observed: `firms`, how many there are; `largest`, its members, and
    `name`, its number; `output`, an agent; `effort`, the mean.
    """

    friends: Int[Array, "agents friends"] = eqx.field(converter=jnp.asarray)
    a: Float[Array, ""] = parameter(default=1.0, domain=nonnegative, doc="output of a unit of effort")
    b: Float[Array, ""] = parameter(default=1.0, domain=positive, doc="what working together adds")
    turns: int = eqx.field(static=True, default=100)

    def __check_init__(self) -> None:
        if self.friends.ndim != 2 or not jnp.issubdtype(self.friends.dtype, jnp.integer):
            raise ModelError(f"friends are whole numbers (agents, friends), not {self.friends.shape}")

    def init(self, draw: Draw) -> People:
        agents = self.friends.shape[0]
        theta = draw.uniform("taste", size=agents)
        alone, place = jnp.zeros(agents), jnp.arange(agents, dtype=jnp.int32)
        effort = self.best(Offers(alone, alone + 1.0, theta))
        return People(theta, effort, place, alone + 1.0, effort)

    def step(self, draw: Draw, people: People) -> People:
        def turn(draw: Draw, _: Array, now: People) -> People:
            share = draw.uniform("who", size=())
            return self.moved(now, jnp.minimum((share * len(now.theta)).astype(jnp.int32), len(now.theta) - 1))

        after = draw.loop("turn", self.turns, turn, people)
        summed = jnp.zeros_like(after.total).at[after.firm].add(after.effort)  # what adding and taking off has rounded
        return after._replace(total=summed)

    def observe(self, people: People) -> dict[str, Array]:
        made = (people.members > 0) * self.output(people.total)
        return {
            "firms": (people.members > 0).sum(),
            "largest": people.members.max(),
            "name": people.members.argmax(),
            "output": made.sum() / len(people.theta),
            "effort": people.effort.mean(),
        }

    def output(self, effort: Float[Array, "..."]) -> Float[Array, "..."]:
        """What a firm makes."""
        return self.a * effort + self.b * effort**2

    def best(self, offers: Offers) -> Float[Array, " offers"]:
        """The best effort in each firm."""
        everyone, weight = 1.0 + offers.others, self.b * (1.0 + offers.theta)
        middle = self.a - 2.0 * self.b * offers.theta * everyone
        total = (jnp.sqrt(middle**2 + 4.0 * weight * self.a * offers.theta * everyone) - middle) / (2.0 * weight)
        return jnp.clip(total - offers.others, 0.0, 1.0)

    def utility(self, offers: Offers, effort: Float[Array, " offers"]) -> Float[Array, " offers"]:
        """U of an effort in each firm."""
        income = self.output(offers.others + effort) / offers.members
        return income**offers.theta * (1.0 - effort) ** (1.0 - offers.theta)

    def moved(self, now: People, agent: Int[Array, ""]) -> People:
        """After the turn of one agent."""
        home, own = now.firm[agent], now.effort[agent]
        free = jnp.where(now.members[home] > 1, now.members.argmin(), home).astype(jnp.int32)
        firms = jnp.concatenate([home[None], now.firm[self.friends[agent]], free[None]])
        here = firms == home
        others = jnp.where(here, now.total[firms] - own, now.total[firms])
        offers = Offers(
            jnp.maximum(others, 0.0), now.members[firms] + 1.0 - here, jnp.full(firms.shape, now.theta[agent])
        )
        effort = self.best(offers)
        chosen = self.utility(offers, effort).argmax()
        goal, new = firms[chosen], effort[chosen]
        return People(
            now.theta,
            now.effort.at[agent].set(new),
            now.firm.at[agent].set(goal),
            now.members.at[home].add(-1.0).at[goal].add(1.0),
            now.total.at[home].add(-own).at[goal].add(new),
        )


def random_friends(key: Key, agents: int, count: int) -> AxtellFirms:
    """The model for agents of whom each knows `count` others at random, some perhaps twice.

    **Raises:** `ModelError` for fewer than two agents or no friend.
    """
    if agents < 2 or count < 1:
        raise ModelError(f"two agents and one friend are the least, not {agents} and {count}")
    other = host_generator(key).integers(agents - 1, size=(agents, count))
    own = jnp.arange(agents)[:, None]
    return AxtellFirms(jnp.asarray(other + (other >= own), jnp.int32))
