"""Combinations: ridges with known answers are named, and independence is not taken for one."""

import numpy as np
import pytest

from populace.identification.combinations import combinations, contraction

RNG = np.random.default_rng(11)
N = 4000


def uniform(low, high, n=N):
    return RNG.uniform(low, high, n)


def test_contraction_of_the_prior_is_zero_within_its_error():
    # Var of the sample variance of n uniforms: (1/80 - 1/144) / n for the variance 1/12: .45^2 / n of the root's ratio.
    value = contraction(uniform(0, 50), uniform(0, 50))
    assert abs(value) < 4 * 0.45 * np.sqrt(2 / N)


def test_contraction_is_the_share_of_the_spread_that_is_gone():
    posterior = uniform(80, 115)
    assert contraction(posterior, uniform(80, 150)) == pytest.approx(0.5, abs=0.02)


def test_contraction_does_not_depend_on_the_scale():
    posterior, prior = uniform(1, 2), uniform(0.1, 10)
    assert contraction(np.log(posterior), np.log(prior)) == contraction(posterior, prior)


@pytest.mark.parametrize(
    ("text", "make"),
    [
        ("a x b", lambda a: 1.0 / a),
        ("a / b", lambda a: a / 2.0),
    ],
)
def test_products_and_ratios_are_named(text, make):
    a = np.exp(uniform(np.log(0.4), np.log(2.5)))
    noise = np.exp(0.005 * RNG.standard_normal(N))
    prior = {"a": uniform(0.01, 5), "b": uniform(0.01, 5)}
    found = combinations({"a": a, "b": make(a) * noise}, prior)
    assert found and found[0].text == text
    assert found[0].contraction > 0.99


def test_a_sum_is_named_and_bounds_its_value():
    a = uniform(85, 145)
    found = combinations(
        {"a": a, "b": 230 - a + 0.5 * RNG.standard_normal(N)}, {"a": uniform(80, 150), "b": uniform(80, 150)}
    )
    assert found[0].text == "a + b"
    assert found[0].low < 230 < found[0].high


def test_two_shares_whose_complements_multiply():
    immune = uniform(0.0, 0.33)
    silent = 1 - 0.67 / (1 - immune) * np.exp(0.01 * RNG.standard_normal(N))
    prior = {"immune": uniform(0, 0.7), "silent": uniform(0, 0.7)}
    found = combinations({"immune": immune, "silent": np.clip(silent, 0, 1)}, prior)
    assert found[0].text == "(1 - immune) x (1 - silent)"


def test_powers_and_triples_are_named():
    b = np.exp(uniform(np.log(0.1), np.log(0.6)))
    prior = {"b": uniform(0.01, 0.8), "beta": uniform(1, 480)}
    found = combinations({"b": b, "beta": 4.8 / b**2 * np.exp(0.005 * RNG.standard_normal(N))}, prior)
    assert found[0].text == "b^2 x beta" and found[0].powers == (2, 1)
    x, y = np.exp(uniform(-1, 1)), np.exp(uniform(-1, 1))
    draws = {"x": x, "y": y, "z": np.exp(0.005 * RNG.standard_normal(N)) / (x * y)}
    found = combinations(draws, dict.fromkeys("xyz", uniform(0.01, 8)) | {"y": uniform(0.01, 8), "z": uniform(0.01, 8)})
    assert [c.text for c in found] == ["x x y x z"]


def test_of_three_ratios_two_are_named():
    scale = np.exp(uniform(-1, 1))
    draws = {n: scale * np.exp(0.003 * RNG.standard_normal(N)) for n in "abc"}
    found = combinations(draws, {n: uniform(0.01, 5) for n in "abc"})
    assert len(found) == 2
    assert all(len(c.members) == 2 for c in found)


def test_independent_parameters_make_no_combination():
    posterior = {"a": 1 + 0.05 * RNG.standard_normal(N), "b": 2 + 0.05 * RNG.standard_normal(N)}
    assert combinations(posterior, {"a": uniform(0, 5), "b": uniform(0, 5)}) == ()


def test_the_prior_makes_no_combination():
    prior = {"a": uniform(0, 5), "b": uniform(0, 5)}
    assert combinations({"a": uniform(0, 5), "b": uniform(0, 5)}, prior) == ()
