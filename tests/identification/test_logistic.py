"""The classifier against odds that are known."""

import jax.random as jr
import numpy as np
import pytest
from scipy.stats import norm

from populace.identification.logistic import logistic


def test_odds_of_gaussian_laws():
    """Of three classes with other means and spreads, at several points, within its errors."""
    rng, laws = np.random.default_rng(0), [(0.0, 1.0), (1.0, 1.0), (0.0, 2.0)]
    rows = np.concatenate([rng.normal(*law, size=(1500, 1)) for law in laws])
    learned = logistic(rows, np.repeat([0, 1, 2], 1500), jr.key(0))
    for x in (-1.0, 0.0, 1.5):
        found, errors = learned(np.array([[x]]))[0], learned.errors(np.array([x]))
        wanted = np.array([norm.logpdf(x, *law) for law in laws])
        for a, b in ((0, 1), (0, 2), (1, 2)):
            gap = (found[a] - found[b]) - (wanted[a] - wanted[b])
            assert abs(gap) < 4 * errors[a, b] and errors[a, b] < 0.3


def test_what_rows_weigh():
    """Uniform draws that weigh as another law does give that law's odds."""
    rng = np.random.default_rng(1)
    x = rng.uniform(-4, 4, size=(4000, 1))
    rows = np.concatenate([x, rng.normal(0, 1, size=(4000, 1))])
    shares = np.concatenate([norm.pdf(x[:, 0], 1, 1), np.ones(4000)])
    learned = logistic(rows, np.repeat([0, 1], 4000), jr.key(0), shares)
    found = learned(np.array([[1.0]]))[0]
    wanted = norm.logpdf(1.0, 1, 1) - norm.logpdf(1.0, 0, 1)
    assert abs(found[0] - found[1] - wanted) < 4 * learned.errors(np.array([1.0]))[0, 1]


@pytest.mark.parametrize("columns", [1, 12])
def test_equal_laws_give_even_odds(columns):
    """And a column that never varies does no harm."""
    rng = np.random.default_rng(2)
    rows = np.concatenate([rng.normal(size=(600, columns)), np.ones((600, 1))], axis=1)
    learned = logistic(rows, np.repeat([0, 1], 300), jr.key(0))
    found = learned(np.append(np.zeros(columns), 1.0)[None])[0]
    assert abs(found[0] - found[1]) < 4 * learned.errors(np.append(np.zeros(columns), 1.0))[0, 1]
    assert np.log(2.0) + learned.left_out[np.arange(600), np.repeat([0, 1], 300)].mean() < 0.02


def test_left_out_rows_bound_the_information():
    """Two Gaussian laws two deviations apart share 0.486 bits with their label."""
    rng = np.random.default_rng(3)
    rows = np.concatenate([rng.normal(m, 1.0, size=(2000, 1)) for m in (-1.0, 1.0)])
    own = logistic(rows, np.repeat([0, 1], 2000), jr.key(0)).left_out[np.arange(4000), np.repeat([0, 1], 2000)]
    bits = 1.0 + own / np.log(2.0)
    grid = np.linspace(-8, 8, 4001)
    p, q = norm.pdf(grid, -1, 1), norm.pdf(grid, 1, 1)
    wanted = float(np.trapezoid(p * np.log2(2 * p / (p + q)), grid))
    assert abs(bits.mean() - wanted) < 4 * bits.std() / np.sqrt(4000)
