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
