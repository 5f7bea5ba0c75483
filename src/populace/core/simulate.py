"""The one driver of time: `init`, then `step` and `observe` in a scan, in stretches that can be stopped and resumed."""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Int

from .._errors import CapacityError, FaultError, ModelError, UnknownSiteError, did_you_mean
from .._results import Result, Section, Table
from .._types import Key, State
from .capacity import shapes
from .draw import Draw
from .growth import Growth, laid, with_room_for, with_room_of
from .model import Model, settled
from .plug import Plug
from .population import overflow
from .record import EveryStep, Recording
from .series import run_figure
from .shapes import same_tree, strong, zeros
from .shards import Shards, Spread, spread
from .site import Frame, Memory

NEVER = 2**31 - 1


class Snapshot(eqx.Module):
    """A run at rest: all that is needed to go on. Continued with the same key it goes on bit for bit as if it had
    never stopped; with another key it is a fork.
    """

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
        if not len(self.times):
            return (Section("Run", text=("Nothing was recorded in these steps.",)),)
        rows = []
        for name, series in self.observations.items():
            flat = np.asarray(series, np.float64).reshape(len(self.times), -1).sum(-1)
            rows.append((name, *(float(v) for v in (flat[0], flat.min(), flat.max(), flat[-1]))))
        columns = ("observation", "first", "smallest", "largest", "last")
        table = Table(f"{len(self.times)} observations, to step {self.times[-1]}", columns, tuple(rows))
        return (Section("Run", figures=run_figure(self.times, self.observations), tables=(table,)),)

    def record(self) -> dict[str, Any]:
        series = {name: _plain(np.asarray(values).tolist()) for name, values in self.observations.items()}
        return {"times": self.times.tolist(), "observations": series, "faults": self.faults}

    def to_xarray(self) -> Any:
        """The observations as an `xarray.Dataset` over `time`."""
        import xarray as xr

        arrays = {
            name: (("time", *(f"{name}_{axis}" for axis in range(1, values.ndim))), np.asarray(values))
            for name, values in self.observations.items()
        }
        return xr.Dataset(arrays, coords={"time": self.times})


def _plain(values: Any) -> Any:
    """Nested lists with None for what is not finite, which JSON cannot say."""
    if isinstance(values, list):
        return [_plain(value) for value in values]
    return values if np.isfinite(values) else None


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
    shards: Shards | None = None,
    growth: Growth | None = None,
) -> Run:
    """Run a model once.

    **Arguments:**

    - `model`: the rules, with their parameters.
    - `key`: the run's key. Every number is folded from (key, step, site), so the same key gives the same run.
    - `steps`: how many steps; observations are made after each.
    - `record`: what to keep of the observations.
    - `plugs`: what stands around sites (interventions, policies, recorders); the first has the last word.
    - `start`: go on from the snapshot of an earlier run instead of from `init`; the plugs may be others (a fork).
    - `chunk`: compile and run this many steps at a time (memory of the kept rows, not of the result, is bounded by it).
    - `throw`: raise on a fault or an overflow; otherwise they are data on the run.
    - `shards`: split the agents over devices, for one population that is large; the run is the same.
    - `growth`: let populations outgrow their capacity; `chunk` says how much is run again when one does.

    **Returns:** a `Run`.

    **Raises:** `SiteError`, `UnknownSiteError`, `StateError` when the model is traced; `FaultError`, `CapacityError`
    after the run.
    """
    if steps < 1 or (chunk is not None and chunk < 1):
        raise ModelError(f"a run takes at least one step, and a chunk too: not steps={steps}, chunk={chunk}")
    model = settled(model)
    if growth is not None and shards is not None:
        raise ModelError("a population over several devices cannot grow: plan its capacity (plan_capacity)")
    if growth is not None and start is not None:
        model = with_room_of(model, start.state)
    if shards is not None:
        model = _spread(model, key, plugs, shards)
        start = None if start is None else model.placed(start)
    here, flags = _begin(model, key, plugs) if start is None else (_ready(model, key, start, plugs), {})
    going = _Going(here, None if chunk is None else _first_carry(model, here, record), _early(flags))
    first = int(here.time) + 1
    while going.done < steps:
        n = min(chunk or steps, steps - going.done)
        after, carry, stacked, tape, flags = _stretch(model, key, going.here, going.carry, record, plugs, n)
        wider = None if growth is None else with_room_for(model, growth, after.state)
        if wider is None:
            kept = record.collect(carry, stacked, first + going.done, n)
            going.add(after, carry, kept, record.times(first + going.done, n), tape, flags)
            continue
        fresh, flags = _begin(wider, key, plugs)
        if _goes_on(model, wider, going, tape):
            going.here = laid(going.here, fresh)
        else:
            here = fresh if start is None else laid(here, fresh)
            early = _early(flags) if start is None else {}
            going = _Going(here, None if chunk is None else _first_carry(wider, here, record), early)
        model = wider
    joined = jax.tree.map(lambda *parts: jnp.concatenate(parts), *going.tapes)
    times = going.times if going.rows[-1] is not None else going.times[-1:]
    run = Run(np.concatenate(times), record.finish(going.carry, going.rows), going.here, going.faults, joined)
    if throw:
        raise_for(run)
    return run


