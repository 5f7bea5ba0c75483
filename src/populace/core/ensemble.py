"""Many runs of one model: keys times parameters."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array
from rich.progress import Progress

from .._errors import CapacityError, FaultError, ModelError, ParameterError, UnknownParameterError, did_you_mean
from .._results import Result, Section, Table
from .._types import Key
from . import executor
from .capacity import capacities, rooms, shapes, with_capacity
from .growth import Growth, larger
from .model import Model, Parameter, bind, parameters, settled
from .plug import Plug
from .population import populations
from .progress import display
from .record import EveryStep, Recording
from .reducers import Reducer
from .series import ensemble_figure
from .simulate import NEVER, Recompute, advance, first_fault, initial


class OneRun(eqx.Module):
    """What one run is given besides key and parameters: model, plugs, steps and recording."""

    model: Model
    plugs: tuple[Plug, ...]
    record: Recording
    steps: int = eqx.field(static=True)
    recompute: Recompute | None = None

    def parameters(self) -> dict[str, Parameter]:
        """The model's parameters by name, and those of the plugs (a rival rule's, a measure's strength) as
        `plugs.<place>.<field>...`.
        """
        return {**parameters(self.model), **parameters(_Around(self.plugs))}

    def bind(self, values: Mapping[str, Any]) -> "OneRun":
        """The same with some of the parameters replaced."""
        around = parameters(_Around(self.plugs))
        of_plugs = {name: value for name, value in values.items() if name in around}
        of_model = {name: value for name, value in values.items() if name not in around}
        plugs = bind(_Around(self.plugs), of_plugs).plugs
        return OneRun(bind(self.model, of_model), plugs, self.record, self.steps, self.recompute)


class _Around(eqx.Module):
    """Gives the parameters of plugs their names."""

    plugs: tuple[Plug, ...]


class Outcome(eqx.Module):
    """What one run returns inside a batch: observations, the first fault (step, `NEVER` for none), room missing, and
    population to the most agents that wanted to live at once.
    """

    observations: dict[str, Array]
    fault: Array
    needed: Array
    peaks: dict[str, Array]


def one_run(shared: OneRun, one: tuple[Key, dict[str, Array]]) -> Outcome:
    """One whole run inside a trace: bind, begin, advance, collect."""
    key, values = one
    bound = shared.bind(values)
    here, early = initial(bound.model, key, bound.plugs)
    here, carry, rows, _, late = advance(
        bound.model, key, here, bound.plugs, None, bound.record, bound.steps, bound.recompute
    )
    kept = shared.record.finish(carry, [shared.record.collect(carry, rows, 1, shared.steps)])
    found = populations(here.state)
    short = [jnp.where(p.needed > p.capacity, p.needed, 0) for p in found.values()]
    missing = jnp.stack(short).max() if short else jnp.int32(0)
    return Outcome(kept, first_fault(early, late), missing, {name: p.needed for name, p in found.items()})


def outcomes(
    shared: OneRun, rows: Any, size: int, growth: Growth | None = None, progress: executor.Ticker | None = None
) -> Iterator[Any]:
    """The `Outcome`s of (keys, parameters) as host arrays, `size` runs at a time; those that outgrow their populations
    are made again with more room, the whole run, up to the limit of `growth`.

    **Raises:** `ModelError` if what is observed of a run hangs on its capacity.
    """
    if growth is not None:
        _check_alike(shared.model)
    for place, part in enumerate(executor.chunks(one_run, shared, rows, size=size, progress=progress)):
        yield part if growth is None else _regrown(shared, rows, size * place, growth, part)


def _regrown(shared: OneRun, rows: Any, first: int, growth: Growth, part: Outcome) -> Outcome:
    """A chunk, which begins with run `first`, in which no run has outgrown its populations but beyond the limit."""
    again = shared
    which = np.flatnonzero(part.needed > 0)
    while (which := _within(again.model, growth, part, which)).size:
        wider = larger(again.model, growth, {name: int(peaks[which].max()) for name, peaks in part.peaks.items()})
        assert wider is not None  # none of them wants more than the limit
        again = OneRun(wider, shared.plugs, shared.record, shared.steps, shared.recompute)
        mine = executor.taken(rows, first + which)
        parts = executor.chunks(one_run, again, mine, size=executor.chunk_size(one_run, again, mine))
        part = jax.tree.map(partial(_replaced, which), part, executor.stack_rows(list(parts)))
        which = which[part.needed[which] > 0]
    return part


def _within(model: Model, growth: Growth, part: Outcome, which: np.ndarray) -> np.ndarray:
    """Those of some runs that wanted no more than the limit, or than there was."""
    if not which.size:
        return which
    slots = rooms(model).slots
    fits = [peaks[which] <= max(growth.limit, slots[name]) for name, peaks in part.peaks.items()]
    return which[np.all(fits, axis=0)]


def _check_alike(model: Model) -> None:
    """What is observed has the same shape with more room."""
    wider = with_capacity(model, {name: slots + 1 for name, slots in capacities(model).items()})
    now, more = shapes(model).observed, shapes(wider).observed
    for name, shape in now.items():
        if shape != more[name]:
            raise ModelError(
                f"observation '{name}' has shape {shape}, and {more[name]} with more room: in an ensemble "
                "that grows, observe what has no agents on its axes, or plan the capacity (plan_capacity)"
            )


def _replaced(which: np.ndarray, before: np.ndarray, after: np.ndarray) -> np.ndarray:
    whole = np.array(before)
    whole[which] = after
    return whole


@dataclass(frozen=True)
class Ensemble(Result):
    """Runs of one model.

    `observations`: name to (parameters, runs, times, ...), empty when reducers were given instead; `reduced`: reducer
    name to observation name to (parameters, ...); `times` (times,); `parameters`: name to (parameters, ...);
    `faulty` (parameters, runs): runs that met a fault or an overflow.
    """

    times: np.ndarray
    parameters: dict[str, np.ndarray]
    observations: dict[str, np.ndarray]
    reduced: dict[str, dict[str, np.ndarray]]
    faulty: np.ndarray

    def sections(self) -> tuple[Section, ...]:
        sets, runs = self.faulty.shape
        rows = [("parameter sets", sets), ("runs each", runs), ("faulty runs", int(self.faulty.sum()))]
        figures = ensemble_figure(self.times, self.observations, self.parameters)
        return (Section("Ensemble", figures=figures, tables=(Table("What was run", ("what", "number"), tuple(rows)),)),)

    def record(self) -> dict[str, Any]:
        return {
            "times": self.times.tolist(),
            "parameters": {k: v.tolist() for k, v in self.parameters.items()},
            "observations": {k: v.tolist() for k, v in self.observations.items()},
            "reduced": {r: {k: v.tolist() for k, v in of.items()} for r, of in self.reduced.items()},
            "faulty": int(self.faulty.sum()),
        }

    def to_xarray(self) -> Any:
        """The observations as an `xarray.Dataset` over set, run and time; the parameters are coordinates of `set`.

        A parameter that is called like an observation gets "(parameter)" behind its name.
        """
        import xarray as xr

        dims = ("set", "run", "time")
        arrays = {k: ((*dims, *(f"{k}_{axis}" for axis in range(3, v.ndim))), v) for k, v in self.observations.items()}
        taken = {*arrays, *dims}
        names = {k: f"{k} (parameter)" if k in taken else k for k in self.parameters}
        sets = {
            names[k]: (("set", *(f"{k}_{axis}" for axis in range(1, v.ndim))), v) for k, v in self.parameters.items()
        }
        return xr.Dataset(arrays, coords={"time": self.times, **sets})


def ensemble(
    model: Model,
    key: Key,
    steps: int,
    *,
    runs: int = 1,
    parameters: Mapping[str, Any] | None = None,
    record: Recording = EveryStep(),
    plugs: tuple[Plug, ...] = (),
    reducers: Sequence[Reducer] = (),
    memory: int | None = None,
    progress: bool | Progress | None = None,
    throw: bool = True,
    growth: Growth | None = None,
) -> Ensemble:
    """Run a model under `runs` keys at each of several parameter sets.

    Every parameter set meets the same keys (common random numbers), so that differences between sets are paired.

    **Arguments:**

    - `runs`: how many keys; key `r` is `fold_in(key, r)`.
    - `parameters`: name to (sets, ...); None for the model as it stands (one set).
    - `reducers`: keep their summaries instead of every run.
    - `memory`: bytes that results held on the device may take; a quarter of the free memory by default.
    - `progress`: show it (True, False, None for where there is a terminal), or a running display.
    - `throw`: raise `FaultError` or `CapacityError` if any run met one; otherwise `faulty` marks them.
    - `growth`: make runs that outgrow their populations again with more room; observations then have no agents on
      their axes.

    **Returns:** an `Ensemble`.
    """
    if runs < 1 or steps < 1:
        raise ModelError(f"an ensemble takes at least one run and one step, not runs={runs}, steps={steps}")
    shared = OneRun(settled(model), plugs, record, steps)
    rows, values, sets = grid_of_runs(shared, key, runs, parameters)
    size = executor.chunk_size(one_run, shared, rows, memory)
    if reducers:
        size = max(len(jax.local_devices()), min(size, -(-runs // len(jax.local_devices())) * len(jax.local_devices())))
    with display(progress) as shown:
        ticker = executor.Ticker(shown, f"runs of {type(model).__name__}", sets * runs)
        kept, reduced, fault, needed = _collect(shared, rows, sets, runs, size, reducers, growth, ticker)
    if throw:
        _raise_for(fault, needed)
    faulty = ((fault != NEVER) | (needed > 0)).reshape(sets, runs)
    return Ensemble(record.times(1, steps), {k: np.asarray(v) for k, v in values.items()}, kept, reduced, faulty)


def grid_of_runs(
    shared: OneRun, key: Key, runs: int, parameters: Mapping[str, Any] | None
) -> tuple[tuple[Key, dict[str, Array]], dict[str, Array], int]:
    """The (keys, parameters) of `runs` keys at each set, set by set; the parameters (sets, ...); how many sets.

    **Raises:** `UnknownParameterError`, `ParameterError`.
    """
    values, sets = _sets(shared.parameters(), parameters)
    keys = jax.vmap(lambda r: jr.fold_in(key, r))(jnp.arange(runs))
    return (jnp.tile(keys, sets), {k: jnp.repeat(v, runs, axis=0) for k, v in values.items()}), values, sets


def _sets(known: Mapping[str, Parameter], given: Mapping[str, Any] | None) -> tuple[dict[str, Array], int]:
    if not given:
        return {}, 1
    values = {}
    for name, value in given.items():
        if name not in known:
            raise UnknownParameterError(f"no parameter '{name}'; {did_you_mean(name, list(known))}")
        values[name] = jnp.asarray(value, jnp.float32)
        shape = jnp.shape(known[name].value)
        if values[name].shape[1:] != shape or values[name].ndim == 0:
            raise ParameterError(f"parameters['{name}'] has shape {values[name].shape}, not (sets, *{shape})")
        bad = [i for i, v in enumerate(np.asarray(values[name])) if not known[name].domain.contains(v)]
        if bad:
            raise ParameterError(f"parameters['{name}'][{bad[0]}] lies outside the domain {known[name].domain}")
    counts = {v.shape[0] for v in values.values()}
    if len(counts) > 1:
        raise ParameterError(f"parameters give different numbers of sets: {sorted(counts)}")
    return values, counts.pop()


def _collect(
    shared: OneRun,
    rows: Any,
    sets: int,
    runs: int,
    size: int,
    reducers: Sequence[Reducer],
    growth: Growth | None,
    ticker: executor.Ticker,
) -> tuple[dict[str, np.ndarray], dict[str, dict[str, np.ndarray]], np.ndarray, np.ndarray]:
    if not reducers:
        parts = list(outcomes(shared, rows, size, growth, ticker))
        out = executor.stack_rows(parts)
        kept = {k: v.reshape(sets, runs, *v.shape[1:]) for k, v in out.observations.items()}
        return kept, {}, out.fault, out.needed
    faults, needs = [], []
    summaries: dict[str, list[dict[str, np.ndarray]]] = {r.name: [] for r in reducers}
    for s in range(sets):
        states = [r.start() for r in reducers]
        mine = jax.tree.map(lambda leaf: leaf[s * runs : (s + 1) * runs], rows)  # noqa: B023
        for part in outcomes(shared, mine, size, growth, ticker):
            states = [r.update(state, part.observations) for r, state in zip(reducers, states, strict=True)]
            faults.append(part.fault)
            needs.append(part.needed)
        for r, state in zip(reducers, states, strict=True):
            summaries[r.name].append(r.finish(state))
    joined = {name: {k: np.stack([row[k] for row in rows_]) for k in rows_[0]} for name, rows_ in summaries.items()}
    return {}, joined, np.concatenate(faults), np.concatenate(needs)


def _raise_for(fault: np.ndarray, needed: np.ndarray) -> None:
    broken = np.flatnonzero(fault != NEVER)
    if broken.size:
        raise FaultError(
            f"{broken.size} of {fault.size} runs gave a site a number outside its domain (the first: run {broken[0]}, "
            f"step {fault[broken[0]]}): run it alone with pop.simulate to see which site, or pass throw=False"
        )
    if needed.max(initial=0) > 0:
        raise CapacityError(
            f"{int((needed > 0).sum())} of {needed.size} runs outgrew their population: use "
            f"capacity={int(needed.max())}"
        )
