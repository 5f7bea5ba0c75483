"""Pairs at random, within groups."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

import populace as pop
from populace.core.draw import Draw


def test_within_each_group_as_many_pair_up_as_can():
    rng = np.random.default_rng(0)
    group, where = rng.integers(0, 5, 41), rng.random(41) < 0.8
    found = jax.jit(lambda key: pop.paired(Draw(key), "meet", 41, group=group, groups=5, where=where))(jr.key(0))
    index, present = np.asarray(found.index), np.asarray(found.present) > 0
    met = np.flatnonzero(present)
    assert (index[index[met]] == met).all() and (index[met] != met).all()
    assert (group[index[met]] == group[met]).all() and not present[~where].any()
    left = np.bincount(group[where & ~present], minlength=5)
    assert (left == np.bincount(group[where], minlength=5) % 2).all()


def test_all_ways_to_pair_come_alike():
    """Four agents: three ways; five: each is left over alike."""
    runs = 3000
    four = jax.jit(jax.vmap(lambda key: pop.paired(Draw(key), "meet", 4).index))(jr.split(jr.key(1), runs))
    counts = np.bincount(np.asarray(four)[:, 0], minlength=4)
    assert counts[0] == 0 and (np.abs(counts[1:] / runs - 1 / 3) < 4 * np.sqrt(2 / 9 / runs)).all()
    five = jax.jit(jax.vmap(lambda key: pop.paired(Draw(key), "meet", 5).present))(jr.split(jr.key(2), runs))
    alone = 1 - np.asarray(five).mean(axis=0)
    assert (np.abs(alone - 0.2) < 4 * np.sqrt(0.16 / runs)).all() and jnp.all(five.sum(axis=1) == 4)


def test_with_sides_a_pair_has_one_of_either():
    rng = np.random.default_rng(1)
    group, side, where = rng.integers(0, 4, 50), rng.random(50) < 0.4, rng.random(50) < 0.9
    across = jax.jit(lambda key: pop.paired(Draw(key), "meet", 50, group=group, groups=4, where=where, side=side))
    found = across(jr.key(0))
    index, present = np.asarray(found.index), np.asarray(found.present) > 0
    met = np.flatnonzero(present)
    assert (index[index[met]] == met).all() and (side[index[met]] != side[met]).all()
    assert (group[index[met]] == group[met]).all() and where[met].all()
    count = np.stack([np.bincount(group[where & (side == one)], minlength=4) for one in (False, True)])
    np.testing.assert_array_equal(np.bincount(group[met], minlength=4), 2 * count.min(axis=0))


def test_any_man_with_any_woman():
    """Two of one side and three of the other: each of six pairs is one in three times, and a third is left over."""
    runs, side = 3000, jnp.array([0, 0, 1, 1, 1])
    found = jax.jit(jax.vmap(lambda key: pop.paired(Draw(key), "meet", 5, side=side).index))(jr.split(jr.key(4), runs))
    for one in (0, 1):
        counts = np.bincount(np.asarray(found)[:, one], minlength=5)
        assert counts[:2].sum() == 0 and (np.abs(counts[2:] / runs - 1 / 3) < 4 * np.sqrt(2 / 9 / runs)).all()
