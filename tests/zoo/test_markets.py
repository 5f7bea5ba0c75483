"""The asset markets: what their papers say of them, and the likelihood of the one that has it."""

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from scipy import stats

import populace as pop
from populace.testing.models import check_model
from populace.zoo.brock_hommes import BrockHommes, log_likelihood
from populace.zoo.cont_volatility import ContVolatility
from populace.zoo.random_walk import RandomWalk
from populace.zoo.two_beliefs import TwoBeliefs


@pytest.mark.parametrize(
    "model", [BrockHommes(), ContVolatility(50), RandomWalk(20), TwoBeliefs()], ids=lambda m: type(m).__name__
)
def test_the_laws_of_a_model(model):
    check_model(model, jr.key(0))


def test_the_transition_is_gaussian():
    """The likelihood step by step, as the equations have it."""
    model = BrockHommes()
    series = np.asarray(pop.simulate(model, jr.key(1), 30).observations["x"], np.float64)
    before, total, R = np.concatenate([np.zeros(3), series]), 0.0, 1.01
    g, b = np.array([0.0, 0.9, 0.9, 1.01]), np.array([0.0, 0.2, -0.2, 0.0])
    for t in range(3, len(before)):
        x1, x2, x3 = before[t - 1], before[t - 2], before[t - 3]
        fitness = 120.0 * (x1 - R * x2) * (g * x3 + b - R * x2)
        share = np.exp(fitness - fitness.max())
        mean = (share / share.sum() * (g * x1 + b)).sum() / R
        total += stats.norm.logpdf(before[t], mean, 0.04 / R)
    assert float(log_likelihood(model, jnp.asarray(series, jnp.float32))) == pytest.approx(total, rel=1e-4)
    other = BrockHommes(g2=0.2, b2=0.6)
    assert float(log_likelihood(other, jnp.asarray(series, jnp.float32))) < total


def test_without_bias_or_switching_the_deviation_is_noise():
    """Types 1, 2 and 3 expect nothing; with beta = 0 a quarter follows the trend: an AR(1) of 1.01 / 4 R."""
    model = BrockHommes(g2=0.0, g3=0.0, b2=0.0, b3=0.0, beta=0.0)
    x = np.asarray(pop.simulate(model, jr.key(2), 4_000).observations["x"], np.float64)
    slope = (x[1:] @ x[:-1]) / (x[:-1] @ x[:-1])
    assert abs(slope - 0.25) < 4 * np.sqrt((1 - 0.25**2) / 4_000)
    assert x.std() == pytest.approx(0.04 / 1.01 / np.sqrt(1 - 0.25**2), rel=4 / np.sqrt(2 * 4_000))


def test_every_derivative_of_the_market_passes():
    model = BrockHommes(beta=5.0)  # at 120 two paths part within a few steps, and a difference has no small step
    loss = pop.ExpectedLoss(pop.Simulation(model, 6), lambda seen: 100.0 * seen["x"] ** 2)
    at = {"g2": 0.9, "b3": -0.2}
    found = pop.differentiate(loss, pop.Pathwise(()), jr.key(3), at=at, keys=64)
    truth = pop.differentiate(loss, pop.Differences(step=0.01), jr.key(3), at=at, keys=64)
    for name in at:
        np.testing.assert_allclose(found.samples[name], truth.samples[name], rtol=0.05, atol=0.02)


@pytest.fixture(scope="module")
def returns():
    return np.asarray(pop.simulate(ContVolatility(500), jr.key(4), 12_000).observations["returns"], np.float64)[2_000:]


def correlation(series, lag):
    return float(np.corrcoef(series[lag:], series[:-lag])[0, 1])


def test_volatility_clusters_and_returns_do_not(returns):
    error = 1 / np.sqrt(len(returns))
    assert all(correlation(np.abs(returns), lag) > 10 * error for lag in (1, 3, 5))
    assert correlation(np.abs(returns), 1) > correlation(np.abs(returns), 30)
    for lag in (2, 5, 10):  # the error of a correlation between numbers whose sizes go together
        products = returns[lag:] * returns[:-lag]
        assert abs(correlation(returns, lag)) < 4 * products.std() / returns.var() / np.sqrt(len(products))


def test_tails_are_fat(returns):
    assert stats.kurtosis(returns) > 1.0


def test_a_relaxation_reaches_the_traders_comparisons():
    """Thresholds move nothing along a run, as every order is a comparison, until its site is relaxed."""
    model = ContVolatility(100, location=0.1, scale=0.5, news=0.5, depth=0.2)
    loss = pop.ExpectedLoss(pop.Simulation(model, 5), lambda seen: (seen["returns"] ** 2).sum())
    hard, soft = (
        pop.differentiate(loss, pop.Pathwise(plugs), jr.key(7), at={"location": 0.1, "depth": 0.2}, keys=16)
        for plugs in ((), (pop.SoftThreshold(0.2),))
    )
    assert hard.gradient["location"] == 0 and soft.gradient["location"] < 0
    assert hard.gradient["depth"] < 0  # returns go as 1 / depth, without any comparison


