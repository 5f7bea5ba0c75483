"""Lots: who goes first, and random orders, from one uniform number each.

Sorting pairs of numbers takes four times as long as sorting numbers (docs/design/worlds.md). A lot is a whole number
that holds a random part above and the agent's own number below: all lots differ, and where one sorts lots one reads
the agents off them.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from .._errors import ModelError
from ..core.draw import Draw

BITS = 31
"""Of an int32 that is not negative."""
COARSE = 2**16
"""From so many agents on an order is shuffled twice, because fewer than 15 bits of a lot are random."""
LARGEST = 2**24
"""Agents for whom 7 bits or more of a lot are random."""


def lots(share: Float[Array, " agents"]) -> Int[Array, " agents"]:
    """Different whole numbers in the order of `share`, numbers in [0, 1).

    Of two agents each comes first as often as the other, but for a difference of at most agents / 2^30 (one in 100,000
    with 10,000 agents): shares that are equal to the bits that fit go by number.

    **Raises:** `ModelError` for more than LARGEST agents.
    """
    agents = share.shape[0]
    low = _bits(agents)
    high = (jax.lax.stop_gradient(share) * 2.0 ** (BITS - low)).astype(jnp.int32)
    return (high << low) | jnp.arange(agents, dtype=jnp.int32)


def shuffled(draw: Draw, name: str, agents: int) -> Int[Array, " agents"]:
    """The numbers 0 .. agents - 1 in random order: `draw.permutation` at a quarter of its time.

    One sort of lots, and from COARSE agents on a second one that shuffles the order again (site `name` again). Any
    two agents come in either order alike, but for a difference of at most agents / 2^30.
    """
    order = _order(draw.uniform(name, size=agents))
    if agents < COARSE:
        return order
    return order[_order(draw.uniform(f"{name} again", size=agents))]


def _order(share: Float[Array, " agents"]) -> Int[Array, " agents"]:
    return jnp.sort(lots(share)) & (2 ** _bits(share.shape[0]) - 1)


def _bits(agents: int) -> int:
    if agents > LARGEST:
        raise ModelError(f"lots are drawn for up to {LARGEST} agents, not {agents}: divide them into groups")
    return max(agents - 1, 0).bit_length()


NOBODY = 2**31 - 1
"""The lot of a cell that nobody asked for: larger than any other."""


def winners(
    cell: Int[Array, " agents"], lot: Int[Array, " agents"], where: Array, cells: int
) -> Float[Array, " agents"]:
    """1 for the agent with the smallest lot among those who ask for a cell, else 0: one winner a cell.

    **Arguments:** `cell` (agents,): what each asks for; `lot` (agents,): all different (`lots`); `where` (agents,): who
    asks at all.
    """
    asks = jnp.asarray(where) > 0
    asked = jnp.where(asks, cell, cells)
    best = jnp.full(cells, NOBODY, jnp.int32).at[asked].min(lot, mode="drop")
    return (asks & (best.at[asked].get(mode="fill", fill_value=NOBODY) == lot)).astype(jnp.float32)


def by_cell(cell: Int[Array, " agents"], cells: int) -> Int[Array, " agents"]:
    """The agents in the order of their cells, 0 .. cells - 1; in one cell by number.

    One sort of whole numbers where cell and agent fit into one, otherwise a stable sort of pairs.
    """
    low = max(cell.shape[0] - 1, 0).bit_length()
    if max(cells - 1, 0).bit_length() + low > BITS:
        return jnp.argsort(cell, stable=True).astype(jnp.int32)
    return jnp.sort((cell << low) | jnp.arange(cell.shape[0], dtype=jnp.int32)) & (2**low - 1)
