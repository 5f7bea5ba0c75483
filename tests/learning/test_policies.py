"""Networks that learn, and the scales that they see through."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

import populace as pop
from populace.learning.policies import as_vector, first_policy, no_scale


def test_scales_pool_what_they_saw():
    rng = np.random.default_rng(0)
    first, second = rng.normal(3.0, 2.0, (40, 3)), rng.normal(-1.0, 0.5, (60, 3))
    weights = np.r_[np.ones(50), np.zeros(10)]
    scale = no_scale(3).with_(jnp.asarray(first), jnp.ones(40)).with_(jnp.asarray(second), jnp.asarray(weights))
    both = np.concatenate([first, second[:50]])
    assert np.allclose(scale.mean, both.mean(0), atol=1e-4)
    assert np.allclose(scale.square, both.var(0), rtol=1e-4)
    assert np.allclose(jax.vmap(scale)(jnp.asarray(both)).std(0), 1.0, atol=1e-3)


def test_what_never_varies_is_only_centred():
    scale = no_scale(1).with_(jnp.full((5, 1), 7.0), jnp.ones(5))
    assert float(scale(jnp.array([7.0]))[0]) == 0.0


def test_a_first_policy_explores_around_the_middle_and_then_settles():
    view = {"x": jnp.array([1.0, 2.0]), "y": jnp.int32(3)}
    policy = first_policy(jr.key(0), view, pop.Continuous(0, 1, first=0.2), (8,))
    drawn = jax.vmap(lambda k: policy.act(view, (), k).action)(jr.split(jr.key(1), 200))
    settled = policy.settled().act(view, (), jr.key(2)).action
    assert float(drawn.std()) > 0.03
    assert abs(float(settled) - 0.2) < 0.03
    assert as_vector(view).tolist() == [1.0, 2.0, 3.0]


def test_chance_tries_everything():
    policy = pop.RandomPolicy(pop.Discrete(4))
    drawn = jax.vmap(lambda k: policy.act(jnp.zeros(1), (), k).action)(jr.split(jr.key(3), 400))
    assert np.bincount(np.asarray(drawn), minlength=4).min() > 60
