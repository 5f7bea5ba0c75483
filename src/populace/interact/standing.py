"""Agents on the cells of a grid as a topology: who stands near whom, as they stand now."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Shaped

from ..core.draw import Draw
from .grid import Grid
from .lots import by_cell
from .topology import Neighbour, Topology, per_agent, sampled


class Standing(Topology):
    """Who stands near whom on a grid: A[i, j] = 1 where j, another, stands on the cell of i or on a neighbour of it.

    A model makes one each step, of cells as they are, and lays it over others: `Layered({"near": Standing(land, cell),
    "friends": friends})`. Those on the very same cell only are `Groups(cell, land.size)`; in continuous space it is
    `Box.within`. Any number of agents may share a cell, and the cost hardly depends on how many do.

    **Arguments:** `grid`; `cell` (agents,) int32: where each stands (`Seats` have it as `.cell`); an agent whose `cell`
    is no cell meets nobody; `where` (agents,): who is there at all, all if not said.
    """

    grid: Grid
    cell: Int[Array, " agents"]
    order: Int[Array, " agents"]
    start: Int[Array, " cells_and_end"]

    def __init__(self, grid: Grid, cell: Int[Array, " agents"], where: Array | None = None):
        cell = jnp.asarray(cell, jnp.int32)
        there = (cell >= 0) & (cell < grid.size)
        there = there if where is None else there & (jnp.asarray(where) > 0)
        self.grid, self.cell = grid, jnp.where(there, cell, grid.size)
        self.order = by_cell(self.cell, grid.size + 1)
        count = jnp.zeros(grid.size + 1, jnp.int32).at[self.cell].add(1)
        self.start = jnp.cumsum(count, dtype=jnp.int32) - count

    @property
    def size(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The number of agents."""
        return self.cell.shape[0]

    def sum(self, values: Shaped[Array, "agents *features"]) -> Float[Array, "agents *features"]:
        values = per_agent(values, self.size)
        here = self.grid.totals(self.cell, values)
        around = (here + self.grid.sum(here)).at[self.cell].get(mode="fill", fill_value=0)
        there = (self.cell < self.grid.size).reshape(self.cell.shape + (1,) * (values.ndim - 1))
        return jnp.where(there, around - values, jnp.zeros_like(values))

    def degree(self) -> Float[Array, " agents"]:
        count = (self.start[1:] - self.start[:-1]).astype(jnp.float32)
        around = (count + self.grid.sum(count)).at[self.cell].get(mode="fill", fill_value=1.0)
        return around - 1.0

    def neighbour(self, draw: Draw, name: str) -> Neighbour:
        """Agents are sorted by cell and neighbouring cells lie in rows, so that neighbours are a few runs of agents."""
        share = jax.lax.stop_gradient(draw.uniform(name, 0.0, 1.0, size=self.size))
        runs, rank = self._runs()
        counts = jnp.stack([last - first for first, last in runs])
        upto = jnp.cumsum(counts, axis=0)
        there = self.cell < self.grid.size
        others = jnp.where(there, jnp.maximum(upto[-1] - 1, 0), 0)
        place = sampled(share, others)
        place = place + (place >= rank)
        run = (upto <= place).sum(axis=0)
        first = jnp.stack([first for first, _ in runs])
        agents = jnp.arange(self.size)
        within = place - (upto - counts).at[run, agents].get(mode="clip")
        index = self.order.at[first.at[run, agents].get(mode="clip") + within].get(mode="clip")
        present = others > 0
        return Neighbour(jnp.where(present, index, 0), present.astype(jnp.float32))

    def _runs(self) -> tuple[list[tuple[Array, Array]], Int[Array, " agents"]]:
        """Where in `order` each agent's neighbours are, itself among them: beginnings and ends of runs; and which of
        all these it is itself.
        """
        grid = self.grid
        row, column = grid.row_column(self.cell)
        agents = jnp.arange(self.size, dtype=jnp.int32)
        slot = jnp.zeros_like(self.order).at[self.order].set(agents, unique_indices=True)
        runs: list[tuple[Array, Array]] = []
        before = rank = jnp.zeros_like(self.cell)
        for down in range(-grid.near.radius, grid.near.radius + 1):
            first, last = grid.reached(row, column, down)
            there = row + down
            inside = jnp.full(there.shape, True) if grid.periodic else (there >= 0) & (there < grid.rows)
            base = there % grid.rows * grid.columns
            pieces = [(jnp.maximum(first, 0), jnp.minimum(last, grid.columns - 1))]
            if grid.periodic:  # what lies beyond one border comes in at the other
                left = first < 0
                lower = jnp.where(left, first + grid.columns, 0)
                pieces.append((lower, jnp.where(left, grid.columns - 1, last - grid.columns)))
            for lower, upper in pieces:
                begin = self.start.at[base + lower].get(mode="clip")
                end = self.start.at[base + upper + 1].get(mode="clip")
                end = jnp.where(inside & (upper >= lower), jnp.maximum(end, begin), begin)
                if down == 0 and len(runs) % len(pieces) == 0:
                    rank = before + slot - begin
                runs.append((begin, end))
                before = before + end - begin
        return runs, rank
