"""Cascades on random networks: the facts that its docstring lists, against generating functions."""

import jax.random as jr
import numpy as np
import pytest
from scipy import optimize, stats

import populace as pop
from populace.testing.models import check_model
from populace.zoo.watts_cascade import WattsCascade

PHI, AGENTS = 0.18, 2_000
K = np.arange(40)
VULNERABLE = K <= 5
ERRORS = 4.0


def excess(z: float, vulnerable: np.ndarray = VULNERABLE) -> float:
    """Vulnerable agents that a vulnerable one sets off, less one."""
    return (K * (K - 1) * stats.poisson.pmf(K, z) * vulnerable).sum() / z - 1


def never(z: float) -> float:
    """h: that an edge leads to no global cascade."""
    p = stats.poisson.pmf(K, z) * K / z * VULNERABLE
    h = 0.0
    for _ in range(2_000):
        h = 1 - p.sum() + (p[1:] * h ** (K[1:] - 1.0)).sum()
    return h


def reach(z: float) -> float:
    """The share of agents that a global cascade reaches."""
    p = stats.poisson.pmf(K, z)
    m = np.arange(len(K))

    def turned(q: float, tries: np.ndarray) -> np.ndarray:
        hits = stats.binom.pmf(m[None], tries[:, None], q) * (m[None] >= PHI * K[1:, None])
        return hits.sum(1)

    q = 1.0
    for _ in range(60):
        q = float((K[1:] * p[1:] / z * turned(q, K[1:] - 1)).sum())
    return float((p[1:] * turned(q, K[1:])).sum())


def cascades(z: float, steps: int, phis: tuple[float, ...], runs: int) -> np.ndarray:
    """The sizes (phis, runs) of cascades that single agents set off on one network."""
    model = WattsCascade(pop.random_network(jr.key(1), AGENTS, z))
    levels = {"phi": phis}
    seen = pop.ensemble(model, jr.key(2), steps, runs=runs, parameters=levels, record=pop.Last()).observations
    assert float(seen["turned"].max()) == 0  # every cascade is over
    return np.round(np.asarray(seen["active"][:, :, 0], np.float64) * AGENTS)


@pytest.fixture(scope="module")
def inside() -> np.ndarray:
    """Of mean degree 3: with phi = .18, and with one half, where agents of up to two neighbours are vulnerable."""
    return cascades(3.0, 45, (PHI, 0.5), 256)


def test_it_keeps_the_laws_of_models():
    check_model(WattsCascade(pop.random_network(jr.key(0), 30, 3.0)), jr.key(0))


def test_the_window_is_where_the_docstring_has_it():
    ends = optimize.brentq(excess, 0.9, 2.0), optimize.brentq(excess, 4.0, 8.0)
    assert ends == (pytest.approx(1.02, abs=0.005), pytest.approx(5.76, abs=0.005))


def test_inside_the_window_cascades_are_as_often_and_as_large_as_theory_has_it(inside):
    sizes = inside[0]
    global_, wanted = sizes > AGENTS / 4, 1 - np.exp(-3.0 * (1 - never(3.0)))
    error = np.hypot(np.sqrt(wanted * (1 - wanted) / len(sizes)), 1 / np.sqrt(2 * AGENTS))
    assert abs(global_.mean() - wanted) < ERRORS * error
    assert sizes[~global_].max() < AGENTS / 50
    assert abs(sizes[global_].mean() / AGENTS - reach(3.0)) < ERRORS / np.sqrt(AGENTS)


def test_outside_there_is_none(inside):
    """The vulnerable of one half do not percolate: excess of 2 p_2 / z, less than one."""
    assert excess(3.0, K <= 2) < 0 < excess(3.0)
    assert inside[1].max() < AGENTS / 50


def law_of_sizes(z: float, most: int) -> np.ndarray:
    """P(size > s), s = 0 .. most - 1: of a seed and the vulnerable that it reaches, from the generating function
    H0(x) = x G0(H1(x)), H1(x) = 1 - F(1) + x F(H1(x)), by its values on a circle.
    """
    p = stats.poisson.pmf(K, z)
    points = 4 * most
    x = 0.999 * np.exp(2j * np.pi * np.arange(points) / points)
    first, edge = np.zeros_like(x), (K * p / z)[1:6]
    for _ in range(800):
        first = 1 - edge.sum() + x * np.polynomial.polynomial.polyval(first, edge)
    coefficients = np.fft.fft(x * np.polynomial.polynomial.polyval(first, p)).real / points / 0.999 ** np.arange(points)
    return 1 - np.cumsum(coefficients)[:most]


def test_at_the_lower_end_sizes_have_a_heavy_tail():
    """As in a critical percolation P(size > s) falls about as the root of s: several in a hundred are above five times
    the mean, of an exponential law less than one. (One network has few large clusters, and an error of its own.)
    """
    sizes, law = cascades(1.02, 90, (PHI,), 400)[0], law_of_sizes(1.02, 400)
    for level in (1, 5, 10, 30):
        found = (sizes > level).mean()
        assert abs(found - law[level]) < ERRORS * np.sqrt(law[level] * (1 / len(sizes) + level / AGENTS))
    assert law[300] / law[30] == pytest.approx(np.sqrt(0.1), rel=0.5)
    assert (sizes > 5 * sizes.mean()).mean() > 3 * np.exp(-5)
