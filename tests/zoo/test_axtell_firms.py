"""Firms of people: the facts that its docstring lists."""

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

import populace as pop
from populace.testing.models import check_model
from populace.zoo.axtell_firms import AxtellFirms, Offers, random_friends

AGENTS, STEPS = 200, 120
MOVED = eqx.filter_jit(AxtellFirms.moved)


@pytest.fixture(scope="module")
def run():
    """The whole run; an agent has 60 turns on average."""
    return pop.simulate(random_friends(jr.key(1), AGENTS, 2), jr.key(2), STEPS)


def test_it_keeps_the_laws_of_models():
    check_model(random_friends(jr.key(0), 6, 2), jr.key(0), steps=4)


@pytest.mark.parametrize(("a", "b"), [(1.0, 1.0), (0.2, 2.0), (3.0, 0.1), (0.0, 1.0)])
def test_the_best_effort_is_where_utility_is_greatest(a, b):
    model = AxtellFirms(np.array([[1], [0]]), a=a, b=b)
    theta, others = (each.ravel() for each in np.meshgrid(np.linspace(0.05, 0.95, 7), [0.0, 0.3, 2.0, 9.0]))
    effort = np.linspace(0, 1, 2_001)
    income = a * (others[:, None] + effort) + b * (others[:, None] + effort) ** 2
    with np.errstate(divide="ignore"):
        utility = theta[:, None] * np.log(income) + (1 - theta[:, None]) * np.log(1 - effort)
    offers = Offers(*(jnp.asarray(each, jnp.float32) for each in (others, np.ones(28), theta)))
    np.testing.assert_allclose(model.best(offers), effort[utility.argmax(1)], atol=1e-3)


def test_members_and_efforts_are_kept_count_of(run):
    people = run.final.state
    firm, effort = np.asarray(people.firm), np.asarray(people.effort)
    np.testing.assert_array_equal(people.members, np.bincount(firm, minlength=AGENTS))
    np.testing.assert_allclose(people.total, np.bincount(firm, effort, AGENTS), rtol=1e-5, atol=1e-6)
    total = np.asarray(people.total, np.float64)
    assert float(run.observations["output"][-1]) == pytest.approx((total + total**2).sum() / AGENTS, rel=1e-5)


def test_who_has_just_moved_is_no_worse_off_than_alone(run):
    model, people = random_friends(jr.key(1), AGENTS, 2), run.final.state
    for agent in range(0, AGENTS, 29):
        moved = MOVED(model, people, jnp.int32(agent))
        firm, effort, theta = moved.firm[agent], moved.effort[agent], moved.theta[agent]
        there = model.utility(Offers(moved.total[firm] - effort, moved.members[firm], theta), effort)
        alone = Offers(jnp.zeros(1), jnp.ones(1), theta[None])
        assert float(there) >= float(model.utility(alone, model.best(alone))[0]) * (1 - 1e-5)


def test_firms_form_and_none_lasts(run):
    seen = run.observations
    late = slice(STEPS // 2, None)
    assert seen["firms"][0] > 0.5 * AGENTS and np.asarray(seen["firms"][late]).max() < 0.6 * AGENTS
    assert len(np.unique(seen["name"][late])) > 2
    sizes = np.asarray(run.final.state.members)
    sizes = sizes[sizes > 0]
    assert np.median(sizes) < sizes.mean() < sizes.max() / 2


def test_nobody_without_friends():
    with pytest.raises(pop.ModelError, match="least"):
        random_friends(jr.key(0), 5, 0)
