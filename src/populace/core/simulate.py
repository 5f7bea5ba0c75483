"""The one driver of time: `init`, then `step` and `observe` in a scan, in stretches that can be stopped and resumed."""

from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Int

from .._errors import CapacityError, FaultError, ModelError, StateError, UnknownSiteError, did_you_mean
from .._results import Result, Section, Table
from .._types import Key, State
from .draw import Draw
from .model import Model
from .plug import Plug
from .population import overflow
from .record import EveryStep, Recording
from .site import Frame

NEVER = 2**31 - 1


class Snapshot(eqx.Module):
    """A run at rest: all that is needed to go on. Continued with the same key it goes on bit for bit as if it had
    never stopped; with another key it is a fork."""

    state: State
    memory: dict[str, Any]
    time: Int[Array, ""]


@dataclass(frozen=True)
class Run(Result):
    """A finished simulation.

    `times` (rows,): the steps observed; `observations`: name to (rows, ...); `final`: the `Snapshot` at the end;
    `faults`: site path to the first step at which it was given a number outside its domain (empty when all is well);
    `tape`: what plugs put on the tape, site path to a tree with steps on the leading axis.
    """

    times: np.ndarray
    observations: dict[str, Array]
    final: Snapshot
    faults: dict[str, int]
    tape: dict[str, Any]

    def sections(self) -> tuple[Section, ...]:
        rows = []
        for name, series in self.observations.items():
            flat = np.asarray(series, np.float64).reshape(len(self.times), -1).sum(-1)
            rows.append((name, *(float(v) for v in (flat[0], flat.min(), flat.max(), flat[-1]))))
        columns = ("observation", "first", "smallest", "largest", "last")
        table = Table(f"{len(self.times)} observations, to step {self.times[-1]}", columns, tuple(rows))
        return (Section("Run", tables=(table,)),)

    def record(self) -> dict[str, Any]:
        series = {name: np.asarray(values).tolist() for name, values in self.observations.items()}
        return {"times": self.times.tolist(), "observations": series, "faults": self.faults}

    def to_xarray(self) -> Any:
        """The observations as an `xarray.Dataset` over `time`."""
        import xarray as xr

        arrays = {
            name: (("time", *(f"{name}_{axis}" for axis in range(1, values.ndim))), np.asarray(values))
            for name, values in self.observations.items()
        }
        return xr.Dataset(arrays, coords={"time": self.times})


def simulate(
    model: Model,
    key: Key,
    steps: int,
    *,
    record: Recording = EveryStep(),
    plugs: tuple[Plug, ...] = (),
    start: Snapshot | None = None,
    chunk: int | None = None,
    throw: bool = True,
) -> Run:
    """Run a model once.

    **Arguments:**

    - `model`: the rules, with their parameters.
    - `key`: the run's key. Every number is folded from (key, step, site), so the same key gives the same run.
    - `steps`: how many steps; observations are made after each.
    - `record`: what to keep of the observations.
    - `plugs`: what stands around sites (interventions, policies, recorders); the first has the last word.
    - `start`: go on from the snapshot of an earlier run instead of from `init`.
    - `chunk`: compile and run this many steps at a time (memory of the kept rows, not of the result, is bounded by it).
    - `throw`: raise on a fault or an overflow; otherwise they are data on the run.

    **Returns:** a `Run`.

    **Raises:** `SiteError`, `UnknownSiteError`, `StateError` when the model is traced; `FaultError`, `CapacityError`
    after the run.
    """
    if steps < 1:
        raise ModelError(f"steps is {steps}: a run takes at least one step")
    here, flags = _begin(model, key, plugs) if start is None else (start, {})
    faults = {path: 0 for path, wrong in flags.items() if bool(wrong)}
    first = int(here.time) + 1
    carry, rows, times, tapes = None, [], [], []
    done = 0
    while done < steps:
        n = min(chunk or steps, steps - done)
        here, carry, stacked, tape, flags = _stretch(model, key, here, carry, record, plugs, n)
        rows.append(record.collect(carry, stacked, first + done, n))
        tapes.append(tape)
        times.append(record.times(first + done, n))
        for path, at in flags.items():
            if int(at) != NEVER:
                faults.setdefault(path, int(at))
        done += n
    joined = jax.tree.map(lambda *parts: jnp.concatenate(parts), *tapes)
    kept = times if rows[-1] is not None else times[-1:]
    run = Run(np.concatenate(kept), record.finish(carry, rows), here, faults, joined)
    if throw:
        raise_for(run)
    return run


def raise_for(run: Run) -> None:
    """Raise what went wrong in a run that was made with `throw=False`."""
    if run.faults:
        path, at = min(run.faults.items(), key=lambda item: item[1])
        raise FaultError(
            f"site '{path}' was given a number outside its domain (a NaN, a probability above 1, a negative rate) "
            f"first at step {at}: mask agents that should not draw with where=, or mend the formula"
        )
    need = overflow(run.final.state)
    if need:
        raise CapacityError("; ".join(f"{where} needed room for {n} agents: give it capacity={n}" for where, n in need))


def begin(model: Model, key: Key, plugs: tuple[Plug, ...] = ()) -> Snapshot:
    """The state at time 0, before any step."""
    return _begin(model, key, plugs)[0]


@eqx.filter_jit
def _begin(model: Model, key: Key, plugs: tuple[Plug, ...]) -> tuple[Snapshot, dict[str, Array]]:
    return initial(model, key, plugs)


