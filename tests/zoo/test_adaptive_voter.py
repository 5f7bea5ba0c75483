"""The adaptive voter model: the facts that its docstring lists."""

import jax.random as jr
import numpy as np
import pytest
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

import populace as pop
from populace.zoo.adaptive_voter import AdaptiveVoter, Society

AGENTS, OPINIONS, STEPS = 80, 8, 600
TOWN = pop.random_network(jr.key(0), AGENTS, degree=4.0)
START = pop.DynamicNetwork.of(TOWN)


@pytest.fixture(scope="module")
def runs() -> dict[float, list[pop.Run]]:
    """Runs by phi; one compiled program, because phi is data."""
    keys = jr.split(jr.key(1), 3)
    return {
        phi: [pop.simulate(AdaptiveVoter(START, phi=phi, opinions=OPINIONS), key, STEPS) for key in keys]
        for phi in (0.0, 0.1, 0.8, 1.0)
    }


def ends(state: Society) -> np.ndarray:
    ties = state.network.ties
    return np.stack([ties.one, ties.other])


def components(state: Society) -> np.ndarray:
    one, other = ends(state)
    return connected_components(coo_array((np.ones(len(one)), (one, other)), (AGENTS, AGENTS)))[1]


def test_ties_are_kept_and_none_is_double(runs):
    for run in (run for each in runs.values() for run in each):
        assert (np.asarray(run.observations["ties"]) == 2 * AGENTS).all()
        one, other = np.sort(ends(run.final.state), axis=0)
        assert (one != other).all() and len(set(zip(one.tolist(), other.tolist(), strict=True))) == 2 * AGENTS


def test_without_rewiring_each_component_comes_to_one_opinion(runs):
    for run in runs[0.0]:
        np.testing.assert_array_equal(ends(run.final.state), ends(Society(run.final.state.opinion, START)))
        opinion, home = np.asarray(run.final.state.opinion), components(run.final.state)
        assert run.observations["active"][-1] == 0
        assert all(len(set(opinion[home == part])) == 1 for part in range(home.max() + 1))


def test_with_rewiring_alone_no_opinion_changes(runs):
    for run in runs[1.0]:
        largest = np.asarray(run.observations["largest"])
        assert (largest == largest[0]).all() and run.observations["active"][-1] == 0
        assert largest[0] * AGENTS < 3 * AGENTS / OPINIONS


def test_between_lies_a_transition(runs):
    """Most agree with little rewiring, few with much; and every tie joins two who agree where there is much of it."""
    end = {phi: np.array([run.observations["largest"][-1] for run in each]) for phi, each in runs.items()}
    assert end[0.1].min() > 0.6 and end[0.8].max() < 0.35
    for run in runs[0.8]:
        opinion, home = np.asarray(run.final.state.opinion), components(run.final.state)
        assert all(len(set(opinion[home == part])) == 1 for part in range(home.max() + 1))
        assert home.max() + 1 > components(Society(opinion, START)).max() + 1


def test_its_picture_shows_the_network_as_it_stands(runs):
    run = runs[0.8][0]
    model = AdaptiveVoter(START, opinions=OPINIONS)
    look = model.look(run.final.state)
    assert look.world is run.final.state.network
    opinion, kind = np.asarray(run.final.state.opinion), np.asarray(look.layers[0].values)
    assert (np.bincount(kind, minlength=5)[1:] == np.sort(np.bincount(opinion, minlength=OPINIONS))[::-1][:4]).all()
