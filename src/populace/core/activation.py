"""Activation: in which order agents act within a step, apart from what they do.

Whether all act on what was (synchronously) or each on what those before it have just done is an assumption like any
other, and some published results hang on it: Bernardo Huberman and Natalie Glance (1993, Proceedings of the National
Academy of Sciences 90:7716). A model that is written as `Activated` leaves it open; `audit_activation` asks what hangs
on it.
"""

import abc
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from .._errors import ModelError
from .draw import Draw
from .model import Model

Act = Callable[[Draw, Any, Float[Array, " agents"]], Any]
"""From a draw, the state and who acts, 1 or 0 an agent, to the state after they have acted at once."""


Turn = Callable[[Draw, Any, Int[Array, ""]], Any]
"""From a draw, the state and the number of one agent, to the state after that one has gone through all stages."""


class Acts(NamedTuple):
    """What an activation puts in order: how many agents there are, what each does one after the other when it is its
    turn, how often an agent acts in a step by itself, from the state to (agents,), and a way to let one agent act that
    costs less than asking all, where there is one.
    """

    agents: int
    stages: tuple[Act, ...]
    rates: Callable[[Any], Float[Array, " agents"]]
    turn: Turn | None = None

    def all_stages(self, draw: Draw, state: Any, who: Float[Array, " agents"]) -> Any:
        """Those who act go through all stages."""
        for stage in self.stages:
            state = stage(draw, state, who)
        return state


class Activation(eqx.Module):
    """Decides who acts when within a step. Implement one method.

    Sites of a model are found at `turn/...` under every activation but `Staged`.
    """

    @abc.abstractmethod
    def activate(self, draw: Draw, state: Any, acts: Acts) -> Any:
        """The state after one step."""


class Activated(Model):
    """A model whose agents act as `activation` says. Implement `init` and `observe` as of any model, and `act`.

    Declare `activation: pop.Activation = pop.Synchronous()` among the fields, or whichever was published.
    """

    activation: eqx.AbstractVar[Activation]

    @property
    @abc.abstractmethod
    def agents(self) -> int:
        """How many agents there are, static."""

    @abc.abstractmethod
    def act(self, draw: Draw, state: Any, who: Float[Array, " agents"]) -> Any:
        """The state after those in `who` (1 or 0 an agent) have acted, all at once, on what `state` says.

        Whoever is 0 in `who` must stay as it is: mask what is written with `jnp.where(who > 0, new, old)`, and what is
        drawn with `where=who`.
        """

    def stages(self) -> tuple[Act, ...]:
        """What an agent does in its turn, in parts that `Staged` keeps apart (first all move, then all trade)."""
        return (self.act,)

    def alone(self) -> Turn | None:
        """How one agent acts, where that costs less than `act` with a mask of one: for many who act in turn."""
        return None

    def rates(self, state: Any) -> Float[Array, " agents"]:
        """How often each agent acts in a step, for activations in continuous time."""
        return jnp.ones(self.agents)

    def step(self, draw: Draw, state: Any) -> Any:
        return self.activation.activate(draw, state, Acts(self.agents, self.stages(), self.rates, self.alone()))


class Synchronous(Activation):
    """All act at once, each on what was at the beginning of the step."""

    def activate(self, draw: Draw, state: Any, acts: Acts) -> Any:
        return in_groups(draw, state, acts, jnp.zeros(acts.agents, jnp.int32), jnp.arange(1))


class InOrder(Activation):
    """One after the other in the order of their numbers, the same in every step, as plain loops have it."""

    def activate(self, draw: Draw, state: Any, acts: Acts) -> Any:
        return _one_by_one(draw, state, acts, jnp.arange(acts.agents))


class RandomSequential(Activation):
    """Each acts once in a step, one after the other, in an order drawn anew.

    Unless the model says how one agent acts (`Activated.alone`), everything is worked out for all agents at every turn:
    a step costs as much as `agents` synchronous ones. With thousands of agents, `Coloured` is the same for agents who
    act on their neighbours only.
    """

    def activate(self, draw: Draw, state: Any, acts: Acts) -> Any:
        return _one_by_one(draw, state, acts, draw.permutation("order", acts.agents))


class RandomAgents(Activation):
    """As many turns as there are agents, each of one agent drawn with replacement: some act twice, a third not at all.
    It is the usual discrete stand-in for clocks that ring at rate 1.
    """

    def activate(self, draw: Draw, state: Any, acts: Acts) -> Any:
        drawn = draw.uniform("who", 0.0, acts.agents, size=acts.agents)
        return _one_by_one(draw, state, acts, jnp.minimum(drawn.astype(jnp.int32), acts.agents - 1))


