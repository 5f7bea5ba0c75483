"""An epidemic among people who walk on a lattice."""

import jax.random as jr
import numpy as np
import pytest

import populace as pop
from populace.testing.models import check_model
from populace.zoo.lattice_sir import LatticeSIR
from populace.zoo.sublattices import Sublattices

SMALL, TURNS = Sublattices(12, 12, 4), 60  # the same of all, so that one program serves them


def test_the_laws_of_a_model():
    check_model(LatticeSIR(SMALL, 24, ill=0.2, susceptible=0.3), jr.key(0))


def test_nobody_is_lost_and_the_ill_decay():
    """Without infection; 36 ill people of whom exp(-.2 x 5) are left."""
    model = LatticeSIR(SMALL, TURNS, infect=0.0, recover=0.2, ill=0.25, susceptible=0.25)
    seen = {
        k: np.asarray(v[0], np.float64) for k, v in pop.ensemble(model, jr.key(1), 6, runs=300).observations.items()
    }
    np.testing.assert_array_equal(seen["susceptible"], 0.25)
    np.testing.assert_allclose(seen["ill"] + seen["recovered"], 0.25)
    left = seen["ill"][:, 4]
    assert abs(left.mean() - 0.25 * np.exp(-1.0)) < 4 * left.std() / np.sqrt(300)
    share = np.exp(-1.0)
    assert left.std() == pytest.approx(np.sqrt(36 * share * (1 - share)) / 144, rel=4 / np.sqrt(600))


def test_infections_among_people_who_stay_fall_short_of_the_mean_field():
    """dI/dt = infect S I - recover I, from S = .4, I = .1; one person in two meets nobody new."""
    model = LatticeSIR(SMALL, TURNS, infect=1.0, recover=0.0, ill=0.1, susceptible=0.4, move=0.1)
    ill = np.asarray(pop.ensemble(model, jr.key(2), 6, runs=200).observations["ill"][0, :, -1], np.float64)
    field = 0.5 / (1 + 4 * np.exp(-0.5 * 6))
    assert ill.mean() < field - 6 * ill.std() / np.sqrt(200)
    assert ill.mean() > 0.12


def test_the_first_infections_come_at_the_rate_that_is_set():
    """Mixed at the start, so that dS/dt = -infect S I for a short while: .3 x .3 x .2 over a fifth."""
    model = LatticeSIR(SMALL, TURNS, infect=1.0, recover=0.0, ill=0.3, susceptible=0.3, interval=0.1)
    gone = 0.3 - np.asarray(
        pop.ensemble(model, jr.key(3), 6, runs=1_000).observations["susceptible"][0, :, 0], np.float64
    )
    exact = 0.3 * 0.3 * 0.1 * 144 / 143  # nobody is one's own neighbour
    # susceptible shares are whole people: 43 of 144
    start = np.round(0.6 * 144) - np.round(0.3 * 144)
    gone = gone - (0.3 - start / 144)
    assert abs(gone.mean() - exact) < 4 * gone.std() / np.sqrt(1_000) + 0.05 * exact
