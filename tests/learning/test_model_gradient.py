"""Slopes through the model find known answers, are those of differences, and are refused where there are none."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from tests.learning.games import duopoly, fish_war, levers, recall

import populace as pop
from populace.learning.climbing import Copies, first_climbers
from populace.learning.game import watched
from populace.learning.model_gradient import joint_slopes, own_slopes
from populace.learning.rollout import rolled
from populace.studies.fishery import game as fishery
from populace.zoo.fishery import cooperative_share

KEY = jr.key(0)


def test_all_together_take_what_cooperation_takes():
    game = fishery(2, 0.3, steps=64)
    learned = pop.learn(game, pop.ModelGradient(together=True, worlds=16), KEY, budget=16 * 100, seeds=2, runs=2)
    for policies in learned.policies:
        share = float(policies["harvest"].act(jnp.float32(0.5), (), KEY).action)
        assert share == pytest.approx(cooperative_share(2), rel=0.02)


def test_who_remembers_learns_in_few_runs():
    """What evolution takes some thousand runs for."""
    learned = pop.learn(recall(), pop.ModelGradient(memory=4, worlds=16), KEY, budget=16 * 60, seeds=1, runs=32)
    assert learned.scores.returns("say").mean() > -0.5


@pytest.fixture(scope="module")
def slopes() -> Any:
    """Own and joint slopes of the two firms of one run, and those by the weights of each copy."""
    made = watched(duopoly(discount=0.9))
    climber = first_climbers(made, KEY, (4,), 0)["quantity"]
    sites = {"quantity": Copies(made, "quantity", climber.policy)}
    return made, sites


def test_own_slopes_are_of_one_agent_s_return_and_joint_ones_of_all(slopes: Any):
    """Against derivatives by hand of both firms' returns by both firms' weights, in a run of the same luck."""
    made, sites = slopes
    site = sites["quantity"]
    luck = jr.split(KEY)[0]

    def returns(shift: jax.Array) -> jax.Array:
        run = rolled(made, made.around((site.shifted(shift),)), luck, made.game.steps)
        return site.returns(run.seen["reward:quantity"])

    by_hand = np.asarray(jax.jacrev(returns)(jnp.zeros(site.shape)))  # (whose return, whose weights, parameters)
    found, _, _ = own_slopes(made, sites, KEY, jnp.int32(0), ())
    slope, count = found["quantity"]
    own = [by_hand[0, 0], by_hand[1, 1]]
    assert count.tolist() == [1.0]
    assert any(np.allclose(slope[0], one, rtol=1e-3, atol=1e-3) for one in own)
    together, _, _ = joint_slopes(made, sites, KEY, jnp.int32(0), ())
    assert np.allclose(together["quantity"][0][0], by_hand.sum((0, 1)), rtol=1e-3, atol=1e-2)


def test_the_slope_of_a_smooth_model_can_be_believed():
    game = fish_war(2)
    learned = pop.learn(game, pop.ModelGradient(hidden=(4,)), KEY, budget=32 * 20, seeds=1, runs=2)
    audit = pop.audit_slopes(game, learned.history[0][1], jr.key(1), worlds=16, directions=2)
    verdict = audit.verdicts["harvest"]
    assert verdict.code is pop.Code.BELIEVE and verdict.numbers["ratio"] == pytest.approx(1.0, abs=0.02)
    assert len(audit.slopes["harvest"]) == 2 and audit.record()["slopes"]["harvest"]


class Ticket(pop.Model):
    """A number is rounded before it is paid for: between the steps of the staircase nothing changes."""

    def init(self, draw: pop.Draw) -> jax.Array:
        return draw.uniform("first", size=2)

    def step(self, draw: pop.Draw, seen: jax.Array) -> jax.Array:
        named = draw.decide("name", seen, lambda view, inner: 0.5 * view)
        return jnp.round(20.0 * named) / 20.0 + draw.uniform("luck", size=2)

    def observe(self, seen: jax.Array) -> dict[str, jax.Array]:
        return {"sum": seen.sum()}


def test_a_staircase_has_no_slope_and_the_audit_says_so():
    learner = pop.Learner(lambda step: step.after, pop.Continuous(0.0, 1.0), discount=0.5)
    game = pop.Game(Ticket(), 4, {"name": learner})
    learned = pop.learn(game, pop.ModelGradient(hidden=(4,)), KEY, budget=64, seeds=1, runs=2)
    verdict = pop.audit_slopes(game, learned.history[0][1], jr.key(1)).verdicts["name"]
    assert verdict.code is pop.Code.BLIND and "relax" in verdict.code.mend


def test_options_have_no_slope():
    with pytest.raises(pop.MethodError, match="options have no slope"):
        pop.learn(levers(), pop.ModelGradient(), KEY, budget=32)


@pytest.mark.parametrize(
    ("policies", "settings", "says"),
    [
        ({"quantity": pop.FixedPolicy(1.0)}, {}, "network"),
        ({"quantity": pop.FixedPolicy(1.0)}, {"worlds": 2}, "least"),
    ],
)
def test_what_has_no_weights_cannot_be_audited(policies: Any, settings: Any, says: str):
    with pytest.raises(pop.MethodError, match=says):
        pop.audit_slopes(duopoly(), policies, KEY, **settings)


def test_a_slope_that_is_not_finite_is_refused():
    """The root of a distance that is 0 has an infinite slope."""
    game = fish_war(1, steps=4)
    learner = dataclasses.replace(game.learners["harvest"], reward=lambda step: jnp.sqrt(0.0 * step.after.catch))
    with pytest.raises(pop.MethodError, match="slopes"):
        pop.learn(
            dataclasses.replace(game, learners={"harvest": learner}), pop.ModelGradient(), KEY, budget=32, seeds=1
        )
