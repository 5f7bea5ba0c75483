"""Diffusion: nothing is lost, and it spreads as heat does."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from populace.interact.field import diffused
from populace.interact.grid import Grid
from populace.interact.neighbourhood import Hexagonal, Moore, VonNeumann

GRIDS = [Grid(8, 6, near, periodic) for near in (Moore(), VonNeumann(), Hexagonal()) for periodic in (False, True)]


@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_the_total_is_kept_and_even_stays_even(grid: Grid):
    field = jr.uniform(jr.key(0), (grid.size, 2))
    after = diffused(grid, field, 0.7)
    np.testing.assert_allclose(after.sum(axis=0), field.sum(axis=0), rtol=1e-6)
    assert float(after.min()) > 0 and float(after.std()) < float(field.std())
    np.testing.assert_allclose(diffused(grid, jnp.full(grid.size, 3.0), 0.7), 3.0, rtol=1e-6)


def test_one_cell_gives_to_each_neighbour():
    after = diffused(Grid(5, 5, VonNeumann()), jnp.zeros(25).at[12].set(1.0), 0.8).reshape(5, 5)
    wanted = np.zeros((5, 5))
    wanted[2, 2] = 0.2
    wanted[[1, 3, 2, 2], [2, 2, 1, 3]] = 0.2
    np.testing.assert_allclose(after, wanted, atol=1e-7)
    corner = diffused(Grid(5, 5, VonNeumann()), jnp.zeros(25).at[0].set(1.0), 0.8).reshape(5, 5)
    np.testing.assert_allclose([corner[0, 0], corner[0, 1], corner[1, 0]], [0.6, 0.2, 0.2], atol=1e-7)


def test_a_wave_decays_at_its_own_rate():
    """On a ring cos(2 pi k x / n) shrinks by 1 - share (1 - cos(2 pi k / n)) / 2 a step."""
    grid, k, share = Grid(3, 32, VonNeumann(), periodic=True), 3, 0.6
    wave = jnp.cos(2 * jnp.pi * k * (jnp.arange(grid.size) % 32) / 32)
    after = jax.lax.fori_loop(0, 20, lambda _, field: diffused(grid, field, share), wave)
    factor = (1 - share * (1 - np.cos(2 * np.pi * k / 32)) / 2) ** 20
    np.testing.assert_allclose(after, factor * wave, atol=1e-5)
