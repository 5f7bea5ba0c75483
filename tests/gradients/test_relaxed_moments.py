"""Which relaxation is right for which readout: closed forms of the mean and of the mean square, a kind at a time."""

import functools

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

import populace as pop
from populace.core.draw import Draw

AGENTS = 100_000

CASES = {
    "bernoulli": (lambda d, p: d.bernoulli("s", p, size=AGENTS), 0.2, lambda p: (1.0, 1.0)),
    "rare bernoulli": (lambda d, p: d.bernoulli("s", p, size=AGENTS), 0.002, lambda p: (1.0, 1.0)),
    "binomial": (lambda d, p: d.binomial("s", 5, p, size=AGENTS), 0.3, lambda p: (5.0, 5.0 + 40.0 * p)),
    "poisson": (lambda d, r: d.poisson("s", r, size=AGENTS), 1.7, lambda r: (1.0, 1.0 + 2.0 * r)),
    "large poisson": (lambda d, r: d.poisson("s", r, size=AGENTS), 60.0, lambda r: (1.0, 1.0 + 2.0 * r)),
    "geometric": (lambda d, p: d.geometric("s", p, size=AGENTS), 0.4, lambda p: (-(p**-2), -4 * p**-3 + p**-2)),
}
"""How to draw, the parameter, and the derivatives of E[X] and E[X^2] along it."""

RELAXATIONS = {
    "straight-through": pop.StraightThrough(),
    "downward": pop.Smoothed(0.0),
    "upward": pop.Smoothed(1.0),
    "smoothed": pop.Smoothed(),
}


@functools.cache
def drawn(name, kind):
    """What each agent drew, and its derivative."""
    relaxation, (ask, at, truth) = RELAXATIONS[name], CASES[kind]
    values = jax.jit(lambda p: jax.jvp(lambda p: ask(Draw(jr.key(7), 1, plugs=(relaxation,)), p), (p,), (1.0,)))
    value, slope = values(jnp.float32(at))
    return np.asarray(value, np.float64), np.asarray(slope, np.float64), truth(at)


def close(sample, truth):
    error = sample.std() / len(sample) ** 0.5
    return abs(sample.mean() - truth) <= 4 * error + 1e-6 * abs(truth)


@pytest.mark.parametrize("kind", CASES)
@pytest.mark.parametrize("name", RELAXATIONS)
def test_linear_readouts_are_right(name: str, kind: str):
    _, slope, (truth, _) = drawn(name, kind)
    assert close(slope, truth)


@pytest.mark.parametrize("kind", CASES)
def test_squares_are_right_at_second_order(kind: str):
    value, slope, (_, truth) = drawn("smoothed", kind)
    assert close(2 * value * slope, truth)


@pytest.mark.parametrize("kind", CASES)
def test_squares_are_wrong_by_the_known_amount_otherwise(kind: str):
    """Straight-through: 2 E[X] dE[X], without dVar[X]. Flips upward alone: 2 X where the change of X^2 is 2 X + 1."""
    value, slope, (first, second) = drawn("straight-through", kind)
    assert close(2 * value * slope, 2 * value.mean() * first)
    assert not close(2 * value * slope, second)
    value, slope, _ = drawn("upward", kind)
    assert close(2 * value * slope, second - first)


@pytest.mark.parametrize("name", RELAXATIONS)
def test_a_binomial_moves_with_its_number_of_trials(name: str):
    relaxation, p = RELAXATIONS[name], 0.3

    def count(n):
        return Draw(jr.key(7), 1, plugs=(relaxation,)).binomial("s", n, p, size=AGENTS)

    slope = np.asarray(jax.jit(lambda n: jax.jvp(count, (n,), (1.0,))[1])(jnp.float32(6.0)), np.float64)
    assert close(slope, p)


LOGITS = jnp.array([0.5, -1.0, -jnp.inf, 1.5])
WORTH = jnp.array([1.0, 2.0, 5.0, -3.0])


