"""All moments of a target as one compiled function of a batch of runs."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, final

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .._errors import SimulatorError, TargetError, did_you_mean
from .._types import Observations
from ..core.host import room
from .moment import Moment
from .series import Series, kept

_BLOCK = 1024
"""Runs that are summarised at once; smaller batches are filled up to a power of two, so that few sizes compile."""


@final
class Summary:
    """The moments of some series, vectorised over runs and compiled once a (power of two) number of runs.

    **Attributes:** `series`: the series that a moment reads, by name; `labels` (k,); `names` (k,): the name of the
    moment that each number belongs to.
    """

    series: Mapping[str, Series]
    labels: tuple[str, ...]
    names: tuple[str, ...]

    def __init__(self, moments: Sequence[Moment], data: Mapping[str, Series]):
        self._moments = tuple(moments)
        self._kept = tuple(_kept(moment, data) for moment in moments)
        self.series = {name: data[name] for moment in moments for name in moment.series()}
        pairs = [(moment, self._labels(moment, index)) for moment, index in zip(self._moments, self._kept, strict=True)]
        self.labels = tuple(label for _, labels in pairs for label in labels)
        self.names = tuple(moment.name for moment, labels in pairs for _ in labels)
        self._counts = tuple(len(labels) for _, labels in pairs)
        self._compiled = jax.jit(jax.vmap(self._one))
        twice = sorted({label for label in self.labels if self.labels.count(label) > 1})
        if twice:
            raise TargetError(
                f"two numbers are both called '{twice[0]}': a moment is given twice, or needs another name"
            )

    def _labels(self, moment: Moment, index: np.ndarray | None) -> tuple[str, ...]:
        series = [self.series[name] for name in moment.series()]
        shapes = {one.name: jax.ShapeDtypeStruct(_picked(one, one.values, index).shape, jnp.float32) for one in series}
        times = tuple(np.asarray(series[0].times)[index]) if index is not None else series[0].times
        return tuple(str(label) for label in moment.labels(shapes, times))

    def _one(self, observations: Observations) -> Float[Array, " k"]:
        parts = []
        for moment, index, count in zip(self._moments, self._kept, self._counts, strict=True):
            seen = {name: _picked(self.series[name], observations[name], index) for name in moment.series()}
            value = jnp.asarray(moment(seen), jnp.float32)
            if value.shape != (count,):
                raise TargetError(
                    f"moment '{moment.name}' has {count} labels and returns shape {value.shape}, not ({count},)"
                )
            sound = jnp.stack([jnp.isfinite(array).all() for array in seen.values()]).all()
            parts.append(jnp.where(sound, value, jnp.nan))
        return jnp.concatenate(parts)

    def of_run(self, observations: Observations) -> Float[Array, " k"]:
        """The summary of one run, (k,) float32, inside a trace: series name to (times, ...)."""
        batch = {
            name: _fitted(one, {k: v[None] for k, v in observations.items()})[0] for name, one in self.series.items()
        }
        return self._one(batch)

    def of_data(self) -> np.ndarray:
        """The summary of the data, (k,) float64, in the arithmetic that the runs get."""
        return self({name: one.values[None] for name, one in self.series.items()})[0]

    def observed(self, run: Observations) -> dict[str, Series]:
        """What was observed in one run, name to (times, ...), in the place of the data: their missing times are cut."""
        found = {}
        for name, one in self.series.items():
            array = np.asarray(_fitted(one, {k: np.asarray(v)[None] for k, v in run.items()})[0], np.float64)
            present = one.present.reshape((-1,) + (1,) * (array.ndim - 1))
            found[name] = replace(one, values=np.where(present, array, 0.0))
        return found

    def __call__(self, observations: Mapping[str, Any]) -> np.ndarray:
        """Summaries (n, k) float64 of a batch of n runs; see `Target.summarise`."""
        arrays = {name: _fitted(one, observations) for name, one in self.series.items()}
        sizes = {name: array.shape[0] for name, array in arrays.items()}
        if len(set(sizes.values())) > 1:
            raise SimulatorError(f"the simulated series hold different numbers of runs: {sizes}")
        runs = next(iter(sizes.values()))
        out = np.empty((runs, len(self.labels)))
        for start in range(0, runs, _BLOCK):
            block = {name: _filled(array[start : start + _BLOCK]) for name, array in arrays.items()}
            stop = min(start + _BLOCK, runs)
            out[start:stop] = np.asarray(self._compiled(block), np.float64)[: stop - start]
        return out


def _kept(moment: Moment, data: Mapping[str, Series]) -> np.ndarray | None:
    for name in moment.series():
        if name not in data:
            raise TargetError(
                f"moment '{moment.name}' reads '{name}', which the data do not hold; {did_you_mean(name, list(data))}"
            )
    if not moment.series():
        raise TargetError(f"moment '{moment.name}' reads no series")
    index = kept([data[name] for name in moment.series()])
    if index is not None and moment.regular:
        gaps = {name: len(data[name].missing) for name in moment.series() if data[name].missing}
        raise TargetError(
            f"moment '{moment.name}' needs every time, and the data miss some ({gaps}): leave the moment out, cut the "
            "data to a stretch without gaps, or, for a function of your own that minds no gaps, say so "
            "(regular=False, or across=False of a derived series)"
        )
    return index


def _picked(series: Series, array: Any, index: np.ndarray | None) -> Any:
    return array if index is None or series.at_end else array[index]


def _fitted(series: Series, observations: Mapping[str, Any]) -> Any:
    """The simulated series as (n, times, ...) float32, of the data's shape."""
    if series.name not in observations:
        raise SimulatorError(
            f"the simulator returns no '{series.name}', which the data hold; "
            f"{did_you_mean(series.name, list(observations))}"
        )
    array = observations[series.name]
    array = array if isinstance(array, jax.Array) else np.asarray(array)
    wanted = series.values.shape
    if series.at_end:
        array = array[:, None] if array.ndim == len(wanted) else array[:, -1:]
    if array.shape[1:] != wanted:
        raise SimulatorError(_misfit(series, array.shape))
    with np.errstate(over="ignore"):
        return array.astype(np.float32)


def _misfit(series: Series, shape: tuple[int, ...]) -> str:
    wanted = series.values.shape
    if len(shape) == len(wanted) + 1 and shape[2:] == wanted[1:]:
        return (
            f"simulated '{series.name}' has {shape[1]} times, the data have {wanted[0]}: set the simulator's steps to "
            f"{wanted[0]}, or give the data {shape[1]} times, masked where unknown (numpy.ma)"
        )
    return (
        f"simulated '{series.name}' has shape {shape} (runs first), the data have {wanted}: a batch of n runs has "
        f"shape (n, {', '.join(map(str, wanted))})"
    )


def _filled(array: Any) -> Any:
    """The block with its last run repeated up to a power of two."""
    runs = array.shape[0]
    more = room(runs, 1) - runs
    if more == 0:
        return array
    stack = jnp if isinstance(array, jax.Array) else np
    return stack.concatenate([array, stack.repeat(array[-1:], more, axis=0)])
