"""Proximal policy optimisation finds known answers, resumes to the same numbers, and says what it cannot learn from."""

from pathlib import Path

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from tests.learning.games import duopoly, fish_war, levers

import populace as pop
from populace.core import checkpoint
from populace.learning.algorithm import Lesson, Progress, Training
from populace.learning.critic import Critic
from populace.learning.game import watched
from populace.learning.learn import rest_verdict
from populace.learning.policies import no_scale
from populace.zoo.fishery import nash_share

SMALL = pop.PPO(worlds=8, epochs=2, minibatches=2, hidden=(8,))


def test_two_firms_learn_to_be_cournots():
    algorithm = pop.PPO(decay=0.0, hidden=(16,))
    learned = pop.learn(duopoly(), algorithm, jr.key(0), budget=32 * 120, seeds=2, runs=8)
    for seed in range(2):
        run = pop.simulate(learned.game.model, jr.key(1), 10, plugs=learned.plugs(seed))
        assert np.asarray(run.final.state.quantity) == pytest.approx(30.0, rel=0.02)
    assert set(learned.record()["returns"]) == {"quantity"}


def test_a_lone_harvester_learns_the_saving_rate():
    """Brock and Mirman's answer, from rewards that come later: within 3 %, the mean of two trainings."""
    algorithm = pop.PPO(decay=0.8, rate=1e-2, hidden=(32,))
    learned = pop.learn(fish_war(1), algorithm, jr.key(0), budget=32 * 150, seeds=2, runs=8)
    stock = jnp.array([0.45, 0.5, 0.55, 0.6])
    shares = [jax.vmap(lambda x: p["harvest"].act(x, (), jr.key(0)).action)(stock) for p in learned.policies]  # noqa: B023
    assert float(jnp.stack(shares).mean()) == pytest.approx(nash_share(1), rel=0.03)


def test_each_type_learns_what_pays_it():
    algorithm = pop.PPO(worlds=16, decay=0.0, hidden=(8,), rate=2e-2)
    learned = pop.learn(levers(types=jnp.arange(6) % 3), algorithm, jr.key(0), budget=16 * 60, seeds=1, runs=4)
    assert learned.scores.returns("pull").mean() == 1.0
    assert learned.rule.returns("pull").mean() == pytest.approx(1 / 3)


def test_a_critic_may_see_more_than_the_agents():
    made = watched(levers(critic=lambda state: state[None, :]))
    brain = jax.eval_shape(lambda key: SMALL.begin(made, key), jr.key(0))["pull"]
    assert brain.policy.weights[0][0].shape == (1, 8) and brain.critic.weights[0][0].shape == (1 + 6, 8)
    learned, _ = jax.eval_shape(
        lambda key: SMALL.update(made, SMALL.begin(made, key), key, jnp.float32(0.0), ()), jr.key(0)
    )
    assert learned["pull"].critic.weights[0][0].shape == (7, 8)


def test_an_interrupted_training_ends_with_the_same_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def train(folder: Path) -> pop.LearnedPolicies:
        return pop.learn(GAME, SMALL, jr.key(3), budget=8 * 6, seeds=2, runs=2, folder=folder)

    whole = train(tmp_path / "whole")
    save = checkpoint.Checkpoint.save

    def stop(self: checkpoint.Checkpoint, state: object, number: int, calls: int) -> None:
        save(self, state, number, calls)
        if number == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint.Checkpoint, "save", stop)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "parts")
    monkeypatch.setattr(checkpoint.Checkpoint, "save", save)
    parts = train(tmp_path / "parts")
    assert (parts.curve["quantity"] == whole.curve["quantity"]).all()
    for one, other in zip(jax.tree.leaves(parts.policies), jax.tree.leaves(whole.policies), strict=True):
        assert (one == other).all()


GAME = duopoly()


def test_rewards_that_are_not_finite_are_refused():
    learner = pop.Learner(lambda step: jnp.log(step.after.catch - 1.0), pop.Continuous(0.0, 1.0))
    game = pop.Game(fish_war(2).model, 8, {"harvest": learner})
    with pytest.raises(pop.MethodError, match="finite"):
        pop.learn(game, SMALL, jr.key(0), budget=8, seeds=1)


def test_a_budget_below_one_update_is_refused():
    with pytest.raises(pop.MethodError, match="give 8"):
        pop.learn(GAME, SMALL, jr.key(0), budget=7)


@pytest.mark.parametrize("settings", [{"worlds": 0}, {"hidden": ()}, {"near": 1.0}, {"rate": 0.0}])
def test_settings_that_make_no_sense_are_refused(settings: dict[str, object]):
    with pytest.raises(pop.MethodError):
        pop.PPO(**settings)  # type: ignore[arg-type]


def test_rescaling_a_critic_changes_no_value():
    weights = [(jnp.ones((2, 3)), jnp.zeros(3)), (jnp.array([[0.5], [1.0], [-1.0]]), jnp.array([0.3]))]
    critic = Critic(weights, no_scale(2), jnp.float32(1.0), jnp.float32(2.0), jnp.float32(4.0))
    vector = jnp.array([0.2, -0.7])
    after = critic.rescaled(jnp.array([[5.0, -20.0]]), jnp.ones((1, 2)))
    assert float(after(vector)) == pytest.approx(float(critic(vector)), rel=1e-5)
    assert float(after.spread) != 2.0


def test_a_curve_at_rest_and_one_that_moves():
    rng = np.random.default_rng(0)
    noise = rng.normal(scale=0.1, size=(4, 200))
    rising = np.linspace(0.0, 5.0, 200)
    settled = 5.0 * (1.0 - np.exp(-np.arange(200) / 10.0))
    assert rest_verdict("x", settled + noise).code is pop.Code.CONVERGED
    assert rest_verdict("x", rising + noise).code is pop.Code.STILL_CHANGING
    assert rest_verdict("x", -rising + noise).code is pop.Code.STILL_CHANGING
    assert rest_verdict("x", noise[:, :10]).code is pop.Code.UNJUDGED


def test_patience_waits_for_what_still_rises():
    """Twenty rounds of ten updates, of which the last eight are looked at."""
    game = watched(duopoly())
    rng = np.random.default_rng(0)
    noise = rng.normal(scale=0.1, size=(2, 120))
    curves = {"rising": np.linspace(0.0, 5.0, 120), "flat": 5.0 * (1.0 - np.exp(-np.arange(120) / 5.0))}
    training = Training(SMALL, 4)
    for name, expected in (("rising", None), ("flat", pop.Code.CONVERGED)):
        state = Progress(None, {"quantity": curves[name] + noise}, {}, np.zeros(2, bool), np.array(200))
        done = training.done(Lesson(game, 2), state, 0)
        assert (None if done is None else done.code) is expected
    assert Training(SMALL).done(Lesson(game, 2), state, 0) is None
