"""Yes or no for every cell of a grid, 32 cells a number: sets of cells that spread, meet and are counted."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, UInt32

from .grid import Grid

WORD = 32


class Flags(eqx.Module):
    """A set of cells of a grid. `a & b`, `a | b` and `~a` are what they are for sets.

    One bit a cell: a pass over the cells takes about a twentieth of its time with one byte a cell
    (docs/design/worlds.md). `words` (rows, words) uint32: bit c % 32 of word c // 32 is column c; bits beyond the last
    column are 0.
    """

    words: UInt32[Array, "rows words"]
    grid: Grid

    @classmethod
    def of(cls, grid: Grid, marked: Array) -> "Flags":
        """The cells with a positive number, `marked` (cells,)."""
        width = -(-grid.columns // WORD)
        table = (jnp.asarray(marked) > 0).reshape(grid.rows, grid.columns)
        bits = jnp.pad(table, ((0, 0), (0, width * WORD - grid.columns))).reshape(grid.rows, width, WORD)
        return cls((bits.astype(jnp.uint32) << jnp.arange(WORD, dtype=jnp.uint32)).sum(-1, dtype=jnp.uint32), grid)

    def values(self) -> Float[Array, " cells"]:
        """1 for the cells of the set, else 0."""
        bits = (self.words[..., None] >> jnp.arange(WORD, dtype=jnp.uint32)) & 1
        return bits.reshape(self.grid.rows, -1)[:, : self.grid.columns].reshape(-1).astype(jnp.float32)

    def count(self) -> Float[Array, ""]:
        """How many cells there are in the set, float32; exact below 2^24."""
        return jax.lax.population_count(self.words).sum().astype(jnp.float32)

    def beside(self) -> "Flags":
        """The cells of which some neighbour is in the set, whether they are in it or not."""
        radius, odd = self.grid.near.radius, (jnp.arange(self.grid.rows) % 2 == 1)[:, None]
        total = jnp.zeros_like(self.words)
        for down in range(-radius, radius + 1):
            row = self._row(down)
            even_run, odd_run = (self._run(row, down, other) for other in (False, True))
            same = self.grid.near.span(down, False) == self.grid.near.span(down, True)
            total = total | (even_run if same else jnp.where(odd, odd_run, even_run))
        return Flags(total & self._inside(), self.grid)

    def __and__(self, other: "Flags") -> "Flags":
        return Flags(self.words & other.words, self.grid)

    def __or__(self, other: "Flags") -> "Flags":
        return Flags(self.words | other.words, self.grid)

    def __invert__(self) -> "Flags":
        return Flags(~self.words & self._inside(), self.grid)

    def _inside(self) -> UInt32[Array, " words"]:
        """Ones for the bits that are columns."""
        free = jnp.clip(self.grid.columns - WORD * jnp.arange(self.words.shape[1]), 0, WORD)
        ones = jnp.uint32(2**WORD - 1)
        return jnp.where(free == WORD, ones, (jnp.uint32(1) << free.astype(jnp.uint32)) - 1)

    def _row(self, down: int) -> UInt32[Array, "rows words"]:
        """The row that lies `down` below each."""
        if self.grid.periodic:
            return jnp.roll(self.words, -down, axis=0)
        rows = self.grid.rows
        above, below = min(max(-down, 0), rows), min(max(down, 0), rows)
        return jnp.pad(self.words[below : rows - above], ((above, below), (0, 0)))

    def _run(self, row: UInt32[Array, "rows words"], down: int, odd: bool) -> UInt32[Array, "rows words"]:
        """Whether any of the columns that count is set in the row that lies `down` below."""
        first, last = self.grid.near.span(down, odd)
        total = jnp.zeros_like(row)
        for right in range(first, last + 1):
            if down or right:
                total = total | self._column(row, right)
        return total

    def _column(self, row: UInt32[Array, "rows words"], right: int) -> UInt32[Array, "rows words"]:
        """The column that lies `right` to the right of each."""
        moved = _shifted(row, right)
        if self.grid.periodic and right:
            moved = moved | _shifted(row, right - self.grid.columns if right > 0 else right + self.grid.columns)
        return moved


def _shifted(row: UInt32[Array, "rows words"], right: int) -> UInt32[Array, "rows words"]:
    """Bit j of the result is bit j + `right`; 0 from outside."""
    words, bits = divmod(right, WORD)
    low = _words(row, words)
    return low if bits == 0 else (low >> bits) | (_words(row, words + 1) << (WORD - bits))


def _words(row: UInt32[Array, "rows words"], right: int) -> UInt32[Array, "rows words"]:
    width = row.shape[1]
    before, after = min(max(-right, 0), width), min(max(right, 0), width)
    return jnp.pad(row[:, after : width - before], ((0, 0), (before, after)))
