"""At most one agent a cell: who stands where, and simultaneous moves."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Int, Shaped

from ..core.draw import Draw
from .lots import lots, shuffled, winners


class Seats(eqx.Module):
    """Who stands where on `cells` cells, at most one agent a cell.

    There are as many slots as cells, and `cell` (slots,) int32, the cell of each slot, holds every cell once: a slot
    without an agent keeps an empty cell. A move exchanges the cells of an agent's slot and of an empty slot, so
    that no move can put two agents into one cell. Which slots have an agent the caller says, `present` (slots,) 0/1;
    it may change from step to step.
    """

    cell: Int[Array, " slots"]

    @classmethod
    def shuffled(cls, draw: Draw, name: str, cells: int) -> "Seats":
        """Everybody on a cell at random: all arrangements alike."""
        return cls(shuffled(draw, name, cells))

    def lay(self, values: Shaped[Array, "slots *features"]) -> Shaped[Array, "cells *features"]:
        """What belongs to the slots, on the grid."""
        return jnp.zeros_like(values).at[self.cell].set(values, unique_indices=True, mode="promise_in_bounds")

    def read(self, field: Shaped[Array, "cells *features"]) -> Shaped[Array, "slots *features"]:
        """What the grid holds at each slot's cell."""
        return field.at[self.cell].get(mode="promise_in_bounds")

    def jump(self, draw: Draw, name: str, movers: Array, present: Array) -> "Seats":
        """Movers jump to empty cells at random, each to one of its own, all at the same time.

        Cells that movers leave are not filled in the same step. With fewer empty cells than movers, who goes is
        decided by lot, and the others stay.

        **Arguments:** `draw`, `name`: where the chance event is asked; `movers` (slots,), `present` (slots,): who
        wants to go, and who is there at all.
        """
        goes, empty = (movers > 0) & (present > 0), present <= 0
        order = shuffled(draw, name, self.cell.shape[0])
        going, free = order_of(goes, order), order_of(empty, order)
        slots = self.cell.shape[0]
        pairs = jnp.minimum(goes.sum(), empty.sum())
        matched = jnp.arange(slots) < pairs
        one, other = jnp.where(matched, going, slots), jnp.where(matched, free, slots)
        return self._exchanged(one, other)

    def claim(self, draw: Draw, name: str, target: Int[Array, " slots"], movers: Array, present: Array) -> "Seats":
        """Movers go to the cell that each has chosen, if it is empty; of several who chose it one goes, by lot.

        **Arguments:** `draw`, `name`: where the lots are asked; `target` (slots,): the chosen cells (an agent
        whose target is no cell stays); `movers`, `present` (slots,): who wants to go, and who is there at all.
        """
        slots = self.cell.shape[0]
        holder = jnp.zeros(slots, jnp.int32).at[self.cell].set(jnp.arange(slots, dtype=jnp.int32))
        held = holder.at[target].get(mode="clip")
        asks = (movers > 0) & (present > 0) & (target >= 0) & (target < slots)
        open_ = asks & (present.at[held].get(mode="promise_in_bounds") <= 0)
        won = winners(target, lots(draw.uniform(name, size=slots)), open_, slots) > 0
        return self._exchanged(jnp.where(won, jnp.arange(slots), slots), jnp.where(won, held, slots))

    def _exchanged(self, one: Int[Array, " slots"], other: Int[Array, " slots"]) -> "Seats":
        """The cells of the slots `one` and `other` exchanged, pair by pair; `slots` stands for no pair."""
        cells = [self.cell.at[each].get(mode="clip") for each in (other, one)]
        return Seats(self.cell.at[one].set(cells[0], mode="drop").at[other].set(cells[1], mode="drop"))


def order_of(who: Array, order: Int[Array, " slots"]) -> Int[Array, " slots"]:
    """Those of `who` in the order of `order`, first places first; the rest of the array is 0."""
    chosen = who.at[order].get(mode="promise_in_bounds")
    place = jnp.where(chosen, counted(chosen), who.shape[0])
    return jnp.zeros_like(order).at[place].set(order, mode="drop")


def counted(marked: Array) -> Int[Array, " slots"]:
    """How many are marked before each place: an exclusive cumulative sum, in blocks (XLA's own takes twice as long)."""
    size, width = marked.shape[0], 128
    rows = -(-size // width)
    block = jnp.cumsum(jnp.pad(marked.astype(jnp.int32), (0, rows * width - size)).reshape(rows, width), axis=1)
    before = jnp.cumsum(block[:, -1]) - block[:, -1]
    return (block + before[:, None]).reshape(-1)[:size] - marked.astype(jnp.int32)
