"""Runs that are made one at a time outside this process: what their simulators share, wherever they run.

A batch becomes jobs; a runner makes them, a few at once; one that failed by chance is tried again; what became of all
of them is put together as a batch, in the order asked for, and what the failed ones printed is kept.
"""

import abc
import hashlib
import json
import math
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from .._errors import SimulatorError
from .._files import atomic_write
from .._types import Key, Parameters
from ..core.domain import real
from ..core.executor import Ticker
from ..core.host import room, taken
from ..core.model import Parameter
from ..problem.rows import split
from ..problem.simulators import Batch, Simulator, assemble
from ..problem.simulators import Callable as CallableSimulator
from .limits import Limits
from .worker import Job, Outcome, Seeded, hung

LOGS = 1000
"""Logs that a folder takes: when half of the prior fails, the first thousand tell why."""

Handle = TypeVar("Handle")
Heard = Callable[[int, Outcome], None]
"""Is told what became of a run, by its place among those asked for, as soon as it has ended."""

_bits = jax.jit(jax.vmap(jr.bits))


class RunByRun(Simulator):
    """A simulator that makes a run from numbers and a whole number alone: what a worker anywhere can be given."""

    @abc.abstractmethod
    def one(self) -> Seeded:
        """One run of it. It can be pickled, and needs no JAX."""


class OutOfProcess(Simulator):
    """A simulator whose runs end one by one, in any order, so that each can be stored when it has ended.

    Two methods in place of `simulate`; `logs`: the folder for what failed runs printed, if any.
    """

    logs: eqx.AbstractVar[Path | None]

    def simulate(self, parameters: Parameters, keys: Key, ticker: Ticker) -> Batch:
        wanted = jobs(parameters, keys)
        return put_together(wanted, self.outcomes(wanted, ticker, unheard), self.logs)

    @abc.abstractmethod
    def outcomes(self, wanted: list[Job], ticker: Ticker, heard: Heard) -> list[Outcome]:
        """What became of each job, in order; `heard` is called for each when it has ended."""

    @abc.abstractmethod
    def in_hand(self) -> int:
        """How many runs are sent and not done at a time, at most."""


class OfFunction(OutOfProcess):
    """The same, of a Python function or a simulator that runs one by one, whose parameters and description it has."""

    function: eqx.AbstractVar[Callable[..., Any] | Simulator]

    def parameters(self) -> Mapping[str, Parameter]:
        return simulator_of(self.function).parameters()

    def describe(self) -> dict[str, Any]:
        return simulator_of(self.function).describe()


def function_of(what: Callable[..., Any] | Simulator) -> Callable[..., Any]:
    """What a worker is to call.

    **Raises:** `SimulatorError` for a simulator that does not run one by one.
    """
    if isinstance(what, RunByRun):
        return what.one()
    if isinstance(what, CallableSimulator):
        return what.function
    if isinstance(what, Simulator) or not callable(what):
        raise SimulatorError(
            f"a {type(what).__name__} cannot run elsewhere run by run: give a function (parameters, key) -> "
            "observations; a model runs fastest as pop.Simulation, here"
        )
    return what


def simulator_of(what: Callable[..., Any] | Simulator) -> Simulator:
    """The same in this process: whose parameters and description it has, wherever it runs."""
    return what if isinstance(what, Simulator) else CallableSimulator(what)


def numbers(values: Mapping[str, float]) -> dict[str, Parameter]:
    """Parameters that any number will do for, with the values that they have where none is given."""
    return {name: Parameter(name, jnp.asarray(v, jnp.float32), "", real, "") for name, v in values.items()}


def jobs(parameters: Parameters, keys: Key) -> list[Job]:
    """A job a run."""
    words = np.asarray(jr.key_data(keys))
    seeds = np.asarray(_bits(taken(keys, np.minimum(np.arange(room(len(words))), len(words) - 1))))
    generator = str(jr.key_impl(keys))
    rows = split(parameters, len(words))
    return [Job(row, words[i], generator, int(seeds[i])) for i, row in enumerate(rows)]


class Runner(abc.ABC, Generic[Handle]):
    """Where runs are made. Four methods."""

    @abc.abstractmethod
    def submit(self, job: Job) -> Handle:
        """Have a run made, soon."""

    @abc.abstractmethod
    def wait(self, handles: list[Handle]) -> list[Handle]:
        """Some that are done; it may return none, to be asked again."""

    @abc.abstractmethod
    def outcome(self, handle: Handle) -> Outcome | None:
        """What became of one that is done; None when it never began, through no doing of its own."""

    @abc.abstractmethod
    def abandon(self) -> None:
        """End whatever is under way, at once."""


