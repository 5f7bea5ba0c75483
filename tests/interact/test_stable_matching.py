"""Deferred acceptance: stable, best for those who propose, and lots for equal scores."""

import itertools

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

import populace as pop
from populace.core.draw import Draw


@jax.jit
def matched(key, scores, others, room):
    return pop.stable_matching(Draw(key), "marry", scores, others, room=room)


@jax.jit
def married(key, scores, others):
    return pop.stable_matching(Draw(key), "marry", scores, others)


def partners(found: pop.Neighbour) -> list[int]:
    return [int(j) if there else -1 for j, there in zip(found.index, found.present, strict=True)]


def stable(partner, scores, others, room) -> bool:
    """No pair would both rather: nobody is with one whom he will not have, and no two envy each other."""
    n, m = scores.shape
    for i in range(n):
        if partner[i] >= 0 and not (np.isfinite(scores[i, partner[i]]) and np.isfinite(others[partner[i], i])):
            return False
    if any(partner.count(j) > room[j] for j in range(m)):
        return False
    for i, j in itertools.product(range(n), range(m)):
        if not (np.isfinite(scores[i, j]) and np.isfinite(others[j, i])) or partner[i] == j:
            continue
        envies = partner[i] < 0 or scores[i, j] > scores[i, partner[i]]
        inside = [k for k in range(n) if partner[k] == j]
        welcome = len(inside) < room[j] or any(others[j, i] > others[j, k] for k in inside)
        if envies and welcome:
            return False
    return True


@pytest.mark.parametrize("seed", range(12))
def test_of_all_stable_matchings_it_finds_the_best_for_those_who_propose(seed: int):
    """Four by three, with refusals and room, all matchings tried."""
    rng = np.random.default_rng(seed)
    scores, others = rng.normal(size=(4, 3)), rng.normal(size=(3, 4))
    scores[rng.random((4, 3)) < 0.2] = -np.inf
    others[rng.random((3, 4)) < 0.2] = -np.inf
    room = np.array([1, 1, 1]) if seed < 6 else rng.integers(0, 3, 3)
    found = partners(married(jr.key(seed), scores, others) if seed < 6 else matched(jr.key(seed), scores, others, room))
    every = [list(p) for p in itertools.product(range(-1, 3), repeat=4) if stable(list(p), scores, others, room)]
    assert found in every
    worth = np.column_stack([scores, np.full(4, -np.inf)])
    for other in every:
        assert all(worth[i, found[i]] >= worth[i, other[i]] for i in range(4))


def test_large_ones_are_stable():
    rng = np.random.default_rng(5)
    scores, others = rng.normal(size=(60, 20)), rng.normal(size=(20, 60))
    room = np.full(20, 2)
    found = partners(matched(jr.key(0), scores, others, room))
    assert stable(found, scores, others, room) and sum(p < 0 for p in found) == 20


def test_equal_scores_go_by_lot_and_each_agent_s_lots_are_its_own():
    """Three for one seat, all alike: each gets it in a third of the runs; with three seats all matchings come alike."""
    runs = 3000

    def alike(receivers: int):
        scores = jnp.zeros((3, receivers))
        return jax.jit(jax.vmap(lambda key: pop.stable_matching(Draw(key), "m", scores, scores.T)))

    won = np.asarray(alike(1)(jr.split(jr.key(1), runs)).present).mean(axis=0)
    assert (np.abs(won - 1 / 3) < 4 * np.sqrt(2 / 9 / runs)).all()
    index = np.asarray(alike(3)(jr.split(jr.key(2), runs)).index)
    counts = np.unique(index @ [9, 3, 1], return_counts=True)[1]
    assert len(counts) == 6 and (np.abs(counts / runs - 1 / 6) < 4 * np.sqrt(5 / 36 / runs)).all()


def test_scores_must_fit():
    with pytest.raises(pop.ModelError, match="its transpose"):
        pop.stable_matching(Draw(jr.key(0)), "m", jnp.zeros((3, 2)), jnp.zeros((3, 2)))
