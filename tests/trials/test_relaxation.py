"""Trial 1: a relaxation is a plug that keeps the value and gives it another derivative."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

import populace as pop
from populace.core.distributions import Bernoulli
from populace.core.draw import Draw
from populace.core.ensemble import OneRun, one_run

STEPS = 8


@jax.custom_jvp
def hard_but_soft(hard, soft):
    """The value of `hard` with the derivative of `soft`. At module level: closed over tracers it breaks."""
    return hard


@hard_but_soft.defjvp
def _(primals, tangents):
    return primals[0], tangents[1]


class StraightThrough(pop.Plug):
    """The derivative of `where` p: dp where the agent draws, and p where its mask could change (Bengio, Leonard and
    Courville 2013). A mask that is only compared with 0 forgets that who is infected cannot be infected again.
    """

    def sites(self):
        return ()

    def around(self, site, proceed):
        value = proceed(site)
        if not isinstance(site.mechanism, Bernoulli):
            return value
        p, where = jnp.broadcast_to(site.mechanism.p, site.shape), site.mask()
        fixed = jax.lax.stop_gradient(jnp.nan_to_num(p))
        return hard_but_soft(value, where * jnp.where(where > 0, p, fixed))


def infected(model, plugs, values, key=jr.key(1)):
    shared = OneRun(model, plugs, pop.EveryStep(), STEPS)
    return one_run(shared, (key, values)).observations["infected"]


def values(model):
    return {name: parameter.value for name, parameter in pop.parameters(model).items()}


def test_reverse_and_forward_mode_agree(sir):
    model = sir(200)
    at = values(model)

    @jax.jit
    def both(at):
        def total(at):
            return infected(model, (StraightThrough(),), at).sum()

        unit = [{name: jnp.float32(name == one) for name in at} for one in at]
        along = jnp.stack([jax.jvp(total, (at,), (u,))[1] for u in unit])
        return jax.grad(total)(at), along

    back, along = both(at)
    np.testing.assert_allclose([float(back[name]) for name in at], along, rtol=2e-5)
    assert (np.abs(along) > 1).all()


def test_what_is_used_up_is_used_up():
    """Two chances to catch it, E = 1 - (1 - p)^2: the mask's own derivative makes 2 (1 - p) of 2 - p."""
    agents, p = 20_000, 0.4

    @jax.jit
    def share(p):
        draw = Draw(jr.key(3), 1, plugs=(StraightThrough(),))
        first = draw.bernoulli("first", p, size=agents)
        return (first + draw.bernoulli("second", p, where=1 - first)).mean()

    assert abs(float(jax.grad(share)(p)) - 2 * (1 - p)) < 4 * (p * (1 - p) / agents) ** 0.5


def test_the_run_is_the_same_run(sir):
    model = sir(200)
    with_plug, without = (jax.jit(lambda at, p=p: infected(model, p, at)) for p in ((StraightThrough(),), ()))
    np.testing.assert_array_equal(with_plug(values(model)), without(values(model)))


@pytest.mark.parametrize("p", [0.0, 1.0])
def test_gradients_are_finite_at_the_ends(sir, p: float):
    model = sir(100)

    @jax.jit
    def gradient(at):
        return jax.grad(lambda at: infected(model, (StraightThrough(),), at).sum())(at)

    at = {"beta": jnp.float32(1e3 * p), "gamma": jnp.float32(p), "seeded": jnp.float32(p)}
    assert all(np.isfinite(float(g)) for g in gradient(at).values())


def test_masked_agents_have_no_derivative():
    def total(p, where):
        draw = Draw(jr.key(3), 1, plugs=(StraightThrough(),))
        return draw.bernoulli("site", p, where=where).sum()

    where = jnp.array([1.0, 0.0, 1.0, 0.0])
    np.testing.assert_array_equal(jax.grad(total)(jnp.array([0.3, 0.3, 0.0, jnp.nan]), where), where)


def test_a_linear_readout_has_the_exact_derivative(sir):
    """E[seeded agents] = agents * share: straight-through is exact for what is linear in the draw."""
    model = sir(100)

    def seeded(share):
        draw = Draw(jr.key(3), 0, plugs=(StraightThrough(),))
        return pop.bind(model, {"seeded": share}).init(draw).infected.sum()

    assert float(jax.grad(seeded)(jnp.float32(0.3))) == 100.0


def test_the_relaxation_stands_innermost():
    """What an intervention overrides has no derivative if the intervention is outside, as the order of plugs says."""

    def total(p, plugs):
        return Draw(jr.key(3), 1, plugs=plugs).bernoulli("site", p, size=4).sum()

    override = pop.Override("site", 1.0, pop.Window(who=jnp.array([1.0, 1.0, 0.0, 0.0])))
    scale = pop.Scale("site", 0.5)
    for outer, inside, outside in ((override, 2.0, 4.0), (scale, 2.0, 4.0)):
        assert float(jax.grad(total)(0.5, (outer, StraightThrough()))) == inside
        assert float(jax.grad(total)(0.5, (StraightThrough(), outer))) == outside
