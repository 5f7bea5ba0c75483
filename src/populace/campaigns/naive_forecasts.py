"""Naive forecasts: what anybody could have said without a model, and what a model has to beat.

Each is an empirical distribution: no family, no fit. The first is the baseline of the American COVID-19 forecast hub
(Estee Cramer and others 2022, PNAS 119, e2113561119), which most of the hub's models did not beat at long horizons.
"""

import abc

import equinox as eqx
import numpy as np

from .._errors import MethodError

_LEAST = 6
"""Values that an empirical distribution is made of, at the least."""


class NaiveForecast(eqx.Module):
    """A forecast from the series alone. Two methods, and a name for people."""

    @property
    @abc.abstractmethod
    def name(self) -> str:
        """What it says, in words."""

    @property
    @abc.abstractmethod
    def least(self) -> int:
        """How many past values it takes."""

    @abc.abstractmethod
    def samples(self, past: np.ndarray, horizons: np.ndarray, count: int, generator: np.random.Generator) -> np.ndarray:
        """Samples (h, count) of the values `horizons` (h,) after the last of `past` (t,), in which NaN is missing."""


class LastValue(NaiveForecast):
    """The next value is like the last: a random walk whose steps are the past's own, each also taken backwards.

    None of its samples is negative where no past value is.
    """

    @property
    def name(self) -> str:
        return "like the last value"

    @property
    def least(self) -> int:
        return _LEAST

    def samples(self, past: np.ndarray, horizons: np.ndarray, count: int, generator: np.random.Generator) -> np.ndarray:
        steps = _both_ways(_finite(np.diff(past)))
        drawn = generator.choice(steps, (int(horizons.max()), count))
        return _held(past, _finite(past)[-1] + drawn.cumsum(0)[horizons - 1])


class LastSeason(NaiveForecast):
    """A value is like the one at the same time of the last season: plus what seasons differed by so far, both ways.

    **Arguments:** `period`: times a season.
    """

    period: int = eqx.field(static=True)

    def __check_init__(self) -> None:
        if self.period < 2:
            raise MethodError(f"a season of {self.period} times is none: give 2 or more")

    @property
    def name(self) -> str:
        return "like the last season"

    @property
    def least(self) -> int:
        return self.period + _LEAST

    def samples(self, past: np.ndarray, horizons: np.ndarray, count: int, generator: np.random.Generator) -> np.ndarray:
        changes = _both_ways(_finite(past[self.period :] - past[: -self.period]))
        then = np.array([_finite(_phase(past, int(h), self.period))[-1] for h in horizons])
        return _held(past, then[:, None] + generator.choice(changes, (horizons.size, count)))


class Climatology(NaiveForecast):
    """A value is like any so far; with a `period`, like those so far at the same time of a season.

    **Arguments:** `period`: times a season, or None; `around`: how many times before and after count as the same.
    """

    period: int | None = eqx.field(static=True, default=None)
    around: int = eqx.field(static=True, default=1)

    @property
    def name(self) -> str:
        return "like any value so far" if self.period is None else "like this time of any season"

    @property
    def least(self) -> int:
        return _LEAST if self.period is None else 2 * self.period

    def samples(self, past: np.ndarray, horizons: np.ndarray, count: int, generator: np.random.Generator) -> np.ndarray:
        if self.period is None:
            return generator.choice(_finite(past), (horizons.size, count))
        near = range(-self.around, self.around + 1)
        pools = [np.concatenate([_phase(past, int(h) + by, self.period) for by in near]) for h in horizons]
        return np.stack([generator.choice(_finite(pool), count) for pool in pools])


def usual(period: int | None) -> tuple[NaiveForecast, ...]:
    """The baselines where none are named."""
    return (LastValue(), Climatology()) if period is None else (LastValue(), LastSeason(period), Climatology(period))


def _phase(past: np.ndarray, ahead: int, period: int) -> np.ndarray:
    """The past values whole seasons before the time `ahead` of the last."""
    return past[(past.size - 1 + ahead) % period :: period]


def _finite(values: np.ndarray) -> np.ndarray:
    found = values[np.isfinite(values)]
    if not found.size:
        raise MethodError("the truth misses all values that a naive forecast is made of: start at a later origin")
    return found


def _both_ways(steps: np.ndarray) -> np.ndarray:
    return np.concatenate([steps, -steps])


def _held(past: np.ndarray, samples: np.ndarray) -> np.ndarray:
    return np.maximum(samples, 0.0) if np.nanmin(past) >= 0.0 else samples
