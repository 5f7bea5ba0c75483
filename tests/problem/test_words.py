"""The GSL-divergence against words counted by hand, and what must not change it."""

import functools

import jax.random as jr
import numpy as np
import numpyro.distributions as dist
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

import populace as pop
from populace._errors import TargetError
from populace.problem.words import gsl_divergence, symbolised, words


def test_symbols_are_equal_parts_of_the_series_own_range():
    assert symbolised(np.array([0.0, 0.9, 1.0, 1.1, 2.0, 3.0]), 3).tolist() == [0, 0, 1, 1, 2, 2]
    assert symbolised(np.full(4, 7.0), 3).tolist() == [0, 0, 0, 0]
    assert words(np.array([1, 2, 0, 2]), 3, 2).tolist() == [5, 6, 2]


def test_words_counted_by_hand():
    """0011 and 0101 have the same symbols. Of words of two: 00, 01, 11 against 01, 10, 01."""
    observed, simulated = np.array([0.0, 0.0, 1.0, 1.0]), np.array([0.0, 1.0, 0.0, 1.0])
    assert gsl_divergence(simulated, observed, symbols=2, longest=1) == 0.0
    mixed = -(np.log(1 / 6) / 6 * 2 + 0.5 * np.log(0.5) + np.log(1 / 6) / 6)  # 00, 10, 11 one in six, 01 a half
    of_simulated = -(2 / 3 * np.log(2 / 3) + np.log(1 / 3) / 3)
    gap = 2 * mixed - of_simulated - np.log(3) + (4 - 2) / (2 * 3)
    by_hand = 2 / 3 * gap / (2 * np.log(2))  # words of two weigh 2 / 3; units of log 2^2
    assert gsl_divergence(simulated, observed, symbols=2, longest=2) == pytest.approx(by_hand, rel=1e-12)


def test_no_word_in_common_is_as_far_as_it_gets():
    """Two letters that never change, in words of one: constant series are alike whatever they measure."""
    assert gsl_divergence(np.full(5, 3.0), np.full(5, 8.0), symbols=2, longest=3) == 0.0
    up, down = np.array([0.0, 0.0, 0.0, 1.0]), np.array([1.0, 1.0, 1.0, 0.0])  # in words of three: 000, 001; 111, 110
    apart = 2 * np.log(4) - 2 * np.log(2) + (4 - 2) / (2 * 2)
    rest = sum(
        2
        * n
        / 12
        * (2 * _entropy(both) - _entropy(one) - _entropy(one) + (len(both) - len(one)) / (2 * (5 - n)))
        / (n * np.log(2))
        for n, one, both in ((1, [3, 1], [4, 4]), (2, [2, 1], [2, 1, 2, 1]))
    )
    expected = rest + 6 / 12 * apart / (3 * np.log(2))
    assert gsl_divergence(up, down, symbols=2, longest=3) == pytest.approx(expected, rel=1e-12)


def _entropy(counts: list[int]) -> float:
    shares = np.array(counts) / sum(counts)
    return float(-(shares * np.log(shares)).sum())


@settings(max_examples=60, deadline=None)
@given(some.lists(some.integers(0, 8), min_size=6, max_size=30), some.randoms(use_true_random=False))
def test_level_and_unit_do_not_count_and_equal_series_are_at_zero(numbers: list[int], random: object):
    one = np.array(numbers, float)
    other = np.random.default_rng(one.size).permutation(one)
    found = gsl_divergence(one, other, symbols=4, longest=3)
    assert found >= 0.0 and gsl_divergence(one, one, symbols=4, longest=3) == 0.0
    assert gsl_divergence(16.0 + 4.0 * one, 0.5 * other, symbols=4, longest=3) == pytest.approx(found, abs=1e-12)


def _autoregressive(phi: float, rng: np.random.Generator, times: int = 1000) -> np.ndarray:
    x = np.zeros(times)
    e = rng.standard_normal(times)
    for t in range(1, times):
        x[t] = phi * x[t - 1] + e[t]
    return x


def test_the_nearer_the_coefficient_the_smaller_the_divergence():
    """Over twenty seeds: the order of time is seen, which a distance between distributions does not see."""
    rng = np.random.default_rng(0)
    rows = np.array(
        [
            [gsl_divergence(_autoregressive(phi, rng), seen) for phi in (0.8, 0.4, 0.0, -0.6)]
            for seen in (_autoregressive(0.8, rng) for _ in range(20))
        ]
    )
    steps = np.diff(rows, axis=1)
    assert (steps.mean(0) > 3.0 * steps.std(0, ddof=1) / np.sqrt(len(rows))).all()


def test_several_series_count_alike():
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(50, 2)), rng.normal(size=(50, 2))
    each = [gsl_divergence(x[:, i], y[:, i]) for i in range(2)]
    assert gsl_divergence(x, y) == pytest.approx(np.mean(each))


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(TargetError, match="make them equal"):
        gsl_divergence(np.zeros(5), np.zeros(6))
    with pytest.raises(TargetError, match="words shorter than the series"):
        gsl_divergence(np.zeros(3), np.zeros(3), longest=3)
    with pytest.raises(TargetError, match="5 symbols in words of up to 40"):
        gsl_divergence(np.zeros(100), np.zeros(100), longest=40)


def test_a_fit_by_words_finds_the_coefficient():
    """Series as they are, in numpy, for approximate Bayesian computation."""

    def walk(parameters: dict[str, float], key: object) -> dict[str, np.ndarray]:
        return {"x": _autoregressive(float(parameters["phi"]), np.random.default_rng(int(jr.bits(key))), 300)}  # type: ignore[arg-type]

    seen = _autoregressive(0.7, np.random.default_rng(3), 300)
    problem = pop.Problem(walk, pop.Space(phi=dist.Uniform(-0.95, 0.95)), pop.Target({"x": seen}, [pop.level("x")]))
    words_of_three = pop.BetweenSamples(functools.partial(gsl_divergence, symbols=4), ("level(x)",))
    method = pop.SequentialABC(particles=30, distance=words_of_three, adjust=False)
    fit = pop.calibrate(problem, method, jr.key(0), budget=300, predictive=2)
    low, middle, high = fit.interval("phi")
    assert low < 0.7 < high and abs(middle - 0.7) < 0.2
