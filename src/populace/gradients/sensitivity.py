"""The derivative of every observation by every parameter, over time, in one go; and what a changed start would do."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array
from rich.progress import Progress

from .._errors import GradientError
from .._results import Band, BandPanel, Cell, Code, Figure, Result, Section, Table, Verdict
from .._types import Key
from ..core import executor
from ..core.draw import Draw
from ..core.ensemble import OneRun, one_run
from ..core.model import Model
from ..core.plug import Plug
from ..core.progress import display
from ..problem.simulators import Simulation
from .differences import Differences, bounds, scales
from .estimator import side_by_side
from .loss import ExpectedLoss
from .pathwise import ForwardMode
from .truth import labels

_APART = 4.0
_CLOSE = 0.1
_MOST = 64
_TWO = 1.96


@dataclass(frozen=True)
class Sensitivities(Result):
    """How the expectation of each observation reacts.

    `times` (rows,); `means`: observation to (rows, ...), its expectation; `slopes`, `errors`: label of a parameter's
    number to observation to (rows, ...), the derivative and its Monte-Carlo error; `elasticities`,
    `elasticity_errors`: the same in per cent a per cent; `started`, `started_errors`: what each change of the start
    makes of an observation; `verdicts`: of each label where derivatives were taken through relaxations.
    """

    times: np.ndarray
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
        panels = tuple(self._panel(name) for name in flat)
        figures = (Figure("elasticities", _CAPTION, panels),) if panels else ()
        rows = [row for name in flat for row in self._rows(name)]
        columns = ("observation", "of", "largest effect", "standard error", "at time")
        note = (
            "Per cent of the observation's own largest expectation, for 1 % more of a parameter; for a change as named."
        )
        table = Table("Where each matters most", columns, tuple(rows), note)
        text = (f"Derivatives of expectations by {self.by}, with Monte-Carlo errors.",)
        return (Section("Sensitivities", text, tuple(self.verdicts.values()), figures, (table,)),)

    def _panel(self, name: str) -> BandPanel:
        bands = []
        for label, found in self.elasticities.items():
            middle, half = found[name], _TWO * self.elasticity_errors[label][name]
            bands.append(Band(label, self.times, middle, {0.95: (middle - half, middle + half)}))
        return BandPanel(name.replace("_", " "), "time", "per cent for 1 % more", tuple(bands))

    def _rows(self, name: str) -> list[tuple[Cell, ...]]:
        top = float(np.abs(self.means[name]).max()) or 1.0
        rows: list[tuple[Cell, ...]] = []
        for label, found in self.slopes.items():
            size = _size_of(self.elasticities[label][name], self.means[name], found[name])
            rows.append(self._row(name, label, size * found[name], abs(size) * self.errors[label][name], top))
        for label, found in self.started.items():
            rows.append(self._row(name, label, found[name], self.started_errors[label][name], top))
        return rows

    def _row(self, name: str, label: str, change: np.ndarray, error: np.ndarray, top: float) -> tuple[Cell, ...]:
        i = int(np.argmax(np.abs(change)))
        share = 1.0 if label in self.slopes else 100.0
        return (name, label, share * float(change[i]) / top, share * float(error[i]) / top, int(self.times[i]))

    def record(self) -> dict[str, Any]:
        def listed(tree: dict[str, dict[str, np.ndarray]]) -> dict[str, Any]:
            return {label: {name: v.tolist() for name, v in found.items()} for label, found in tree.items()}

        return {
            "by": self.by,
            "times": self.times.tolist(),
            "means": {name: mean.tolist() for name, mean in self.means.items()},
            "slopes": listed(self.slopes),
            "errors": listed(self.errors),
            "started": listed(self.started),
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
      pass with a tangent a parameter through relaxations; it is then held against differences, with a verdict each.
    - `starts`: a name to a function from the state that `init` made to another: what that change does to each
      observation, with the same random numbers after it (one more ill at the start, say). Differences, whatever `by`.

    **Returns:** `Sensitivities`. **Raises:** `GradientError`, `UnknownParameterError`.
    """
    if keys < 2:
        raise GradientError(f"an error takes two keys, not keys={keys}")
    expected = ExpectedLoss(simulation, _nothing)
    point = expected.at(at)
    names = labels(point)
    if len(names) > _MOST:
        raise GradientError(
            f"{len(names)} numbers are too many to take one by one: give at={{...}} with {_MOST} of them"
        )
    many = jax.vmap(lambda i: jr.fold_in(key, i))(jnp.arange(keys))
    chosen = Differences() if by is None else by
    with display(progress) as shown:
        ticker = executor.Ticker(shown, "sensitivities", len(names) + len(starts or {}))
        mean = _of_runs(_Plain(simulation), point, many)
        found = _all(chosen, simulation, point, many, ticker)
        truth = _all(Differences(), simulation, point, many, ticker) if isinstance(chosen, ForwardMode) else None
        after = {name: _of_runs(_Started(simulation, change), point, many) for name, change in (starts or {}).items()}
    base = {name: value.mean(0) for name, value in mean.items()}
    values = dict(zip(names, np.asarray(ravel_pytree(dict(sorted(point.items())))[0], np.float64), strict=True))
    slopes, errors = _both({label: found[i] for i, label in enumerate(names)})
    elastic = {label: _elasticities(found[i], mean, values[label]) for i, label in enumerate(names)}
    started, started_errors = _both({k: {n: v[n] - mean[n] for n in v} for k, v in after.items()})
    verdicts = {} if truth is None else {n: _judged(n, found[i], truth[i]) for i, n in enumerate(names)}
    return Sensitivities(
        np.asarray(expected.rows()),
        base,
        slopes,
        errors,
        {k: v[0] for k, v in elastic.items()},
        {k: v[1] for k, v in elastic.items()},
        started,
        started_errors,
        verdicts,
        "differences with common random numbers" if isinstance(chosen, Differences) else chosen.name,
    )


