"""Steady partnerships: everybody has one partner or none, and couples form and part while a model runs.

The pairs of Dietz and Hadeler (1988, Journal of Mathematical Biology 26:1): singles find a partner at a rate rho,
couples part at a rate sigma, so that partnerships last 1 / sigma in the mean and a share rho / (rho + sigma) has a
partner.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Shaped

from .._errors import ModelError
from ..core.draw import Draw
from .blocks import linear
from .topology import Neighbour, Topology, per_agent


class Partnerships(Topology):
    """Who is whose partner, at most one each: A[i, j] = 1 where i and j are a couple. Put it into the state.

    `partner` (agents,) int32: the partner, -1 for a single; `since` (agents,) int32: the time at which the couple
    formed. Made by `Partnerships.none(agents)` and changed by `formed` and `ended`, which keep it mutual whatever they
    are given.

    In a step, with hazards `rho` and `sigma` a unit of time and steps of length `dt`:

        parts = draw.bernoulli("part", -jnp.expm1(-sigma * dt), where=couples.leads)
        seeks = draw.bernoulli("seek", -jnp.expm1(-rho * dt), where=1 - couples.coupled)
        met = pop.paired(draw, "meet", agents, where=seeks)
        couples = couples.ended(parts).formed(met, draw.time)

    Of an odd number that seeks one finds nobody. Who may meet whom is what makes `met`: `paired` with groups or sides,
    or for few agents `stable_matching` by what they think of each other, with scores (agents, agents) that are minus
    infinity but from one side to the other. The partners of the dead: `couples.ended(1 - people.alive)`.
    """

    partner: Int[Array, " agents"]
    since: Int[Array, " agents"]

    def __init__(self, partner: Int[Array, " agents"], since: Int[Array, " agents"]):
        """Of partners that are mutual; use `Partnerships.none`."""
        self.partner, self.since = partner, since

    @classmethod
    def none(cls, agents: int) -> "Partnerships":
        """All single.

        **Raises:** `ModelError` for no agent.
        """
        if agents < 1:
            raise ModelError(f"a population has one agent or more, not {agents}")
        return cls(jnp.full(agents, -1, jnp.int32), jnp.zeros(agents, jnp.int32))

    @property
    def size(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The number of agents."""
        return self.partner.shape[0]

    # A topology

    def sum(self, values: Shaped[Array, "agents *features"]) -> Float[Array, "agents *features"]:
        mate = jax.lax.stop_gradient(self._mate())
        return linear(mate.take, mate.take, per_agent(values, self.size))

    def degree(self) -> Float[Array, " agents"]:
        return self.coupled

    def neighbour(self, draw: Draw, name: str) -> Neighbour:
        """The partner: nothing is drawn."""
        del draw, name
        return self._mate()

    # Couples

    @property
    def coupled(self) -> Float[Array, " agents"]:
        """1 for who has a partner."""
        return (self.partner >= 0).astype(jnp.float32)

    @property
    def leads(self) -> Float[Array, " agents"]:
        """1 for one of each couple, the lower number: what befalls a couple is asked once, where this is 1."""
        return (self.partner > jnp.arange(self.size)).astype(jnp.float32)

    def lasted(self, time: Int[Array, ""] | int) -> Float[Array, " agents"]:
        """For how long each couple has been one at `time`, 0 for singles."""
        return self.coupled * (jnp.asarray(time) - self.since)

    def formed(self, met: Neighbour, time: Int[Array, ""] | int) -> "Partnerships":
        """With couples of those who met: each the other's, both single until now. All others stay as they are.

        **Arguments:** `met`: whom each agent met, as `paired` finds it; or said of one side alone, as by
        `stable_matching`: who met nobody met the one who met it (the lowest number of several); `time`: `draw.time`.
        """
        agent, single = jnp.arange(self.size, dtype=jnp.int32), self.partner < 0
        found = jnp.where((met.present > 0) & single, jnp.asarray(met.index, jnp.int32), -1)
        asked = jnp.where(found >= 0, found, self.size)
        by = jnp.full(self.size, self.size, jnp.int32).at[asked].min(agent, mode="drop")
        found = jnp.where((found < 0) & single & (by < self.size), by, found)
        back = found.at[jnp.where(found >= 0, found, self.size)].get(mode="fill", fill_value=-1)
        fresh = (back == agent) & (found != agent)
        return Partnerships(jnp.where(fresh, found, self.partner), jnp.where(fresh, jnp.int32(time), self.since))

    def ended(self, where: Shaped[Array, " agents"] | Bool[Array, " agents"]) -> "Partnerships":
        """Without the couples of which `where` (agents,) marks the one or the other."""
        marked = jnp.asarray(where) > 0
        over = marked | self._mate().take(marked)
        return Partnerships(jnp.where(over, -1, self.partner), jnp.where(over, 0, self.since))

    def _mate(self) -> Neighbour:
        return Neighbour(jnp.maximum(self.partner, 0), self.coupled)
