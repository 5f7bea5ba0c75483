"""Runs proposed in regions, weighed: they stand for the prior cut to the last region, whichever round made them."""

import numpy as np
import numpyro.distributions as dist
import pytest

import populace as pop
from populace.calibration.regions import Region, Scale, proposed, weights

SCALE = Scale.of(pop.Space(a=dist.Uniform(2.0, 4.0), b=dist.Normal(0.0, 2.0), c=dist.LogUniform(0.1, 10.0)))


def test_the_scale_goes_there_and_back():
    v = SCALE.sample(np.random.default_rng(0), 2_000)
    np.testing.assert_allclose(v.mean(0), 0.0, atol=0.1)
    np.testing.assert_allclose(v.std(0), 1.0, atol=0.06)
    np.testing.assert_allclose(SCALE.rows(SCALE.unit(v)), v, rtol=1e-6, atol=1e-9)
    found = SCALE.space.from_real(SCALE.real(v))
    np.testing.assert_allclose(found["a"], 3.0 + v[:, 0] / np.sqrt(3.0), rtol=1e-4)
    np.testing.assert_allclose(found["b"], 2.0 * v[:, 1], rtol=1e-3, atol=1e-4)
    assert SCALE.inside(v).all() and not SCALE.inside(np.array([[1.8, 0.0, 0.0]])).any()


@pytest.mark.parametrize("width", [0.5, 0.02])
def test_weighed_runs_stand_for_the_prior(width):
    """By prior's draws in the first region, and in a second that is too small for them when `width` is."""
    rng = np.random.default_rng(1)
    wide, _ = proposed(SCALE, (), Region.around(1.0 + 0.7 * rng.standard_normal((50, 3))), rng, 4_000)
    near = Region.around(np.array([1.2, 1.5, 1.0]) + width * rng.standard_normal((400, 3)))
    near, rows = proposed(SCALE, (wide,), near, rng, 4_000)
    assert np.isfinite(near.log_size) == (width < 0.1)
    _, first = proposed(SCALE, (), wide, rng, 4_000)
    v = np.concatenate([SCALE.sample(rng, 4_000), first, rows])
    weight = weights(SCALE, (wide, near), np.array([4_000, 4_000, 4_000]), v)
    used = weight > 0
    assert near.holds(v[used]).all() and wide.holds(v[used]).all() and SCALE.inside(v[used]).all()
    assert weight[used].mean() == pytest.approx(1.0)
    grid = near.centre + near.root.max() * rng.uniform(-1.0, 1.0, (400_000, 3))
    held = near.holds(grid) & wide.holds(grid) & SCALE.inside(grid)
    exact = np.average(grid[held], axis=0, weights=np.exp(SCALE.log_prior(grid[held])))
    mean = np.average(v[used], axis=0, weights=weight[used])
    error = v[used].std(0) * np.sqrt((weight[used] ** 2).sum()) / weight[used].sum()
    assert (np.abs(mean - exact) < 4 * error).all()


def test_a_region_that_nothing_falls_in_is_the_prior_itself():
    rng = np.random.default_rng(2)
    outside = Region.around(np.array([9.0, 0.0, 9.0]) + 1e-3 * rng.standard_normal((100, 3)))
    region, rows = proposed(SCALE, (), outside, rng, 500)
    assert rows.shape == (500, 3) and region.holds(SCALE.sample(rng, 500)).all()