def _nothing(seen: dict[str, Array]) -> Array:
    return jnp.float32(0)


class _Plain(eqx.Module):
    """What a run observes."""

    simulation: Simulation

    def __call__(self, at: dict[str, Array], key: Key, plugs: tuple[Plug, ...] = ()) -> dict[str, Array]:
        run = self.simulation.one().bind(at)
        out = one_run(OneRun(run.model, (*run.plugs, *plugs), run.record, run.steps), (key, {}))
        return {name: value.astype(jnp.float32) for name, value in out.observations.items()}


class _Started(eqx.Module):
    """What a run observes whose first state is changed."""

    simulation: Simulation
    change: Callable[[Any], Any] = eqx.field(static=True)

    def __call__(self, at: dict[str, Array], key: Key) -> dict[str, Array]:
        run = self.simulation.one().bind(at)
        changed = OneRun(_Changed(run.model, self.change), run.plugs, run.record, run.steps)
        return {k: v.astype(jnp.float32) for k, v in one_run(changed, (key, {})).observations.items()}


@final
class _Changed(Model):
    model: Model
    change: Callable[[Any], Any] = eqx.field(static=True)

    def init(self, draw: Draw) -> Any:
        return self.change(self.model.init(draw))

    def step(self, draw: Draw, state: Any) -> Any:
        return self.model.step(draw, state)

    def observe(self, state: Any) -> dict[str, Array]:
        return self.model.observe(state)


@eqx.filter_jit
def _mapped(one: Callable[[Any], Any], keys: Key, size: int) -> Any:
    return jax.lax.map(one, keys, batch_size=size)


def _of_runs(seen: Callable[..., dict[str, Array]], at: dict[str, Array], keys: Key) -> dict[str, np.ndarray]:
    """What is observed, name to (keys, rows, ...), float64."""
    one = eqx.Partial(seen, at)
    out = _mapped(one, keys, side_by_side(one, keys[0]))
    return {name: np.asarray(value, np.float64) for name, value in out.items()}


