"""The loss of expected moments by a surrogate: the one of the house's distance, its least point, and where to look."""

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import numpyro.distributions as dist
import pytest

import populace as pop
from populace.calibration.composite import Composite, best_of, candidates

COVARIANCE = np.array([[0.04, 0.03, 0.0], [0.03, 0.09, 0.0], [0.0, 0.0, 1.0]])


@pytest.fixture(scope="module")
def loss():
    """Two straight moments of two parameters, with correlated errors, and one held out."""
    space = pop.Space(a=dist.Uniform(0.0, 2.0), b=dist.Uniform(-1.0, 1.0))
    moments = [pop.final("sum"), pop.final("difference")]
    data = {"sum": 0.7, "difference": 1.1, "other": 5.0}
    target = pop.Target(data, moments, [pop.final("other")]).with_covariance(COVARIANCE, "given")
    task = pop.Problem(pop.Traceable(lambda p, key: {}), space, target)
    unit = pop.Sobol().sequence(jr.key(0), 2, 0, 100)
    a, b = 2.0 * unit[:, 0], 2.0 * unit[:, 1] - 1.0
    seen = np.stack([a + b, a - b, 0.0 * a], axis=1) + 0.05 * np.random.default_rng(0).standard_normal((100, 3))
    runs = pop.Runs(space, unit, seen, np.ones(100, bool), target.labels, {})
    return Composite.of(task, pop.fit_surrogate(runs, jr.key(1), regressors=[pop.Polynomial(degree=1)]))


def test_the_loss_is_the_square_of_the_house_s_distance(loss):
    unit = np.random.default_rng(1).random((20, 2))
    gaps, doubt, valid = loss.gaps(unit)
    mean = loss.surrogate.predict_unit(unit).mean
    assert (gaps**2).sum(1) == pytest.approx(pop.Quadratic()(mean, loss.task.target) ** 2)
    assert loss.expected(unit) == pytest.approx(((gaps**2 + doubt).sum(1)) / valid)


def test_what_is_foreseen_has_the_surrogate_s_mean_doubt_and_noise(loss):
    unit = np.random.default_rng(2).random((6, 2))
    said = loss.foreseen(unit, 2, jr.key(3), 4_000)
    gaps, doubt, _ = loss.gaps(unit)
    assert said.gaps.shape == (4_000, 6, 2) and said.made == 2
    assert np.abs(said.gaps.mean(0) - gaps).max() < 4.0 * np.sqrt(doubt.max() / 4_000)
    assert said.gaps.var(0) == pytest.approx(doubt, rel=0.15)
    plain = loss.surrogate.predict_unit(unit).noise[:, :2]
    root = np.linalg.inv(np.linalg.cholesky(COVARIANCE[:2, :2]))
    noise = [np.diag(root @ (np.sqrt(np.outer(n, n)) * loss.surrogate.correlation[:2, :2]) @ root.T) for n in plain]
    assert said.noise == pytest.approx(np.array(noise))


def test_the_least_point_is_found_and_looked_around(loss):
    """a + b = .7 and a - b = 1.1 at (.9, -.2), which is (.45, .4) of the unit square."""
    known, best = best_of(loss, loss.surrogate.runs.unit)
    assert best == pytest.approx([0.45, 0.4], abs=0.02)
    expected = loss.expected(known)
    assert (np.diff(expected) >= 0).all() and loss.expected(best[None])[0] <= expected[0]
    points = candidates(loss, known, best, np.random.default_rng(0))
    assert np.array_equal(points[: len(known)], known) and np.array_equal(points[len(known)], best)
    assert ((points >= 0.0) & (points <= 1.0)).all()
    assert (np.abs(points[len(known) :] - best).max(1) < 0.05).mean() > 0.5
    assert np.array_equal(points, candidates(loss, known, best, np.random.default_rng(0)))
    real = loss.task.space.from_unit(jnp.asarray(best[None], jnp.float32))
    assert float(real["a"][0]) == pytest.approx(0.9, abs=0.05)
