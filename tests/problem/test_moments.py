"""Every moment against a float64 computation of its definition, at the precision that float32 has."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from scipy import optimize, stats

from populace._errors import TargetError
from populace.problem import moments as m
from populace.problem.moment import Moment

EPS = 2.0**-24
TIMES = 400
ROUNDING = TIMES * EPS
"""A sum of TIMES float32 terms is off by at most this share of the sum of their sizes."""


def random_walk(seed: int = 0, times: int = TIMES) -> np.ndarray:
    """A price around 1e4 that moves by 1 a step, as float32 numbers held in float64."""
    steps = np.random.default_rng(seed).normal(size=times)
    return (1e4 + np.cumsum(steps)).astype(np.float32).astype(np.float64)


def noise(seed: int = 0, times: int = TIMES) -> np.ndarray:
    return np.random.default_rng(seed).standard_t(4, size=times).astype(np.float32).astype(np.float64)


def value(moment: Moment, **series: np.ndarray) -> np.ndarray:
    return np.asarray(jax.jit(moment)({k: jnp.asarray(v, jnp.float32) for k, v in series.items()}), np.float64)


def autocorrelation(x: np.ndarray, lag: int) -> float:
    d = x - x.mean()
    return float((d[: len(d) - lag] * d[lag:]).sum() / (d**2).sum())


def hill(x: np.ndarray, share: float) -> float:
    v = np.sort(np.abs(x))[::-1]
    k = math.floor(share * len(x))
    return float(1.0 / np.mean(np.log(v[:k] / v[k])))


REFERENCES = {
    "level": (m.level("x"), lambda x: x),
    "total": (m.total("x"), lambda x: [x.sum()]),
    "final": (m.final("x"), lambda x: [x[-1]]),
    "final_size": (m.final_size("x"), lambda x: [x[-1]]),
    "maximum": (m.maximum("x"), lambda x: [x.max()]),
    "peak_time": (m.peak_time("x"), lambda x: [np.argmax(x) + 1]),
    "mean": (m.mean("x"), lambda x: [x.mean()]),
    "variance": (m.variance("x"), lambda x: [x.var(ddof=1)]),
    "standard_deviation": (m.standard_deviation("x"), lambda x: [x.std(ddof=1)]),
    "skewness": (m.skewness("x"), lambda x: [stats.skew(x)]),
    "kurtosis": (m.kurtosis("x"), lambda x: [stats.kurtosis(x)]),
    "autocorrelation": (
        m.autocorrelation("x", [0, 1, 5, 50]),
        lambda x: [autocorrelation(x, i) for i in (0, 1, 5, 50)],
    ),
    "quantile": (m.quantile("x", [0.05, 0.5, 1.0]), lambda x: np.quantile(x, [0.05, 0.5, 1.0])),
    "hill": (m.hill("x"), lambda x: [hill(x, 0.05)]),
    "moment": (m.moment("range", lambda x: x.max() - x.min(), "x"), lambda x: [np.ptp(x)]),
    "derived": (m.derived("r", jnp.diff, "x", m.final("r")), lambda x: [x[-1] - x[-2]]),
}


@pytest.mark.parametrize("series", [random_walk(), noise()], ids=["price", "noise"])
@pytest.mark.parametrize("name", REFERENCES)
def test_it_is_what_its_definition_says(name: str, series: np.ndarray):
    moment, reference = REFERENCES[name]
    expected = np.asarray(reference(series), np.float64)
    # Deviations are exact to rounding, so a price around 1e4 costs nothing beyond the rounding of sums.
    size = np.abs(expected) + (np.abs(series).mean() * EPS if name == "mean" else 1e-2)
    np.testing.assert_array_less(np.abs(value(moment, x=series) - expected), 4 * ROUNDING * size)


def test_prices_lose_nothing_that_a_one_pass_formula_loses():
    x = random_walk()
    naive = float(jnp.mean(jnp.float32(x) ** 2) - jnp.mean(jnp.float32(x)) ** 2)
    assert abs(naive / x.var() - 1) > 1e-2
    assert abs(value(m.variance("x"), x=x)[0] / x.var(ddof=1) - 1) < 4 * ROUNDING


def test_ties_of_the_maximum_go_to_the_first():
    assert value(m.peak_time("x"), x=np.array([1.0, 3.0, 2.0, 3.0])) == [2.0]


def test_lags_are_averaged_over_a_width():
    x = noise()
    wide = m.autocorrelation("x", [5, 10], width=3)
    expected = [np.mean([autocorrelation(x, i) for i in (c - 1, c, c + 1)]) for c in (5, 10)]
    np.testing.assert_allclose(value(wide, x=x), expected, atol=4 * ROUNDING)
    assert wide.labels({"x": x}, ("1",) * len(x)) == ("autocorrelation(x)[4..6]", "autocorrelation(x)[9..11]")


def test_one_lag_or_probability_may_be_given_by_itself():
    x = noise()
    for one, listed in (
        (m.autocorrelation("x", 2), m.autocorrelation("x", [2])),
        (m.cross_correlation("x", "x", 1), m.cross_correlation("x", "x", [1])),
        (m.quantile("x", 0.9), m.quantile("x", [0.9])),
    ):
        assert one.labels({"x": x}, ("1",) * len(x)) == listed.labels({"x": x}, ("1",) * len(x))
        assert np.array_equal(value(one, x=x), value(listed, x=x))


def test_cross_correlation_leads_where_the_lag_is_positive():
    a = noise(1)
    b = np.concatenate([np.zeros(3), a[:-3]])
    got = value(m.cross_correlation("a", "b", [-3, 0, 3]), a=a, b=b)
    da, db = a - a.mean(), b - b.mean()
    scale = math.sqrt((da**2).sum() * (db**2).sum())
    expected = [(da[3:] * db[:-3]).sum() / scale, (da * db).sum() / scale, (da[:-3] * db[3:]).sum() / scale]
    np.testing.assert_allclose(got, expected, atol=4 * ROUNDING)
    assert got[2] > 0.9


def test_growth_rate_of_an_exponential_is_its_rate():
    for rate in (-2.0, -0.3, 0.0, 1e-3, 0.25, 3.0):
        x = 5.0 * np.exp(rate * np.arange(12))
        assert value(m.growth_rate("x"), x=x)[0] == pytest.approx(rate, rel=1e-5, abs=1e-6)


def poisson_slope(x: np.ndarray) -> float:
    t = np.arange(len(x)) - (len(x) - 1) / 2
    loss = lambda r: np.log(np.exp(r * t).sum()) - r * (t * x).sum() / x.sum()  # noqa: E731
    return float(optimize.minimize_scalar(loss, bracket=(-0.1, 0.1), tol=1e-10).x)


@settings(max_examples=20, deadline=None)
@given(some.lists(some.integers(0, 300), min_size=4, max_size=4), some.integers(1, 50), some.integers(1, 50))
def test_growth_rate_is_the_poisson_likelihoods(middle: list[int], first: int, last: int):
    x = np.array([first, *middle, last], np.float64)
    got = value(m.growth_rate("x"), x=x)[0]
    assert got == pytest.approx(poisson_slope(x), abs=1e-5)
    assert value(m.growth_rate("x"), x=0.25 * x)[0] == pytest.approx(got, abs=1e-5)


def test_growth_rate_has_the_implicit_derivative():
    x = jnp.array([3.0, 0.0, 9.0, 14.0, 31.0])
    rate = lambda x: m.growth_rate("x")({"x": x})[0]  # noqa: E731
    slope = jax.grad(rate)(x)
    reference = lambda i, h: poisson_slope(np.asarray(x, np.float64) + h * np.eye(5)[i])  # noqa: E731
    for i in range(5):
        h = 1e-2 if x[i] > 0 else 0.0
        one = (reference(i, 1e-2) - reference(i, -h)) / (1e-2 + h)
        assert float(slope[i]) == pytest.approx(one, abs=2e-4)


ZEROS, CONSTANT = np.zeros(20), np.full(20, 12345.678)

DEGENERATE = {
    "autocorrelation": (m.autocorrelation("x", [1]), CONSTANT),
    "skewness": (m.skewness("x"), CONSTANT),
    "kurtosis": (m.kurtosis("x"), CONSTANT),
    "variance of one time": (m.variance("x"), np.ones(1)),
    "hill without spread": (m.hill("x", 0.2), CONSTANT),
    "hill of zeros": (m.hill("x", 0.2), ZEROS),
    "growth of zeros": (m.growth_rate("x"), ZEROS),
    "growth of a negative": (m.growth_rate("x"), np.array([3.0, -1.0, 2.0])),
    "growth from the last time alone": (m.growth_rate("x"), np.array([0.0, 0.0, 7.0])),
    "peak of a NaN": (m.peak_time("x"), np.array([1.0, np.nan, 2.0])),
}


@pytest.mark.parametrize("case", DEGENERATE)
def test_what_is_not_defined_is_nan(case: str):
    moment, series = DEGENERATE[case]
    assert np.isnan(value(moment, x=series)).all()


def test_a_constant_series_has_no_variance_at_all():
    assert value(m.variance("x"), x=CONSTANT) == [0.0]
    both = value(m.cross_correlation("x", "y", [0]), x=CONSTANT, y=np.arange(20.0))
    assert np.isnan(both).all()


@settings(max_examples=15, deadline=None)
@given(some.floats(0.01, 100.0), some.floats(-1e3, 1e3), some.integers(0, 5))
def test_shape_statistics_do_not_know_units(scale: float, shift: float, seed: int):
    x = noise(seed, 60)
    y = scale * x + shift
    loss = EPS * (abs(shift) / (scale * x.std()) + 1)  # what float32 rounds off y, in standard deviations of it
    for moment in (m.skewness("x"), m.kurtosis("x"), m.autocorrelation("x", [1, 3])):
        before, after = value(moment, x=x), value(moment, x=y)
        peak = np.abs((x - x.mean()) / x.std()).max()
        np.testing.assert_allclose(after, before, atol=60 * loss * peak**4)


def test_axes_beyond_time_give_a_number_each():
    x = np.arange(12.0).reshape(4, 3) ** 2
    labels = m.level("x").labels({"x": x}, ("a", "b", "c", "d"))
    assert labels[:4] == ("x[a, 0]", "x[a, 1]", "x[a, 2]", "x[b, 0]") and len(labels) == 12
    np.testing.assert_allclose(value(m.variance("x"), x=x), x.var(0, ddof=1), rtol=1e-6)
    lagged = m.autocorrelation("x", [1, 2])
    assert lagged.labels({"x": x}, ("",) * 4)[:4] == (
        "autocorrelation(x)[1, 0]", "autocorrelation(x)[1, 1]", "autocorrelation(x)[1, 2]", "autocorrelation(x)[2, 0]"
    )  # fmt: skip
    expected = [autocorrelation(x[:, j], lag) for lag in (1, 2) for j in range(3)]
    np.testing.assert_allclose(value(lagged, x=x), expected, atol=1e-6)
    by_column = [value(m.growth_rate("y"), y=x[:, j])[0] for j in range(3)]
    np.testing.assert_allclose(value(m.growth_rate("x"), x=x), by_column, atol=1e-5)
    heavy = np.abs(np.random.default_rng(3).standard_t(3, size=(100, 2)))
    np.testing.assert_allclose(value(m.hill("x"), x=heavy), [hill(heavy[:, j], 0.05) for j in (0, 1)], rtol=1e-5)


def test_labels_say_what_stands_where():
    x, times = np.arange(5.0), ("mon", "tue", "wed", "thu", "fri")
    assert m.level("x").labels({"x": x}, times) == tuple(f"x[{t}]" for t in times)
    assert m.mean("x").labels({"x": x}, times) == ("mean(x)",)
    assert m.quantile("x", [0.1, 0.25]).labels({"x": x}, times) == ("quantile(x)[0.1]", "quantile(x)[0.25]")
    ends = m.moment("ends", lambda x: x[jnp.array([0, -1])], "x")
    assert ends.labels({"x": x}, times) == ("ends[0]", "ends[1]")
    named = m.moment("ends", lambda x: x[jnp.array([0, -1])], "x", ["first", "last"])
    assert named.labels({"x": x}, times) == ("first", "last")
    slopes = m.derived("dx", jnp.diff, "x", m.level("dx"))
    assert slopes.labels({"x": x}, times) == ("dx[1]", "dx[2]", "dx[3]", "dx[4]")
    sizes = m.derived("|x|", jnp.abs, "x", m.level("|x|"), across=False)
    assert sizes.labels({"x": x}, times) == tuple(f"|x|[{t}]" for t in times)


def test_who_needs_every_time():
    needy = [m.autocorrelation("x", [1]), m.cross_correlation("x", "y", [1]), m.peak_time("x"), m.growth_rate("x")]
    easy = [m.level("x"), m.mean("x"), m.quantile("x", [0.5]), m.hill("x"), m.total("x"), m.final("x"), m.maximum("x")]
    assert all(moment.regular for moment in needy) and not any(moment.regular for moment in easy)
    assert m.moment("any", jnp.sum, "x").regular and not m.moment("any", jnp.sum, "x", regular=False).regular
    assert m.derived("r", jnp.diff, "x", m.mean("r")).regular
    assert m.derived("r", jnp.abs, "x", m.autocorrelation("r", [1]), across=False).regular
    assert not m.derived("r", jnp.abs, "x", m.mean("r"), across=False).regular


def labels_of(moment: Moment) -> tuple[str, ...]:
    return moment.labels({"x": np.ones(4), "y": np.ones(5)}, ("1", "2", "3", "4"))


WRONG = {
    "no lag": (lambda: m.autocorrelation("x", []), "none is given"),
    "an even width": (lambda: m.autocorrelation("x", [4], width=2), "not odd"),
    "a lag below 0": (lambda: m.autocorrelation("x", [0], width=3), "below 0"),
    "a lag too long": (lambda: labels_of(m.autocorrelation("x", [4])), "needs more than 4 times"),
    "series of two lengths": (lambda: labels_of(m.cross_correlation("x", "y", [0])), "make them equal"),
    "no cross lag": (lambda: m.cross_correlation("x", "y", []), "no lag"),
    "a cross lag too long": (lambda: labels_of(m.cross_correlation("x", "x", [-4])), "needs more times"),
    "a probability above 1": (lambda: m.quantile("x", [1.5]), "between 0 and 1"),
    "a share of all": (lambda: m.hill("x", 1.0), "between 0 and 1"),
    "a share of none": (lambda: labels_of(m.hill("x", 0.05)), "raise the share"),
    "labels that do not fit": (lambda: labels_of(m.moment("a", jnp.sum, "x", ["b", "c"])), "2 labels and 1 numbers"),
    "a derived moment of another": (lambda: m.derived("r", jnp.diff, "x", m.mean("x")), "of 'r' alone"),
    "a derived number": (lambda: labels_of(m.derived("r", jnp.sum, "x", m.mean("r"))), "is one number"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_is_refused_in_words(case: str):
    make, words = WRONG[case]
    with pytest.raises(TargetError, match=words):
        make()