def _all(
    by: Differences | ForwardMode, simulation: Simulation, at: dict[str, Array], keys: Key, ticker: executor.Ticker
) -> list[dict[str, np.ndarray]]:
    """Derivatives by each number, of each key: a list of observation to (keys, rows, ...)."""
    at = dict(sorted(at.items()))
    flat, unravel = ravel_pytree(at)
    expected, seen = ExpectedLoss(simulation, _nothing), _Plain(simulation)
    low, high = (np.asarray(end) for end in bounds(expected, at))
    found = []
    for i in range(flat.size):
        ticker.advance(1)
        if isinstance(by, ForwardMode):
            tangent = unravel(jnp.zeros(flat.size).at[i].set(1.0))
            found.append(_of_runs(_Tangent(seen, by.relaxations, tangent), at, keys))
            continue
        width = float((by.step * scales(at, by.scale))[i])
        ends = [min(float(flat[i]) + width, float(high[i])), max(float(flat[i]) - width, float(low[i]))]
        up, down = (_of_runs(seen, unravel(flat.at[i].set(end)), keys) for end in ends)
        found.append({name: (up[name] - down[name]) / (ends[0] - ends[1]) for name in up})
    return found


class _Tangent(eqx.Module):
    """The derivative of what a run observes along a tangent, through relaxations."""

    seen: _Plain
    relaxations: tuple[Plug, ...]
    tangent: dict[str, Array]

    def __call__(self, at: dict[str, Array], key: Key) -> dict[str, Array]:
        return jax.jvp(lambda values: self.seen(values, key, self.relaxations), (at,), (self.tangent,))[1]


def _both(
    samples: Mapping[str, Mapping[str, np.ndarray]],
) -> tuple[dict[str, dict[str, np.ndarray]], dict[str, dict[str, np.ndarray]]]:
    """Means and standard errors over the keys."""
    means = {label: {n: v.mean(0) for n, v in found.items()} for label, found in samples.items()}
    return means, {label: {n: _error(v) for n, v in found.items()} for label, found in samples.items()}


def _error(samples: np.ndarray) -> np.ndarray:
    return samples.std(0, ddof=1) / np.sqrt(len(samples))


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
        errors[name] = np.where(mean == 0, 0.0, _error((value * slope - ratio * seen[name]) / safe))
    return found, errors


def _size_of(elasticity: np.ndarray, mean: np.ndarray, slope: np.ndarray) -> float:
    """The parameter's value, from an elasticity and its slope where that is largest."""
    i = int(np.argmax(np.abs(slope)))
    return float(elasticity[i] * mean[i] / slope[i]) if slope[i] else 0.0


def _judged(label: str, found: Mapping[str, np.ndarray], truth: Mapping[str, np.ndarray]) -> Verdict:
    """A derivative through relaxations beside differences on the same keys, over all observations and times together,
    each in its own scale.
    """
    ours, real, doubt, own = [], [], [], []
    for name in found:
        scale = np.abs(truth[name].mean(0)).max() or 1.0
        ours.append(found[name].mean(0).ravel() / scale)
        real.append(truth[name].mean(0).ravel() / scale)
        doubt.append(_error(found[name] - truth[name]).ravel() / scale)
        own.append(_error(truth[name]).ravel() / scale)
    a, b, e, s = (np.concatenate(parts) for parts in (ours, real, doubt, own))
    gap = np.where(np.abs(a - b) > _APART * e, a - b, 0.0)
    bias = float(np.linalg.norm(gap) / max(np.linalg.norm(b), 1e-30))
    numbers = {"bias": bias}
    if not a.any() and (np.abs(b) > _APART * s).any():
        return Verdict(
            label, Code.BLIND, f"the derivative by {label} is 0 in every run, and differences are not.", numbers
        )
    if bias <= _CLOSE:
        return Verdict(label, Code.BELIEVE, f"the derivative by {label} agrees with differences.", numbers)
    if float(a @ b) < 0:
        return Verdict(label, Code.WRONG_SIGN, f"the derivative by {label} points against differences.", numbers)
    sentence = f"the derivative by {label} is off by {100 * bias:.0f} % of its length from differences."
    return Verdict(label, Code.DIRECTION_ONLY, sentence, numbers)