def test_the_walk_has_its_mean_spread_and_derivative():
    model = RandomWalk(4_000, p=0.25)
    run = pop.simulate(model, jr.key(5), 20, record=pop.Last())
    place = np.asarray(run.final.state)
    assert abs(place.mean() + 10.0) < 4 * place.std() / np.sqrt(4_000)
    assert place.var() == pytest.approx(4 * 20 * 0.25 * 0.75, rel=4 * np.sqrt(2 / 4_000))
    loss = pop.ExpectedLoss(pop.Simulation(RandomWalk(p=0.25), 20, pop.Last()), lambda seen: seen["position"])
    found = pop.differentiate(loss, pop.Pathwise(), jr.key(6), at={"p": 0.25}, keys=8)
    np.testing.assert_allclose(found.samples["p"], 2.0 * 20, rtol=1e-5)


# Two beliefs


def two_beliefs(**parameters):
    run = pop.simulate(TwoBeliefs(**parameters), jr.key(8), 100)
    return np.asarray(run.observations["returns"], np.float64)


def reference(noise, beta, b1, b2, g1, g2, cost, memory, aversion, gross, variance=0.002):
    """The market in double precision, line by line as the paper's equations stand; None once it breaks down."""
    x, lag, n1, u1, u2, path = 0.2, 0.8, 0.5, 0.0, 0.0, [0.2]
    if 0.5 * (g1 * x + b1) + 0.5 * (g2 * x + b2) <= 0:
        return None
    for e in noise:
        expected = (n1 * (g1 * x + b1) + (1 - n1) * (g2 * x + b2)) / gross
        won = (expected - gross * x) / (aversion * variance)
        u1 = memory * u1 + won * (g1 * lag + b1 - gross * x) - cost
        u2 = memory * u2 + won * (g2 * lag + b2 - gross * x)
        with np.errstate(over="ignore", invalid="ignore"):
            n1 = np.exp(beta * u1) / (np.exp(beta * u1) + np.exp(beta * u2))
        lag, x = x, expected + e
        if not np.isfinite(n1) or not 0.0 <= x <= 100.0:
            return None
        path.append(x)
    return np.diff(np.log(path))


def test_the_market_of_two_beliefs_follows_its_equations():
    names = ("beta", "b1", "b2", "g1", "g2", "cost", "memory", "aversion", "gross")
    low = np.array([0.0, -2.0, -2.0, -2.0, -2.0, 0.0, 0.0, 0.0, 1.01])
    high = np.array([10.0, 2.0, 2.0, 2.0, 2.0, 5.0, 1.0, 100.0, 1.1])
    points = low + (high - low) * np.random.default_rng(5).random((2_000, 9))
    batch = {name: jnp.asarray(column, jnp.float32) for name, column in zip(names, points.T, strict=True)}
    # One seed for all: without noise two markets differ by their parameters alone.
    quiet = pop.ensemble(TwoBeliefs(noise=1e-9), jr.key(9), 20, runs=1, parameters=batch).observations["returns"]
    said = np.asarray(quiet, np.float64).reshape(2_000, 20)
    exact = [reference(np.zeros(20), *row) for row in np.float64(np.float32(points))]
    alive = np.array([one is not None for one in exact])
    assert 0.05 < alive.mean() < 0.25
    assert (np.isfinite(said).all(1) == alive).mean() > 0.99  # float32 breaks down a little elsewhere
    both = np.flatnonzero(alive & np.isfinite(said).all(1))
    gaps = np.array([np.abs(said[i] - exact[i]).max() / (np.abs(exact[i]).max() + 1e-3) for i in both])
    assert np.median(gaps) < 1e-3 and (gaps < 0.05).mean() > 0.9  # a few are chaotic


def test_without_switching_two_beliefs_are_an_autoregression():
    x = 0.2 * np.exp(np.cumsum(two_beliefs(beta=0.0, g1=0.8, g2=0.4, b1=0.3, b2=0.1, gross=1.0)))
    slope, level = 0.6, 0.2
    before = np.concatenate([[0.2], x[:-1]])
    noise = x - slope * before - level
    assert np.abs(noise).max() < 0.005 * 1.01 and noise.std() == pytest.approx(0.01 / np.sqrt(12.0), rel=0.2)


def test_a_cost_empties_the_type_that_pays_it():
    dear = two_beliefs(beta=5.0, cost=5.0, g1=0.9, b1=0.5, g2=0.2, b2=0.5)
    second = two_beliefs(beta=0.0, cost=0.0, g1=0.2, b1=0.5, g2=0.2, b2=0.5)
    np.testing.assert_allclose(dear[5:], second[5:], atol=2e-3)


def test_a_market_that_breaks_down_returns_nothing_any_more():
    gone = np.isnan(two_beliefs(beta=0.0, g1=2.0, g2=2.0, b1=1.0, b2=1.0))
    assert 0 < gone.argmax() < 10 and gone[gone.argmax() :].all()
    assert np.isnan(two_beliefs(b1=-1.0, b2=-1.0)).all()  # the first expectation is not above 0
