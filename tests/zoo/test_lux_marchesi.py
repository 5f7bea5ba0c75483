"""Traders who change camps: the facts that its docstring lists."""

import jax.random as jr
import numpy as np
import pytest
from scipy import stats

import populace as pop
from populace.testing.models import check_model
from populace.zoo.lux_marchesi import LEAST, LuxMarchesi

STEPS, ERRORS = 1_000, 4.0
MODEL = LuxMarchesi(300, turns=50)


def correlation(series: np.ndarray, lag: int) -> float:
    return float(np.corrcoef(series[lag:], series[:-lag])[0, 1])


@pytest.fixture(scope="module")
def market() -> dict[str, np.ndarray]:
    """Observations (steps,), a burn-in left out."""
    seen = pop.simulate(MODEL, jr.key(1), STEPS).observations
    return {name: np.asarray(values[100:], np.float64) for name, values in seen.items()}


def test_it_keeps_the_laws_of_models():
    check_model(LuxMarchesi(20, turns=5), jr.key(0))


def test_volatility_clusters_and_returns_do_not(market):
    size, error = abs(market["returns"]), 1 / np.sqrt(STEPS - 100)
    assert all(correlation(size, lag) > ERRORS * error for lag in (1, 5, 10))
    assert correlation(size, 1) > correlation(size, 100)
    for lag in (10, 20):  # at short lags a price that comes back to the fundamental value makes them negative
        products = market["returns"][lag:] * market["returns"][:-lag]
        spread = ERRORS * products.std() / market["returns"].var() / np.sqrt(len(products))
        assert abs(correlation(market["returns"], lag)) < spread


def test_tails_are_fat_and_the_news_is_not(market):
    news = np.diff(np.log(market["fundamental"]))
    assert abs(stats.kurtosis(news)) < ERRORS * np.sqrt(24 / len(news))
    assert stats.kurtosis(market["returns"]) > 2.0
    size = np.sort(abs(market["returns"]))[-56:]
    assert 1.5 < 1 / np.log(size[1:] / size[0]).mean() < 5.0


def test_the_price_stays_near_the_fundamental_and_turbulence_comes_with_chartists(market):
    off = np.log(market["price"] / market["fundamental"])
    assert abs(off.mean()) < 0.01 and abs(off).mean() < 0.05
    crowd = market["chartists"] > np.median(market["chartists"])
    size = abs(market["returns"])
    assert size[crowd].mean() > 1.5 * size[~crowd].mean()
    held = np.round(market["chartists"] * 300)
    assert held.min() >= 2 * LEAST and held.max() <= 300 - LEAST


def test_while_nobody_changes_camp_the_mean_price_relaxes_as_it_must():
    """Half are chartists, as many up as down: E p' = pf + (p - pf) (1 - beta nf gamma / turns)^turns."""
    frozen = {"v1": 0.0, "v2": 1e-30, "beta": 0.1, "sigma_e": 0.0, "z": 0.5}
    seen = pop.simulate(pop.bind(MODEL, frozen), jr.key(2), STEPS).observations
    price = np.asarray(seen["price"], np.float64)
    now, then = price[:-1] - 10.0, price[1:] - 10.0
    kept = (1 - 0.1 * 0.5 * 5.0 / 50) ** 50
    slope = (now @ then) / (now @ now)
    assert abs(slope - kept) < ERRORS * np.sqrt((1 - kept**2) / STEPS)
    off = then - kept * now
    assert abs(off.mean()) < ERRORS * off.std() / np.sqrt(STEPS)


def test_a_market_that_is_too_small_is_named():
    with pytest.raises(pop.ModelError, match="16 traders"):
        LuxMarchesi(10)
