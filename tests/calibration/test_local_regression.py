"""Local regression: exact where moments are quadratic, honest about its noise, at home on thin ridges."""

import numpy as np
import pytest

from populace.calibration.local_regression import LocalRegression

RNG = np.random.default_rng(4)


def bent(z):
    return np.stack([z[:, 0] + 0.5 * z[:, 1] ** 2, z[:, 0] * z[:, 1]], axis=1)


def test_a_quadratic_is_found_with_its_slopes():
    z = RNG.standard_normal((400, 2))
    points = 0.5 * RNG.standard_normal((7, 2))
    near = LocalRegression(z, bent(z)).near(points)
    assert near.mean == pytest.approx(bent(points), abs=1e-4)
    one, two = np.ones(7), points.T
    assert near.slope[:, 0] == pytest.approx(np.stack([one, two[1]], axis=1), abs=1e-3)
    assert near.slope[:, 1] == pytest.approx(two[::-1].T, abs=1e-3)
    assert near.doubt.max() < 1e-6


@pytest.mark.parametrize("neighbours", [5, 20])
def test_its_doubt_is_the_variance_of_its_mean(neighbours):
    points = np.zeros((1, 2))
    missed, doubts = [], []
    for _ in range(300):
        z = RNG.standard_normal((800, 2))
        near = LocalRegression(z, bent(z) + 0.3 * RNG.standard_normal((800, 2)), neighbours).near(points)
        missed.append(near.mean[0] - bent(points)[0])
        doubts.append(near.doubt[0])
    found = np.mean(np.square(missed))
    assert np.mean(doubts) == pytest.approx(found, rel=4 * np.sqrt(2 / 600) + 0.1)


def test_a_thin_ridge_is_no_obstacle():
    """Runs within .001 of a curve: the slope across it is as good as the slope along it."""
    t = RNG.uniform(-1, 1, 1000)
    z = np.stack([t, t**2 + 1e-3 * RNG.standard_normal(1000)], axis=1)
    near = LocalRegression(z, z[:, 1:] - z[:, :1] ** 2).near(np.array([[0.5, 0.25]]))
    assert near.slope[0, 0] == pytest.approx([-1.0, 1.0], abs=0.01)


def test_a_step_is_measured_by_the_runs_behind_it():
    z = RNG.uniform(-1, 1, (500, 2)) * [1.0, 0.01]
    near = LocalRegression(z, z).near(np.zeros((1, 2)))
    along, across = near.metric[0, 0, 0], near.metric[0, 1, 1]
    assert across / along == pytest.approx(1e4, rel=1.0)


def test_runs_at_one_point_give_no_error_but_a_flat_slope():
    z = np.zeros((60, 1))
    near = LocalRegression(z, RNG.standard_normal((60, 1))).near(np.zeros((2, 1)))
    assert np.isfinite(near.mean).all() and np.isfinite(near.slope).all()


def test_an_expansion_is_the_quadratic_itself():
    z = RNG.standard_normal((600, 2))
    around = LocalRegression(z, bent(z)).expanded(np.array([[0.2, -0.3]]))
    step = np.array([0.4, 0.5])
    said = around.mean[0] + around.slope[0] @ step + np.einsum("kab,a,b->k", around.bend[0], step, step)
    assert said == pytest.approx(bent(np.array([[0.6, 0.2]]))[0], abs=1e-3)
    assert np.abs(LocalRegression(z[:30], bent(z[:30])).expanded(np.zeros((1, 2))).bend).max() == 0.0
