"""Random matching: everybody in a pair, within groups."""

import jax.numpy as jnp
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
) -> Neighbour:
    """Agents in pairs at random, each the other's partner, all ways to pair them alike.

    Within a group as many pair up as can; of an odd number one, anybody alike, is left over.

    **Arguments:** `draw`, `name`: where the order is asked (`lots.shuffled`); `group` (agents,): in 0 .. groups - 1,
    who pairs with whom; None: all with all; `where` (agents,): who takes part.

    **Returns:** each agent's partner; `present` is 0 for who has none.
    """
    home = jnp.zeros(agents, jnp.int32) if group is None else jnp.asarray(group, jnp.int32)
    if where is not None:
        home = jnp.where(jnp.asarray(where) > 0, home, groups)
    order = shuffled(draw, name, agents)
    if group is not None or where is not None:
        order = order[by_cell(home[order], groups + 1)]
    sorted_home = home[order]
    place = jnp.arange(agents, dtype=jnp.int32)
    place = place - jnp.searchsorted(sorted_home, sorted_home, side="left").astype(jnp.int32)
    mate = jnp.arange(agents, dtype=jnp.int32) + jnp.where(place % 2 == 0, 1, -1)
    met = (mate < agents) & (sorted_home.at[mate].get(mode="clip") == sorted_home) & (sorted_home < groups)
    partner = jnp.zeros(agents, jnp.int32).at[order].set(jnp.where(met, order.at[mate].get(mode="clip"), 0))
    return Neighbour(partner, jnp.zeros(agents, jnp.float32).at[order].set(met.astype(jnp.float32)))
