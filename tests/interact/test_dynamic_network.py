"""Ties that form, end and are redirected, against a plain list of pairs."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

import populace as pop
from populace._errors import CapacityError, ModelError
from populace.core.draw import Draw

AGENTS, ROOM, ASKED = 9, 16, 12


def pairs(network: pop.DynamicNetwork) -> list[tuple[int, int]]:
    """The ties by slot, the lower agent first; (-1, -1) where there is none."""
    ties = network.ties
    ends, alive = np.sort(np.stack([ties.one, ties.other], axis=1), axis=1), np.asarray(ties.alive)
    return [(int(a), int(b)) if there > 0 else (-1, -1) for (a, b), there in zip(ends, alive, strict=True)]


def matrix(network: pop.DynamicNetwork) -> np.ndarray:
    """The ties as a table of 0 and 1."""
    table = np.zeros((network.size, network.size))
    for a, b in held(network):
        table[a, b] = table[b, a] = 1
    return table


def held(network: pop.DynamicNetwork) -> set[tuple[int, int]]:
    found = [pair for pair in pairs(network) if pair != (-1, -1)]
    assert len(set(found)) == len(found) and all(a != b for a, b in found)
    return set(found)


@jax.jit
def changed(network: pop.DynamicNetwork, one, other, where, tie, end):
    network = network.ended(end)
    made = network.formed(one, other, where, 7), network.redirected(tie, one, other, where, 7)
    return network, *made, network.sum(jnp.eye(AGENTS))


def test_any_changes_are_those_of_a_list_of_pairs():
    rng = np.random.default_rng(0)
    network = pop.DynamicNetwork.empty(AGENTS, ROOM)
    refused = 0
    for _ in range(60):
        one, other = rng.integers(AGENTS, size=(2, ASKED))
        where, tie, end = rng.random(ASKED) < 0.7, rng.integers(-1, ROOM, ASKED), rng.random(ROOM) < 0.15
        before = [(-1, -1) if over else pair for pair, over in zip(pairs(network), end, strict=True)]
        keep = np.where(rng.random(ASKED) < 0.8, np.array(before)[tie, rng.integers(2, size=ASKED)], one)
        one = keep if rng.random() < 0.5 else one
        network, formed, redirected, table = changed(network, one, other, where, tie, end)
        assert pairs(network) == before
        np.testing.assert_array_equal(table, matrix(network))

        known, done = set(before), []
        for a, b, asks in zip(one, other, where, strict=True):
            pair = (int(min(a, b)), int(max(a, b)))
            done.append(asks and a >= 0 and a != b and pair not in known)
            known |= {pair} if done[-1] else set()
        np.testing.assert_array_equal(formed.done, done)
        room = ROOM - len(held(network))
        assert len(held(formed.network)) == ROOM - room + min(sum(done), room) and held(formed.network) <= known

        wanted, known, done, taken = list(before), set(before), [], set()
        for a, b, t, asks in zip(one, other, tie, where, strict=True):
            pair = (int(min(a, b)), int(max(a, b)))
            asks = asks and t >= 0 and a in before[t] and before[t] != (-1, -1) and t not in taken
            taken |= {t} if asks else set()
            done.append(asks and a != b and pair not in known)
            if done[-1]:
                known, wanted[t] = known | {pair}, pair
        np.testing.assert_array_equal(redirected.done, done)
        assert pairs(redirected.network) == wanted
        refused += sum(where) - sum(done)

        network = formed.network if rng.random() < 0.5 else redirected.network
    assert refused > 50


def test_it_begins_and_ends_as_a_network():
    town = pop.small_world(jr.key(0), 20, degree=4, rewire=0.3)
    network = pop.DynamicNetwork.of(town, room=50)
    again = network.network()
    assert all((a == b).all() for a, b in zip(jax.tree.leaves(again), jax.tree.leaves(town), strict=True))
    dead = np.arange(20) < 3
    left = jax.jit(lambda network: network.without(dead))(network)
    np.testing.assert_array_equal(matrix(left), matrix(network) * ~dead * ~dead[:, None])


def test_an_agent_picks_a_tie_of_its_own():
    network = pop.DynamicNetwork.of(pop.random_network(jr.key(1), 40, 1.5), room=80)

    @jax.jit
    def picked(network):
        tie = network.pick(Draw(jr.key(2)), "meet")
        return tie, network.across(tie), network.at_ends(jnp.arange(40)), network.degree()

    tie, met, (one, other), degree = jax.tree.map(np.asarray, picked(network))
    agent, table = np.arange(40), matrix(network)
    np.testing.assert_array_equal(degree, table.sum(1))
    np.testing.assert_array_equal(tie >= 0, degree > 0)
    mine = degree > 0
    assert ((one[tie] == agent) | (other[tie] == agent))[mine].all() and (~mine).any()
    assert (table[agent, met.index][mine] == 1).all() and (met.present == mine).all()


class Growing(pop.Model):
    """Four agents who tie themselves to each other, in room for two ties."""

    def init(self, draw):
        return pop.DynamicNetwork.empty(4, room=2)

    def step(self, draw, network):
        first = jnp.zeros(3, jnp.int32)
        return network.formed(first, jnp.arange(1, 4), jnp.ones(3), draw.time).network

    def observe(self, network):
        return {"ties": network.ties.alive.sum()}


def test_too_little_room_is_said():
    with pytest.raises(CapacityError, match="3"):
        pop.simulate(Growing(), jr.key(0), 1)


WRONG = {
    "undirected, without weights": lambda: pop.DynamicNetwork.of(pop.Network.from_edges([0], [1], 2, directed=True)),
    "without weights": lambda: pop.DynamicNetwork.of(pop.Network.from_edges([0], [1], 2, weights=[2.0])),
    "without loops": lambda: pop.DynamicNetwork.of(pop.Network.from_edges([0], [0], 2, loops=True)),
    "2 ties in room for 1": lambda: pop.DynamicNetwork.of(pop.Network.from_edges([0, 1], [1, 2], 3), room=1),
    "0 agents": lambda: pop.DynamicNetwork.empty(0, 1),
}


@pytest.mark.parametrize("message", WRONG)
def test_what_cannot_change_is_refused(message: str):
    with pytest.raises(ModelError, match=message):
        WRONG[message]()
