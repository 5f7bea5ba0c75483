"""Encounters in cells: hunters and prey, buyers and sellers, one of each."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from .lots import NOBODY
from .topology import Neighbour


def encounters(
    cell: Int[Array, " agents"],
    lot: Int[Array, " agents"],
    where: Array,
    other_cell: Int[Array, " others"],
    other_lot: Int[Array, " others"],
    other_where: Array,
    cells: int,
) -> Neighbour:
    """Agents meet others who stand on the same cell, one to one, as many as there are of the fewer.

    In each cell the agent with the smallest lot meets the other with the smallest lot, the second the second, and so
    on: all ways to pair them alike. A round a pair of the fullest cell, each a pass over both populations: for cells
    that hold a few, as on grids with about one agent a cell (docs/design/worlds.md).

    **Arguments:** `cell` (agents,), `other_cell` (others,): where they stand; `lot`, `other_lot`: their lots
    (`lots`); `where`, `other_where`: who takes part; `cells`: how many cells there are.

    **Returns:** for each agent the other whom it meets, if any.
    """
    low = 2 ** max(lot.shape[0] - 1, 0).bit_length() - 1
    other_low = 2 ** max(other_lot.shape[0] - 1, 0).bit_length() - 1

    def lined_up(place: Array, lot: Array, waits: Array) -> Array:
        """The smallest lot that waits on each cell."""
        return jnp.full(cells, NOBODY, jnp.int32).at[jnp.where(waits, place, cells)].min(lot, mode="drop")

    def one_each(state: tuple[Array, Array, Array, Array]) -> tuple[Array, Array, Array, Array]:
        waits, others_wait, met, _ = state
        best, other_best = lined_up(cell, lot, waits), lined_up(other_cell, other_lot, others_wait)
        pair = (best < NOBODY) & (other_best < NOBODY)
        agent = jnp.where(pair, best & low, lot.shape[0])
        other = jnp.where(pair, other_best & other_low, other_lot.shape[0])
        met = met.at[agent].set(other, mode="drop")
        waits, others_wait = waits.at[agent].set(False, mode="drop"), others_wait.at[other].set(False, mode="drop")
        return waits, others_wait, met, pair.any()

    waits, others_wait = jnp.asarray(where) > 0, jnp.asarray(other_where) > 0
    nobody = jnp.full(lot.shape, -1, jnp.int32)
    met = jax.lax.while_loop(lambda state: state[-1], one_each, (waits, others_wait, nobody, jnp.array(True)))[2]
    return Neighbour(jnp.maximum(met, 0), (met >= 0).astype(jnp.float32))
