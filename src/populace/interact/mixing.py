"""Mixing without edges: everyone with everyone, and within groups."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float, Int, Shaped
from numpy.typing import ArrayLike

from .._errors import ModelError
from ..core.draw import Draw
from .lots import by_cell
from .topology import Neighbour, Topology, below, first_above, per_agent, sampled

_FINE = 2**16
"""Agents of whom a share of 24 bits finds all alike, to 1/256."""


class WellMixed(Topology):
    """Everyone meets everyone but himself: A[i, j] = 1 for all i other than j.

    **Arguments:** `size`: the number of agents.
    """

    size: int = eqx.field(static=True)

    def __check_init__(self) -> None:
        if self.size < 1:
            raise ModelError(f"a population has one agent or more, not {self.size}")

    def sum(self, values: Shaped[Array, "agents *features"]) -> Float[Array, "agents *features"]:
        values = per_agent(values, self.size)
        return values.sum(axis=0) - values

    def degree(self) -> Float[Array, " agents"]:
        return jnp.full(self.size, self.size - 1, jnp.float32)

    def neighbour(self, draw: Draw, name: str) -> Neighbour:
        share = jax.lax.stop_gradient(draw.uniform(name, 0.0, 1.0, size=self.size))
        own = jnp.arange(self.size, dtype=jnp.int32)
        other = sampled(share, jnp.full(self.size, self.size - 1, jnp.int32))
        present = jnp.full(self.size, float(self.size > 1), jnp.float32)
        if self.size == 1:
            return Neighbour(own, present)
        return Neighbour(skipping(other, own) if self.size <= _FINE else _ahead(other, own, self.size), present)


def _ahead(steps: Int[Array, " agents"], own: Int[Array, " agents"], size: int) -> Int[Array, " agents"]:
    """Who comes `steps` + 1 after oneself, the last being followed by the first.

    The places that a share of 24 bits finds are not all as likely, by 2 % with a million of them. Counted from the
    first agent some would always be found by more than others are (docs/design/large.md); counted from oneself on
    nobody is.
    """
    return jnp.where(steps + 1 < size - own, own + steps + 1, steps + 1 - (size - own))


class Groups(Topology):
    """Agents meet the other members of their group: A[i, j] = 1 if i and j share one (households, workplaces).

    A group of n costs n numbers where a network would hold n (n - 1) edges.

    **Arguments:** `membership`: (agents,) integers, each agent's group in 0 .. groups - 1, or -1 for an agent in no
    group, who meets nobody; `groups`: how many groups there are, the largest number + 1 if not said (some may be
    empty; say it where new memberships should not recompile).

    Made outside of a run, or in a step of a membership that changes (`Groups(cell, grid.size)`: who stands on one
    cell), which then needs `groups` and is sorted each time.

    **Raises:** `ModelError` if the membership is not that.
    """

    size: int = eqx.field(static=True)
    members: "Members"

    def __init__(self, membership: ArrayLike, groups: int | None = None):
        self.members = members_of(membership, groups)
        self.size = self.members.group.shape[0]

    def sum(self, values: Shaped[Array, "agents *features"]) -> Float[Array, "agents *features"]:
        values = per_agent(values, self.size)
        others = self.members.at_home(self.members.totals(values)) - values
        inside = self.members.group < self.members.groups
        return jnp.where(inside.reshape(inside.shape + (1,) * (values.ndim - 1)), others, jnp.zeros_like(others))

    def degree(self) -> Float[Array, " agents"]:
        return self._others().astype(jnp.float32)

    def neighbour(self, draw: Draw, name: str) -> Neighbour:
        share = jax.lax.stop_gradient(draw.uniform(name, 0.0, 1.0, size=self.size))
        others = self._others()
        place = skipping(sampled(share, others), self.members.place)
        present = others > 0
        index = jnp.where(present, self.members.who(self.members.group, place), 0)
        return Neighbour(index, present.astype(jnp.float32))

    def _others(self) -> Int[Array, " agents"]:
        return jnp.maximum(self.members.at_home(self.members.count) - 1, 0)


class ContactMatrix(Topology):
    """Agents mix within and between groups: A[i, j] = contacts[group of i, group of j] for i other than j.

    A matrix of mean contacts M (an agent of group g meets M[g, h] of group h) becomes a weight a pair by
    contacts[g, h] = M[g, h] / (members of h).

    **Arguments:** `membership`: (agents,) integers, each agent's group in 0 .. groups - 1; `contacts`: (groups,
    groups) non-negative weights a pair, receivers in rows. They may be traced, and gradients pass to them, so that a
    model can build its matrix from parameters.

    **Raises:** `ModelError` if the two do not fit.
    """

    size: int = eqx.field(static=True)
    members: "Members"
    contacts: Float[Array, "groups groups"]

    def __init__(self, membership: ArrayLike, contacts: Float[Array, "groups groups"] | ArrayLike):
        self.contacts = jnp.asarray(contacts, jnp.float32)
        shape = self.contacts.shape
        if len(shape) != 2 or shape[0] != shape[1]:
            raise ModelError(f"contacts have shape {shape}: one row and one column a group are needed")
        if not isinstance(self.contacts, Tracer):
            known = np.asarray(self.contacts)
            if not (np.isfinite(known) & (known >= 0.0)).all():
                raise ModelError("contacts hold a negative weight or one that is not finite: a weight is 0 or more")
        self.members = members_of(membership, shape[0])
        self.size = self.members.group.shape[0]
        if not isinstance(membership, Tracer) and (np.asarray(membership) < 0).any():
            raise ModelError("in a contact matrix every agent has a group: give those outside a group of weight 0")

    def sum(self, values: Shaped[Array, "agents *features"]) -> Float[Array, "agents *features"]:
        values = per_agent(values, self.size)
        contacts = self.contacts.astype(values.dtype)
        totals = jnp.tensordot(contacts, self.members.totals(values), axes=1)
        own = jnp.diagonal(contacts)[self.members.group]
        return self.members.at_home(totals) - own.reshape(own.shape + (1,) * (values.ndim - 1)) * values

    def degree(self) -> Float[Array, " agents"]:
        return self._cumulative()[:, -1][self.members.group]

    def neighbour(self, draw: Draw, name: str) -> Neighbour:
        share = jax.lax.stop_gradient(draw.uniform(name, 0.0, 1.0, size=self.size))
        home, groups = self.members.group, self.members.groups
        cumulative = jax.lax.stop_gradient(self._cumulative())
        level = below(cumulative[:, -1][home], share)
        count = jnp.full(self.size, groups, jnp.int32)
        chosen = first_above(lambda j: cumulative[home, j], level, count, groups.bit_length())
        before = jnp.where(chosen > 0, cumulative[home, chosen - 1], 0.0)
        rest = (level - before) / (cumulative[home, chosen] - before)
        present = cumulative[:, -1][home] > 0
        candidates = self.members.count[chosen] - (chosen == home)
        place = sampled(rest, candidates)
        place = jnp.where(chosen == home, skipping(place, self.members.place), place)
        return Neighbour(jnp.where(present, self.members.who(chosen, place), 0), present.astype(jnp.float32))

    def _cumulative(self) -> Float[Array, "groups groups"]:
        """The weight of the first groups, for a member of each group (his own self left out)."""
        others = self.members.count - jnp.eye(self.members.groups)
        return jnp.cumsum(self.contacts * jnp.maximum(others, 0.0), axis=1)


class Members(eqx.Module):
    """Who is in which group, both ways.

    `group` (agents,): each agent's group, `groups` for none; `place` (agents,): the agent's place among the members;
    `order` (agents,): the agents by group; `start`, `count` (groups,): where a group begins in it, and its size.
    """

    group: Int[Array, " agents"]
    place: Int[Array, " agents"]
    order: Int[Array, " agents"]
    start: Int[Array, " groups"]
    count: Int[Array, " groups"]

    @property
    def groups(self) -> int:
        """How many groups there are."""
        return self.count.shape[0]

    def totals(self, values: Float[Array, "agents *features"]) -> Float[Array, "groups *features"]:
        """Each group's sum."""
        return jax.ops.segment_sum(values, self.group, num_segments=self.groups)

    def at_home(self, values: Shaped[Array, "groups *features"]) -> Shaped[Array, "agents *features"]:
        """The entry of each agent's own group, 0 for an agent in none."""
        return values.at[self.group].get(mode="fill", fill_value=0)

    def who(self, group: Int[Array, " agents"], place: Int[Array, " agents"]) -> Int[Array, " agents"]:
        """The agent at a place of a group."""
        start = self.start.at[group].get(mode="clip")
        return self.order.at[start + place].get(mode="clip")


