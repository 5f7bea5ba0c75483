"""Verdicts on draws whose answer is known: points, ridges that bounds end or data end, curves, and the prior."""

import numpy as np
import pytest

from populace._results import Code
from populace.identification.combinations import combinations, symmetry
from populace.identification.verdicts import Seen, several, unreachable, verdict

RNG = np.random.default_rng(5)
N, M = 800, 40_000


def boxed(**ends):
    return {name: RNG.uniform(low, high, M) for name, (low, high) in ends.items()}


def kept(prior, condition, n=N):
    """Draws of the prior that meet a condition."""
    rows = np.flatnonzero(condition)[:n]
    assert len(rows) > n / 2
    return {name: draws[rows] for name, draws in prior.items()}


def judged(posterior, prior):
    seen = Seen(posterior, prior, float(N), combinations(posterior, prior))
    return {label: verdict(label, seen) for label in posterior}, seen


def test_a_narrow_draw_is_identified_and_the_prior_is_the_prior():
    prior = boxed(x=(0.0, 10.0), idle=(0.0, 1.0))
    posterior = {"x": 4.0 + 0.2 * RNG.standard_normal(N), "idle": RNG.uniform(0, 1, N)}
    found, _ = judged(posterior, prior)
    assert found["x"].code is Code.IDENTIFIED
    assert found["idle"].code is Code.PRIOR_RETURNED


def test_a_ridge_that_the_bounds_end_is_a_combination():
    prior = boxed(l=(0.0, 0.8), m=(0.0, 0.4))
    m = RNG.uniform(0.0, 0.4, N)
    posterior = {"l": m + 0.1 + 0.002 * RNG.standard_normal(N), "m": m}
    found, seen = judged(posterior, prior)
    assert seen.combinations[0].text == "l - m"
    assert {v.code for v in found.values()} == {Code.COMBINATION}
    assert "l - m" in found["m"].sentence


def test_a_ridge_that_the_data_end_is_weak():
    """The difference is known exactly; the data bound m to a third of its prior besides."""
    prior = boxed(l=(0.0, 0.8), m=(0.0, 0.4))
    m = RNG.uniform(0.1, 0.25, N)
    found, _ = judged({"l": m + 0.1 + 0.002 * RNG.standard_normal(N), "m": m}, prior)
    assert found["m"].code is Code.WEAK


def test_what_a_bound_ends_on_one_side_is_a_limit_and_no_value():
    prior = boxed(x=(0.0, 10.0), y=(0.0, 1.0))
    found, _ = judged(kept(prior, prior["x"] > 5.0), prior)
    assert found["x"].code is Code.ONE_SIDED
    assert "at the least 5.1" in found["x"].sentence and "the upper bound of x ends it" in found["x"].sentence
    middle, _ = judged(kept(prior, np.abs(prior["x"] - 5.0) < 2.5), prior)
    assert middle["x"].code is Code.WEAK  # the data end it on both sides


def test_what_others_bounds_end_is_not_identified():
    """x lies above 4 + 15 y, and could go lower were y allowed to."""
    prior = boxed(x=(0.0, 10.0), y=(0.0, 1.0))
    found, _ = judged(kept(prior, prior["x"] > 4.0 + 15.0 * prior["y"]), prior)
    assert found["x"].code is Code.NOT_IDENTIFIED
    assert "the lower bound of y ends it below and the upper bound of x above" in found["x"].sentence


def test_two_groups_are_several_points_and_a_wide_one_is_not():
    prior = boxed(x=(-3.0, 3.0))
    x = np.where(RNG.uniform(size=N) < 0.4, -1.5, 1.5) + 0.05 * RNG.standard_normal(N)
    found, _ = judged({"x": x}, prior)
    assert found["x"].code is Code.SEVERAL
    assert "2 points" in found["x"].sentence
    assert several(RNG.uniform(size=N), RNG.uniform(size=N)) == ()


def test_a_few_stray_draws_make_no_second_point():
    ranks = np.concatenate([0.5 + 0.02 * RNG.standard_normal(N - 20), np.full(20, 0.95)])
    assert several(ranks, ranks) == ()


def test_a_curve_ties_what_no_product_or_sum_does():
    prior = boxed(a=(0.0, 1.0), b=(-1.0, 1.0))
    off = prior["a"] - (0.5 + 0.3 * prior["b"] + 0.2 * prior["b"] ** 2)
    found, _ = judged(kept(prior, np.abs(off) < 0.02), prior)
    assert found["a"].code is Code.COMBINATION
    assert found["b"].code is Code.COMBINATION
    assert "by a curve" in found["b"].sentence


def test_one_scale_is_named_in_words():
    prior = boxed(b=(0.01, 0.8), sigma=(0.001, 0.16), beta=(1.0, 480.0))
    b = np.exp(RNG.uniform(np.log(0.1), np.log(0.6), N))
    noise = np.exp(0.01 * RNG.standard_normal((2, N)))
    posterior = {"b": b, "sigma": 0.2 * b * noise[0], "beta": 4.8 / b**2 * noise[1]}
    found, seen = judged(posterior, prior)
    assert {v.code for v in found.values()} == {Code.COMBINATION}
    said = symmetry(seen.combinations, list(posterior))
    assert "multiply b by 1/c, sigma by 1/c and beta by c^2, and the fitted moments stay" in said


def test_nobody_reads_parameters_of_a_model_that_does_not_reach_the_data():
    prior = boxed(x=(0.0, 10.0))
    seen = Seen({"x": 4.0 + 0.1 * RNG.standard_normal(N)}, prior, float(N), ())
    found = unreachable("x", seen, "no parameters were found.")
    assert found.code is Code.OUT_OF_REACH
    assert found.numbers["median"] == pytest.approx(4.0, abs=0.05)
