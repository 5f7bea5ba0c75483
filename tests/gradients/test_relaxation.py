"""Relaxations: masks, order of plugs, several at once, numbers of their own."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

import populace as pop
from populace.core.draw import Draw
from populace.gradients.relaxation import hard_but_soft, own_noise, sloped
from populace.zoo.sir import SIR

PLAIN = (pop.StraightThrough(),)


def coins(p, plugs, where=None, size=None, key=jr.key(3)):
    return Draw(key, 1, plugs=plugs).bernoulli("site", p, where=where, size=size)


def test_the_value_of_one_and_the_derivative_of_another():
    at = jnp.array([1.0, 2.0])
    value, tangent = jax.jvp(lambda x: hard_but_soft(jnp.floor(x), x**2), (at,), (jnp.ones(2),))
    np.testing.assert_array_equal(value, at)
    np.testing.assert_array_equal(tangent, 2 * at)
    value, tangent = jax.jvp(lambda x: sloped(x, (x, x), (jnp.ones(2), 3.0 * x)), (at,), (jnp.ones(2),))
    np.testing.assert_array_equal(value, at)
    np.testing.assert_array_equal(tangent, at + 3.0)


def test_a_masked_agent_passes_the_derivative_of_its_mask_only():
    where, p = jnp.array([1.0, 0.0, 1.0, 0.0]), jnp.array([0.3, 0.4, 0.0, jnp.nan])
    of_p, of_where = jax.grad(lambda p, w: coins(p, PLAIN, w).sum(), (0, 1))(p, where)
    np.testing.assert_array_equal(of_p, where)
    np.testing.assert_allclose(of_where, [0.3, 0.4, 0.0, 0.0])


def test_a_mask_that_counts_only_opens_the_gate():
    gradient = jax.grad(lambda p: coins(p, PLAIN, jnp.array([2.0, 0.0, 0.5])).sum())(jnp.full(3, 0.3))
    np.testing.assert_array_equal(gradient, [1.0, 0.0, 1.0])


@pytest.mark.parametrize("relaxation", [pop.StraightThrough(), pop.Smoothed(), pop.Smoothed(upward=0.0)])
def test_what_is_used_up_is_used_up(relaxation: pop.Relaxation):
    """Two chances to catch it, E = 1 - (1 - p)^2: the mask's own derivative makes 2 (1 - p) of 2 - p."""
    agents, p = 50_000, 0.4

    @jax.jit
    def slopes(p):
        def caught(p):
            draw = Draw(jr.key(3), 1, plugs=(relaxation,))
            first = draw.bernoulli("first", p, size=agents)
            return first + draw.bernoulli("second", p, where=1 - first)

        return jax.jvp(caught, (p,), (jnp.ones(()),))[1]

    found = np.asarray(slopes(jnp.float32(p)))
    assert abs(found.mean() - 2 * (1 - p)) < 4 * found.std() / agents**0.5


def test_a_relaxation_stands_innermost():
    override = pop.Override("site", 1.0, pop.Window(who=jnp.array([1.0, 1.0, 0.0, 0.0])))
    scale = pop.Scale("site", 0.5)
    for outer, inside, outside in ((override, 2.0, 4.0), (scale, 2.0, 4.0)):
        assert float(jax.grad(lambda p, o=outer: coins(p, (o, *PLAIN), size=4).sum())(0.5)) == inside
        assert float(jax.grad(lambda p, o=outer: coins(p, (*PLAIN, o), size=4).sum())(0.5)) == outside


def test_of_two_relaxations_the_first_has_the_last_word():
    def slope(*plugs):
        return jax.jvp(lambda p: coins(p, plugs, size=100), (0.25,), (1.0,))[1]

    np.testing.assert_array_equal(slope(pop.StraightThrough(), pop.Smoothed(0.0)), 1.0)
    np.testing.assert_array_equal(slope(pop.Smoothed(0.0), pop.StraightThrough()), 4.0 * coins(0.25, (), size=100))


