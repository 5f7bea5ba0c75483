"""A temperature that follows a schedule."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax

import populace as pop
from populace.core.draw import Draw


def slope(plugs, p=0.3):
    return jax.grad(lambda p: Draw(jr.key(5), 1, plugs=plugs).bernoulli("s", p, size=50).sum())(p)


def test_the_round_sets_the_temperature():
    cooling = pop.Annealed(pop.GumbelSoftmax, optax.exponential_decay(1.0, transition_steps=10, decay_rate=0.5))
    plugs = (pop.RelaxedAt("other", pop.ReinMax()), pop.RelaxedAt("s", cooling), pop.SoftThreshold())
    traces = []

    @jax.jit
    def at(plugs):
        traces.append(1)
        return slope(plugs)

    for turn, tau in ((0, 1.0), (10, 0.5), (20, 0.25)):
        np.testing.assert_allclose(at(pop.at_round(plugs, turn)), slope((pop.GumbelSoftmax(tau),)), rtol=1e-5)
    np.testing.assert_allclose(at(pop.at_round(plugs, jnp.int32(20))), slope((pop.GumbelSoftmax(0.25),)), rtol=1e-5)
    assert len(traces) == 1
