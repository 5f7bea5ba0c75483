"""Counts by inversion: exact where they are summed, and as close as claimed where they are expanded."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
import scipy.stats as st

from populace.core import quantiles

UPPER = np.concatenate([np.logspace(-9, -3, 100), np.linspace(0.0005, 0.9995, 2000), 1 - np.logspace(-6, -3, 100)])
UNIFORM = UPPER.astype(np.float32)
CLAIM = 2e-5

poisson = jax.jit(quantiles.poisson)
binomial = jax.jit(quantiles.binomial)


def error(counts: np.ndarray, law: st.rv_discrete) -> np.ndarray:
    """By how much the tail probabilities around each count miss the uniform number that it stands for."""
    u = UNIFORM.astype(np.float64)
    return np.maximum(0.0, np.maximum(law.sf(counts) - u, u - law.sf(counts - 1)))


def drawn(function, *parameters: float) -> np.ndarray:
    full = [jnp.full(UNIFORM.shape, value, jnp.float32) for value in parameters]
    return np.asarray(function(jnp.asarray(UNIFORM), *full), np.float64)


@pytest.mark.parametrize("rate", [0.0, 1e-9, 1e-6, 1e-3, 0.1, 1.0, 5.0, 12.3, 15.99])
def test_poisson_is_exact_up_to_a_mean_of_16(rate: float):
    counts, law = drawn(poisson, rate), st.poisson(float(np.float32(rate)))
    missed = error(counts, law)
    assert missed.max() < 1e-6  # rounding of the summed tail
    clear = (missed == 0) & (np.abs(law.sf(counts) - UPPER) > 2e-6) & (np.abs(law.sf(counts - 1) - UPPER) > 2e-6)
    np.testing.assert_array_equal(counts[clear], law.isf(UPPER[clear]))
    assert clear.mean() > 0.9


@pytest.mark.parametrize("rate", [16.0, 17.0, 20.0, 31.5, 50.0, 100.0, 1e3, 1e4, 1e5, 1e6])
def test_poisson_is_as_close_as_claimed_above(rate: float):
    assert error(drawn(poisson, rate), st.poisson(rate)).max() < CLAIM


BINOMIALS = [
    (0, 0.3),
    (1, 1e-9),
    (1, 0.3),
    (7, 0.0),
    (7, 1.0),
    (10, 0.3),
    (10, 0.9),
    (31, 0.5),
    (32, 0.5),
    (40, 0.41),
    (40, 0.59),
    (100, 0.16),
    (100, 0.99),
    (1000, 0.02),
    (1000, 0.4),
    (1000, 0.97),
    (100_000, 0.001),
    (1_000_000, 1e-6),
    (1_000_000, 0.5),
]


@pytest.mark.parametrize(("trials", "p"), BINOMIALS)
def test_binomial_is_as_close_as_claimed(trials: int, p: float):
    counts, law = drawn(binomial, trials, p), st.binom(trials, float(np.float32(p)))
    assert ((counts >= 0) & (counts <= trials)).all()
    assert error(counts, law).max() < CLAIM


@pytest.mark.parametrize(("trials", "p"), [(0, 0.3), (7, 0.0), (7, 1.0), (1000, 1.0), (1000, 0.0)])
def test_binomial_is_exact_at_its_ends(trials: int, p: float):
    assert (drawn(binomial, trials, p) == trials * p).all()


def test_a_binomial_of_one_trial_is_the_bernoulli_of_its_number():
    uniform = jnp.asarray(np.concatenate([np.logspace(-9, -1, 500), np.linspace(0.1, 0.9, 500)]).astype(np.float32))
    for p in (1e-9, 1e-6, 0.01, 0.37, 0.5):
        ones = jnp.ones_like(uniform)
        np.testing.assert_array_equal(binomial(uniform, ones, p * ones), (uniform < p * ones).astype(jnp.float32))


@pytest.mark.parametrize("rate", [1e-9, 1e-7, 1e-3, 0.5])
def test_a_rare_count_is_as_exact_as_a_rare_event(rate: float):
    """The least uniform number without an event is P(N >= 1), to the last digits even where 1 - P rounds to 1."""
    some = -np.expm1(-np.float32(rate))
    uniform = jnp.asarray(np.array([some * (1 - 1e-5), some * (1 + 1e-5)], np.float32))
    assert poisson(uniform, jnp.full(2, rate, jnp.float32)).tolist() == [1.0, 0.0]


@pytest.mark.parametrize("rate", [0.3, 3.0, 15.8, 16.1, 40.0, 4000.0])
def test_counts_fall_with_the_number_and_rise_with_the_rate(rate: float):
    order = np.argsort(UNIFORM)
    assert (np.diff(drawn(poisson, rate)[order]) <= 0).all()
    sure = UNIFORM > 2e-6  # beyond, rounding of the summed tail moves counts
    assert (drawn(poisson, 1.01 * rate) >= drawn(poisson, rate))[sure].all()


@pytest.mark.parametrize(("trials", "p"), [(20, 0.3), (60, 0.45), (60, 0.499), (1000, 0.4), (1000, 0.499)])
def test_binomial_rises_with_probability_and_trials(trials: int, p: float):
    base, sure = drawn(binomial, trials, p), UNIFORM > 2e-6
    assert (np.diff(base[np.argsort(UNIFORM)]) <= 0).all()
    assert (drawn(binomial, trials, p + 0.01) >= base)[sure].all()
    assert (drawn(binomial, trials + 1, p) >= base)[sure].all()


def test_neighbouring_rates_share_their_luck():
    """Inversion's difference of rates 50 and 50.5 varies by .25 (a count moves by one, half of the time)."""
    uniform = jr.uniform(jr.key(0), (40_000,))
    difference = poisson(uniform, jnp.full(40_000, 50.5)) - poisson(uniform, jnp.full(40_000, 50.0))
    assert set(np.unique(difference)) <= {0.0, 1.0}
    assert float(difference.var()) < 0.3
    difference = binomial(uniform, jnp.full(40_000, 500.0), jnp.full(40_000, 0.101))
    difference -= binomial(uniform, jnp.full(40_000, 500.0), jnp.full(40_000, 0.1))
    assert set(np.unique(difference)) <= {0.0, 1.0}
    assert float(difference.var()) < 0.3


def test_a_count_does_not_hang_on_its_neighbours():
    """The search stops when all are done; whoever is done first must not be counted on."""
    uniform = jnp.asarray(np.concatenate([np.logspace(-9.6, -6, 60), 1 - np.logspace(-7.2, -5, 60)]).astype(np.float32))
    for rate in (1e-3, 1.0, 9.0, 15.9):
        alone = poisson(uniform, jnp.full(uniform.shape, rate))
        beside = jnp.concatenate([jnp.full(uniform.shape, rate), jnp.full(uniform.shape, 15.99)])
        np.testing.assert_array_equal(poisson(jnp.tile(uniform, 2), beside)[: uniform.size], alone)
        assert float(alone.max()) < 60


def test_what_is_outside_the_domain_gives_a_number():
    """It is a fault elsewhere; here it must only end, and be no NaN."""
    u = jnp.full(4, 0.3)
    assert not np.isnan(poisson(u, jnp.array([jnp.nan, -1.0, jnp.inf, 3.0]))).any()
    assert not np.isnan(binomial(u, jnp.full(4, 5.0), jnp.array([jnp.nan, -0.1, 1.1, 0.5]))).any()
