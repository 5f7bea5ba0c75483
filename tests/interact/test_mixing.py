import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from populace._errors import ModelError
from populace.core.draw import Draw
from populace.interact.mixing import ContactMatrix, Groups, WellMixed
from populace.interact.network import Network


def dense(topology) -> np.ndarray:
    return np.asarray(topology.sum(jnp.eye(topology.size)))


def test_well_mixed_is_the_complete_network():
    np.testing.assert_array_equal(dense(WellMixed(5)), 1.0 - np.eye(5))


def test_counts_of_a_million_are_exact():
    infected = (jnp.arange(1_000_000) % 3 == 0).astype(jnp.float32)
    assert float(WellMixed(1_000_000).sum(infected)[1]) == 333_334.0


def test_among_millions_nobody_is_found_by_more_than_others_are():
    """How many find an agent is then a Poisson number, of variance 1 with an error of sqrt(2 / size). Places that are
    found as float32 shares of all make it 1.006, eleven errors off.
    """
    size = 6_000_000
    met = WellMixed(size).neighbour(Draw(jr.key(0)), "meet").index
    found = np.bincount(np.asarray(met), minlength=size)
    assert len(found) == size and not (np.asarray(met) == np.arange(size)).any()
    np.testing.assert_allclose(found.var(), 1.0, atol=5 * np.sqrt(2 / size))


def test_groups_are_cliques():
    home = np.array([1, 0, 0, -1, 1, 1])
    same = (home[:, None] == home) & (home >= 0) & ~np.eye(6, dtype=bool)
    np.testing.assert_array_equal(dense(Groups(home)), same)
    cliques = Network.from_edges(*np.nonzero(np.triu(same)), 6)
    np.testing.assert_array_equal(dense(Groups(home, 9)), dense(cliques))


def test_what_happens_outside_stays_outside():
    groups = Groups([0, 0, -1])
    np.testing.assert_array_equal(groups.sum(jnp.array([1.0, 2.0, jnp.nan])), [2.0, 1.0, 0.0])


def test_a_contact_matrix_weighs_pairs():
    age, contacts = np.array([0, 1, 1, 0]), np.array([[1.0, 2.0], [3.0, 4.0]])
    np.testing.assert_array_equal(dense(ContactMatrix(age, contacts)), contacts[np.ix_(age, age)] * (1 - np.eye(4)))


def test_gradients_reach_the_contacts():
    age = np.array([0, 1, 1])

    @jax.jit
    def pressure(between):
        contacts = jnp.array([[1.0, 0.0], [0.0, 1.0]]).at[0, 1].set(between)
        return ContactMatrix(age, contacts).sum(jnp.array([0.0, 2.0, 3.0]))[0]

    assert float(jax.grad(pressure)(0.5)) == 5.0


WRONG = {
    "one agent or more": lambda: WellMixed(0),
    "whole numbers": lambda: Groups([0.5, 1.0]),
    r"one an agent, not int64 of \(1, 2\)": lambda: Groups([[0, 1]]),
    "memberships run from 0 to 3, and there are groups 0 to 1": lambda: Groups([0, 3], 2),
    "memberships run from -2": lambda: Groups([0, -2]),
    "one row and one column": lambda: ContactMatrix([0, 1], np.ones((2, 3))),
    "negative weight": lambda: ContactMatrix([0, 1], [[1.0, -1.0], [0.0, 0.0]]),
    "not finite": lambda: ContactMatrix([0, 1], [[1.0, np.inf], [0.0, 0.0]]),
    "every agent has a group": lambda: ContactMatrix([0, -1], np.ones((2, 2))),
    "in a run .* and say groups=, here None": lambda: jax.jit(lambda home: Groups(home).degree())(jnp.array([0, 1])),
}


@pytest.mark.parametrize("message", WRONG)
def test_what_cannot_mix_is_refused(message: str):
    with pytest.raises(ModelError, match=message):
        WRONG[message]()


def test_another_membership_compiles_nothing():
    traces = []

    @jax.jit
    def use(groups, values):
        traces.append(1)
        return groups.sum(values)

    for seed in range(3):
        home = jr.randint(jr.key(seed), (50,), -1, 6)
        use(Groups(np.asarray(home), 6), jnp.ones(50))
    assert len(traces) == 1
