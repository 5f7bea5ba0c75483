"""Derivatives in less memory are the same derivatives, and the planner keeps to the memory it is given."""

import jax
import jax.random as jr
import numpy as np
import pytest
from tests.gradients.known import Outbreak

import populace as pop

WAYS = {"everything": None, "steps": pop.Recompute(), "stretches": pop.Recompute(3), "many": pop.Recompute(50)}
STEPS = 7


def loss(steps: int = STEPS) -> pop.ExpectedLoss:
    model = Outbreak(200, beta=0.8, gamma=0.3, noise=0.5)
    return pop.ExpectedLoss(pop.Simulation(model, steps), lambda seen: seen["ill"] ** 2 + seen["level"] ** 2)


@pytest.fixture(scope="module")
def kept():
    return pop.differentiate(loss(), pop.Pathwise(recompute=None), jr.key(1), keys=8)


@pytest.mark.parametrize("way", [name for name in WAYS if name != "everything"])
def test_what_is_computed_again_is_the_same(kept, way):
    """Seven steps in stretches of three, of one, and whole."""
    found = pop.differentiate(loss(), pop.Pathwise(recompute=WAYS[way]), jr.key(1), keys=8)
    np.testing.assert_allclose(found.values, kept.values, rtol=1e-6)
    for name in kept.gradient:
        np.testing.assert_allclose(found.samples[name], kept.samples[name], rtol=1e-5, atol=1e-4)


def test_the_planner_keeps_everything_where_there_is_room():
    plan = pop.plan_gradient(loss(), memory=2**30)
    assert plan.ways[plan.chosen].name == "reverse, everything kept"
    assert isinstance(plan.estimator, pop.Pathwise) and plan.estimator.recompute is None
    assert plan.sentence in plan.sections()[0].text


def test_less_memory_another_way():
    """What is kept falls from way to way, and the first that fits is taken."""
    many = loss(100)
    whole = pop.plan_gradient(many, memory=2**30)
    sizes = [way.bytes for way in whole.ways[:3]]
    assert sizes[0] > 2 * sizes[1] > 2 * sizes[2]
    plan = pop.plan_gradient(many, memory=sizes[1] + 1)
    assert plan.ways[plan.chosen].bytes <= sizes[1] + 1
    assert plan.ways[plan.chosen].cost <= whole.ways[1].cost


def test_when_nothing_fits_it_says_what_would():
    with pytest.raises(pop.GradientError, match=r"no way fits .*: .* takes"):
        pop.plan_gradient(loss(), memory=10)


def test_a_run_does_not_hang_on_what_is_kept():
    """The forward pass is the run that `simulate` makes."""
    expected = loss()
    run = pop.simulate(expected.simulation.model, jr.key(4), STEPS)
    wanted = float((run.observations["ill"] ** 2 + run.observations["level"] ** 2).sum())
    for way in WAYS.values():
        one = jax.jit(lambda at, way=way: expected.one(at, jr.key(4), (), way))
        assert float(one(expected.at(None))) == pytest.approx(wanted, rel=1e-6)