def choices(relaxation):
    """The gradient of each agent's worth along the logits that all share, (agents, options), in three groups."""
    shape = (AGENTS, 4)

    def worth(logits):
        return Draw(jr.key(7), 1, plugs=(relaxation,)).categorical("s", logits).take(WORTH).sum()

    return np.asarray(jax.jit(jax.grad(worth))(jnp.broadcast_to(LOGITS, shape)), np.float64)


@pytest.mark.parametrize("name", ["straight-through", "smoothed"])
def test_a_choice_moves_with_its_logits(name: str):
    """D E[worth] / d logit = p (worth - E[worth]): not zero, as one published rule has it, and in all zero."""
    found = choices(RELAXATIONS[name])
    truth = np.asarray(jax.grad(lambda logits: jax.nn.softmax(logits) @ WORTH)(LOGITS))
    assert np.abs(truth[[0, 1, 3]]).min() > 0.2
    for option in range(4):
        assert close(found[:, option], truth[option])
    np.testing.assert_allclose(found.sum(1), 0.0, atol=1e-5)


def test_reinmax_of_counts_is_smoothed():
    for kind in ("poisson", "geometric"):
        ask, at, _ = CASES[kind]

        def count(p, ask=ask):
            return ask(Draw(jr.key(7), 1, plugs=(pop.ReinMax(),)), p)

        found = jax.jit(lambda p, count=count: jax.jvp(count, (p,), (1.0,))[1])(jnp.float32(at))
        np.testing.assert_allclose(found, drawn("smoothed", kind)[1], rtol=1e-6)


def test_reinmax_is_the_rule_of_its_paper():
    """2 J((D + p) / 2) - J(p) / 2, with J(q) = diag(q) - q q' (Liu et al. 2023)."""

    def one_hot(logits):
        return Draw(jr.key(7), 1, plugs=(pop.ReinMax(),)).categorical("s", logits, size=20).one_hot

    logits = jnp.array([0.5, -1.0, 0.1])
    chosen, jacobian = jax.jit(lambda x: (one_hot(x), jax.jacrev(one_hot)(x)))(logits)
    p = jax.nn.softmax(logits)

    def j(q):
        return jnp.diag(q) - jnp.outer(q, q)

    np.testing.assert_allclose(jacobian, [2 * j((d + p) / 2) - j(p) / 2 for d in chosen], atol=1e-6)


def test_a_product_of_coins_is_right_with_either():
    """E[X Y] = p^2 of independent coins."""
    p = 0.3
    for relaxation in (pop.StraightThrough(), pop.Smoothed(), pop.Smoothed(1.0)):

        def both(p, relaxation=relaxation):
            draw = Draw(jr.key(7), 1, plugs=(relaxation,))
            return draw.bernoulli("x", p, size=AGENTS) * draw.bernoulli("y", p, size=AGENTS)

        slope = np.asarray(jax.jit(lambda p, both=both: jax.jvp(both, (p,), (1.0,))[1])(jnp.float32(p)), np.float64)
        assert close(slope, 2 * p)


@pytest.mark.parametrize("kind", ["normal", "uniform", "exponential"])
def test_continuous_draws_need_no_relaxation(kind: str):
    """They are reparameterised by inversion: derivatives of E[X^2] against closed forms."""
    at = jnp.array([0.7, 1.9])
    truths = {"normal": 2 * at, "uniform": jnp.array([(2 * 0.7 + 1.9) / 3, (0.7 + 2 * 1.9) / 3])}
    truths["exponential"] = jnp.array([-4 / 0.7**3, 0.0])

    def square(at, plugs):
        ask = getattr(Draw(jr.key(7), 1, plugs=plugs), kind)
        arguments = at[:1] if kind == "exponential" else at
        return ask("s", *arguments, size=AGENTS) ** 2

    plain, relaxed = (jax.jit(jax.jacfwd(lambda at, p=p: square(at, p)))(at) for p in ((), (pop.StraightThrough(),)))
    np.testing.assert_array_equal(plain, relaxed)
    for column, truth in zip(np.asarray(relaxed, np.float64).T, truths[kind], strict=True):
        assert close(column, float(truth))