def test_each_relaxes_the_kinds_that_it_knows():
    def values(at, plugs):
        draw = Draw(jr.key(3), 1, plugs=plugs)
        return draw.bernoulli("coin", at, size=3) + draw.threshold("step", jnp.full(3, at - 0.3))

    both = (pop.StraightThrough(), pop.SoftThreshold(0.1))
    slopes = [float(jax.grad(lambda at, p=plugs: values(at, p).sum())(0.3)) for plugs in (both[:1], both[1:], both)]
    np.testing.assert_allclose(slopes, [3.0, 7.5, 10.5], rtol=1e-6)


def test_one_site_has_a_relaxation_of_its_own():
    plugs = (pop.RelaxedAt("other", pop.Smoothed(upward=0.0)), pop.StraightThrough())

    def values(p):
        draw = Draw(jr.key(3), 1, plugs=plugs)
        return jnp.stack([draw.bernoulli("site", p, size=50), draw.bernoulli("other", p, size=50)])

    value, slope = jax.jvp(values, (0.25,), (1.0,))
    np.testing.assert_array_equal(slope[0], 1.0)
    np.testing.assert_array_equal(slope[1], 4.0 * value[1])


def test_a_site_that_is_not_there_is_an_error():
    model = SIR(pop.WellMixed(20), 0.1, 0.2)
    with pytest.raises(pop.UnknownSiteError, match="infct"):
        pop.simulate(model, jr.key(0), 2, plugs=(pop.RelaxedAt("infct", pop.StraightThrough()),))


class Noisy(pop.Relaxation):
    """Puts its own numbers, and those of the draw, on the tape."""

    def sites(self):
        return ()

    def soft(self, site, value):
        site.emit({"own": own_noise(site).uniform(site.shape), "site": site.noise.uniform(site.shape)})
        return site.mechanism.p


def test_numbers_of_its_own_follow_agents_and_leave_the_draw_alone():
    class Coins(pop.Model):
        agents: int = eqx.field(static=True, default=500)

        def init(self, draw):
            return jnp.zeros(self.agents)

        def step(self, draw, state):
            own = draw.child("own", follow=jnp.arange(self.agents)[::-1])
            return own.bernoulli("followed", 0.5 * jnp.ones(self.agents)) + draw.bernoulli("coin", 0.5 + 0 * state)

        def observe(self, state):
            return {"state": state}

    run, plain = (pop.simulate(Coins(), jr.key(0), 2, plugs=plugs) for plugs in ((Noisy(),), ()))
    np.testing.assert_array_equal(run.observations["state"], plain.observations["state"])
    wider = pop.simulate(Coins(agents=600), jr.key(0), 2, plugs=(Noisy(),))
    for path, shift in (("coin", 0), ("own/followed", 100)):
        own, of_draw = np.asarray(run.tape[path]["own"]), np.asarray(run.tape[path]["site"])
        assert abs(np.corrcoef(own.ravel(), of_draw.ravel())[0, 1]) < 4 / own.size**0.5
        np.testing.assert_array_equal(np.asarray(wider.tape[path]["own"])[:, shift : shift + 500], own)
        assert not np.array_equal(own[0], own[1])


class Wrong(pop.Relaxation):
    def sites(self):
        return ()

    def soft(self, site, value):
        return jnp.zeros(3)


def test_another_shape_is_an_error_that_names_the_site():
    with pytest.raises(pop.SiteError, match=r"site 'site'.*\(3,\).*\(4,\)"):
        coins(0.5, (Wrong(),), size=4)


def test_in_loops_and_over_many_parameters():
    """E of n coins of p^2 each: 2 n p, whatever way it goes through loops and vmap."""

    def total(p):
        draw = Draw(jr.key(3), 1, plugs=PLAIN)
        return draw.loop("turns", 5, lambda own, i, sum: sum + own.bernoulli("coin", p * p, size=10).sum(), 0.0)

    at = jnp.array([0.1, 0.5, 0.9])
    for gradient in (jax.vmap(jax.grad(total)), jax.jit(jax.vmap(jax.jacfwd(total)))):
        np.testing.assert_allclose(gradient(at), 50 * 2 * at, rtol=1e-6)
