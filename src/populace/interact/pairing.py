"""Random matching: everybody in a pair, within groups, and across two sides."""

import jax.numpy as jnp
from jaxtyping import Array, Int
from numpy.typing import ArrayLike

from ..core.draw import Draw
from .lots import by_cell, shuffled
from .topology import Neighbour


def paired(
    draw: Draw,
    name: str,
    agents: int,
    *,
    group: ArrayLike | None = None,
    groups: int = 1,
    where: ArrayLike | None = None,
    side: ArrayLike | None = None,
) -> Neighbour:
    """Agents in pairs at random, each the other's partner, all ways to pair them alike.

    Within a group as many pair up as can; of an odd number one, anybody alike, is left over. With sides a pair has one
    of either, and those of the larger side who are left over are any of them alike.

    **Arguments:** `draw`, `name`: where the order is asked (`lots.shuffled`); `group` (agents,): in 0 .. groups - 1,
    who pairs with whom; None: all with all; `where` (agents,): who takes part; `side` (agents,): 0 or 1 (women and men,
    buyers and sellers).

    **Returns:** each agent's partner; `present` is 0 for who has none.
    """
    home = jnp.zeros(agents, jnp.int32) if group is None else jnp.asarray(group, jnp.int32)
    if where is not None:
        home = jnp.where(jnp.asarray(where) > 0, home, groups)
    order = shuffled(draw, name, agents)
    if side is not None:
        return _across(order, home, jnp.asarray(side), groups)
    if group is not None or where is not None:
        order = order[by_cell(home[order], groups + 1)]
    sorted_home = home[order]
    place = jnp.arange(agents, dtype=jnp.int32)
    place = place - jnp.searchsorted(sorted_home, sorted_home, side="left").astype(jnp.int32)
    mate = jnp.arange(agents, dtype=jnp.int32) + jnp.where(place % 2 == 0, 1, -1)
    met = (mate < agents) & (sorted_home.at[mate].get(mode="clip") == sorted_home) & (sorted_home < groups)
    partner = jnp.zeros(agents, jnp.int32).at[order].set(jnp.where(met, order.at[mate].get(mode="clip"), 0))
    return Neighbour(partner, jnp.zeros(agents, jnp.float32).at[order].set(met.astype(jnp.float32)))


def _across(order: Int[Array, " agents"], home: Int[Array, " agents"], side: Array, groups: int) -> Neighbour:
    """The k-th of side 0 of a group with the k-th of its side 1, in the given order."""
    agents = order.shape[0]
    cell = jnp.where(home < groups, 2 * home + (side > 0), 2 * groups)
    order = order[by_cell(cell[order], 2 * groups + 1)]
    count = jnp.zeros(2 * groups, jnp.int32).at[cell].add(1, mode="drop")
    start = jnp.cumsum(count) - count
    mine = cell[order]
    place = jnp.arange(agents, dtype=jnp.int32) - start.at[mine].get(mode="clip")
    theirs = mine ^ 1
    met = (mine < 2 * groups) & (place < count.at[theirs].get(mode="fill", fill_value=0))
    mate = order.at[start.at[theirs].get(mode="clip") + place].get(mode="clip")
    partner = jnp.zeros(agents, jnp.int32).at[order].set(jnp.where(met, mate, 0))
    return Neighbour(partner, jnp.zeros(agents, jnp.float32).at[order].set(met.astype(jnp.float32)))