@dataclass
class _Going:
    """A run on its way: where it is, what is carried, the faults so far, and what it keeps, a stretch an entry."""

    here: Snapshot
    carry: Any
    faults: dict[str, int]
    rows: list[Any] = field(default_factory=list)
    times: list[np.ndarray] = field(default_factory=list)
    tapes: list[Any] = field(default_factory=list)
    done: int = 0

    def add(
        self, after: Snapshot, carry: Any, kept: Any, times: np.ndarray, tape: Any, flags: Mapping[str, Array]
    ) -> None:
        """Go on to the end of a stretch."""
        self.rows.append(kept)
        self.times.append(times)
        self.tapes.append(tape)
        for path, at in flags.items():
            if int(at) != NEVER:
                self.faults.setdefault(path, int(at))
        self.done += int(after.time) - int(self.here.time)
        self.here, self.carry = after, carry


def _early(flags: Mapping[str, Array]) -> dict[str, int]:
    """The faults of `init`, at step 0."""
    return {path: 0 for path, wrong in flags.items() if bool(wrong)}


def _goes_on(model: Model, wider: Model, going: _Going, tape: Any) -> bool:
    """Whether a run goes on from where it is with more room, and not from its start: what it keeps has no agents on its
    axes, and nobody was lost yet.
    """
    same = shapes(model).observed == shapes(wider).observed
    return same and not jax.tree.leaves(tape) and not overflow(going.here.state)


def _spread(model: Model, key: Key, plugs: tuple[Plug, ...], shards: Shards) -> Spread:
    """The model on its devices; what its populations are, its sites say, which takes a trace of a step."""
    first, later = Frame(), Frame()

    def once(key: Key) -> State:
        state = first_state(model, key, plugs, first)
        next_state(model, key, jnp.int32(1), state, plugs, later)
        return state

    state = jax.eval_shape(once, key)
    listed = [*first.listed.values(), *later.listed.values()]
    return spread(model, shards, [site.shape for site in listed], state)


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
    return _begin(settled(model), key, plugs)[0]


@eqx.filter_jit
def _begin(model: Model, key: Key, plugs: tuple[Plug, ...]) -> tuple[Snapshot, dict[str, Array]]:
    return initial(model, key, plugs)


def initial(
    model: Model, key: Key, plugs: tuple[Plug, ...], frame: Frame | None = None
) -> tuple[Snapshot, dict[str, Array]]:
    """`begin` inside a trace, with the faults of `init`. Discovers what memory the policies carry.

    **Arguments:** `frame`: gets the tape of `init`, and hands values in.
    """
    frame = Frame() if frame is None else frame
    state = first_state(model, key, plugs, frame)
    memory = _discover(model, key, state, plugs, set(frame.listed)) if plugs else {}
    return Snapshot(state, memory, jnp.int32(0)), frame.faults


def first_state(model: Model, key: Key, plugs: tuple[Plug, ...], frame: Frame) -> State:
    """What `init` makes, as strong arrays."""
    draw = Draw(jr.fold_in(key, 0), 0, plugs=plugs, frame=frame)
    state = jax.tree.map(strong, model.init(draw))
    draw.close()
    return state


def _discover(model: Model, key: Key, state: State, plugs: tuple[Plug, ...], listed: set[str]) -> dict[str, Memory]:
    """What the plugs remember from step to step, not started. `listed`: the sites of `init`."""

    def once(state: State) -> dict[str, Memory]:
        frame = Frame()
        next_state(model, jr.fold_in(key, 1), jnp.int32(1), state, plugs, frame)
        listed.update(frame.listed)
        return frame.memory_after

    shapes = jax.eval_shape(once, state)
    _check_known(plugs, listed)
    return zeros(shapes)


@eqx.filter_jit
def _ready(model: Model, key: Key, start: Snapshot, plugs: tuple[Plug, ...]) -> Snapshot:
    """A snapshot with the memory that these plugs need: its own where it fits, else memory that starts anew."""
    if not plugs:
        return Snapshot(start.state, {}, start.time)
    frame = Frame()
    jax.eval_shape(lambda: first_state(model, key, plugs, frame))
    needed = _discover(model, key, start.state, plugs, set(frame.listed))
    same = {path for path, fresh in needed.items() if path in start.memory and _alike(fresh, start.memory[path])}
    memory = {path: start.memory[path] if path in same else fresh for path, fresh in needed.items()}
    return Snapshot(start.state, memory, start.time)


def _alike(one: Any, other: Any) -> bool:
    if jax.tree.structure(one) != jax.tree.structure(other):
        return False
    pairs = zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    return all(a.shape == b.shape and a.dtype == b.dtype for a, b in pairs)


