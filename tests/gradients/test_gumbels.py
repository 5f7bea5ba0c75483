"""Gumbel-softmax and Gumbel-Rao: noise that draws the same, and a bias that is known."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from scipy.integrate import quad

import populace as pop
from populace.core.draw import Draw
from populace.core.noise import Noise
from populace.gradients.gumbel_rao import gumbels_given, score_given

AGENTS = 100_000


def coins(relaxation, p, agents=AGENTS):
    """The derivative of each of many coins."""

    def toss(p):
        return Draw(jr.key(5), 1, plugs=(relaxation,)).bernoulli("s", p, size=agents)

    return np.asarray(jax.jit(lambda p: jax.jvp(toss, (p,), (1.0,))[1])(jnp.float32(p)), np.float64)


def expected_slope(p, tau):
    """E d sigmoid((log odds + logistic noise) / tau) / dp; in z, the noise, on both sides of the kink."""

    def part(z):
        score = np.log(p) - np.log1p(-p) + z
        soft = 1 / (1 + np.exp(-score / tau))
        density = np.exp(-abs(z)) / (1 + np.exp(-abs(z))) ** 2
        return soft * (1 - soft) / tau / (p * (1 - p)) * density

    kink = -np.log(p) + np.log1p(-p)
    return (
        sum(quad(part, a, b)[0] for a, b in ((kink - 40, kink - 5 * tau), (kink - 5 * tau, kink + 5 * tau)))
        + (quad(part, kink + 5 * tau, kink + 60)[0])
    )


@pytest.mark.parametrize("tau", [1.0, 0.1])
@pytest.mark.parametrize("p", [0.5, 0.01, 0.001])
def test_the_bias_is_that_of_the_integral(p: float, tau: float):
    truth = expected_slope(p, tau)
    for relaxation in (pop.GumbelSoftmax(tau), pop.GumbelRao(tau, samples=4)):
        slopes = coins(relaxation, p)
        assert abs(slopes.mean() - truth) < 4 * slopes.std() / AGENTS**0.5


def test_rare_events_are_overstated_at_temperature_one():
    """2.8 times at p = .01, 4.9 at .001 and within 3 % at a temperature of .1 (the shares of what is right, 1)."""
    found = [expected_slope(p, tau) for p, tau in ((0.01, 1.0), (0.001, 1.0), (0.01, 0.1), (0.001, 0.1))]
    np.testing.assert_allclose(found, [2.8, 4.95, 1.0, 1.0], atol=0.03)


def test_averaging_takes_spread_away_and_no_bias():
    p, tau = 0.05, 0.1
    one, few, many = (coins(pop.GumbelRao(tau, samples=n), p) for n in (1, 4, 32))
    plain = coins(pop.GumbelSoftmax(tau), p)
    assert abs(one.std() / plain.std() - 1) < 0.1
    assert few.std() < 0.7 * one.std() and many.std() < 0.7 * few.std()


def test_what_is_soft_shares_the_noise_of_what_is_hard():
    """The option drawn is the largest of the perturbed logits, so it has the largest soft share too."""

    def one_hot(logits):
        return Draw(jr.key(5), 1, plugs=(pop.GumbelSoftmax(10.0),)).categorical("s", logits).one_hot

    agents = 500
    logits = jr.normal(jr.key(0), (agents, 4))

    @jax.jit
    def own(logits):
        """The slope of each option's share along its own logit, s (1 - s) / tau: it rises with s below one half."""
        units = jnp.broadcast_to(jnp.eye(4)[:, None], (4, agents, 4))
        slopes = [jax.jvp(one_hot, (logits,), (unit,))[1][:, k] for k, unit in enumerate(units)]
        return one_hot(logits), jnp.stack(slopes, axis=1)

    value, slopes = own(logits)
    np.testing.assert_array_equal(np.asarray(slopes).argmax(1), np.asarray(value).argmax(1))


@pytest.mark.parametrize("p", [1e-9, 0.02, 0.5, 0.98, 1.0 - 1e-6])
def test_a_coin_falls_again_as_it_fell(p: float):
    u = Noise(jr.key(1)).uniform((2_000,))
    for x in (0.0, 1.0):
        score = score_given(jnp.float32(x), jnp.float32(p), u)
        assert bool(((score >= 0) == (x > 0)).all())


def test_a_choice_is_made_again_and_its_noise_is_gumbel():
    """Given what was drawn, the same option wins; over all draws the noise is Gumbel's again (mean .5772,
    variance 1.6449).
    """
    agents = 50_000
    logits = jnp.broadcast_to(jnp.array([1.0, -2.0, 0.0, -jnp.inf]), (agents, 4))
    drawn = jax.nn.one_hot(jr.categorical(jr.key(1), logits), 4)
    found = jax.jit(gumbels_given, static_argnums=3)(drawn, logits, Noise(jr.key(2)), (agents, 2, 4))
    won = jnp.argmax(logits[:, None] + found, axis=-1)
    np.testing.assert_array_equal(won, jnp.broadcast_to(drawn.argmax(-1)[:, None], won.shape))
    first = np.asarray(found, np.float64)[:, 0, :3]
    np.testing.assert_allclose(first.mean(0), 0.57722, atol=4 * (1.6449 / agents) ** 0.5)
    np.testing.assert_allclose(first.var(0), 1.6449, rtol=4 * (4.4 / agents) ** 0.5)
    assert float(jnp.abs(found[..., 3]).max()) == 0.0


@pytest.mark.parametrize("relaxation", [pop.GumbelSoftmax(0.1), pop.GumbelRao(0.1, samples=4)])
def test_choices_are_nearly_right_at_a_low_temperature(relaxation: pop.Relaxation):
    worth, logits, agents = jnp.array([1.0, 2.0, 5.0, -3.0]), jnp.array([0.5, -1.0, -jnp.inf, 1.5]), 40_000

    def total(logits):
        return Draw(jr.key(5), 1, plugs=(relaxation,)).categorical("s", logits).take(worth).sum()

    found = np.asarray(jax.jit(jax.grad(total))(jnp.broadcast_to(logits, (agents, 4))), np.float64)
    truth = np.asarray(jax.grad(lambda x: jax.nn.softmax(x) @ worth)(logits))
    off = np.abs(found.mean(0) - truth)
    assert (off <= 4 * found.std(0) / agents**0.5 + 0.02 * np.abs(truth)).all()


def test_another_temperature_compiles_nothing_anew():
    traces = []

    @jax.jit
    def slope(relaxation, p):
        traces.append(1)
        return jax.grad(lambda p: Draw(jr.key(5), 1, plugs=(relaxation,)).bernoulli("s", p, size=9).sum())(p)

    found = [float(slope(pop.GumbelSoftmax(tau), 0.3)) for tau in (0.1, 0.5, 1.0)]
    assert len(traces) == 1 and len(set(found)) == 3


def test_counts_have_the_derivative_of_their_mean():
    for relaxation in (pop.GumbelSoftmax(), pop.GumbelRao()):

        def total(rate, relaxation=relaxation):
            return Draw(jr.key(5), 1, plugs=(relaxation,)).poisson("s", rate, size=7).sum()

        assert float(jax.jit(jax.grad(total))(2.0)) == 7.0


def test_no_samples_is_an_error():
    with pytest.raises(pop.ModelError, match="at least one noise, not 0"):
        pop.GumbelRao(samples=0)
