"""Plain policy gradients: the slope is the score times the advantage, and levers are learned by it."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from tests.learning.games import levers

import populace as pop
from populace.learning.game import watched
from populace.learning.ppo import _standardised, _weights
from populace.learning.rollout import rollout


def test_the_slope_is_the_score_times_the_advantage():
    """PPO's loss at the policy that ran, against the slope of log-odds written down by itself."""
    algorithm, made = pop.actor_critic(worlds=8, decay=0.0, hidden=(4,)), watched(levers())
    learner = made.game.learners["pull"]
    brain = algorithm.begin(made, jr.key(0))["pull"]
    policies = {"pull": brain.policy}
    keys = jr.split(jr.key(1), 8)
    runs = jax.jit(jax.vmap(lambda k: rollout(made, policies, k, made.game.steps + 1, ())))(keys)
    brain, batch, _ = algorithm._batch(made.game, "pull", brain, runs)
    batch = _standardised(batch, learner)
    slope = jax.grad(algorithm._loss)(_weights(brain.policy, brain.critic), brain, learner, batch, jnp.float32(1.0))

    def score(weights: object) -> jax.Array:
        policy = eqx.tree_at(lambda p: p.weights, brain.policy, weights)

        def log_odds(view: jax.Array, raw: jax.Array) -> jax.Array:
            return policy.actions.log_prob(policy.law(view), view, raw)[0]

        said = jax.vmap(jax.vmap(jax.vmap(log_odds)))(batch.view, batch.raw)
        return -(batch.acted * batch.advantage * said).sum() / batch.acted.sum()

    for found, exact in zip(
        jax.tree.leaves(slope["policy"]), jax.tree.leaves(jax.grad(score)(brain.policy.weights)), strict=True
    ):
        np.testing.assert_allclose(np.asarray(found), np.asarray(exact), atol=1e-6)


def test_either_takes_one_step_an_update():
    plain, whole = pop.actor_critic(decay=0.5), pop.reinforce()
    assert (plain.epochs, plain.minibatches, plain.decay) == (1, 1, 0.5)
    assert (whole.epochs, whole.minibatches, whole.decay) == (1, 1, 1.0)
