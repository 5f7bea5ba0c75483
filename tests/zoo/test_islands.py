"""The islands model: the facts that its docstring lists."""

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

import populace as pop
from populace.zoo.islands import Islands

ERRORS = 4.0
"""Standard errors within which an average must lie."""


def series(runs: int, seed: int, **parameters: float) -> dict[str, np.ndarray]:
    """Observations (runs, 100 steps) of islands with these parameters."""
    model = pop.bind(Islands(), {name: jnp.float32(value) for name, value in parameters.items()})
    seen = pop.ensemble(model, jr.key(seed), 100, runs=runs)
    assert not seen.faulty.any()
    return {name: rows[0] for name, rows in seen.observations.items()}


def growth(runs: int, seed: int, **parameters: float) -> np.ndarray:
    output = series(runs, seed, **parameters)["log_output"]
    return (output[:, -1] - output[:, 0]) / 100


def test_without_exploration_nothing_is_ever_produced():
    seen = series(16, 0, eps=0.0)
    assert (seen["log_output"] == 0).all() and (seen["miners"] == 50).all()


def test_the_home_island_is_left_at_the_rate_eps():
    """One step: the explorers are a binomial number of 50."""
    seen = series(128, 1, eps=0.3, pi=1.0)["explorers"][:, 0]
    assert abs(seen.mean() - 15.0) < ERRORS * np.sqrt(50 * 0.3 * 0.7 / 128)
    assert seen.var(ddof=1) == pytest.approx(10.5, rel=ERRORS * np.sqrt(2 / 127))


def test_where_nothing_but_home_is_land_a_firm_comes_back_as_a_random_walk_does():
    """All leave for certain: in the plane a walk is at home again after two steps with probability 1/4, and leaves at
    once, so that after each second step nobody mines and nothing is ever produced.
    """
    seen = series(16, 2, eps=1.0, pi=0.0)
    assert (seen["explorers"] == 50).all() and (seen["log_output"] == 0).all()


def test_everywhere_land_means_that_every_explorer_lands():
    """Who leaves lands one step later; who has landed leaves again with probability eps."""
    seen = series(128, 3, eps=0.2, pi=1.0, rho=50.0)
    # Explorers after two steps are all firms whose last trial, of those who then mine, came out: 50 trials of eps.
    assert abs(seen["explorers"][:, 1].mean() - 10.0) < ERRORS * np.sqrt(50 * 0.2 * 0.8 / 128)


def test_without_learning_and_company_output_is_bounded():
    """Each firm then gets the productivity of its island, at most 2 * 99 and a Gaussian number above the corner."""
    output = series(16, 4, phi=0.0, alpha=0.0, lambda_=0.0, eps=0.2)["log_output"]
    assert output.max() < np.log(50 * (198 + 6)) and output[:, -1].min() > np.log(50)


def test_cumulative_knowledge_makes_growth_and_more_of_it_makes_more():
    rates = [growth(32, 5, phi=phi, rho=0.1, alpha=1.5) for phi in (0.0, 0.4, 0.9)]
    for less, more in ((rates[0], rates[1]), (rates[1], rates[2])):
        error = np.sqrt(less.var(ddof=1) / less.size + more.var(ddof=1) / more.size)
        assert more.mean() - less.mean() > ERRORS * error
    output = series(64, 6, phi=0.9, rho=0.1, alpha=1.5)["log_output"]
    late, early = output[:, 99] - output[:, 69], output[:, 69] - output[:, 39]
    # Exponential growth: as much in the last thirty steps as in the thirty before.
    error = np.sqrt((late - early).var(ddof=1) / late.size)
    assert abs((late - early).mean()) < ERRORS * error and early.mean() > 3


def test_exploring_too_little_or_too_much_grows_less():
    little, some, much = (growth(32, 7, eps=eps, phi=0.5, rho=0.1) for eps in (0.001, 0.1, 0.9))
    assert some.mean() > little.mean() + ERRORS * np.sqrt(some.var() / 32 + little.var() / 32)
    assert some.mean() > much.mean() + ERRORS * np.sqrt(some.var() / 32 + much.var() / 32)


def test_knowledge_that_spreads_far_grows_more():
    far, near = growth(32, 8, rho=0.05, phi=0.6), growth(32, 8, rho=8.0, phi=0.6)
    assert far.mean() > near.mean() + ERRORS * np.sqrt(far.var() / 32 + near.var() / 32)


def test_a_sea_too_small_is_refused():
    with pytest.raises(pop.ModelError, match="3 x 3"):
        Islands(side=2)
