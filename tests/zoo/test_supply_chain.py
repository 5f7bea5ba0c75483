"""The supply chain: equilibrium, conservation, and how a shock is handed on."""

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

import populace as pop
from populace.testing.models import check_model
from populace.zoo.supply_chain import SLACK, supply_chain

FIRMS, STEPS = 120, 30


@pytest.fixture(scope="module")
def quiet():
    return np.asarray(pop.simulate(supply_chain(jr.key(0), FIRMS, struck=0.0), jr.key(1), STEPS).observations["value"])


@pytest.fixture(scope="module")
def struck():
    model = supply_chain(jr.key(0), FIRMS)
    return model, np.asarray(pop.simulate(model, jr.key(1), STEPS).observations["production"])


def test_the_laws_of_a_model():
    check_model(supply_chain(jr.key(0), 30), jr.key(1))


def test_without_a_shock_the_economy_stays_where_it_is(quiet):
    assert (np.abs(quiet - 1.0) < 0.05).all() and abs(quiet.mean() - 1.0) < 0.02


def test_an_equilibrium_is_one():
    model = supply_chain(jr.key(0), FIRMS, struck=0.0)
    used = np.bincount(model.suppliers, np.asarray(model.need) * np.asarray(model.output)[model.buyers], FIRMS)
    np.testing.assert_allclose(used + np.asarray(model.final), model.output, rtol=1e-4)


def test_stocks_are_never_negative_and_nobody_makes_more_than_his_machines_can(struck):
    model, production = struck
    assert (production >= 0).all() and (production <= SLACK + 1e-5).all()
    state = pop.simulate(model, jr.key(1), 12, record=pop.Last()).final.state
    assert (np.asarray(state.stock) >= 0).all()
    capacity = SLACK * (1.0 - np.asarray(model.hit) / model.machines)
    assert (production[0] <= capacity + 1e-5).all()


def test_what_is_delivered_is_what_is_made():
    """Stocks change by deliveries less use; with all that is ordered, deliveries cannot exceed production."""
    model = supply_chain(jr.key(0), FIRMS)
    before = pop.simulate(model, jr.key(2), 4, record=pop.Last()).final.state
    after = pop.simulate(model, jr.key(2), 5, record=pop.Last()).final.state
    gained = np.asarray(after.stock) - np.asarray(before.stock)
    delivered = gained + np.asarray(model.need) * np.asarray(after.made)[model.buyers]
    sent = np.bincount(model.suppliers, delivered, FIRMS)
    assert (delivered > -1e-4).all() and (sent <= np.asarray(after.made) + 1e-3).all()


def test_a_shock_reaches_those_it_did_not_hit(struck):
    model, production = struck
    quiet = np.asarray(
        pop.simulate(supply_chain(jr.key(0), FIRMS, struck=0.0), jr.key(1), STEPS).observations["production"]
    )
    change = (production - quiet)[5:20].mean(0)  # the same customers on both sides
    early = (production - quiet)[1:3].mean(0)  # before those who lack inputs make everybody feel it
    hit = np.asarray(model.hit) > 0
    down = np.bincount(model.buyers, hit[model.suppliers], FIRMS) > 0
    up = np.bincount(model.suppliers, hit[model.buyers], FIRMS) > 0
    far = ~hit & ~down & ~up
    assert change[~hit & down & ~up].mean() < change[far].mean() - 0.05
    assert early[~hit & up & ~down].mean() < early[far].mean() - 0.02


def test_larger_stocks_lessen_the_loss():
    lost = []
    for days in (3.0, 12.0):
        model = supply_chain(jr.key(0), FIRMS, stocks=days)
        lost.append(1.0 - np.asarray(pop.ensemble(model, jr.key(3), STEPS, runs=8).observations["value"]).mean())
    assert lost[1] < 0.8 * lost[0]


def test_both_parameters_of_a_struck_chain_move_it():
    model = supply_chain(jr.key(0), FIRMS)
    loss = pop.ExpectedLoss(pop.Simulation(model, STEPS), lambda seen: seen["value"].sum())
    slope = pop.differentiate(
        loss, pop.Pathwise(), jr.key(4), at={"stocks": model.stocks, "repair": model.repair}, keys=2
    )
    assert (slope.gradient["repair"][np.asarray(model.hit) > 0] > 0).mean() > 0.8
    assert (slope.gradient["repair"][np.asarray(model.hit) == 0] == 0).all()
    assert (np.abs(slope.gradient["stocks"]) > 0).mean() > 0.5
    assert eqx.tree_equal(jnp.isfinite(slope.gradient["stocks"]).all(), jnp.array(True))
