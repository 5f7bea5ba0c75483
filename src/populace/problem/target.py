"""The target: data, the moments that a fit must match, those held out to judge it, and how exactly they are known."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, final

import numpy as np

from .._errors import TargetError, did_you_mean
from .covariance import Covariance, checked
from .moment import Moment
from .series import Series, Times, read
from .summary import Summary

UNKNOWN = "not known: to be estimated from replicates before it is used"
"""What `covariance_source` says when no covariance was given."""


@final
@dataclass(frozen=True, eq=False, init=False)
class Target:
    """What the model is to explain.

    **Arguments:**

    - `data`: series name to an array (times, ...). A masked array declares missing times (a time with any masked
      entry is missing; `numpy.ma.masked_invalid` masks NaN): each moment reads, of data and simulation alike, the
      times at which all series that it reads are there. One number (or one time, beside longer series) is the value at
      the end of a run: a simulated series is cut to its last time before any moment sees it, so `final` and `level`
      say what the number means. Series of different lengths may stand side by side.
    - `moments`: the moments to fit.
    - `held_out`: moments that no fit may use, to judge it by.
    - `covariance`: how exactly the data determine the moments. None does not mean 1: distances then refuse to work
      until somebody has called `with_covariance`, and `covariance_source` says so.
    - `times`: a label a time, or a mapping from series names to such; default 1, 2, ...
    - `time_unit`: what a time is ("day", "week"), for the axes of figures.

    **Attributes:** `labels` (k,), fitted moments first; `values` (k,) float64, the data's moments, computed in the
    float32 arithmetic of simulated ones; `fitted` (k,) bool; `covariance` (k, k) float64 or None;
    `covariance_source`; `missing`: series name to its number of missing times; `series`: the series that moments read;
    `told`: whether `values` are not those of `data` (see `with_values`).

    **Raises:** `TargetError` where these do not fit each other.
    """

    data: Mapping[str, Series]
    moments: tuple[Moment, ...]
    held_out: tuple[Moment, ...]
    covariance: np.ndarray | None
    covariance_source: str
    values: np.ndarray
    fitted: np.ndarray
    summary: Summary
    time_unit: str
    told: bool

    def __init__(
        self,
        data: Mapping[str, Any],
        moments: Sequence[Moment],
        held_out: Sequence[Moment] = (),
        covariance: Covariance | None = None,
        times: Times = None,
        time_unit: str = "time",
    ):
        moments, held_out = _listed(moments, "moments"), _listed(held_out, "held_out")
        if not moments:
            raise TargetError("a target has at least one moment to fit: moments=[level('infected')]")
        series = read(data, times)
        summary = Summary((*moments, *held_out), series)
        first = len(Summary(moments, series).labels)
        values = summary.of_data()
        object.__setattr__(self, "time_unit", time_unit)
        object.__setattr__(self, "told", False)
        self._set(MappingProxyType(series), moments, held_out, summary, values, np.arange(len(values)) < first)
        self._check_values()
        if covariance is not None:
            if not isinstance(covariance, Covariance):
                raise TargetError(
                    "a covariance is Given(...), BlockBootstrap(...) or FromReplicates(...), not "
                    f"{type(covariance).__name__}"
                )
            self._know(covariance.matrix(self), covariance.source())

    def _set(
        self,
        data: Mapping[str, Series],
        moments: tuple[Moment, ...],
        held_out: tuple[Moment, ...],
        summary: Summary,
        values: np.ndarray,
        fitted: np.ndarray,
    ) -> None:
        for array in (values, fitted):
            array.setflags(write=False)
        names = ("data", "moments", "held_out", "summary", "values", "fitted")
        for name, value in zip(names, (data, moments, held_out, summary, values, fitted), strict=True):
            object.__setattr__(self, name, value)
        self._know(None, UNKNOWN)

    def _know(self, matrix: np.ndarray | None, source: str) -> None:
        object.__setattr__(self, "covariance", matrix)
        object.__setattr__(self, "covariance_source", source)

    def _check_values(self) -> None:
        wrong = np.flatnonzero(~np.isfinite(self.values))
        if wrong.size:
            constant = [n for n, one in self.series.items() if one.length > 1 and np.ptp(one.values[one.present]) == 0]
            why = f"series '{constant[0]}' never changes; " if constant else ""
            raise TargetError(
                f"'{self.labels[wrong[0]]}' is not defined for these data ({why}{wrong.size} such in all): leave the "
                "moment out"
            )

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the moments, (k,)."""
        return self.summary.labels

    @property
    def series(self) -> Mapping[str, Series]:
        """The series that a moment reads."""
        return {name: self.data[name] for name in self.summary.series}

    def check_series(self, reader: str) -> None:
        """Raise `TargetError` where other moments stand without the run that they are of: `reader`, in words, reads
        series.
        """
        if self.told:
            raise TargetError(
                f"other moments were put in the place of the data's, and {reader} reads series: give `with_values` the "
                "run that they are of"
            )

    @property
    def missing(self) -> dict[str, int]:
        """Series name to the number of its missing times, of those that miss any."""
        return {name: len(one.missing) for name, one in self.data.items() if one.missing}

    @property
    def standard_errors(self) -> np.ndarray | None:
        """The square roots of the covariance's diagonal, (k,); None while it is not known."""
        return None if self.covariance is None else np.sqrt(np.diag(self.covariance))

    def columns(self, moment: str) -> np.ndarray:
        """Which of the k numbers belong to the moment of this name: indices, int."""
        found = np.array([i for i, name in enumerate(self.summary.names) if name == moment], dtype=int)
        if not found.size:
            raise TargetError(
                f"the target has no moment '{moment}'; {did_you_mean(moment, sorted(set(self.summary.names)))}"
            )
        return found

    def summarise(self, observations: Mapping[str, Any]) -> np.ndarray:
        """The moments of a batch of runs.

        **Arguments:** `observations`: series name to an array (n, times, ...), of the data's times and further axes;
        (n, times) or (n,) where the datum is one number. Series that no moment reads are ignored.

        **Returns:** (n, k) float64. A number that is not defined is NaN, and so is every moment of a series that
        holds a NaN or an infinity at a time that the data do not miss.

        **Raises:** `SimulatorError` for a series that is absent or of another shape.
        """
        return self.summary(observations)

    def undefined(self, summaries: np.ndarray) -> tuple[np.ndarray, dict[str, int]]:
        """Which runs cannot be compared with the data.

        **Arguments:** `summaries` (n, k), from `summarise`.

        **Returns:** (n,) bool, True where a fitted moment is not finite; and label to the number of runs in which it
        (fitted or held out) is not, of those with any.
        """
        wrong = ~np.isfinite(np.asarray(summaries))
        counts = wrong.sum(0)
        return np.any(wrong[:, self.fitted], axis=1), {self.labels[i]: int(counts[i]) for i in np.flatnonzero(counts)}

    def with_covariance(self, matrix: np.ndarray, source: str) -> "Target":
        """The same target with a covariance (k, k) of all its moments, and where it comes from.

        Nothing is compiled again.
        """
        new = self._again(self.values, self.data, self.told)
        new._know(checked(matrix, self.labels), source)
        return new

    def with_values(self, values: np.ndarray, run: Mapping[str, Any] | None = None) -> "Target":
        """The same target with other moments (k,), as if a run had been observed in place of the data.

        **Arguments:** `run`: what was observed in it, (times, ...) a series that moments read. Without it `data` stay
        as they are: distances and most methods see `values` alone, and what reads series refuses such a target. The
        covariance stays. Nothing is compiled again.

        **Raises:** `TargetError` for another shape, or a number that is not finite.
        """
        values = np.array(values, np.float64)
        if values.shape != self.values.shape or not np.isfinite(values).all():
            raise TargetError(f"moments of shape {values.shape} are no {len(self.labels)} finite numbers")
        data = self.data if run is None else {**self.data, **self.summary.observed(run)}
        new = self._again(values, data, run is None)
        new._know(self.covariance, self.covariance_source)
        return new

    def _again(self, values: np.ndarray, data: Mapping[str, Series], told: bool) -> "Target":
        new = object.__new__(Target)
        object.__setattr__(new, "time_unit", self.time_unit)
        object.__setattr__(new, "told", told)
        new._set(MappingProxyType(dict(data)), self.moments, self.held_out, self.summary, values, self.fitted)
        return new

    def sentence(self) -> str:
        """What the target is, in words: its moments, the missing times, and where the covariance comes from."""
        fitted = int(self.fitted.sum())
        parts = [f"{len(self.data)} series, {fitted} fitted moments and {len(self.labels) - fitted} held out."]
        for name, one in self.data.items():
            if one.missing:
                shown = ", ".join(one.missing[:5]) + (", ..." if len(one.missing) > 5 else "")
                count = f"{len(one.missing)} of {one.length} times"
                parts.append(f"'{name}' misses {count} ({shown}): left out of data and runs alike.")
        parts.append(f"The covariance of the moments is {self.covariance_source}.")
        return " ".join(parts)

    def describe(self) -> dict[str, Any]:
        """What makes this target what it is, as plain JSON: hashes (SHA-256) of the data and of the covariance, labels
        and sources. Moments made of functions of your own are known by their labels only.
        """
        matrix = None if self.covariance is None else _hash(self.covariance)
        return {
            "data": {name: _hash(one.values, one.present, np.array(one.at_end)) for name, one in self.data.items()},
            "times": {name: list(one.times) for name, one in self.data.items()},
            "missing": self.missing,
            "labels": list(self.labels),
            "values": _hash(self.values),
            "fitted": self.fitted.tolist(),
            "covariance": {"source": self.covariance_source, "sha256": matrix},
        }


def _listed(moments: Sequence[Moment], argument: str) -> tuple[Moment, ...]:
    if isinstance(moments, Moment):
        raise TargetError(f"{argument} is a list: [{moments.name}]")
    for moment in moments:
        if not isinstance(moment, Moment):
            raise TargetError(
                f"{argument} holds a {type(moment).__name__}, not a moment; make one: moment('name', function, "
                "of='series')"
            )
    return tuple(moments)


def _hash(*arrays: np.ndarray) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
