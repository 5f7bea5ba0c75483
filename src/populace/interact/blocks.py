"""A sparse matrix laid out for the product with a vector: every agent's edges in blocks of four.

Gathering the senders' values of all edges and adding them up by receiver writes and reads a number an edge. Here the
edges of a receiver fill blocks of four, the last one padded; four gathers and three additions fuse into one pass that
writes a number a block, and only the blocks are added up by receiver. On a processor that takes a third to seven
tenths of the time of a sorted edge list at ten edges an agent and more, the same at two (docs/design/topologies.md),
and less memory: 1.6 integers an edge against 2, at ten.
"""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

WIDTH = 4
"""Edges in a block: near the best at 2, 10 and 100 edges an agent; 2 and 6 are each bad at one of them."""


class Blocks(eqx.Module):
    """A matrix of non-negative weights over agents, by rows.

    `slots` (4, blocks): the columns, `size` where a slot is empty. `owner` (blocks,): the row of each block, rising;
    `size` for the empty blocks at the end. `weights` (4, blocks): None if every weight is 1.

    The number of blocks is (edges + 3 size) // 4, which suffices whatever the degrees are: one shape for all matrices
    of as many edges and agents.
    """

    slots: Int[Array, "four blocks"]
    owner: Int[Array, " blocks"]
    weights: Float[Array, "four blocks"] | None
    size: int = eqx.field(static=True)

    def product(self, values: Float[Array, "agents *features"]) -> Float[Array, "agents *features"]:
        """The matrix times `values`."""
        return _product(self, values)

    def _add(self, values: Float[Array, "agents *features"]) -> Float[Array, "agents *features"]:
        padded = jnp.concatenate([values, jnp.zeros_like(values[:1])])
        blocks = self._column(padded, 0)
        for k in range(1, WIDTH):
            blocks = blocks + self._column(padded, k)
        return jax.ops.segment_sum(blocks, self.owner, num_segments=self.size, indices_are_sorted=True)

    def _column(self, padded: Array, k: int) -> Array:
        gathered = padded.at[self.slots[k]].get(mode="promise_in_bounds")
        if self.weights is None:
            return gathered
        weights = self.weights[k].astype(padded.dtype)
        return gathered * weights.reshape(weights.shape + (1,) * (gathered.ndim - 1))


@jax.custom_batching.custom_vmap
def _product(blocks: Blocks, values: Float[Array, "agents *features"]) -> Float[Array, "agents *features"]:
    return blocks._add(values)


@_product.def_vmap
def _over_runs(runs: int, batched: tuple[Blocks, bool], blocks: Blocks, values: Array) -> tuple[Array, bool]:
    """Runs that share a matrix go through as features, on the last axis: one gather then reads a number of every run
    from one place. From 32 runs on that is four to six times as fast as what vmap makes (docs/design/speed.md).
    """
    of_blocks, of_values = batched
    if any(jax.tree.leaves(of_blocks)):
        axes = jax.tree.map(lambda each: 0 if each else None, of_blocks)
        return jax.vmap(Blocks._add, in_axes=(axes, 0 if of_values else None))(blocks, values), True
    return jnp.moveaxis(_product(blocks, jnp.moveaxis(values, 0, -1)), -1, 0), True


def first_blocks(count: np.ndarray) -> np.ndarray:
    """The first block of each row that holds `count` (size,) edges: (size + 1,), the last one the blocks in use."""
    return np.concatenate([[0], np.cumsum(-(-count // WIDTH))])


def laid_out(table: np.ndarray, rows: np.ndarray, size: int, empty: float) -> np.ndarray:
    """`table` (edges,) of the rising `rows` (edges,) as (4, blocks), with `empty` in the empty slots."""
    count = np.bincount(rows, minlength=size)
    first = first_blocks(count)
    shift = first[:-1] * WIDTH - (np.cumsum(count) - count)
    out = np.full(block_count(len(rows), size) * WIDTH, empty, dtype=table.dtype)
    out[np.arange(len(rows)) + np.repeat(shift, count)] = table
    return np.ascontiguousarray(out.reshape(-1, WIDTH).T)


def block_count(edges: int, size: int) -> int:
    """Blocks enough for any degrees: sum of ceil(d / 4) <= sum of (d + 3) / 4."""
    return max(1, (edges + (WIDTH - 1) * size) // WIDTH)


def build(rows: np.ndarray, columns: np.ndarray, weights: np.ndarray | None, size: int) -> Blocks:
    """The matrix with `weights` (1 if None) at (`rows`, `columns`), sorted by row."""
    count = np.bincount(rows, minlength=size)
    used = -(-count // WIDTH)
    owner = np.full(block_count(len(rows), size), size, np.int32)
    owner[: used.sum()] = np.repeat(np.arange(size, dtype=np.int32), used)
    slots = laid_out(columns.astype(np.int32), rows, size, size)
    heavy = None if weights is None else jnp.asarray(laid_out(weights.astype(np.float32), rows, size, 0.0))
    return Blocks(jnp.asarray(slots), jnp.asarray(owner), heavy, size)


def linear(
    forward: Callable[[Array], Array], transposed: Callable[[Array], Array], values: Float[Array, "agents *features"]
) -> Float[Array, "agents *features"]:
    """`forward(values)`, a square linear map whose transpose is `transposed`, in every mode of differentiation.

    The transpose that JAX derives from a gather is a scatter in random order, twice as slow as the map. A custom
    derivative would give up one of the modes, and `jax.custom_derivatives.linear_call` has no vmap. A linear solve
    has all of them: the map and its transpose stand where the solver and its transpose do, and the matrix that they
    are said to invert is never used. What the two close over must be constants (`jax.lax.stop_gradient`).
    """

    def unused(x: Array) -> Array:
        return x

    return jax.lax.custom_linear_solve(
        unused, values, lambda _, x: forward(x), transpose_solve=lambda _, x: transposed(x)
    )
