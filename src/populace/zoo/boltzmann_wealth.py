"""Money that changes hands at random: a few become rich, most stay poor.

Dragulescu & Yakovenko (2000, European Physical Journal B 17:723): agents meet in pairs at random, and one pays
the other one unit if he has it.

Facts it must reproduce (tests/zoo): the number of units is kept, exactly; what agents own in the long run follows the
Boltzmann law, which for whole units and `agents` of them is P(own k) = C(units - k + agents - 2, agents - 2) /
C(units + agents - 1, agents - 1), near (1 - x) x^k with x = mean / (1 + mean), and exp(-k / mean) / mean for large
means; its Gini coefficient is near 1/2 for large means.

How agents meet decides the law. Where all who own something pay a neighbour at the same time (`Gifts`, how the
model is often taught), an agent is a queue that serves one customer a step: with one unit each, 2 - sqrt(2) = 59 % own
something and not 50 % (tests/zoo).
"""

import abc

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .._errors import ModelError
from ..core.domain import nonnegative
from ..core.draw import Draw
from ..core.model import Model, parameter
from ..interact.lots import shuffled
from ..interact.topology import Neighbour, Topology

LARGEST = 1024
"""Units that an agent may own for the Gini coefficient to be counted."""


class Meeting(eqx.Module):
    """Who pays whom in a step."""

    @abc.abstractmethod
    def partners(self, draw: Draw, agents: int) -> Neighbour:
        """For each agent the one whom it pays; `present` is 0 for who pays nobody."""


class Pairs(Meeting):
    """Everybody is in one pair, all ways to pair up alike; one of the two, by lot, pays. An odd one is left over."""

    def partners(self, draw: Draw, agents: int) -> Neighbour:
        order = shuffled(draw, "meet", agents)
        half = agents // 2
        index = jnp.zeros(agents, jnp.int32).at[order[:half]].set(order[half : 2 * half])
        return Neighbour(index, jnp.zeros(agents).at[order[:half]].set(1.0))


class Gifts(Meeting):
    """Everybody pays a neighbour at random, all at the same time."""

    contacts: Topology

    def partners(self, draw: Draw, agents: int) -> Neighbour:
        return self.contacts.neighbour(draw, "meet")


class BoltzmannWealth(Model):
    """Agents begin with `mean` units each, rounded down, and pay one another a unit.

    Sites: `meet`, `pay` in a step. The rule at `pay` sees what agents own and says how much each pays; the house's is
    one unit, or nothing if one has none. A rule that pays more than there is makes debts.
    """

    meeting: Meeting = eqx.field(default_factory=Pairs)
    agents: int = eqx.field(static=True, default=1000)
    mean: Float[Array, ""] = parameter(default=1.0, domain=nonnegative, doc="units an agent at the start")

    def __check_init__(self) -> None:
        if self.agents < 2:
            raise ModelError(f"it takes two agents or more to pay one another, not {self.agents}")

    def init(self, draw: Draw) -> Float[Array, " agents"]:
        return jnp.full(self.agents, jnp.floor(self.mean))

    def step(self, draw: Draw, wealth: Float[Array, " agents"]) -> Float[Array, " agents"]:
        partner = self.meeting.partners(draw, self.agents)
        paid = draw.decide("pay", wealth, pay_a_unit, where=partner.present)
        return (wealth - paid).at[partner.index].add(paid)

    def observe(self, wealth: Float[Array, " agents"]) -> dict[str, Array]:
        units = wealth.astype(jnp.int32)
        return {"units": units.sum(), "gini": gini(wealth), "penniless": (units == 0).mean(dtype=jnp.float32)}


def pay_a_unit(wealth: Float[Array, " agents"], draw: Draw) -> Float[Array, " agents"]:
    """One unit, by who has it."""
    return draw.threshold("able", wealth - 0.5)


@jax.custom_jvp
def gini(wealth: Float[Array, " agents"]) -> Float[Array, ""]:
    """The Gini coefficient: half the mean difference of two agents, over the mean; 0 where nobody owns anything.

    Whole units below LARGEST are counted, in a twentieth of the time of a sort; other numbers, and derivatives, are
    sorted.
    """
    units = wealth.astype(jnp.int32)
    countable = ((units == wealth) & (units >= 0) & (units < LARGEST)).all()
    return jax.lax.cond(countable, _gini_of_counts, _gini_of_ranks, wealth)


@gini.defjvp
def _gini_derivative(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    return jax.jvp(_gini_of_ranks, primals, tangents)


def _gini_of_ranks(wealth: Float[Array, " agents"]) -> Float[Array, ""]:
    agents = wealth.shape[0]
    rank = 2.0 * jnp.arange(1, agents + 1) - agents - 1.0
    return _over(wealth, (rank / agents * jnp.sort(wealth)).sum())


def _gini_of_counts(wealth: Float[Array, " agents"]) -> Float[Array, ""]:
    """Who is among the c that own k, after b who own less, has the mean rank b + (c + 1) / 2."""
    agents = wealth.shape[0]
    count = jnp.zeros(LARGEST, jnp.int32).at[wealth.astype(jnp.int32)].add(1)
    rank = 2.0 * (jnp.cumsum(count) - count) + count - agents
    return _over(wealth, (rank / agents * (count * jnp.arange(LARGEST, dtype=jnp.float32))).sum())


def _over(wealth: Float[Array, " agents"], spread: Float[Array, ""]) -> Float[Array, ""]:
    total = wealth.sum()
    return jnp.where(total > 0, spread / jnp.where(total > 0, total, 1.0), 0.0)
