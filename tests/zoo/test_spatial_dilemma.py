"""Nowak and May's lattice: the share that they found, its symmetry, and that it dies when the clock is another."""

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from populace.core.activation import RandomBlocks
from populace.core.simulate import begin, simulate
from populace.interact.grid import Grid
from populace.zoo.spatial_dilemma import SpatialDilemma

PLAIN = SpatialDilemma(grid=Grid(99, 99, periodic=True))


def test_all_at_once_a_third_cooperates():
    run = simulate(PLAIN, jr.key(0), steps=150)
    share = float(np.asarray(run.observations["cooperators"])[60:].mean())
    assert abs(share - (12 * np.log(2) - 8)) < 0.02


def test_one_defector_grows_with_all_symmetries_of_the_square():
    model = SpatialDilemma(grid=Grid(69, 69))
    start = begin(model, jr.key(0))
    alone = jnp.ones(69 * 69).at[34 * 69 + 34].set(0.0)
    run = simulate(model, jr.key(0), steps=30, start=eqx.tree_at(lambda s: s.state, start, alone))
    shown = np.asarray(run.final.state).reshape(69, 69)
    assert 0.2 < shown[4:-4, 4:-4].mean() < 0.99
    for turned in (shown[::-1], shown[:, ::-1], shown.T):
        np.testing.assert_array_equal(turned, shown)


def test_in_random_blocks_nobody_does():
    run = simulate(eqx.tree_at(lambda m: m.activation, PLAIN, RandomBlocks(8)), jr.key(0), steps=150)
    assert float(run.observations["cooperators"][-1]) < 0.02
