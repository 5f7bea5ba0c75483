"""The network SIR: the facts that its docstring lists."""

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from scipy.optimize import brentq

import populace as pop
from populace.core.simulate import begin
from populace.zoo.sir import SIR

ERRORS = 4.0
"""Standard errors within which an average must lie."""


def sir(contacts: pop.Topology, beta: float, gamma: float, seeded: float = 0.01) -> SIR:
    return SIR(contacts, jnp.float32(beta), jnp.float32(gamma), jnp.float32(seeded))


def ever_infected(seeded: float, r0: float) -> float:
    """The root of 1 - z = (1 - seeded) exp(-r0 z)."""
    return brentq(lambda z: 1 - z - (1 - seeded) * np.exp(-r0 * z), seeded, 1.0)


@pytest.mark.parametrize(("r0", "gamma"), [(0.8, 0.5), (1.5, 0.5), (1.5, 0.15), (3.0, 1.0)])
def test_where_all_meet_the_final_size_solves_its_equation_at_any_length_of_a_step(r0: float, gamma: float):
    size, seeded = 4000, 0.05
    model = sir(pop.WellMixed(size), r0 * gamma / (size - 1), gamma, seeded)
    steps = int(60 / gamma)
    runs = pop.ensemble(model, jr.key(1), steps, runs=64, record=pop.Last()).observations
    assert runs["infected"].max() == 0
    share = runs["recovered"][0, :, 0] / size
    error = share.std(ddof=1) / np.sqrt(share.size)
    assert abs(share.mean() - ever_infected(seeded, r0)) < ERRORS * error


def test_three_who_recover_in_a_step_are_a_reed_frost_chain():
    """With gamma = 1 the chances of one seeded agent to infect 0, 1 or 2 others are known."""
    model = sir(pop.WellMixed(3), 0.7, 1.0, 1 / 3)
    seen = pop.ensemble(model, jr.key(2), 4, runs=20_000).observations["recovered"][0]
    final = seen[seen[:, 0] == 1][:, -1]
    escape = np.exp(-0.7)
    none, one = escape**2, 2 * (1 - escape) * escape * escape
    for count, chance in ((1, none), (2, one), (3, 1 - none - one)):
        error = np.sqrt(chance * (1 - chance) / final.size)
        assert abs((final == count).mean() - chance) < ERRORS * error


def test_without_contacts_nobody_is_infected_who_was_not_seeded():
    ring = np.arange(100)
    half = pop.Network.from_edges(ring, (ring + 1) % 100, 200)
    model = sir(half, 2.0, 0.05, 0.1)
    start = begin(model, jr.key(3)).state.infected
    run = pop.simulate(model, jr.key(3), 60)
    end = np.asarray(run.final.state.infected + run.final.state.recovered)
    assert 0 < start[:100].sum() < 100 and 0 < start[100:].sum() < 100
    np.testing.assert_array_equal(end[100:], start[100:])
    assert end[:100].sum() == 100


def test_everybody_is_in_one_state_and_nobody_goes_back():
    run = pop.simulate(sir(pop.small_world(jr.key(0), 400, degree=6, rewire=0.1), 0.1, 0.2, 0.05), jr.key(4), 50)
    people, seen = run.final.state, run.observations
    assert set(np.asarray(people.infected + people.recovered).tolist()) <= {0.0, 1.0}
    assert (np.diff(seen["recovered"]) >= 0).all()
    assert (np.diff(seen["recovered"] + seen["infected"]) >= 0).all()


def test_shortcuts_bring_an_infection_to_half_the_town_sooner():
    """Nobody recovers: only how far it is from the seeded to all others counts."""

    def half(rewire: float) -> np.ndarray:
        town = pop.small_world(jr.key(0), 1000, degree=6, rewire=rewire)
        seen = pop.ensemble(sir(town, 1.0, 0.0, 0.003), jr.key(5), 200, runs=16).observations["infected"][0]
        return (seen[seen[:, -1] > 0] < 500).sum(axis=1)

    ring, town = half(0.0), half(0.1)
    error = np.sqrt(ring.var(ddof=1) / ring.size + town.var(ddof=1) / town.size)
    assert ring.mean() - town.mean() > ERRORS * error
