"""The cheap regressor keeps the laws of regressors, and learns how noise varies."""

import jax.random as jr
import numpy as np
import pytest

import populace as pop
from populace.testing.regressors import check_regressor


def test_it_is_a_regressor():
    check_regressor(pop.Polynomial(), jr.key(0))


def test_noise_that_varies():
    rng = np.random.default_rng(0)
    x = rng.uniform(size=(2000, 1))
    y = x**2 + 0.1 * np.exp(2.0 * x) * rng.normal(size=(2000, 1))
    said = pop.Polynomial(3).fit(x, y, jr.key(0)).predict(np.array([[0.1], [0.9]]))
    np.testing.assert_allclose(said.mean[:, 0], [0.01, 0.81], atol=4 * np.sqrt(said.epistemic.max()))
    np.testing.assert_allclose(np.sqrt(said.noise[:, 0]), 0.1 * np.exp([0.2, 1.8]), rtol=0.15)


def test_many_inputs():
    rng = np.random.default_rng(0)
    x = rng.uniform(size=(300, 8))
    fitted = pop.Polynomial().fit(x, x[:, :1] * x[:, 1:2] + 0.01 * rng.normal(size=(300, 1)), jr.key(0))
    assert np.argsort(fitted.relevance())[-2:].tolist() in ([0, 1], [1, 0])


def test_no_degree():
    with pytest.raises(pop.MethodError, match="1 or more"):
        pop.Polynomial(0)
