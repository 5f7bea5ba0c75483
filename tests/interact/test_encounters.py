"""Encounters: one to one, as many as can be, nobody favoured."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from populace.interact.encounters import encounters
from populace.interact.lots import by_cell, lots


@jax.jit
def met(key, cell, where, other_cell, other_where):
    one, other = jr.split(key)
    lot, other_lot = lots(jr.uniform(one, cell.shape)), lots(jr.uniform(other, other_cell.shape))
    return encounters(cell, lot, where, other_cell, other_lot, other_where, 12)


def test_as_many_meet_in_each_cell_as_there_are_of_the_fewer():
    rng = np.random.default_rng(1)
    cell, other = rng.integers(0, 12, 50), rng.integers(0, 12, 33)
    where, other_where = rng.random(50) < 0.7, rng.random(33) < 0.8
    found = met(jr.key(0), cell, where, other, other_where)
    meets, whom = np.asarray(found.present) > 0, np.asarray(found.index)
    assert not meets[~where].any() and other_where[whom[meets]].all()
    assert (cell[meets] == other[whom[meets]]).all()
    assert len(np.unique(whom[meets])) == meets.sum()
    counts = [np.bincount(c[w], minlength=12) for c, w in ((cell, where), (other, other_where))]
    np.testing.assert_array_equal(np.bincount(cell[meets], minlength=12), np.minimum(*counts))


def test_all_ways_to_pair_come_alike():
    """Three agents and two others on one cell: six ways."""
    runs = 6000
    ones = jnp.ones(3)
    found = jax.vmap(lambda key: met(key, jnp.zeros(3, jnp.int32), ones, jnp.zeros(2, jnp.int32), ones[:2]))(
        jr.split(jr.key(1), runs)
    )
    way = np.where(np.asarray(found.present) > 0, np.asarray(found.index) + 1, 0) @ [1, 3, 9]
    counts = np.unique(way, return_counts=True)[1]
    assert len(counts) == 6
    assert (np.abs(counts - runs / 6) < 4 * np.sqrt(runs * 5 / 36)).all()


def test_nobody_meets_where_nobody_is():
    found = met(jr.key(0), jnp.zeros(3, jnp.int32), jnp.zeros(3), jnp.zeros(2, jnp.int32), jnp.ones(2))
    assert (found.present == 0).all() and (found.index == 0).all()


def test_sorting_by_cell_in_one_number_or_two():
    cell = jr.randint(jr.key(2), (1000,), 0, 30)
    wanted = np.argsort(np.asarray(cell), kind="stable")
    np.testing.assert_array_equal(by_cell(cell, 30), wanted)
    np.testing.assert_array_equal(by_cell(cell, 2**30), wanted)
