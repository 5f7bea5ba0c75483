"""The surface that all bursts are fitted with, and what is read off it."""

import numpy as np
import pytest
from scipy import stats

from populace._errors import MethodError
from populace.coarse.implicit import eigenvalues, fold, leading, place, rest, solve
from populace.coarse.surface import fit_enough, fit_surface, terms


def drawn(seed, bursts=40, rows=10, noise=0.5, cubic=0.0):
    """Bursts about x' = p - x^2 + cubic x^3, with a shift of its own for each (they hang together)."""
    g = np.random.default_rng(seed)
    where = g.uniform(-1, 1, (bursts * rows, 2))
    of = np.repeat(np.arange(bursts), rows)
    off = noise * (g.normal(size=bursts)[of] + g.normal(size=bursts * rows))
    x, p = where.T
    return where, (p - x**2 + cubic * x**3 + off)[:, None], of


ZERO, ONE = np.zeros(2), np.ones(2)


def test_a_parameter_counts_double():
    assert terms(1, 1, 2).tolist() == [[0, 0], [1, 0], [0, 1], [2, 0]]
    assert len(terms(1, 1, 4)) == 9 and len(terms(2, 0, 2)) == 6


def test_a_polynomial_is_found_exactly():
    surface = fit_surface(*drawn(0, noise=0.0), ZERO, ONE, 3)
    at = np.array([[0.3, -0.2], [0.7, 0.5]])
    np.testing.assert_allclose(surface.value(at)[:, 0], at[:, 1] - at[:, 0] ** 2, atol=1e-9)
    np.testing.assert_allclose(surface.slope(at)[:, 0], np.stack([-2 * at[:, 0], [1, 1]], 1), atol=1e-9)


def test_errors_know_that_stretches_of_a_burst_hang_together():
    z = []
    for seed in range(200):
        surface = fit_surface(*drawn(seed), ZERO, ONE, 2)
        z.append(float(surface.value(ZERO)[0] / surface.error(ZERO)[0]))
    inside = np.mean(np.abs(z) < stats.t.ppf(0.95, 36))
    assert abs(inside - 0.9) < 4 * np.sqrt(0.9 * 0.1 / 200)


def test_the_degree_rises_where_the_bursts_ask_for_it():
    plain = fit_enough(*drawn(1, noise=0.05), ZERO, ONE, 2)
    bent = fit_enough(*drawn(1, noise=0.05, cubic=1.0), ZERO, ONE, 2)
    assert len(plain.powers) == len(terms(1, 1, 2))
    assert len(bent.powers) == len(terms(1, 1, 3))


def test_too_few_bursts_are_refused():
    with pytest.raises(MethodError, match="too few for 9 terms"):
        fit_surface(*drawn(0, bursts=8), ZERO, ONE, 4)


def test_a_state_of_rest_and_a_fold_are_where_they_are():
    surface = fit_surface(*drawn(0, noise=0.0), ZERO, ONE, 3)
    at = solve(fold(surface), surface, np.array([0.2, 0.1]), ONE)
    np.testing.assert_allclose(at, [0.0, 0.0], atol=1e-7)

    def given(at, coefficients):
        return np.append(rest(surface)(at, coefficients), at[1] - 0.25)

    at = solve(given, surface, np.array([0.8, 0.2]), ONE)
    np.testing.assert_allclose(at, [0.5, 0.25], atol=1e-7)


def test_the_error_of_a_fold_is_its_scatter():
    found, errors = [], []
    for seed in range(100):
        surface = fit_surface(*drawn(seed, bursts=60, noise=0.2), ZERO, ONE, 3)
        at = solve(fold(surface), surface, ZERO, ONE)
        one = place(fold(surface), surface, at, ONE)
        found.append(one.at)
        errors.append(one.error)
    ratio = np.std(found, 0) / np.sqrt(np.mean(np.square(errors), 0))
    np.testing.assert_allclose(ratio, 1.0, atol=4 / np.sqrt(2 * 100))


def test_a_maps_rate_is_the_flows():
    """Of a flow with rates -1 and -2 +- i, seen every .5."""
    flow = np.array([[-1.0, 0, 0], [0, -2, 1], [0, -1, -2]])
    values, vectors = np.linalg.eig(flow)
    step = (vectors @ np.diag(np.exp(0.5 * values)) @ np.linalg.inv(vectors)).real
    np.testing.assert_allclose(eigenvalues((step - np.eye(3)) / 0.5, 0.5), [-1, -2 + 1j, -2 - 1j], atol=1e-9)


def test_the_error_of_a_rate_counts_the_place_too():
    rates, errors = [], []
    for seed in range(100):
        where, y, of = drawn(seed, bursts=60, noise=0.2)
        surface = fit_surface(where[:, :1], y - where[:, 1:] + 0.25, of, ZERO[:1], ONE[:1], 3)
        at = solve(rest(surface), surface, np.array([0.5]), ONE[:1])
        one = place(rest(surface), surface, at, ONE[:1])
        value, error = leading(rest(surface), surface, one, 1, 1e-3)
        rates.append(value.real)
        errors.append(error)
    assert abs(np.mean(rates) + 1.0) < 4 * np.std(rates) / 10
    assert abs(np.std(rates) / np.sqrt(np.mean(np.square(errors))) - 1) < 4 / np.sqrt(2 * 100)
