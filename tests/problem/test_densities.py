"""Densities of counts against scipy's in double precision, at small counts and at large ones."""

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats as st

from populace.problem.densities import log_binomial, log_negative_binomial, log_normal, log_poisson

COUNTS = np.array([0.0, 1.0, 3.0, 17.0, 950.0, 123_456.0])


def _near(found: object, exact: np.ndarray) -> None:
    np.testing.assert_allclose(np.asarray(found), exact, rtol=2e-5, atol=2e-4)


@pytest.mark.parametrize("factor", [0.9, 1.0, 1.02, 2.0])
def test_poisson(factor: float):
    mean = np.maximum(COUNTS, 0.5) * factor
    mean[-1] = COUNTS[-1] * (1.0 + (factor - 1.0) / 50.0)
    _near(
        log_poisson(jnp.float32(COUNTS), jnp.float32(mean)),
        st.poisson.logpmf(COUNTS, np.asarray(jnp.float32(mean), float)),
    )


@pytest.mark.parametrize("p", [0.01, 0.5, 0.97])
def test_binomial(p: float):
    n = np.array([0.0, 1.0, 20.0, 5_000.0, 400_000.0])
    p = float(jnp.float32(p))
    for count in (np.zeros_like(n), n, np.round(n * p), np.round(n * p * 0.99)):
        exact = np.asarray(st.binom.logpmf(count, n, p))
        found = np.asarray(log_binomial(jnp.float32(count), jnp.float32(n), jnp.float32(p)))
        np.testing.assert_allclose(found, exact, rtol=1e-4, atol=5e-4)


def test_what_cannot_be_has_no_density():
    assert np.asarray(log_binomial(jnp.float32(5), jnp.float32(4), jnp.float32(0.5))) == -np.inf
    assert np.asarray(log_binomial(jnp.float32(1), jnp.float32(4), jnp.float32(0.0))) == -np.inf
    assert np.asarray(log_binomial(jnp.float32(4), jnp.float32(4), jnp.float32(1.0))) == 0.0
    assert np.asarray(log_negative_binomial(jnp.float32(3), jnp.float32(0.0), jnp.float32(0.1))) == -np.inf
    assert np.asarray(log_poisson(jnp.float32(3), jnp.float32(0.0))) == -np.inf


@pytest.mark.parametrize("dispersion", [0.01, 0.3, 4.0])
def test_negative_binomial(dispersion: float):
    dispersion = float(jnp.float32(dispersion))
    mean = np.array([0.2, 2.0, 20.0, 800.0, 100_000.0])
    for count in (np.zeros_like(mean), np.round(mean), np.round(1.3 * mean)):
        p = 1.0 / (1.0 + dispersion * np.asarray(jnp.float32(mean), float))
        _near(
            log_negative_binomial(jnp.float32(count), jnp.float32(mean), jnp.float32(dispersion)),
            st.nbinom.logpmf(count, 1.0 / dispersion, p),
        )


def test_normal():
    _near(log_normal(jnp.float32(1.5), jnp.float32(1.0), jnp.float32(0.2)), st.norm.logpdf(1.5, 1.0, 0.2))
