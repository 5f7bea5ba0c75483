"""Sets of cells: each operation against the same with one number a cell."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from populace.interact.flags import Flags
from populace.interact.grid import Grid
from populace.interact.neighbourhood import Hexagonal, Moore, VonNeumann

SHAPES = [(6, 32), (8, 70), (1, 40)]
NEAR = [Moore(), VonNeumann(3), Hexagonal(2)]


def some(grid: Grid, seed: int, share: float = 0.1) -> jax.Array:
    return jr.bernoulli(jr.key(seed), share, (grid.size,)).astype(jnp.float32)


@eqx.filter_jit
def compared(grid: Grid, marked: jax.Array):
    beside = Flags.of(grid, marked).beside()
    return beside.values(), beside.count(), grid.sum(marked) > 0


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("near", NEAR, ids=lambda near: f"{type(near).__name__} {near.radius}")
def test_what_lies_beside_is_what_a_sum_finds(shape: tuple[int, int], near):
    grids = [Grid(*shape, near)]
    if shape[0] % 2 == 0 and min(shape) > 2 * near.radius:
        grids.append(Grid(*shape, near, periodic=True))
    for grid in grids:
        found, count, wanted = compared(grid, some(grid, 1))
        np.testing.assert_array_equal(found, wanted)
        assert float(count) == float(wanted.sum())


@pytest.mark.parametrize("shape", [(6, 32), (8, 70)])
def test_sets_meet_join_and_turn_round(shape: tuple[int, int]):
    grid = Grid(*shape)
    one, other = np.asarray(some(grid, 1, 0.5)), np.asarray(some(grid, 2, 0.5))

    @jax.jit
    def found(x, y):
        a, b = Flags.of(grid, x), Flags.of(grid, y)
        return [each.values() for each in (a, a & b, a | b, ~a)], a.count(), (~a).count()

    values, count, rest = found(one, other)
    for value, wanted in zip(values, (one, one * other, np.maximum(one, other), 1 - one), strict=True):
        np.testing.assert_array_equal(value, wanted)
    assert float(count) == one.sum() and float(rest) == grid.size - one.sum()


def test_many_sets_at_once():
    grid = Grid(6, 40)
    marked = jnp.stack([some(grid, seed) for seed in range(3)])
    found, _, wanted = jax.vmap(lambda x: compared(grid, x))(marked)
    np.testing.assert_array_equal(found, wanted)
