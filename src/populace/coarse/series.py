"""A mean over time, with the runs behind it: what equations are learned from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from .._errors import MethodError, did_you_mean
from ..core.ensemble import Ensemble


@dataclass(frozen=True)
class MeanSeries:
    """Runs of the same law, observed at the same times.

    `times` (T,), in units of the model's rates; `runs`: variable to (runs, T). An equation is learned for the mean
    over runs; its error comes from the runs, which are drawn anew, whole, since numbers of one run go together.
    """

    times: np.ndarray
    runs: Mapping[str, np.ndarray]

    def __post_init__(self) -> None:
        times = np.asarray(self.times, np.float64)
        runs = {name: np.asarray(values, np.float64) for name, values in self.runs.items()}
        object.__setattr__(self, "times", times)
        object.__setattr__(self, "runs", runs)
        if times.ndim != 1 or times.size < 5 or not np.all(np.diff(times) > 0):
            raise MethodError(f"times are at least 5 rising numbers, not {times.shape} of them")
        shapes = {values.shape for values in runs.values()}
        if len(shapes) != 1:
            raise MethodError(f"every variable is (runs, {times.size}), all alike; given: {sorted(shapes)}")
        shape = shapes.pop()
        if len(shape) != 2 or shape[1] != times.size or shape[0] < 4:
            raise MethodError(f"every variable is (runs, {times.size}) with 4 runs or more, not {shape}")
        if not all(np.isfinite(values).all() for values in runs.values()):
            raise MethodError("a run holds a number that is not finite: leave that run out, or mend the model")

    @classmethod
    def of(
        cls,
        ensemble: Ensemble,
        variables: Sequence[str],
        *,
        interval: float = 1.0,
        start: Mapping[str, float] | None = None,
        which: int = 0,
    ) -> "MeanSeries":
        """Observations of an ensemble.

        **Arguments:** `variables`: scalar observations; `interval`: the time that a step takes; `start`: their
        values at time 0 where all runs share them, to which no step has led; `which`: of several parameter sets.
        """
        found = {}
        for name in variables:
            if name not in ensemble.observations:
                raise MethodError(
                    f"the ensemble has no observation '{name}'; {did_you_mean(name, list(ensemble.observations))}"
                )
            values = ensemble.observations[name]
            if values.ndim != 3:
                raise MethodError(
                    f"'{name}' is {values.shape[3:]} numbers a time: observe one number for each variable"
                )
            found[name] = np.asarray(values[which], np.float64)
        times = np.asarray(ensemble.times, np.float64) * interval
        if start is not None:
            if set(start) != set(found):
                raise MethodError(f"start gives {sorted(start)}, the variables are {sorted(found)}")
            times = np.concatenate([[0.0], times])
            found = {k: np.concatenate([np.full((len(v), 1), float(start[k])), v], axis=1) for k, v in found.items()}
        return cls(times, found)

    @property
    def names(self) -> tuple[str, ...]:
        """The variables."""
        return tuple(self.runs)

    @property
    def array(self) -> np.ndarray:
        """All runs, (runs, T, variables)."""
        return np.stack([self.runs[name] for name in self.names], axis=-1)

    @property
    def mean(self) -> np.ndarray:
        """The mean over runs, (T, variables)."""
        return self.array.mean(0)

    @property
    def error(self) -> np.ndarray:
        """The standard error of the mean, (T, variables)."""
        return self.array.std(0, ddof=1) / np.sqrt(self.array.shape[0])

    @property
    def visited(self) -> dict[str, tuple[float, float]]:
        """The range of each variable's mean."""
        mean = self.mean
        return {name: (float(mean[:, i].min()), float(mean[:, i].max())) for i, name in enumerate(self.names)}
