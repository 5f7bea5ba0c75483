"""The Gaussian process against closed forms."""

import jax.random as jr
import numpy as np
import pytest
import scipy.linalg
import scipy.stats
from scipy.optimize import check_grad

import populace as pop
from populace.surrogates import matern
from populace.surrogates.gaussian_process import Process, learned
from populace.surrogates.matern import Hyper

RANDOM = np.random.default_rng(5)
X, Z = RANDOM.random((12, 2)), RANDOM.random((7, 2))
Y = RANDOM.standard_normal(12)
FLAT = Hyper(np.array([0.4, 1.1]), 1.7, 0.05, np.ones(2), np.ones(2))
"""No bend: w = x."""


def kernel(one: np.ndarray, other: np.ndarray) -> float:
    """The formula, one pair at a time."""
    r = np.sqrt((((one - other) / FLAT.scales) ** 2).sum())
    return FLAT.signal * (1 + np.sqrt(5) * r + 5 * r**2 / 3) * np.exp(-np.sqrt(5) * r)


def table(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return np.array([[kernel(a, b) for b in other] for a in one])


def test_the_kernel_is_its_formula():
    assert np.allclose(FLAT.covariance(FLAT.bent(X), FLAT.bent(Z)), table(X, Z), rtol=1e-10)


def test_the_posterior_is_that_of_conditioned_gaussians():
    relative = np.linspace(0.5, 2.0, 12)
    process = Process.of(FLAT, X, Y, relative)
    inverse = np.linalg.inv(table(X, X) + np.diag(FLAT.noise * relative))
    assert np.allclose(process.mean(Z), table(Z, X) @ inverse @ Y, atol=1e-6)
    covariance = table(Z, Z) - table(Z, X) @ inverse @ table(X, Z)
    assert np.allclose(process.covariance(Z), covariance, atol=1e-6)
    assert np.allclose(process.variance(Z), np.diag(covariance), atol=1e-6)


def test_leaving_out_is_leaving_out():
    process = Process.of(FLAT, X, Y, np.ones(12))
    for i in range(12):
        rest = np.delete(np.arange(12), i)
        without = Process.of(FLAT, X[rest], Y[rest], np.ones(11))
        assert Y[i] - without.mean(X[i : i + 1])[0] == pytest.approx(process.left_out()[i], rel=1e-6)


def test_the_loss_is_the_density_and_its_gradient_is_right():
    relative = np.linspace(0.5, 2.0, 12)
    theta = 0.3 * RANDOM.standard_normal(8)
    hyper = Hyper.of(theta)
    bent = hyper.bent(X)
    covariance = hyper.covariance(bent, bent) + np.diag(hyper.noise * relative)
    density = scipy.stats.multivariate_normal(np.zeros(12), covariance).logpdf(Y)
    prior = 0.5 * (((theta[:2] - 0.5) / 2.0) ** 2).sum() + 0.5 * ((theta[4:] / 0.75) ** 2).sum()
    assert matern.loss(theta, X, Y, relative)[0] == pytest.approx((prior - density) / 12, rel=1e-6)
    error = check_grad(
        lambda t: matern.loss(t, X, Y, relative)[0], lambda t: matern.loss(t, X, Y, relative)[1], theta, epsilon=1e-6
    )
    assert error < 1e-5


def test_lengths_are_found_and_an_input_without_effect_is_long():
    """Draws of a process with lengths 0.3 and 3 and noise 0.01."""
    true = Hyper(np.array([0.3, 3.0]), 1.0, 0.01, np.ones(2), np.ones(2))
    points = pop.Sobol().sequence(jr.key(0), 2, 0, 256)
    lower = scipy.linalg.cholesky(
        true.covariance(points / true.scales, points / true.scales) + 1e-8 * np.eye(256), lower=True
    )
    outputs = lower @ np.random.default_rng(1).standard_normal(256) + 0.1 * np.random.default_rng(2).standard_normal(
        256
    )
    found = learned(points, outputs, np.ones(256), 2, jr.key(1)).hyper
    # 256 squared standardised residuals: the noise variance is known to within sqrt(2 / 256), times four.
    assert found.noise == pytest.approx(0.01, rel=4 * np.sqrt(2 / 256) + 0.1)
    assert found.scales[1] > 3 * found.scales[0]