class RandomBlocks(Activation):
    """Each acts once in a step, in `blocks` groups drawn anew; those of a group at once."""

    blocks: int = eqx.field(static=True, default=4)

    def __check_init__(self) -> None:
        if self.blocks < 2:
            raise ModelError(f"{self.blocks} blocks: one block is `Synchronous`, take two or more")

    def activate(self, draw: Draw, state: Any, acts: Acts) -> Any:
        place = (
            jnp.zeros(acts.agents, jnp.int32).at[draw.permutation("order", acts.agents)].set(jnp.arange(acts.agents))
        )
        return in_groups(draw, state, acts, place % self.blocks, jnp.arange(self.blocks))


class Staged(Activation):
    """All agents go through the first stage, as `each` says, then all through the second, and so on.

    Sites are found at `0/turn/...`, `1/turn/...`.
    """

    each: Activation

    def activate(self, draw: Draw, state: Any, acts: Acts) -> Any:
        for number, stage in enumerate(acts.stages):
            state = self.each.activate(draw.child(number), state, acts._replace(stages=(stage,), turn=None))
        return state


class Gillespie(Activation):
    """Events in continuous time, exactly (Daniel Gillespie 1977, Journal of Physical Chemistry 81:2340): each agent
    acts at its rate, one at a time, and rates follow the state at once. A step is one unit of time.

    `most`: turns that are made room for; in a step that needs more the site `events/room` faults, and the run with it.
    """

    most: int = eqx.field(static=True)

    def __check_init__(self) -> None:
        if self.most < 1:
            raise ModelError(f"Gillespie makes room for {self.most} events: give twice the largest sum of rates or so")

    def activate(self, draw: Draw, state: Any, acts: Acts) -> Any:
        def turn(draw: Draw, _: Array, carry: tuple[Any, Array]) -> tuple[Any, Array]:
            state, clock = carry
            rates = acts.rates(state)
            total = rates.sum()
            goes = (total > 0) & (clock < 1.0)
            luck = draw.child("clock")
            wait = luck.exponential("wait", jnp.where(goes, total, 1.0), size=())
            clock = jnp.where(goes, clock + wait, 1.0)
            chosen = luck.categorical("whose", jnp.where(rates > 0, jnp.log(rates), -1e30), size=()).one_hot
            return acts.all_stages(draw, state, chosen * (goes & (clock < 1.0))), clock

        state, clock = draw.loop("turn", self.most, turn, (state, jnp.float32(0.0)))
        draw.child("events").bernoulli(
            "room", jnp.where(clock < 1.0, 2.0, 0.0), size=()
        )  # 2 is no probability: a fault
        return state


class TauLeaping(Activation):
    """Continuous time in `leaps` of equal length: in each an agent acts with probability 1 - exp(-rate / leaps), those
    who do at once (Gillespie 2001, Journal of Chemical Physics 115:1716, for events that an agent has once a leap).
    """

    leaps: int = eqx.field(static=True, default=10)

    def __check_init__(self) -> None:
        if self.leaps < 1:
            raise ModelError(f"a step has one leap or more, not {self.leaps}")

    def activate(self, draw: Draw, state: Any, acts: Acts) -> Any:
        def turn(draw: Draw, _: Array, state: Any) -> Any:
            who = draw.bernoulli("acts", -jnp.expm1(-acts.rates(state) / self.leaps))
            return acts.all_stages(draw, state, who)

        return draw.loop("turn", self.leaps, turn, state)


def _one_by_one(draw: Draw, state: Any, acts: Acts, order: Int[Array, " turns"]) -> Any:
    alone = acts.turn
    if alone is None:
        return in_groups(draw, state, acts, jnp.arange(acts.agents), order)
    return draw.loop("turn", order.shape[0], lambda draw, i, state: alone(draw, state, order[i]), state)


def in_groups(draw: Draw, state: Any, acts: Acts, group: Int[Array, " agents"], order: Int[Array, " groups"]) -> Any:
    """Groups act one after the other in an order, the agents of a group at once."""

    def turn(draw: Draw, i: Array, state: Any) -> Any:
        return acts.all_stages(draw, state, (group == order[i]).astype(jnp.float32))

    return draw.loop("turn", order.shape[0], turn, state)
