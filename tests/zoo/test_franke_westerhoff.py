"""Structural stochastic volatility: the facts that its docstring lists."""

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from scipy import stats

import populace as pop
from populace.testing.models import check_model
from populace.zoo.franke_westerhoff import FrankeWesterhoff, log_likelihood

DAYS, ERRORS = 7_000, 4.0


def path(**parameters: float) -> dict[str, np.ndarray]:
    """Observations (days,)."""
    seen = pop.simulate(FrankeWesterhoff(**parameters), jr.key(1), DAYS).observations
    return {name: np.asarray(values, np.float64) for name, values in seen.items()}


@pytest.fixture(scope="module")
def market() -> dict[str, np.ndarray]:
    return path()


def correlation(series: np.ndarray, lag: int) -> float:
    return float(np.corrcoef(series[lag:], series[:-lag])[0, 1])


def test_it_keeps_the_laws_of_models():
    check_model(FrankeWesterhoff(), jr.key(0))


def test_the_next_price_is_gaussian_given_the_past(market):
    """The likelihood day by day, as the equations have it, and surprises that are standard normal."""
    price, attitude, before, last, total, surprise = market["price"][:500], -0.327, 0.0, 0.0, 0.0, []
    for now in price:
        n = 1 / (1 + np.exp(-attitude))
        mean = last + 0.01 * (n * 0.12 * -last + (1 - n) * 1.5 * (last - before))
        sd = 0.01 * np.hypot(n * 0.758, (1 - n) * 2.087)
        attitude = -0.327 + 1.79 * (2 * n - 1) + 18.43 * last**2
        total, before, last = total + stats.norm.logpdf(now, mean, sd), last, now
        surprise.append((now - mean) / sd)
    found = float(log_likelihood(FrankeWesterhoff(), jnp.asarray(price, jnp.float32)))
    assert found == pytest.approx(total, rel=1e-4)
    assert stats.kstest(surprise, "norm").pvalue > 1e-4
    other = float(log_likelihood(FrankeWesterhoff(sigma_c=2.5), jnp.asarray(price, jnp.float32)))
    assert other < found


def test_without_herding_and_chartists_the_price_is_an_autoregression():
    """Half are fundamentalists: slope 1 - mu phi / 2, and noise of mu times the mean of two demands."""
    price = path(alpha_0=0.0, alpha_n=0.0, alpha_p=0.0, chi=0.0, phi=20.0)["price"]
    slope = (price[1:] @ price[:-1]) / (price[:-1] @ price[:-1])
    assert abs(slope - 0.9) < ERRORS * np.sqrt((1 - 0.9**2) / DAYS)
    noise = price[1:] - 0.9 * price[:-1]
    assert noise.std() == pytest.approx(0.01 * np.hypot(0.758, 2.087) / 2, rel=ERRORS / np.sqrt(2 * DAYS))


def test_tails_are_fat(market):
    """Hill's index over 5 % lies between 3 and 5; of a normal law it is 6.0, with an error of .3 at this length."""
    returns = market["returns"]
    assert 3.0 < float(pop.hill("returns", 0.05)({"returns": returns})[0]) < 5.0
    assert stats.kurtosis(returns) > ERRORS * np.sqrt(24 / DAYS)


def test_volatility_clusters_for_a_hundred_days_and_returns_do_not(market):
    size, error = abs(market["returns"]), 1 / np.sqrt(DAYS)
    assert all(correlation(size, lag) > ERRORS * error for lag in (1, 5, 10, 25, 50, 100))
    assert correlation(size, 1) > correlation(size, 100)
    for lag in (1, 2, 5):
        products = market["returns"][lag:] * market["returns"][:-lag]
        spread = ERRORS * products.std() / market["returns"].var() / np.sqrt(len(products))
        assert abs(correlation(market["returns"], lag)) < spread + 0.01
    calm = market["share"] > np.median(market["share"])  # fundamentalists are calm
    assert size[1:][calm[:-1]].mean() < size[1:][~calm[:-1]].mean()