@dataclass(frozen=True)
class Patience:
    """How runs are sent: `in_flight` at most that are not done; `retries`: times more where it failed by chance."""

    in_flight: int
    retries: int


def run_all(runner: Runner[Any], wanted: list[Job], patience: Patience, ticker: Ticker, heard: Heard) -> list[Outcome]:
    """What became of each job, in order. When it is interrupted, what is under way is ended first."""
    waiting = deque(range(len(wanted)))
    tried: list[list[Outcome]] = [[] for _ in wanted]
    flying: dict[Any, tuple[int, float]] = {}
    done: dict[int, Outcome] = {}
    try:
        while waiting or flying:
            while waiting and len(flying) < patience.in_flight:
                i = waiting.popleft()
                flying[runner.submit(wanted[i])] = i, time.monotonic()
            for handle in runner.wait(list(flying)):
                i, sent = flying.pop(handle)
                out = runner.outcome(handle)
                if out is not None:
                    took = time.monotonic() - sent if math.isnan(out.seconds) else out.seconds
                    tried[i].append(replace(out, seconds=took))
                if out is None or (out.chance and len(tried[i]) <= patience.retries):
                    waiting.appendleft(i)
                else:
                    done[i] = _last(tried[i])
                    heard(i, done[i])
                    ticker.advance(1)
    except BaseException:
        runner.abandon()
        raise
    return [done[i] for i in range(len(wanted))]


def unheard(place: int, out: Outcome) -> None:
    """Where all are waited for."""


def _last(tried: list[Outcome]) -> Outcome:
    """The last of the attempts, with what all of them printed."""
    last = tried[-1]
    if len(tried) == 1:
        return last
    output = "\n".join(f"--- attempt {i}: {o.failure or 'it came back'}\n{o.output}" for i, o in enumerate(tried, 1))
    again = f", in the last of {len(tried)} attempts" if last.failure else ""
    return replace(last, failure=last.failure + again, output=output)


def put_together(wanted: list[Job], outcomes: list[Outcome], logs: Path | None) -> Batch:
    """The batch; and a log in the folder for each run that cannot be used.

    **Raises:** as `assemble`; the logs are written before.
    """
    failures = [out.failure for out in outcomes]
    told = tuple(failures)
    try:
        batch = assemble([out.row for out in outcomes], failures)
        told = batch.why()
    finally:
        if logs is not None:
            _keep(logs, wanted, outcomes, told)
    return batch


def _keep(logs: Path, wanted: list[Job], outcomes: list[Outcome], told: Sequence[str]) -> None:
    """A file for each run that is told to have failed, while there is room."""
    if not any(told):
        return
    logs.mkdir(parents=True, exist_ok=True)
    left = max(0, LOGS - sum(1 for _ in logs.glob("*.log")))
    for i in [i for i, why in enumerate(told) if why][:left]:
        job, out = wanted[i], outcomes[i]
        given = {"parameters": {k: np.asarray(v).tolist() for k, v in job.parameters.items()}, "seed": job.seed}
        given["key"] = job.words.tolist()
        head = json.dumps(given)
        name = hashlib.sha256(head.encode()).hexdigest()[:12]
        atomic_write(logs / f"run-{name}.log", f"{told[i]}\n{head}\n\n{out.output}".encode())


def check_settings(
    *, limits: Limits, retries: int, together: Mapping[str, int], logs: str | Path | None
) -> Path | None:
    """The folder of logs as a path.

    **Arguments:** `together`: how many at once, by the name of the setting.

    **Raises:** `SimulatorError` for a setting that makes no sense.
    """
    for name, value in {"time_limit": limits.seconds, "memory_limit": limits.memory}.items():
        if not (value > 0 and math.isfinite(value)):
            raise SimulatorError(f"{name} is a number above 0, not {value!r}")
    for name, value in together.items():
        if isinstance(value, bool) or value != int(value) or value < 1:
            raise SimulatorError(f"{name} is a whole number from 1, not {value!r}")
    if isinstance(retries, bool) or retries != int(retries) or retries < 0:
        raise SimulatorError(f"retries is a whole number from 0, not {retries!r}")
    return None if logs is None else Path(logs)


def dead(output: str, status: str, limits: Limits) -> Outcome:
    """What became of a run whose process ended under it: `status` says how, `output` what it had printed."""
    return Outcome(None, limits.too_long() if hung(output) else status, chance=True, output=output)


def pickled(dumps: Callable[[Any], bytes], function: Callable[..., Any]) -> bytes:
    """A function as bytes.

    **Raises:** `SimulatorError` for one that cannot be sent.
    """
    try:
        return dumps(function)
    except Exception as error:
        raise SimulatorError(
            f"the function cannot be sent to a worker ({type(error).__name__}: {error}): let it open files, locks and "
            "connections itself, when it is called"
        ) from error
