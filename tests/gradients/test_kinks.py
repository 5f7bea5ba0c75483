"""Soft thresholds, the soft k largest, soft matching: closed forms, and differences of the same thing in float64."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import expit, logsumexp
from scipy.stats import norm

import populace as pop
from populace.core.draw import Draw
from populace.gradients.soft_match import soft_matching
from populace.gradients.soft_top_k import soft_top_k

AGENTS = 200_000


def differences(function, at, step=1e-5):
    """The Jacobian of a float64 function by central differences, with the argument's axes last."""
    at = np.asarray(at, np.float64)
    columns = []
    for index in np.ndindex(at.shape):
        moved = np.zeros_like(at)
        moved[index] = step
        columns.append((function(at + moved) - function(at - moved)) / (2 * step))
    return np.stack(columns, axis=-1).reshape(*columns[0].shape, *at.shape)


# Threshold


@pytest.mark.parametrize("width", [0.1, 1.0])
def test_a_soft_threshold_is_the_kernel_estimate_of_a_density(width: float):
    """Margins N(m, 1): P(M > 0) moves at the density of M at 0; a Gaussian step of width w sees N(m, 1 + w^2)."""
    at = 0.4

    def above(m):
        draw = Draw(jr.key(0), 1, plugs=(pop.SoftThreshold(width, jax.scipy.stats.norm.pdf),))
        return draw.threshold("rich", draw.normal("margin", m, 1.0, size=AGENTS))

    value, slope = jax.jit(lambda m: jax.jvp(above, (m,), (1.0,)))(jnp.float32(at))
    slope, value = np.asarray(slope, np.float64), np.asarray(value)
    assert set(np.unique(value)) == {0.0, 1.0}
    spread = (1 + width**2) ** 0.5
    assert abs(slope.mean() - norm.pdf(at / spread) / spread) < 4 * slope.std() / AGENTS**0.5


def test_a_logistic_step_adds_up_to_one():
    margins = jnp.linspace(-5, 5, 20_001)

    def rich(m):
        return Draw(jr.key(0), 1, plugs=(pop.SoftThreshold(0.2),)).threshold("rich", m)

    slope = jax.jvp(rich, (margins,), (jnp.ones_like(margins),))[1]
    assert abs(float(slope.sum()) * 10 / 20_000 - 1) < 1e-4
    assert float(slope.max()) == pytest.approx(1 / (4 * 0.2))


# The k largest


def shares(scores, k, width):
    """Xie et al.'s soft k largest in float64."""
    low, high = scores.min() - 50 * width, scores.max() + 50 * width
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if expit((scores - middle) / width).sum() > k else (low, middle)
    return expit((scores - low) / width)


@pytest.mark.parametrize("k", [1, 3, 7])
def test_the_soft_k_largest_have_the_derivative_of_optimal_transport(k: int):
    scores, width = jr.normal(jr.key(1), (8,)), jnp.float32(0.3)
    found, jacobian = jax.jit(lambda s: (soft_top_k(s, k, width), jax.jacrev(lambda s: soft_top_k(s, k, width))(s)))(
        scores
    )
    at = np.asarray(scores, np.float64)
    np.testing.assert_allclose(found, shares(at, k, 0.3), atol=2e-6)
    np.testing.assert_allclose(jacobian, differences(lambda s: shares(s, k, 0.3), at), atol=2e-5)
    assert float(found.sum()) == pytest.approx(k, abs=1e-5)
    np.testing.assert_allclose(jacobian.sum(0), 0.0, atol=1e-5)
    np.testing.assert_allclose(jacobian.sum(1), 0.0, atol=1e-5)


@pytest.mark.parametrize("k", [0, 4])
def test_none_and_all_never_change(k: int):
    def best(s):
        return Draw(jr.key(0), 1, plugs=(pop.SoftTopK(0.5),)).top_k("best", s, k)

    value, slope = jax.jvp(best, (jnp.array([1.0, 2.0, 2.0, -1.0]),), (jnp.arange(4.0),))
    np.testing.assert_array_equal(value, float(k > 0))
    np.testing.assert_array_equal(slope, 0.0)


def test_who_is_excluded_stays_excluded():
    scores = jnp.array([1.0, -jnp.inf, 0.9, 0.0])
    jacobian = jax.jit(jax.jacrev(lambda s: soft_top_k(s, 2, jnp.float32(0.2))))(scores)
    assert np.isfinite(jacobian).all()
    np.testing.assert_array_equal(jacobian[1], 0.0)


