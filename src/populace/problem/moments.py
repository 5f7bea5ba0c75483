"""The library of moments: a constructor a summary. What a moment is stands in `moment.py`, the mathematics in
`statistics.py`.

A series with axes beyond time, such as age groups, gives a number for every entry of them.
"""

import functools
from collections.abc import Callable, Sequence
from typing import TypeAlias, TypeVar

import jax.numpy as jnp
from jaxtyping import Array

from .._errors import TargetError
from . import statistics as st
from .moment import Derived, Level, Moment, Statistic

_Of: TypeAlias = str | Sequence[str]
_Number = TypeVar("_Number", int, float)


def _names(of: _Of) -> tuple[str, ...]:
    return (of,) if isinstance(of, str) else tuple(of)


def _several(numbers: Sequence[_Number] | _Number) -> tuple[_Number, ...]:
    return (numbers,) if isinstance(numbers, (int, float)) else tuple(numbers)


def level(series: str) -> Level:
    """The value at every time, labelled `series[time]` (and by index where the series has further axes)."""
    return Level(series)


def _reduction(kind: str, series: str, function: Callable[..., Array], *, regular: bool = False) -> Statistic:
    return Statistic(called=f"{kind}({series})", of=(series,), function=function, complete=regular)


def _at_end(x: Array) -> Array:
    return x[-1]


def _sum(x: Array) -> Array:
    return x.sum(0)


def _max(x: Array) -> Array:
    return x.max(0)


def total(series: str) -> Statistic:
    """The sum over the observed times."""
    return _reduction("total", series, _sum)


def final(series: str) -> Statistic:
    """The value at the last observed time. Of a datum that is one number: the simulated value at the last time."""
    return _reduction("final", series, _at_end)


def final_size(series: str) -> Statistic:
    """`final` under the epidemiologist's name: the value of a cumulative series at its end, such as everybody ever
    infected. It accumulates nothing: for the sum of a series of new cases take `total`.
    """
    return _reduction("final_size", series, _at_end)


def maximum(series: str) -> Statistic:
    """The largest value."""
    return _reduction("maximum", series, _max)


def peak_time(series: str) -> Statistic:
    """The step of the largest value, counted from 1, the first of equals. It refuses missing times. It moves by whole
    steps, so its derivative along a run is zero: differences of means, not automatic derivatives, show its reaction.
    """
    return _reduction("peak_time", series, st.peak_step, regular=True)


def mean(series: str) -> Statistic:
    """The mean over the observed times."""
    return _reduction("mean", series, st.mean)


def variance(series: str) -> Statistic:
    """The sample variance, with divisor times - 1."""
    return _reduction("variance", series, st.variance)


def standard_deviation(series: str) -> Statistic:
    """The square root of `variance`."""
    return _reduction("standard_deviation", series, st.standard_deviation)


def skewness(series: str) -> Statistic:
    """m3 / m2^(3/2) with m_j = mean((x - xbar)^j): no bias correction. NaN for a constant series."""
    return _reduction("skewness", series, st.skewness)


def kurtosis(series: str) -> Statistic:
    """Excess kurtosis m4 / m2^2 - 3, 0 for a Gaussian: no bias correction. NaN for a constant series."""
    return _reduction("kurtosis", series, st.kurtosis)


def growth_rate(series: str) -> Statistic:
    """The exponential growth rate per step: the maximum-likelihood r of counts x_t ~ Poisson(A e^(rt)).

    With A profiled out, r solves sum_t t x_t / sum_t x_t = sum_t t e^(rt) / sum_t e^(rt). It is exact for exponential
    series, consistent for any noise about an exponential mean (Gourieroux, Monfort and Trognon 1984), unchanged by
    reporting a constant share, and takes zeros as they are, where a regression of log x cannot and one of log(x + 1)
    is biased. NaN where a value is negative, all are 0, or all that is not 0 falls on the first or the last time.

    It reads the whole series: for an early phase, take `derived("early", lambda x: x[:7], "cases",
    growth_rate("early"))`. It refuses missing times.
    """
    return _reduction("growth_rate", series, st.growth_rate, regular=True)


def autocorrelation(series: str, lags: Sequence[int] | int, width: int = 1) -> Statistic:
    """r_l = sum_t (x_t - xbar)(x_{t+l} - xbar) / sum_t (x_t - xbar)^2, one number a lag (Box and Jenkins).

    **Arguments:** `lags`: a whole number of steps, 0 or more, or several; `width`: odd; each number is then the mean
    over the `width` lags around its lag (3: the lag and its two neighbours), which steadies long lags.

    NaN for a constant series. It refuses missing times.
    """
    if width < 1 or width % 2 == 0:
        raise TargetError(f"autocorrelation('{series}'): width {width} is not odd; take 1, 3, 5, ...")
    half, lags = width // 2, _several(lags)
    low, high = min(lags, default=0) - half, max(lags, default=0) + half
    if not lags or low < 0:
        raise TargetError(
            f"autocorrelation('{series}'): lags {list(lags)} with width {width} reach below 0, or none is given"
        )
    tags = tuple(str(lag) if half == 0 else f"{lag - half}..{lag + half}" for lag in lags)
    function = functools.partial(_autocorrelation, series=series, lags=lags, half=half, longest=high)
    return Statistic(called=f"autocorrelation({series})", of=(series,), function=function, complete=True, tags=tags)


