"""The law of a series, learned step by step, against laws that are known."""

import jax.random as jr
import numpy as np
import pytest
from scipy.stats import norm, poisson

import populace as pop
from populace.surrogates.transitions import log_likelihoods

QUICK = dict(members=2, width=32, depth=2, steps=400)


def two_numbers(n, times, seed):
    """Two numbers a time, dependent on each other and on the last, with v as the drift of the first."""
    rng = np.random.default_rng(seed)
    v, x = rng.uniform(-1.7, 1.7, (n, 1)), np.zeros((n, times, 2))
    root = np.array([[1.0, 0.0], [0.8, 0.6]])
    last = np.zeros((n, 2))
    for t in range(times):
        drift = np.concatenate([v, -v], axis=1) * 0.5
        last = 0.7 * last + drift + rng.standard_normal((n, 2)) @ root.T
        x[:, t] = last
    return v, x, root


def test_it_comes_to_the_density_of_a_gaussian_law():
    v, x, root = two_numbers(300, 40, 0)
    law = pop.Transitions(lags=1, memory=0, components=1, **QUICK).fit(v, x, jr.key(0))
    fresh, seen, _ = two_numbers(30, 40, 1)
    before = np.concatenate([np.zeros((30, 1, 2)), seen[:, :-1]], axis=1)
    gaps = seen - 0.7 * before - 0.5 * np.stack([fresh, -fresh], axis=2)
    true = norm.logpdf(gaps @ np.linalg.inv(root).T).sum((1, 2)) - 40 * np.log(np.diag(root)).sum()
    said = np.array([law.log_prob(fresh[i : i + 1], seen[i])[0] for i in range(30)])
    short = true - said
    assert -0.5 < short.mean() < 1.0  # of 40 times; a law without the parameter is off by 3.6 or more
    assert np.corrcoef(true, said)[0, 1] > 0.98


def test_what_the_latest_times_do_not_hold_is_remembered():
    """The first number of a run, 0 or 1, decides the spread of all later ones: no window of one time sees it."""
    rng = np.random.default_rng(2)
    kind = rng.integers(0, 2, 400).astype(float)
    x = np.where(kind[:, None] > 0, 2.0, 0.2) * rng.standard_normal((400, 30))
    x[:, 0] = kind
    v = np.zeros((400, 1))

    def loss(memory):
        return pop.Transitions(lags=1, memory=memory, components=1, **QUICK).fit(v, x[..., None], jr.key(0)).loss

    assert loss(8) < loss(0) - 0.1


def test_counts_are_spread_over_their_units():
    rng = np.random.default_rng(3)
    v = rng.uniform(-1.7, 1.7, (300, 1))
    rate = np.exp(1.0 + 0.5 * v)
    x = rng.poisson(rate, (300, 30)).astype(float)[..., None]
    law = pop.Transitions(lags=1, memory=0, components=2, **QUICK).fit(v, x, jr.key(0))
    at = np.linspace(-1.5, 1.5, 31)[:, None]
    seen = rng.poisson(np.exp(1.0), (30, 1)).astype(float)
    true = poisson.logpmf(seen.T, np.exp(1.0 + 0.5 * at)).sum(1)
    said = law.log_prob(at, seen)
    assert abs(at[said.argmax(), 0] - at[true.argmax(), 0]) < 0.4
    assert np.isfinite(said).all()


def test_a_number_that_never_varies_does_no_harm_and_all_data_share_one_program():
    rng = np.random.default_rng(4)
    x = np.stack([rng.standard_normal((100, 20)), np.full((100, 20), 3.5)], axis=2)
    v = rng.uniform(-1.7, 1.7, (100, 1))
    law = pop.Transitions(lags=1, memory=2, **{**QUICK, "steps": 40}).fit(v, x, jr.key(0))
    assert np.isfinite(law.log_prob(v[:5], x[0])).all()
    traced = log_likelihoods._cached._cache_size()
    law.log_prob(v[5:10], x[1])
    assert log_likelihoods._cached._cache_size() == traced


def test_too_few_runs_are_refused():
    v, x, _ = two_numbers(20, 10, 6)
    with pytest.raises(pop.MethodError, match="20 valid runs"):
        pop.Transitions().fit(v, x, jr.key(0))
