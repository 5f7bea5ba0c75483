"""A record of forecasts: what was said at which origin of how many times ahead, as samples or as quantiles."""

import abc
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .._errors import MethodError, ProblemError
from ..identification.tables import Columns, read_columns
from . import scoring_rules
from .scoring_rules import HUB_LEVELS


@dataclass(frozen=True)
class Forecasts(abc.ABC):
    """Forecasts of one series.

    `origins` (o,) int: the place of the last time that was known, counted from 0, in rising order; `horizons` (h,) int:
    how many times later, from 1; `values` (o, h, ...), NaN throughout where nothing was said.
    """

    origins: np.ndarray
    horizons: np.ndarray
    values: np.ndarray

    def __post_init__(self) -> None:
        whole = [np.asarray(each) for each in (self.origins, self.horizons)]
        origins, horizons, values = whole[0].astype(int), whole[1].astype(int), np.asarray(self.values, np.float64)
        wrong = any((a != b).any() for a, b in zip(whole, (origins, horizons), strict=True))
        if wrong or origins.ndim != 1 or horizons.ndim != 1 or min(origins.size, horizons.size) < 1:
            raise MethodError("origins and horizons are whole numbers in a row: the last known time, and times ahead")
        if (np.diff(origins) <= 0).any() or origins[0] < 0 or (np.diff(horizons) <= 0).any() or horizons[0] < 1:
            raise MethodError("origins rise from 0 or more, horizons from 1 or more, and none is there twice")
        if values.ndim != 3 or values.shape[:2] != (origins.size, horizons.size) or values.shape[2] < 2:
            raise MethodError(
                f"values have the shape ({origins.size} origins, {horizons.size} horizons, 2 or more numbers), not "
                f"{values.shape}"
            )
        some, every = np.isfinite(values).any(2), np.isfinite(values).all(2)
        if (some & ~every).any():
            at = np.argwhere(some & ~every)[0]
            raise MethodError(
                f"the forecast at origin {origins[at[0]]} of {horizons[at[1]]} ahead has a number that is not finite: "
                "give all of its numbers, or none"
            )
        for name, value in (("origins", origins), ("horizons", horizons), ("values", values)):
            object.__setattr__(self, name, value)

    @property
    @abc.abstractmethod
    def rule(self) -> str:
        """The score that such forecasts are judged by, in words."""

    @abc.abstractmethod
    def score(self, truth: np.ndarray) -> np.ndarray:
        """That score, (o, h), of what came, (o, h)."""

    @abc.abstractmethod
    def quantiles(self, levels: np.ndarray) -> np.ndarray:
        """Quantiles (o, h, q); NaN where a level was not given."""

    @abc.abstractmethod
    def levels(self) -> np.ndarray:
        """The levels (q,) that interval scores are made of."""

    @abc.abstractmethod
    def places(self, truth: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """The probability of less than what came, (o, h): uniform where the forecasts are right."""

    @property
    def said(self) -> np.ndarray:
        """Where something was said, (o, h) bool."""
        return np.asarray(np.isfinite(self.values).all(2))


@dataclass(frozen=True)
class SampleForecasts(Forecasts):
    """Forecasts as samples: `values` (o, h, s), each a sample of the whole path where `s` is a run."""

    @property
    def rule(self) -> str:
        return "CRPS"

    def score(self, truth: np.ndarray) -> np.ndarray:
        return scoring_rules.crps(self.values, truth)

    def quantiles(self, levels: np.ndarray) -> np.ndarray:
        return np.moveaxis(np.quantile(self.values, levels, axis=2), 0, 2)

    def levels(self) -> np.ndarray:
        return np.array(HUB_LEVELS)

    def places(self, truth: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        return scoring_rules.places(self.values, truth, generator)

    @staticmethod
    def joined(parts: Sequence["SampleForecasts"]) -> "SampleForecasts":
        """One record of several, such as of one origin each; all have the same horizons, and as many samples as the
        smallest (the first of the others).

        **Raises:** `MethodError` where the horizons differ, or an origin is there twice.
        """
        if not parts or any(not np.array_equal(one.horizons, parts[0].horizons) for one in parts):
            raise MethodError("forecasts are joined over origins: give one part or more, all of the same horizons")
        fewest = min(one.values.shape[2] for one in parts)
        origins = np.concatenate([one.origins for one in parts])
        values = np.concatenate([one.values[:, :, :fewest] for one in parts])
        order = np.argsort(origins, kind="stable")
        return SampleForecasts(origins[order], parts[0].horizons, values[order])


@dataclass(frozen=True)
class QuantileForecasts(Forecasts):
    """Forecasts as quantiles: `values` (o, h, q), not falling, at `probabilities` (q,), which come in pairs p and
    1 - p, with or without the median.
    """

    probabilities: np.ndarray

    def __post_init__(self) -> None:
        super().__post_init__()
        probabilities = scoring_rules.checked_levels(self.probabilities)
        object.__setattr__(self, "probabilities", probabilities)
        if probabilities.size != self.values.shape[2]:
            raise MethodError(f"{self.values.shape[2]} quantiles need as many levels, not {probabilities.size}")
        if (np.diff(self.values[self.said], axis=1) < 0).any():
            raise MethodError("quantiles do not fall as their level rises: sort them, or look at where they cross")

    @property
    def rule(self) -> str:
        return "weighted interval score"

    def score(self, truth: np.ndarray) -> np.ndarray:
        return scoring_rules.interval_scores(self.values, self.probabilities, truth).sum(-1)

    def quantiles(self, levels: np.ndarray) -> np.ndarray:
        near = np.abs(np.asarray(levels)[:, None] - self.probabilities)
        found = self.values[:, :, near.argmin(1)]
        return np.where(near.min(1) < 1e-6, found, np.nan)

    def levels(self) -> np.ndarray:
        return self.probabilities

    def places(self, truth: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        return scoring_rules.places_between(self.values, self.probabilities, truth, generator)


def read_forecasts(path: Path | str) -> Forecasts:
    """Read a record of forecasts from a table (.csv, .csv.gz or .parquet) with a row a number: columns `origin`,
    `horizon`, `value`, and `quantile` (its level) or `sample` (its number). Further columns of numbers are not read.

    **Returns:** `QuantileForecasts` or `SampleForecasts`; a forecast that the table does not hold is missing.

    **Raises:** `ProblemError` where the table cannot be read as such; `MethodError` for forecasts that are none.
    """
    table = read_columns(path)
    kinds = [name for name in ("quantile", "sample") if name in table.names]
    missing = [name for name in ("origin", "horizon", "value") if name not in table.names]
    if missing or len(kinds) != 1:
        lacks = f"'{missing[0]}'" if missing else "one of 'quantile' and 'sample'"
        raise ProblemError(f"'{path}' has no column {lacks}: a row is origin, horizon, quantile or sample, value")
    axes = [np.unique(_column(table, name), return_inverse=True) for name in ("origin", "horizon", kinds[0])]
    places = tuple(place for _, place in axes)
    values = np.full([kind.size for kind, _ in axes], np.nan)
    if np.unique(np.stack(places), axis=1).shape[1] != places[0].size:
        raise ProblemError(f"'{path}' gives a number of a forecast twice: keep one row of each")
    values[places] = _column(table, "value")
    (origins, _), (horizons, _), (kind, _) = axes
    if kinds[0] == "sample":
        return SampleForecasts(origins, horizons, values)
    return QuantileForecasts(origins, horizons, values, kind)


def _column(table: Columns, name: str) -> np.ndarray:
    return table.values[:, table.names.index(name)]