def initial(model: Model, key: Key, plugs: tuple[Plug, ...]) -> tuple[Snapshot, dict[str, Array]]:
    """`begin` inside a trace, with the faults of `init`. Discovers what memory the policies carry."""
    frame = Frame()
    draw = Draw(jr.fold_in(key, 0), 0, plugs=plugs, frame=frame)
    state = jax.tree.map(_strong, model.init(draw))
    draw.close()
    listed = set(frame.listed)

    def discover(state: State) -> dict[str, Any]:
        inner = Frame()
        _step(model, jr.fold_in(key, 1), jnp.int32(1), state, plugs, inner)
        listed.update(inner.listed)
        return inner.memory_after

    shapes = jax.eval_shape(discover, state) if plugs else {}
    _check_known(plugs, listed)
    memory = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
    return Snapshot(state, memory, jnp.int32(0)), frame.faults


def _check_known(plugs: tuple[Plug, ...], listed: set[str]) -> None:
    for plug in plugs:
        for path in plug.sites():
            if path not in listed:
                raise UnknownSiteError(
                    f"{type(plug).__name__}: the model has no site '{path}'; {did_you_mean(path, sorted(listed))}"
                )


def _strong(leaf: Any) -> Array:
    leaf = jnp.asarray(leaf)
    return jax.lax.convert_element_type(leaf, leaf.dtype)


def _step(model: Model, key: Key, time: Array, state: State, plugs: tuple[Plug, ...], frame: Frame) -> State:
    draw = Draw(key, time, plugs=plugs, frame=frame)
    after = model.step(draw, state)
    draw.close()
    return _same(type(model).__name__, state, after)


def _same(owner: str, before: State, after: State) -> State:
    """The state after a step, checked to be shaped as it was."""
    if jax.tree.structure(before) != jax.tree.structure(after):
        raise StateError(
            f"{owner}.step returns another structure than it was given: "
            f"{jax.tree.structure(after)} instead of {jax.tree.structure(before)}"
        )

    def one(path: Any, old: Array, new: Any) -> Array:
        new = jnp.asarray(new)
        if new.shape != old.shape or (new.dtype != old.dtype and not new.weak_type):
            raise StateError(
                f"{owner}.step changes state{jax.tree_util.keystr(path)} from {old.dtype}{list(old.shape)} "
                f"to {new.dtype}{list(new.shape)}: make `init` and `step` agree (cast with .astype)"
            )
        return new.astype(old.dtype)

    return jax.tree_util.tree_map_with_path(one, before, after)


def advance(
    model: Model, key: Key, here: Snapshot, plugs: tuple[Plug, ...], carry: Any, record: Recording, steps: int
) -> tuple[Snapshot, Any, Any, dict[str, Any], dict[str, Array]]:
    """`steps` steps inside a trace: snapshot, recording's carry, stacked rows, tape, and faults (first step each).

    This is the only scan over time.
    """
    if carry is None:
        carry = jax.tree.map(_strong, record.start(jax.eval_shape(model.observe, here.state)))

    def one(loop: tuple[State, Any, Any], time: Array) -> Any:
        state, memory, carry = loop
        frame = Frame(memory=memory, first=time == 1)
        state = _step(model, jr.fold_in(key, time), time, state, plugs, frame)
        carry, row = record.emit(carry, time, model.observe(state))
        return (state, {**memory, **frame.memory_after}, carry), (row, frame.tape, frame.faults)

    times = here.time + 1 + jnp.arange(steps, dtype=jnp.int32)
    (state, memory, carry), (rows, tape, flags) = jax.lax.scan(one, (here.state, here.memory, carry), times)
    faults = {path: jnp.where(wrong, times, NEVER).min() for path, wrong in flags.items()}
    return Snapshot(state, memory, times[-1]), carry, rows, tape, faults


@eqx.filter_jit
def _stretch(
    model: Model, key: Key, here: Snapshot, carry: Any, record: Recording, plugs: tuple[Plug, ...], steps: int
) -> tuple[Snapshot, Any, Any, dict[str, Any], dict[str, Array]]:
    return advance(model, key, here, plugs, carry, record, steps)


@dataclass(frozen=True)
class Sites(Result):
    """A model's sites, in the order in which they are drawn."""

    model: str
    rows: tuple[tuple[str, str, str, tuple[int, ...], int, str], ...]

    def __str__(self) -> str:
        lines = [f"sites of {self.model}"]
        for phase, path, kind, shape, repeats, note in self.rows:
            times = f" x {repeats}" if repeats > 1 else ""
            lines.append(f"  {phase:<5} {path:<24} {kind:<12} {shape}{times}{'  ' + note if note else ''}")
        return "\n".join(lines)

    def sections(self) -> tuple[Section, ...]:
        columns = ("when", "site", "kind", "population", "draws a step", "gradient")
        rows = tuple((when, path, kind, str(shape), n, note) for when, path, kind, shape, n, note in self.rows)
        return (Section(f"Sites of {self.model}", tables=(Table("Sites", columns, rows),)),)

    def record(self) -> dict[str, Any]:
        keys = ("when", "site", "kind", "population", "repeats", "gradient")
        return {"model": self.model, "sites": [dict(zip(keys, (*r[:3], list(r[3]), *r[4:]), strict=True)) for r in self.rows]}
