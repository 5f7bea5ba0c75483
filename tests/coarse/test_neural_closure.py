"""Networks as right-hand sides: they follow what they saw, and part where they saw nothing."""

import jax.random as jr
import numpy as np
import pytest

import populace as pop

TIMES = np.linspace(0.0, 12.0, 31)


@pytest.fixture(scope="module")
def learned():
    mean = 0.5 / (1 + 9 * np.exp(-0.8 * TIMES))
    off = np.random.default_rng(0).normal(size=(40, 1)) * 0.02 * TIMES / 12
    return pop.learn_equation(pop.MeanSeries(TIMES, {"c": mean + off}), jr.key(2), degree=3)


@pytest.fixture(scope="module")
def fitted(learned):
    return pop.neural_closure(learned, jr.key(0), members=2, width=8, depth=1, steps=1000)


def test_networks_follow_the_mean_and_know_its_rate(fitted):
    assert np.all(fitted.rmse < 2 * fitted.noise)
    inside = np.linspace(0.1, 0.45, 8)
    rates = fitted.rates(inside[:, None])[..., 0]
    exact = 0.8 * inside * (1 - inside / 0.5)
    assert np.all(np.abs(rates - exact) < 0.1 * exact.max() + 0.002)


def test_they_part_outside(fitted):
    assert fitted.spread_outside > 2 * fitted.spread_inside
    assert fitted.verdict.code is pop.Code.APART_OUTSIDE
    assert "do not extrapolate" in str(fitted)
    assert fitted.sections()[0].figures
    assert len(fitted.record()["rmse"]) == 2


def test_misuse(learned):
    with pytest.raises(pop.MethodError, match="two members"):
        pop.neural_closure(learned, jr.key(1), members=1)
