"""Rewiring at random: what is kept, and that all agents and all pairs come alike."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

import populace as pop
from populace._errors import ModelError
from populace.core.draw import Draw

RUNS = 1_000
GROUP = np.array([0, 1, 1, 0, -1, 1, 2, 0, 0, -1])


def test_a_stranger_is_anybody_else_of_the_group():
    who = jnp.array([0, 1, 4, 6, 3], jnp.int32)

    @jax.jit
    @jax.vmap
    def found(key):
        draw = Draw(key)
        groups = pop.strangers(draw, "alike", who, 10, group=jnp.asarray(GROUP), groups=3)
        return groups.index, groups.present, pop.strangers(draw, "anybody", who, 10).index

    index, present, anybody = (np.asarray(x) for x in found(jr.split(jr.key(0), RUNS)))
    for place, agent in enumerate(np.asarray(who)):
        alike = np.flatnonzero((GROUP[agent] == GROUP) & (GROUP >= 0) & (np.arange(10) != agent))
        assert (present[:, place] == (len(alike) > 0)).all()
        for index_of, wanted in ((index, alike), (anybody, np.delete(np.arange(10), agent))):
            counts = np.bincount(index_of[:, place], minlength=10)
            if not len(wanted):
                continue
            share = 1 / len(wanted)
            assert counts[wanted].sum() == RUNS
            assert (abs(counts[wanted] - RUNS * share) <= 4 * np.sqrt(RUNS * share * (1 - share))).all()


def test_ties_keep_their_number_and_one_end():
    start = pop.DynamicNetwork.of(pop.random_network(jr.key(1), 400, 5.0), room=1_100)
    group = jnp.arange(400) % 4 - 1
    rewire = jax.jit(lambda key: pop.rewire(Draw(key, 3), "rewire", start, 0.3, group=group, groups=3))
    changed = rewire(jr.key(2))
    before, after = (np.stack([n.ties.one, n.ties.other]) for n in (start, changed.network))
    moved, there = np.asarray(changed.done) > 0, np.asarray(start.ties.alive) > 0
    np.testing.assert_array_equal(changed.network.ties.alive, start.ties.alive)
    np.testing.assert_array_equal(after[:, ~moved], before[:, ~moved])
    kept, to = after[:, moved]
    was = before[:, moved]
    assert ((kept == was[0]) | (kept == was[1])).all() and (np.asarray(group)[kept] == np.asarray(group)[to]).all()
    assert (np.asarray(group)[to] >= 0).all() and not moved[~there].any()
    np.testing.assert_array_equal(changed.network.ties.since, 3 * moved)
    grouped = np.asarray(group)[before[:, there]] >= 0
    share = 0.3 * grouped.mean()
    refused = 0.01  # of 300 agents of three groups hardly any tie meets another
    error = np.sqrt(1_000 * share * (1 - share))
    assert -4 * error - 1_000 * refused < moved.sum() - 1_000 * share < 4 * error
    ties = {tuple(sorted(pair)) for pair in after[:, there].T.tolist()}
    assert len(ties) == 1_000 and all(a != b for a, b in ties)


def test_in_the_end_all_pairs_are_tied_alike():
    """Three ties among five agents: of ten pairs each is one of them three times in ten, wherever they began."""
    path = pop.DynamicNetwork.of(pop.Network.from_edges([0, 1, 2], [1, 2, 3], 5))

    @jax.jit
    @jax.vmap
    def met(key):
        def again(draw, _, network):
            return pop.rewire(draw, "rewire", network, 0.6).network

        return Draw(key).loop("turn", 15, again, path).sum(jnp.eye(5))

    counts = np.asarray(met(jr.split(jr.key(3), RUNS))).sum(axis=0)[np.triu_indices(5, 1)]
    assert counts.sum() == 3 * RUNS
    assert (abs(counts - 0.3 * RUNS) < 4 * np.sqrt(RUNS * 0.21)).all()


def test_groups_are_one_each():
    with pytest.raises(ModelError, match="4 agents: one each"):
        pop.strangers(Draw(jr.key(0)), "to", np.arange(2), 4, group=np.zeros(3, np.int32))