def _autocorrelation(x: Array, *, series: str, lags: tuple[int, ...], half: int, longest: int) -> Array:
    if longest >= x.shape[0]:
        raise TargetError(f"autocorrelation('{series}') at lag {longest} needs more than {x.shape[0]} times")
    at = {lag: st.cross_correlation(x, x, lag) for centre in lags for lag in range(centre - half, centre + half + 1)}
    around = [[at[lag] for lag in range(centre - half, centre + half + 1)] for centre in lags]
    return jnp.stack([jnp.stack(group).mean(0) for group in around])


def cross_correlation(first: str, second: str, lags: Sequence[int] | int) -> Statistic:
    """The correlation of `first` at t with `second` at t + lag, one number a lag; at a positive lag `first` leads.

    r_l = sum_t (a_t - abar)(b_{t+l} - bbar) / sqrt(sum_t (a_t - abar)^2 sum_t (b_t - bbar)^2). NaN where either series
    is constant. It refuses missing times, and series of different lengths.
    """
    lags = _several(lags)
    if not lags:
        raise TargetError(f"cross_correlation('{first}', '{second}'): no lag is given")
    function = functools.partial(_cross_correlation, names=(first, second), lags=lags)
    tags = tuple(str(lag) for lag in lags)
    name = f"cross_correlation({first}, {second})"
    return Statistic(called=name, of=(first, second), function=function, complete=True, tags=tags)


def _cross_correlation(a: Array, b: Array, *, names: tuple[str, str], lags: tuple[int, ...]) -> Array:
    if a.shape != b.shape:
        raise TargetError(
            f"cross_correlation: '{names[0]}' has shape {a.shape}, '{names[1]}' {b.shape}; make them equal"
        )
    longest = max(abs(lag) for lag in lags)
    if longest >= a.shape[0]:
        raise TargetError(
            f"cross_correlation of '{names[0]}' and '{names[1]}' at lag {longest} needs more times than {a.shape[0]}"
        )
    return jnp.stack([st.cross_correlation(a, b, lag) for lag in lags])


def quantile(series: str, probabilities: Sequence[float] | float) -> Statistic:
    """Quantiles over the observed times, by linear interpolation between order statistics (numpy's default)."""
    wanted = tuple(float(p) for p in _several(probabilities))
    if not wanted or min(wanted) < 0 or max(wanted) > 1:
        raise TargetError(
            f"quantile('{series}'): probabilities {list(wanted)} are not between 0 and 1, or none is given"
        )
    function = functools.partial(_quantile, probabilities=wanted)
    tags = tuple(f"{p:g}" for p in wanted)
    return Statistic(called=f"quantile({series})", of=(series,), function=function, complete=False, tags=tags)


def _quantile(x: Array, *, probabilities: tuple[float, ...]) -> Array:
    return jnp.quantile(x, jnp.asarray(probabilities, jnp.float32), axis=0)


def hill(series: str, share: float = 0.05) -> Statistic:
    """The Hill index of the tail of |x|: 1 / ((1/k) sum_{i=1..k} log(v_i / v_{k+1})).

    v are the absolute values in falling order and k = floor(share * times) (Hill 1975; the upper 5 % of absolute
    returns in Franke and Westerhoff 2012). The thinner the tail, the larger. NaN where the tail has no spread, or
    v_{k+1} is 0.
    """
    if not 0.0 < share < 1.0:
        raise TargetError(f"hill('{series}'): share {share} is not between 0 and 1")
    return _reduction("hill", series, functools.partial(st.hill, share=float(share)))


def moment(
    name: str, function: Callable[..., Array], of: _Of, labels: Sequence[str] | None = None, *, regular: bool = True
) -> Statistic:
    """A moment from any function.

    **Arguments:** `function(*arrays)`: takes the series named in `of`, (times, ...) each, of one run, and returns a
    number or an array, in `jax.numpy`; `labels`: a name for each number (default: `name`, or `name[0]`, `name[1]`,
    ...); `regular`: say False if the function does not mind missing times, as a sum or a maximum does not.
    """
    given = None if labels is None else tuple(labels)
    return Statistic(called=name, of=_names(of), function=function, complete=regular, given=given)


def derived(called: str, function: Callable[..., Array], of: _Of, moment: Moment, *, across: bool = True) -> Derived:
    """A moment of a series computed from observed ones, in data and simulation alike.

    `derived("returns", lambda p: jnp.diff(jnp.log(p)), "price", hill("returns"))`.

    **Arguments:** `called`: what the new series is called; `function(*arrays)`: from the series named in `of` to an
    array (times, ...), which may have other times; `moment`: a moment of `called`; `across`: whether a value depends
    on several times, as a difference does, so that missing times must be refused; say False for a function of one
    time at a time, such as an absolute value.
    """
    return Derived(called=called, function=function, of=_names(of), moment=moment, across=across)
