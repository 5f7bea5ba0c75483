"""Evidence against its closed form, of a Gaussian mean with known variance."""

import jax.random as jr
import numpy as np
import numpyro.distributions as dist
import pytest
from tests.identification.rival_cases import SLOPE, exact, plain, problem

import populace as pop
from populace.identification.evidence import Near, cooled, evidence, weighed
from populace.surrogates.runs import Runs

DATA = np.array([[0.3, 0.4, 0.9], [-1.2, -0.2, -2.2], [1.0, 1.0, 0.5]])


def surrogate(runs: int, seed: int = 0):
    rng = np.random.default_rng(seed)
    space = pop.Space(m=dist.Normal(0.0, 1.0))
    m = rng.normal(size=runs)
    moments = m[:, None] * SLOPE + 0.5 * rng.normal(size=(runs, 3))
    labels = problem(plain, DATA[0]).target.labels
    made = Runs.of(space, {"m": m.astype(np.float32)}, moments, labels)
    return pop.fit_surrogate(made, jr.key(seed), regressors=(pop.Polynomial(3),))


def near(surrogate, target, runs: int = 500) -> Near:
    """From fresh runs at the exact posterior: N(b'x / (1 + b'a), 1 / (1 + b'a)) with b = 4 a."""
    rng, precision = np.random.default_rng(9), 1.0 + 4.0 * SLOPE @ SLOPE
    m = 4.0 * SLOPE @ target.values / precision + rng.normal(size=runs) / np.sqrt(precision)
    moments = m[:, None] * SLOPE + 0.5 * rng.normal(size=(runs, 3))
    return Near.of(surrogate, target, {"m": m.astype(np.float32)}, moments)


def weigh(surrogate, target, runs: int = 500):
    close = near(surrogate, target, runs)
    at = weighed(surrogate, target, close, jr.key(1))
    return evidence(surrogate, target, close, at, jr.key(2)), at


@pytest.fixture(scope="module")
def learned():
    return surrogate(600)


@pytest.mark.parametrize("data", DATA, ids=["near", "low", "unlikely"])
def test_evidence_of_a_gaussian_mean(learned, data):
    target = problem(plain, data).target
    found, _ = weigh(learned, target)
    assert abs(found.log - exact(target.values)) < 4 * found.error
    assert found.error < 0.25 and found.effective > 500


def test_the_same_draws_serve_other_data(learned):
    target = problem(plain, DATA[0]).target
    logs = weigh(learned, target)[1].log_evidence(DATA)
    np.testing.assert_allclose(logs, [exact(row) for row in DATA], atol=0.5)


@pytest.mark.parametrize("data", DATA[1:], ids=["low", "unlikely"])
def test_populations_average_the_same_likelihood(learned, data):
    """What importance draws say, within the errors of the draws alone."""
    target = problem(plain, data).target
    found, other = weigh(learned, target)[0], cooled(learned, target, near(learned, target), jr.key(3))
    assert abs(other.log - found.log) < 4 * np.hypot(other.error, found.sampling)
    assert other.error < 0.2


def test_few_runs_leave_more_doubt(learned):
    target, few = problem(plain, DATA[0]).target, surrogate(60)
    (rough, _), (fine, _) = weigh(few, target, 50), weigh(learned, target)
    assert rough.doubt > 1.5 * fine.doubt and rough.noise > 2 * fine.noise
    assert abs(rough.log - exact(target.values)) < 4 * rough.error
