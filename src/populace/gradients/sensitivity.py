"""The derivative of every observation by every parameter, over time, in one go; and what a changed start would do."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jax.flatten_util import ravel_pytree
from rich.progress import Progress

from .._errors import GradientError
from .._results import Band, BandPanel, Figure, Result, Section, Table, Verdict
from .._types import Key
from ..core import executor
from ..core.progress import display
from ..problem.simulators import Simulation
from .differences import Differences
from .observed import Seen, SeenAfter, of_runs, simulated, slopes_of_runs
from .pathwise import ForwardMode
from .sensitivity_check import checked, standard_error
from .truth import labels

_MOST = 64
_TWO = 1.96
_SHOWN = 6
"""Panels of a figure, and bands of a panel."""
_SAID = 4
"""Sentences about an observation."""
_CHECKED, _CHECKED_LEAST = 4, 16
"""Relaxations are checked with one in so many keys, and with so many at least."""


@dataclass(frozen=True)
class Sensitivities(Result):
    """How the expectation of each observation reacts.

    `times` (rows,); `values`: label of a parameter's number to its value; `means`: observation to (rows, ...), its
    expectation; `slopes`, `errors`: label to observation to (rows, ...), the derivative and its Monte-Carlo error;
    `elasticities`, `elasticity_errors`: the same in per cent for 1 % more of the value, for .01 more where that is 0;
    `started`, `started_errors`: what each change of the start makes of an observation; `verdicts`: of each label where
    derivatives were taken through relaxations.
    """

    times: np.ndarray
    values: dict[str, float]
    means: dict[str, np.ndarray]
    slopes: dict[str, dict[str, np.ndarray]]
    errors: dict[str, dict[str, np.ndarray]]
    elasticities: dict[str, dict[str, np.ndarray]]
    elasticity_errors: dict[str, dict[str, np.ndarray]]
    started: dict[str, dict[str, np.ndarray]]
    started_errors: dict[str, dict[str, np.ndarray]]
    verdicts: dict[str, Verdict]
    by: str

    def sections(self) -> tuple[Section, ...]:
        flat = [name for name, mean in self.means.items() if mean.ndim == 1]
        panels = tuple(self._panel(name) for name in flat[:_SHOWN])
        figures = (Figure("elasticities", _CAPTION, panels),) if panels and self.slopes else ()
        rows = [
            (name, label, float(share[i]), float(error[i]), int(self.times[i]))
            for name in flat
            for label, share, error in self._effects(name)
            for i in (int(np.argmax(np.abs(share))),)
        ]
        columns = ("observation", "of", "largest effect", "standard error", "at time")
        note = (
            "Per cent of the observation's own largest expectation, for 1 % more of a parameter; for a change as named."
        )
        table = Table("Where each matters most", columns, tuple(rows), note)
        first = f"Derivatives of expectations by {self.by}, with Monte-Carlo errors in brackets."
        text = (first, *(one for name in flat[:_SHOWN] for one in self._said(name)), *self._left_out(flat))
        return (Section("Sensitivities", text, tuple(self.verdicts.values()), figures, (table,)),)

    def _panel(self, name: str) -> BandPanel:
        labels_ = sorted(self.elasticities, key=lambda one: -np.abs(self.elasticities[one][name]).max())[:_SHOWN]
        bands = []
        for label in (one for one in self.elasticities if one in labels_):
            middle, half = self.elasticities[label][name], _TWO * self.elasticity_errors[label][name]
            bands.append(Band(label, self.times, middle, {0.95: (middle - half, middle + half)}, "estimate"))
        return BandPanel(name.replace("_", " "), "time", "per cent for 1 % more", tuple(bands))

    def _effects(self, name: str) -> list[tuple[str, np.ndarray, np.ndarray]]:
        """Of everything that was changed: its label, and effect and error (rows,) in per cent of the observation's
        largest expectation.
        """
        top = float(np.abs(self.means[name]).max()) or 1.0
        found = []
        for label, slope in self.slopes.items():
            size = (self.values[label] or 1.0) / top
            found.append((label, size * slope[name], abs(size) * self.errors[label][name]))
        for label, change in self.started.items():
            found.append((label, 100.0 * change[name] / top, 100.0 * self.started_errors[label][name] / top))
        return found

    def _said(self, name: str) -> list[str]:
        """What moves an observation where it is largest, strongest first: there the derivative of its largest
        expectation is that of the expectation (the envelope theorem).
        """
        i = int(np.argmax(np.abs(self.means[name])))
        found = []
        for label, effect, error in self._effects(name):
            if abs(effect[i]) <= _TWO * error[i]:
                continue
            many = 10.0 if label in self.slopes else 1.0
            what = label if many == 1.0 else f"10 % more {label}" if self.values[label] else f"0.1 more {label}"
            way = "raises" if effect[i] > 0 else "lowers"
            sizes = f"{many * abs(effect[i]):.2g} % ({many * error[i]:.1g})"
            words = f"{what} {way} {name} by {sizes} where it is largest, at time {int(self.times[i])}."
            found.append((abs(many * effect[i]), words))
        return [words for _, words in sorted(found, key=lambda one: -one[0])[:_SAID]]

    def _left_out(self, flat: list[str]) -> list[str]:
        wide = [name for name in self.means if name not in flat]
        said = [f"More than one number a time, in the arrays only: {', '.join(wide)}."] if wide else []
        return said + ([f"The figure shows {_SHOWN} of {len(flat)} observations."] if len(flat) > _SHOWN else [])

    def record(self) -> dict[str, Any]:
        def listed(tree: dict[str, dict[str, np.ndarray]]) -> dict[str, Any]:
            return {label: {name: v.tolist() for name, v in found.items()} for label, found in tree.items()}

        return {
            "by": self.by,
            "times": self.times.tolist(),
            "values": dict(self.values),
            "means": {name: mean.tolist() for name, mean in self.means.items()},
            "slopes": listed(self.slopes),
            "errors": listed(self.errors),
            "elasticities": listed(self.elasticities),
            "elasticity_errors": listed(self.elasticity_errors),
            "started": listed(self.started),
            "started_errors": listed(self.started_errors),
            "verdicts": {name: verdict.record() for name, verdict in self.verdicts.items()},
        }


_CAPTION = (
    "Elasticities over time with 95 % Monte-Carlo intervals: per cent more of the observation for 1 % more of each."
)


def sensitivities(
    simulation: Simulation,
    key: Key,
    *,
    at: Mapping[str, Any] | None = None,
    keys: int = 256,
    by: Differences | ForwardMode | None = None,
    starts: Mapping[str, Callable[[Any], Any]] | None = None,
    progress: bool | Progress | None = None,
) -> Sensitivities:
    """The derivative of the expectation of every observation, at every recorded time, by every parameter.

    **Arguments:**

    - `at`: the point, and what to differentiate by (all parameters, as the model has them, if None).
    - `keys`: runs a side; the same random numbers on both.
    - `by`: differences (the default: right wherever there is a derivative, 2 runs a parameter), or `ForwardMode`, one
      pass with a tangent a parameter through relaxations; it is then held against differences with a fourth of the
      keys, with a verdict each.
    - `starts`: a name to a function from the state that `init` made to another: what that change does to each
      observation, with the same random numbers after it (one more ill at the start, say). Differences, whatever `by`.

    **Returns:** `Sensitivities`. **Raises:** `GradientError`, `UnknownParameterError`.
    """
    if keys < 2:
        raise GradientError(f"an error takes two keys, not keys={keys}")
    point = simulated(simulation).at(at)
    names = labels(point)
    if len(names) > _MOST:
        raise GradientError(
            f"{len(names)} numbers are too many to take one by one: give at={{...}} with {_MOST} of them"
        )
    many = jax.vmap(lambda i: jr.fold_in(key, i))(jnp.arange(keys))
    chosen, changes = Differences() if by is None else by, dict(starts or {})
    few = many[: max(_CHECKED_LEAST, keys // _CHECKED) if isinstance(chosen, ForwardMode) else 0]
    with display(progress) as shown:
        ticker = executor.Ticker(shown, "sensitivities", len(names) * (2 if few.size else 1))
        seen = of_runs(Seen(simulation), point, many)
        found = slopes_of_runs(chosen, simulation, point, many, ticker)
        truth = slopes_of_runs(Differences(), simulation, point, few, ticker) if few.size else []
        after = {name: of_runs(SeenAfter(simulation, change), point, many) for name, change in changes.items()}
    flat = np.asarray(ravel_pytree(dict(sorted(point.items())))[0], np.float64)
    values = dict(zip(names, flat.tolist(), strict=True))
    samples = dict(zip(names, found, strict=True))
    elastic = {label: _elasticities(samples[label], seen, values[label] or 1.0) for label in names}
    started = {label: {name: v[name] - seen[name] for name in v} for label, v in after.items()}
    subset = [{name: v[: few.size] for name, v in one.items()} for one in found]
    return Sensitivities(
        np.asarray(simulated(simulation).rows()),
        values,
        {name: value.mean(0) for name, value in seen.items()},
        *_both(samples),
        {label: v[0] for label, v in elastic.items()},
        {label: v[1] for label, v in elastic.items()},
        *_both(started),
        {names[i]: checked(names[i], subset[i], one, seen) for i, one in enumerate(truth)},
        "differences with common random numbers" if isinstance(chosen, Differences) else chosen.name,
    )


def _both(
    samples: Mapping[str, Mapping[str, np.ndarray]],
) -> tuple[dict[str, dict[str, np.ndarray]], dict[str, dict[str, np.ndarray]]]:
    """Means and standard errors over the keys."""
    means = {label: {n: v.mean(0) for n, v in found.items()} for label, found in samples.items()}
    return means, {label: {n: standard_error(v) for n, v in found.items()} for label, found in samples.items()}


def _elasticities(
    slopes: Mapping[str, np.ndarray], seen: Mapping[str, np.ndarray], value: float
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Value x slope / mean with its error by the delta method; 0 where the mean is."""
    found, errors = {}, {}
    for name, slope in slopes.items():
        mean = seen[name].mean(0)
        safe = np.where(mean == 0, 1.0, mean)
        ratio = np.where(mean == 0, 0.0, value * slope.mean(0) / safe)
        found[name] = ratio
        errors[name] = np.where(mean == 0, 0.0, standard_error((value * slope - ratio * seen[name]) / safe))
    return found, errors
