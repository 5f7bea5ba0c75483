"""Networks whose ties are part of the state: they form, end, and are redirected while a model runs.

Ties are a list without order. A sum over such a list takes less than twice what the blocks of a `Network` take; to sort
the list anew after each change takes a hundred times as long as the sum (docs/design/topologies.md).
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Shaped

from .._errors import ModelError
from ..core.draw import Draw
from ..core.population import Population, births, deaths, founders
from .blocks import linear
from .lots import NOBODY, winners
from .network import Network
from .new_ties import admitted
from .topology import Neighbour, Topology, per_agent


class Ties(Population):
    """A population of ties: `one`, `other` (ties,) int32, the agents at the ends; `since` (ties,) int32, the time at
    which it was formed or last redirected. A slot that is not `alive` is free, and what stands in it means nothing.
    """

    one: Int[Array, " ties"]
    other: Int[Array, " ties"]
    since: Int[Array, " ties"]


class Changed(NamedTuple):
    """A network after a change; `done` (candidates,) float32: 1 for what was asked for and took place."""

    network: "DynamicNetwork"
    done: Float[Array, " candidates"]


class DynamicNetwork(Topology):
    """Agents joined by ties that change: A[i, j] is the number of ties between i and j. Put it into the state.

    Ties count both ways and weigh 1 (for weights a kind of tie see `Layered`), and no tie joins an agent to itself.
    There is room for a fixed number of ties: those that find none are lost, and the run ends with a `CapacityError`
    that says how much is needed, as of every population. Ties are one: `ties.alive` (ties,) says which slots hold a
    tie, and `draw.child("ties")` takes sites of their shape.

    Made by `DynamicNetwork.of(network)` or `DynamicNetwork.empty(agents, room)`, outside of a run.
    """

    size: int = eqx.field(static=True)
    ties: Ties

    @classmethod
    def of(cls, network: Network, room: int | None = None) -> "DynamicNetwork":
        """The ties of a network at the start.

        **Arguments:** `network`: undirected, without weights and loops; `room`: ties that there may be at once, as
        many as the network has if not said.

        **Raises:** `ModelError` for another network, or too little room.
        """
        senders, receivers, weights = network.edges()
        if network.directed or weights is not None or (senders == receivers).any():
            raise ModelError(
                "ties that change count both ways, weigh 1 and join two agents: take a network that is undirected, "
                "without weights and without loops"
            )
        once = senders < receivers
        return cls._of_ends(senders[once], receivers[once], network.size, int(once.sum()) if room is None else room)

    @classmethod
    def empty(cls, agents: int, room: int) -> "DynamicNetwork":
        """`agents` without ties, and room for so many.

        **Raises:** `ModelError` for no agent or no room.
        """
        none = np.zeros(0, np.int32)
        return cls._of_ends(none, none, agents, room)

    @classmethod
    def _of_ends(cls, one: np.ndarray, other: np.ndarray, agents: int, room: int) -> "DynamicNetwork":
        if agents < 1 or room < max(1, len(one)):
            raise ModelError(
                f"{agents} agents with {len(one)} ties in room for {room}: give room for those, and one or more"
            )
        ends = np.zeros((2, room), np.int32)
        ends[:, : len(one)] = one, other
        base = founders(len(one), room)
        return cls(
            agents, Ties(**base, one=jnp.asarray(ends[0]), other=jnp.asarray(ends[1]), since=jnp.zeros(room, jnp.int32))
        )

    # A topology

    def sum(self, values: Shaped[Array, "agents *features"]) -> Float[Array, "agents *features"]:
        here = jax.lax.stop_gradient(self)
        return linear(here._total, here._total, per_agent(values, self.size))

    def degree(self) -> Float[Array, " agents"]:
        one, other = self._ends()
        return jnp.zeros(self.size, jnp.float32).at[one].add(1.0, mode="drop").at[other].add(1.0, mode="drop")

    def neighbour(self, draw: Draw, name: str) -> Neighbour:
        return self.across(self.pick(draw, name))

    # Ties and their ends

    def pick(self, draw: Draw, name: str) -> Int[Array, " agents"]:
        """For each agent one of its ties at random, all alike: the slot, -1 where there is none.

        One uniform number an agent. Each tie of it is given a number made from that and from the slot, and the smallest
        is found: two passes over the ties and no sort.
        """
        share = jax.lax.stop_gradient(draw.uniform(name, 0.0, 1.0, size=self.size))
        own = _mixed(jax.lax.bitcast_convert_type(share, jnp.uint32))
        one, other = self._ends()
        slot = jnp.arange(self.ties.capacity, dtype=jnp.int32)
        lots = [_lot(own.at[end].get(mode="clip"), 2 * slot + side) for side, end in enumerate((one, other))]
        best = (
            jnp.full(self.size, NOBODY, jnp.int32).at[one].min(lots[0], mode="drop").at[other].min(lots[1], mode="drop")
        )
        found = jnp.full(self.size, -1, jnp.int32)
        for end, lot in zip((one, other), lots, strict=True):
            first = best.at[end].get(mode="clip") == lot
            found = found.at[jnp.where(first, end, self.size)].max(slot, mode="drop")
        return found

    def across(self, tie: Int[Array, " agents"]) -> Neighbour:
        """Whom each agent has at the other end of its tie `tie` (agents,), a slot of a tie of its own, -1 for none."""
        present = tie >= 0
        ends = [end.at[jnp.maximum(tie, 0)].get(mode="clip") for end in (self.ties.one, self.ties.other)]
        agent = jnp.arange(self.size, dtype=jnp.int32)
        return Neighbour(jnp.where(present, ends[0] + ends[1] - agent, 0), present.astype(jnp.float32))

    def at_ends(
        self, values: Shaped[Array, "agents *features"]
    ) -> tuple[Shaped[Array, "ties *features"], Shaped[Array, "ties *features"]]:
        """What belongs to the agents at the two ends of each slot; of free slots it means nothing."""
        one, other = (jnp.asarray(values).at[end].get(mode="clip") for end in (self.ties.one, self.ties.other))
        return one, other

    def network(self) -> Network:
        """The network as it stands, on the host: for pictures and for measures of graphs. Not inside a step."""
        there = np.asarray(self.ties.alive) > 0
        return Network.from_edges(
            np.asarray(self.ties.one)[there], np.asarray(self.ties.other)[there], self.size, repeats=True
        )

    # Changes

    def ended(self, where: Float[Array, " ties"] | Bool[Array, " ties"]) -> "DynamicNetwork":
        """The network without the ties in the slots that `where` (ties,) marks."""
        return DynamicNetwork(self.size, deaths(self.ties, where))

    def without(self, agents: Float[Array, " agents"] | Bool[Array, " agents"]) -> "DynamicNetwork":
        """The network without the ties of the agents that are marked: the dead, and those whose slot is reused."""
        one, other = self.at_ends(jnp.asarray(agents) > 0)
        return self.ended(one | other)

    def formed(
        self,
        one: Int[Array, " candidates"],
        other: Int[Array, " candidates"],
        where: Shaped[Array, " candidates"],
        time: Int[Array, ""] | int,
    ) -> Changed:
        """New ties between `one` and `other`, where `where` is positive.

        No tie is formed that would join an agent to itself, that there is already, or that an earlier candidate forms;
        `done` says so.

        **Arguments:** `one`, `other`, `where` (candidates,): any number of candidates; `time`: `draw.time`.
        """
        wanted = jnp.asarray(where) > 0
        done = admitted(self._ends(), (jnp.asarray(one, jnp.int32), jnp.asarray(other, jnp.int32)), wanted, self.size)
        when = jnp.full(done.shape, time, jnp.int32)
        fresh = Ties(**founders(0, done.shape[0]), one=jnp.asarray(one), other=jnp.asarray(other), since=when)
        return Changed(DynamicNetwork(self.size, births(self.ties, fresh, done)), done.astype(jnp.float32))

    def redirected(
        self,
        tie: Int[Array, " candidates"],
        keep: Int[Array, " candidates"],
        to: Int[Array, " candidates"],
        where: Shaped[Array, " candidates"],
        time: Int[Array, ""] | int,
    ) -> Changed:
        """Ties that keep the agent `keep` at one end and get the agent `to` at the other; their number stays.

        All at the same time. A tie stays as it was, and `done` is 0, if it would join an agent to itself or double a
        tie that there was before or that an earlier candidate makes; if `keep` is at neither end; or if an earlier
        candidate redirects it (give candidates in random order, or let `winners` choose, where that matters).

        **Arguments:** `tie`, `keep`, `to`, `where` (candidates,): slots, agents, agents, and which candidates count;
        `time`: `draw.time`.
        """
        tie, keep, to = (jnp.asarray(x, jnp.int32) for x in (tie, keep, to))
        room, ties = self.ties.capacity, self.ties
        there = (tie >= 0) & (ties.alive.at[tie].get(mode="clip") > 0)
        at_one, at_other = (end.at[tie].get(mode="clip") == keep for end in (ties.one, ties.other))
        asks = (jnp.asarray(where) > 0) & there & (at_one | at_other)
        first = winners(tie, jnp.arange(tie.shape[0], dtype=jnp.int32), asks, room) > 0
        done = admitted(self._ends(), (keep, to), first, self.size)
        slot = jnp.where(done, tie, room)
        fields = [
            old.at[slot].set(new, mode="drop")
            for old, new in ((ties.one, keep), (ties.other, to), (ties.since, jnp.full(tie.shape, time, jnp.int32)))
        ]
        changed = eqx.tree_at(lambda t: [t.one, t.other, t.since], ties, fields)
        return Changed(DynamicNetwork(self.size, changed), done.astype(jnp.float32))

    # Inside

    def _ends(self) -> tuple[Int[Array, " ties"], Int[Array, " ties"]]:
        """The ends of each slot, `size` where it is free."""
        there = self.ties.alive > 0
        return jnp.where(there, self.ties.one, self.size), jnp.where(there, self.ties.other, self.size)

    def _total(self, values: Float[Array, "agents *features"]) -> Float[Array, "agents *features"]:
        one, other = self._ends()
        read = [values.at[end].get(mode="clip") for end in (one, other)]
        return jnp.zeros_like(values).at[one].add(read[1], mode="drop").at[other].add(read[0], mode="drop")


def _lot(own: Int[Array, " ties"], place: Int[Array, " ties"]) -> Int[Array, " ties"]:
    """A number from 0 to 2^31 - 1 for each agent's own number and each place."""
    return (_mixed(own ^ _mixed(place.astype(jnp.uint32))) >> 1).astype(jnp.int32)


def _mixed(bits: Int[Array, "..."]) -> Int[Array, "..."]:
    """Each bit of a uint32 changes about half of all bits: multiplications and shifts, one to one."""
    bits = (bits ^ (bits >> 16)) * jnp.uint32(0x7FEB352D)
    bits = (bits ^ (bits >> 15)) * jnp.uint32(0x846CA68B)
    return bits ^ (bits >> 16)