def test_the_better_of_two():
    """Scores N(m, 1) and N(0, 1): P(the first is larger) moves at the density of their difference, seen through the
    logistic step of twice the width that the moving bar makes of it.
    """
    width, m, pairs = 0.1, 0.5, 50_000

    def smoothed(d):
        z = d / (2 * width)
        return norm.pdf(d, m, 2**0.5) * expit(z) * expit(-z) / (2 * width)

    truth = quad(smoothed, -20 * width, 20 * width)[0]
    assert abs(truth / norm.pdf(m / 2**0.5) * 2**0.5 - 1) < 0.03
    noise = jr.normal(jr.key(2), (pairs, 2))

    @jax.jit
    @jax.vmap
    def slope(noise):
        return jax.grad(lambda m: soft_top_k(jnp.array([m, 0.0]) + noise, 1, jnp.float32(width))[0])(m)

    found = np.asarray(slope(noise), np.float64)
    assert abs(found.mean() - truth) < 4 * found.std() / pairs**0.5


def test_sorting_needs_no_relaxation():
    """The k-th of n even numbers in (0, b) has mean b k / (n + 1): its own derivative is right."""
    n, runs = 5, 20_000

    @jax.jit
    @jax.vmap
    def slopes(key):
        def ranked(b):
            draw = Draw(key, 1, plugs=(pop.SoftTopK(0.1),))
            return draw.sort("rank", draw.uniform("value", 0.0, b, size=n))

        return jax.jacfwd(ranked)(2.0)

    found = np.asarray(slopes(jr.split(jr.key(3), runs)), np.float64)
    assert (np.abs(found.mean(0) - np.arange(1, n + 1) / (n + 1)) < 4 * found.std(0) / runs**0.5).all()


def test_a_hundred_thousand_agents_are_ranked():
    scores = jr.normal(jr.key(4), (100_000,))
    gradient = jax.jit(jax.grad(lambda s: soft_top_k(s, 30_000, jnp.float32(0.01)) @ s))(scores)
    assert np.isfinite(gradient).all() and int((gradient != 0).sum()) > 100


# Matching


def matched(scores, width, rounds=20_000):
    """Sinkhorn's matching in float64; the longer side may be left over."""
    if scores.shape[0] > scores.shape[1]:
        return matched(scores.T, width, rounds).T
    s, b = scores / width, np.zeros((1, scores.shape[1]))
    square = scores.shape[0] == scores.shape[1]
    for _ in range(rounds):
        a = -logsumexp(s + b, axis=1, keepdims=True)
        wanted = logsumexp(s + a, axis=0, keepdims=True)
        b, old = -(wanted if square else np.maximum(wanted, 0.0)), b
        if np.abs(b - old).max() < 1e-14:
            break
    return np.exp(s + b - logsumexp(s + b, axis=1, keepdims=True))


@pytest.mark.parametrize("shape", [(4, 4), (3, 5), (5, 3)])
def test_the_soft_matching_has_the_derivative_of_sinkhorns(shape: tuple[int, int]):
    scores, width = jr.normal(jr.key(5), shape), jnp.float32(0.5)

    @jax.jit
    def both(s):
        return soft_matching(s, width, 200), jax.jacrev(lambda s: soft_matching(s, width, 200))(s)

    found, jacobian = both(scores)
    at = np.asarray(scores, np.float64)
    np.testing.assert_allclose(found, matched(at, 0.5), atol=1e-5)
    np.testing.assert_allclose(jacobian, differences(lambda s: matched(s, 0.5), at), atol=2e-4)
    short = 0 if shape[0] > shape[1] else 1
    np.testing.assert_allclose(found.sum(short), 1.0, atol=1e-5)
    np.testing.assert_allclose(jacobian.sum(short), 0.0, atol=2e-4)


def test_who_is_wanted_more_crowds_others_out():
    """Attention gives the first row what it wants; the matching takes it from the second row."""
    scores = jnp.array([[1.0, 0.9, 0.0], [1.0, 0.8, 0.2], [0.2, 0.3, 0.6]])

    def seats(scores, relaxation):
        return Draw(jr.key(0), 1, plugs=(relaxation,)).match("seat", scores).one_hot

    along = jnp.zeros((3, 3)).at[0, 0].set(1.0)
    slopes = {}
    for relaxation in (pop.SoftMatch(0.3), pop.AttentionMatch(0.3)):
        value, slope = jax.jit(lambda s, r=relaxation: jax.jvp(lambda s: seats(s, r), (s,), (along,)))(scores)
        slopes[type(relaxation).__name__] = np.asarray(slope)
        np.testing.assert_array_equal(value.sum(0), 1.0)
    two_sided, one_sided = slopes["SoftMatch"], slopes["AttentionMatch"]
    assert two_sided[0, 0] > 0.1 and two_sided[1, 0] < -0.1
    share = jax.nn.softmax(scores[0] / 0.3)
    np.testing.assert_allclose(one_sided[0], share[0] * (np.eye(3)[0] - share) / 0.3, rtol=1e-4)
    np.testing.assert_array_equal(one_sided[1:], 0.0)
