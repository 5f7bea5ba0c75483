"""Evidence by cooling populations, against closed forms: a Gaussian, and two hills of which a proposal saw one."""

import jax.random as jr
import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

from populace._errors import MethodError
from populace.calibration.population import log_kernels
from populace.core.noise import host_generator
from populace.identification.tempered import Tempered, tempered

WIDE = 5.0


def _prior(points):
    return multivariate_normal.logpdf(points, np.zeros(2), WIDE**2 * np.eye(2)).reshape(-1)


def _first(seed):
    rng = host_generator(jr.key(seed))
    return lambda n: WIDE * rng.standard_normal((n, 2))


def test_a_linear_gaussian_model():
    """x = A theta + e: x ~ N(0, A S A' + V), at data that lie near and at data that lie far out."""
    a, noise = np.array([[1.0, 0.5], [0.0, 1.0], [2.0, -1.0]]), np.diag([0.04, 0.01, 0.25])
    law = multivariate_normal(np.zeros(3), noise + WIDE**2 * a @ a.T)
    for seed, x in enumerate((np.array([1.0, 0.4, 0.1]), np.array([9.0, 8.0, -4.0]))):
        found = tempered(
            lambda t, x=x: multivariate_normal.logpdf(x - t @ a.T, np.zeros(3), noise),
            _prior, _first(seed), jr.key(seed),
        )  # fmt: skip
        assert abs(found.log - law.logpdf(x)) < 4 * found.error
        assert found.error < 0.25 and 0.1 < found.moved < 0.9 and found.each.shape == (8,)


HILLS = np.array([[-4.0, -4.0], [4.0, 3.0]])
NARROW = 0.05


def _hills(points):
    """The mean of two Gaussian bumps."""
    return log_kernels(points, HILLS, NARROW * np.eye(2))


def test_two_hills_of_which_a_proposal_saw_one():
    """Importance draws from a Gaussian around the one hill miss the other, and do not know; populations find both."""
    each = multivariate_normal.logpdf(HILLS, np.zeros(2), (WIDE**2 + NARROW**2) * np.eye(2))
    exact = float(logsumexp(each) - np.log(2))
    one = multivariate_normal(HILLS[1], (1.5 * NARROW) ** 2 * np.eye(2))
    points = one.rvs(1500, random_state=np.random.default_rng(0))
    logs = _hills(points) + _prior(points) - one.logpdf(points)
    weights = np.exp(logs - logsumexp(logs))
    missed = float(logsumexp(logs)) - np.log(1500)
    assert abs(missed - exact) > 20 * np.sqrt((weights**2).sum() - 1 / 1500)
    found = tempered(_hills, _prior, _first(5), jr.key(5))
    assert abs(found.log - exact) < 4 * found.error and found.error < 0.35


def test_part_of_the_prior_has_no_likelihood():
    """A half plane: P(x > 0) = 1/2; draws beyond it do not stop the cooling."""
    found = tempered(lambda t: np.where(t[:, 0] > 0, 0.0, -np.inf), _prior, _first(2), jr.key(2))
    assert abs(found.log - np.log(0.5)) < 4 * found.error and found.steps == 1


def test_what_has_no_likelihood_is_refused():
    with pytest.raises(MethodError, match="does not reach"):
        tempered(lambda t: np.full(len(t), -np.inf), _prior, _first(3), jr.key(3))


def test_the_error_is_the_spread_of_populations():
    found = Tempered.of(np.log([1.0, 2.0, 3.0, 2.0]), 1, 0.5)
    assert found.log == pytest.approx(np.log(2.0))
    assert found.error >= np.std([0.5, 1.0, 1.5, 1.0], ddof=1) / 2 * np.sqrt(3.0) - 1e-12