def _check_known(plugs: tuple[Plug, ...], listed: set[str]) -> None:
    for plug in plugs:
        for path in plug.sites():
            if path not in listed:
                raise UnknownSiteError(
                    f"{type(plug).__name__}: the model has no site '{path}'; {did_you_mean(path, sorted(listed))}"
                )


def next_state(model: Model, key: Key, time: Array, state: State, plugs: tuple[Plug, ...], frame: Frame) -> State:
    """The state after a step, checked to be shaped as it was."""
    frame.state = state
    draw = Draw(key, time, plugs=plugs, frame=frame)
    after = model.step(draw, state)
    draw.close()
    return same_tree(f"{type(model).__name__}.step", "state", state, after)


def onward(model: Model, key: Key, here: Snapshot, plugs: tuple[Plug, ...]) -> tuple[Snapshot, Frame]:
    """One step inside a trace, of a run with this key; the frame holds its tape and its faults."""
    time = here.time + 1
    frame = Frame(memory=here.memory)
    state = next_state(model, jr.fold_in(key, time), time, here.state, plugs, frame)
    return Snapshot(state, {**here.memory, **frame.memory_after}, time), frame


class Recompute(eqx.Module):
    """What a reverse derivative through a run keeps: states, and of each step nothing, which is computed again.

    `segments`: with more than one, only the states between so many stretches are kept and each stretch is run again
    when its turn comes: memory for T / segments + segments states, least at the root of T, for one more forward run.
    """

    segments: int = eqx.field(static=True, default=1)


def advance(
    model: Model,
    key: Key,
    here: Snapshot,
    plugs: tuple[Plug, ...],
    carry: Any,
    record: Recording,
    steps: int,
    recompute: Recompute | None = None,
) -> tuple[Snapshot, Any, Any, dict[str, Any], dict[str, Array]]:
    """`steps` steps inside a trace: snapshot, recording's carry, stacked rows, tape, and faults (first step each).

    This is the only scan over time. `recompute`: what a reverse derivative keeps of it; None: everything.
    """
    if carry is None:
        carry = start_recording(model, here, record)

    def one(loop: tuple[State, Any, Any], time: Array) -> Any:
        state, memory, carry = loop
        after, frame = onward(model, key, Snapshot(state, memory, time - 1), plugs)
        carry, row = record.emit(carry, time, model.observe(after.state))
        return (after.state, after.memory, carry), (row, frame.tape, frame.faults)

    times = here.time + 1 + jnp.arange(steps, dtype=jnp.int32)
    start = (here.state, here.memory, carry)
    (state, memory, carry), (rows, tape, flags) = _scanned(one, start, times, recompute)
    faults = OrderedDict((path, jnp.where(wrong, times, NEVER).min()) for path, wrong in flags.items())
    return Snapshot(state, memory, times[-1]), carry, rows, tape, faults


def _scanned(one: Callable[..., Any], start: Any, times: Array, recompute: Recompute | None) -> Any:
    """The scan, in stretches of equal length and a shorter last one where they are to be run again."""
    if recompute is None:
        return jax.lax.scan(one, start, times)
    step = jax.checkpoint(one, prevent_cse=False)
    length = -(-times.size // max(1, recompute.segments))
    whole = times.size // length
    if whole <= 1:
        return jax.lax.scan(step, start, times)

    def stretch(carry: Any, times: Array) -> Any:
        return jax.lax.scan(step, carry, times)

    first, rest = times[: whole * length].reshape(whole, length), times[whole * length :]
    carry, kept = jax.lax.scan(jax.checkpoint(stretch, prevent_cse=False), start, first)
    kept = jax.tree.map(lambda leaf: leaf.reshape(whole * length, *leaf.shape[2:]), kept)
    if not rest.size:
        return carry, kept
    carry, last = stretch(carry, rest)
    return carry, jax.tree.map(lambda a, b: jnp.concatenate([a, b]), kept, last)


def first_fault(early: Mapping[str, Array], late: Mapping[str, Array]) -> Int[Array, ""]:
    """The step of a run's first fault, `NEVER` for none, of the flags of `initial` and the steps of `advance`."""
    at = [jnp.where(wrong, 0, NEVER) for wrong in early.values()] + list(late.values())
    return jnp.stack(at).min() if at else jnp.int32(NEVER)


def start_recording(model: Model, here: Snapshot, record: Recording) -> Any:
    """The recording's carry before the first step."""
    return jax.tree.map(strong, record.start(jax.eval_shape(model.observe, here.state)))


_first_carry = eqx.filter_jit(start_recording)


@eqx.filter_jit
def _stretch(
    model: Model, key: Key, here: Snapshot, carry: Any, record: Recording, plugs: tuple[Plug, ...], steps: int
) -> tuple[Snapshot, Any, Any, dict[str, Any], dict[str, Array]]:
    return advance(model, key, here, plugs, carry, record, steps)
