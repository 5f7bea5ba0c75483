"""Reading the data: which times are there, which are missing, and what they are called."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from .._errors import TargetError, did_you_mean

Times: TypeAlias = Sequence[Any] | Mapping[str, Sequence[Any]] | None
"""Labels of the times: one sequence for every series, or a sequence a series, or None for 1, 2, ..."""


@dataclass(frozen=True, eq=False)
class Series:
    """One series of the data, all its times in place.

    `values` (times, ...) float64, 0 where missing; `present` (times,) bool; `times`: a label a time; `at_end`: whether
    it is one number, the value at the last time of a run.
    """

    name: str
    values: np.ndarray
    present: np.ndarray
    times: tuple[str, ...]
    at_end: bool

    @property
    def length(self) -> int:
        """How many times there are, missing ones included."""
        return self.values.shape[0]

    @property
    def missing(self) -> tuple[str, ...]:
        """The labels of the missing times."""
        return tuple(label for label, here in zip(self.times, self.present, strict=True) if not here)


def read(data: Mapping[str, Any], times: Times) -> dict[str, Series]:
    """Every series of the data, checked.

    **Raises:** `TargetError` for what is no number, NaN, infinite or wholly missing, and for labels that do not fit.
    """
    if not isinstance(data, Mapping) or not data:
        raise TargetError(
            f"the data map the name of each series to its values; {type(data).__name__} does not, or is empty"
        )
    arrays = {name: _array(name, value) for name, value in data.items()}
    longest = max((array.shape[0] for array in arrays.values() if array.ndim), default=0)
    if isinstance(times, Mapping):
        for name in times:
            if name not in arrays:
                raise TargetError(
                    f"times are given for '{name}', which is no series; {did_you_mean(name, list(arrays))}"
                )
    return {name: _series(name, array, times, longest) for name, array in arrays.items()}


def _array(name: str, value: Any) -> np.ma.MaskedArray:
    try:
        array = np.ma.asarray(value)
        array = np.ma.masked_array(array.data.astype(np.float64), np.ma.getmaskarray(array))
    except (TypeError, ValueError) as error:
        raise TargetError(f"series '{name}' holds no numbers: {error}") from error
    wrong = np.argwhere(~np.isfinite(array.data) & ~array.mask)
    if len(wrong):
        at = ", ".join(str(i) for i in wrong[0])
        raise TargetError(
            f"series '{name}' holds {array.data[tuple(wrong[0])]} at index {at or 'none (it is one number)'} "
            f"({len(wrong)} such in all); if those times are missing, say so: numpy.ma.masked_invalid(values)"
        )
    if array.size == 0 or array.mask.all():
        raise TargetError(f"series '{name}' has no value: leave it out, and the moments that read it")
    return array


def _series(name: str, array: np.ma.MaskedArray, times: Times, longest: int) -> Series:
    at_end = array.ndim == 0 or (array.shape[0] == 1 and longest > 1)
    full = array.reshape((1,)) if array.ndim == 0 else array
    present = ~np.any(np.ma.getmaskarray(full).reshape(full.shape[0], -1), axis=1)
    if not present.any():
        raise TargetError(f"series '{name}' misses an entry at every time: leave out the entries that are never there")
    values = np.where(present.reshape((-1,) + (1,) * (full.ndim - 1)), full.filled(0.0), 0.0)
    labels = times.get(name) if isinstance(times, Mapping) else times
    return Series(name, values, present, _labels(name, labels, full.shape[0], max(longest, 1), at_end), at_end)


def _labels(name: str, times: Sequence[Any] | None, length: int, longest: int, at_end: bool) -> tuple[str, ...]:
    if times is None:
        return (str(longest),) if at_end and longest > 1 else tuple(str(i + 1) for i in range(length))
    labels = tuple(str(time) for time in times)
    if at_end:
        return labels[-1:]
    if len(labels) != length:
        raise TargetError(f"series '{name}' has {length} times, and {len(labels)} labels are given: give one a time")
    if len(set(labels)) != len(labels):
        twice = next(label for label in labels if labels.count(label) > 1)
        raise TargetError(f"series '{name}': the time '{twice}' is given twice; every time needs its own label")
    return labels


def kept(series: Sequence[Series]) -> np.ndarray | None:
    """The times (indices) at which every one of these series is there; None when none misses any.

    A series that is one number, the value at the end, has no say and is not to be indexed.

    **Raises:** `TargetError` when one misses a time and they are of different lengths: what is left would not align.
    """
    series = [one for one in series if not one.at_end]
    if all(one.present.all() for one in series):
        return None
    if len({one.length for one in series}) > 1:
        lengths = ", ".join(f"'{one.name}' {one.length}" for one in series)
        raise TargetError(
            f"a moment reads series of different lengths ({lengths}), of which one misses times: fill or cut them"
        )
    index = np.flatnonzero(np.logical_and.reduce([one.present for one in series]))
    if index.size == 0:
        raise TargetError(f"the series {[one.name for one in series]} have no time in common")
    return index