def members_of(membership: ArrayLike, groups: int | None) -> Members:
    """The members of each group, from each agent's group (-1: none); sorted on the host, or in a step if it changes."""
    if isinstance(membership, Tracer):
        return _members_now(membership, groups)
    home = np.asarray(membership)
    if home.ndim != 1 or home.size == 0 or not np.issubdtype(home.dtype, np.integer):
        raise ModelError(f"a membership is a row of whole numbers, one an agent, not {home.dtype} of {home.shape}")
    groups = max(1, int(home.max()) + 1) if groups is None else groups
    if home.min() < -1 or home.max() >= groups:
        raise ModelError(f"memberships run from {home.min()} to {home.max()}, and there are groups 0 to {groups - 1}")
    home = np.where(home < 0, groups, home).astype(np.int32)
    count = np.bincount(home, minlength=groups + 1)
    start = np.cumsum(count) - count
    order = np.argsort(home, kind="stable").astype(np.int32)
    place = np.empty(len(home), np.int32)
    place[order] = np.arange(len(home)) - start[home[order]]
    parts = (home, place, order, start[:-1].astype(np.int32), count[:-1].astype(np.int32))
    return Members(*(jnp.asarray(part) for part in parts))


def _members_now(home: Int[Array, " agents"], groups: int | None) -> Members:
    """The members of groups that change, in compiled code; who has no group of 0 .. groups - 1 is in none."""
    if groups is None or home.ndim != 1 or not jnp.issubdtype(home.dtype, jnp.integer):
        raise ModelError(
            f"groups that change in a run are a row of whole numbers, one an agent, and say groups=, here {groups}: "
            f"not {home.dtype} of {home.shape}"
        )
    home = jnp.where((home >= 0) & (home < groups), home, groups).astype(jnp.int32)
    order = by_cell(home, groups + 1)
    count = jnp.zeros(groups + 1, jnp.int32).at[home].add(1)
    start = jnp.cumsum(count, dtype=jnp.int32) - count
    agents = jnp.arange(home.shape[0], dtype=jnp.int32)
    place = jnp.zeros_like(home).at[order].set(agents, unique_indices=True) - start[home]
    return Members(home, place, order, start[:-1], count[:-1])


def skipping(place: Int[Array, " agents"], own: Int[Array, " agents"]) -> Int[Array, " agents"]:
    """A place among the others as a place among all."""
    return place + (place >= own)
