"""What happens in a worker: a process that was started to make runs of one Python function.

Nothing here imports JAX: a function of a whole number starts without it, one of a key loads it when it is first called.
"""

import contextlib
import faulthandler
import functools
import multiprocessing.util
import os
import pickle
import platform
import shutil
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..problem.rows import Row, attempt, raised

OUTPUT = 20_000
"""Characters of a run's output that are kept, the last ones."""


class Seeded:
    """A function `(parameters, seed) -> observations` of a whole number, for where one of a key is expected.

    The number is `int(jax.random.bits(key))`, between 0 and 2^32. It is a function `(parameters, key)` itself, and
    stands wherever one does; in a worker process it saves loading JAX.
    """

    def __init__(self, function: Callable[[dict[str, Any], int], Mapping[str, Any]]):
        functools.update_wrapper(self, function, updated=())
        self.function = function

    def __call__(self, parameters: dict[str, Any], key: Any) -> Mapping[str, Any]:
        import jax

        return self.function(parameters, int(jax.random.bits(key)))


@dataclass(frozen=True)
class Job:
    """One run to be made: its parameters; its key, as the words and the name of the generator; the key's bits."""

    parameters: dict[str, Any]
    words: np.ndarray
    generator: str
    seed: int


@dataclass(frozen=True)
class Outcome:
    """What became of a run.

    `row`: its observations, or None; `failure`: why there are none, a sentence; `chance`: it may be otherwise another
    time; `output`: the end of what it printed, with the traceback; `seconds` it took, NaN where its process died.
    """

    row: Row | None
    failure: str = ""
    chance: bool = False
    output: str = ""
    seconds: float = float("nan")


class RunFailed(Exception):
    """A run that cannot be used, for a reason that is known: see `Outcome`."""

    def __init__(self, failure: str, *, chance: bool = False, output: str = ""):
        super().__init__(failure)
        self.failure, self.chance, self.output = failure, chance, output


def outcome(function: Callable[..., Any], job: Job) -> Outcome:
    """Make the run."""
    began = time.perf_counter()
    try:
        if isinstance(function, Seeded):
            row, error = attempt(function.function, job.parameters, job.seed)
        else:
            row, error = attempt(function, job.parameters, _key(job))
    except SystemExit as ended:
        row, error = None, ended
    seconds = time.perf_counter() - began
    if isinstance(error, RunFailed):
        return Outcome(None, error.failure, error.chance, error.output, seconds)
    if error is not None:
        return Outcome(None, raised(error), output=_traced(error), seconds=seconds)
    return Outcome(row, seconds=seconds)


def _traced(error: BaseException) -> str:
    """The traceback from the user's function on."""
    where = error.__traceback__
    while where is not None and where.tb_frame.f_code.co_filename in (__file__, attempt.__code__.co_filename):
        where = where.tb_next
    return "".join(traceback.format_exception(type(error), error, where))


def _key(job: Job) -> Any:
    import jax

    return jax.random.wrap_key_data(jax.numpy.asarray(job.words), impl=job.generator)


@contextlib.contextmanager
def captured(file: Path) -> Iterator[None]:
    """What this process and its children print goes to the end of a file instead, also if the process crashes."""
    flush()
    kept = [os.dup(stream) for stream in (1, 2)]
    log = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    try:
        for stream in (1, 2):
            os.dup2(log, stream)
        yield
    finally:
        flush()
        for stream, old in zip((1, 2), kept, strict=True):
            os.dup2(old, stream)
        for number in (log, *kept):
            os.close(number)


def flush() -> None:
    """Write out what is printed and not yet written."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()


def tail(file: Path) -> str:
    """The end of what was printed to a file; nothing where there is none."""
    if not file.exists():
        return ""
    with file.open("rb") as stream:
        stream.seek(max(0, file.stat().st_size - OUTPUT))
        return stream.read().decode("utf-8", errors="replace")


def made(function: Callable[..., Any], job: Job, log: Path, seconds: float) -> Outcome:
    """Make the run with its output in a file, and end this process when it takes too long.

    The clock is the interpreter's own thread, which needs no lock of Python's: it also ends a run that hangs in
    compiled code, after it has written to the file where the run hung.
    """
    with captured(log):
        faulthandler.dump_traceback_later(seconds, exit=True, file=2)
        try:
            out = outcome(function, job)
        finally:
            faulthandler.cancel_dump_traceback_later()
    printed = tail(log)
    log.unlink()
    return replace(out, output=(printed + out.output)[-OUTPUT:])


def hung(output: str) -> bool:
    """Whether a dead worker's output says that `made` ended it."""
    return "Timeout (" in output


# A worker process of a pool: `begin` when it starts, `work` for each run.

_function: list[Callable[..., Any]] = []
_broken: list[Outcome] = []


def begin(function: bytes, environment: dict[str, str], folder: str) -> None:
    """Load the function. What prevents it is told by each run."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.setpgid(0, 0)  # so that all it starts ends with it, and is counted with it
    threading.Thread(target=_follow, args=(os.getppid(), folder), daemon=True).start()
    multiprocessing.util.Finalize(None, _tidied, (os.getppid(), folder), exitpriority=0)
    os.environ.update(environment)
    with captured(Path(folder) / "start.log"):
        faulthandler.enable(file=2)
        try:
            _function.append(pickle.loads(function))
            if not isinstance(_function[0], Seeded):
                import jax  # noqa: F401  # so that no run's time goes to loading it
        except Exception as error:
            _broken.append(_unloaded(error))


def _follow(parent: int, folder: str) -> None:
    """End this process, and what it started, when its parent has ended without ending it; leave no folder behind."""
    while os.getppid() == parent:
        time.sleep(0.5)
    shutil.rmtree(folder, ignore_errors=True)
    os.killpg(0, signal.SIGKILL)


def _tidied(parent: int, folder: str) -> None:
    """A worker that waits learns first that its parent's pipe is closed, and ends: no folder is left then either."""
    until = time.monotonic() + 5.0
    while os.getppid() == parent and time.monotonic() < until:
        time.sleep(0.01)
    if os.getppid() != parent:
        shutil.rmtree(folder, ignore_errors=True)


def work(job: Job, log: str, seconds: float) -> Outcome:
    """One run."""
    return _broken[0] if _broken else made(_function[0], job, Path(log), seconds)


# A task on a node of a cluster: it tells first that it began.


@dataclass(frozen=True)
class Began:
    """A run has begun, on this machine, with its output in this file."""

    machine: str
    log: str


def on_node(function: bytes, job: Job, seconds: float) -> Iterator[Began | Outcome]:
    """One run, after word that it has begun."""
    handle, log = tempfile.mkstemp(prefix="populace-run-", suffix=".log")
    os.close(handle)
    yield Began(platform.node(), log)
    try:
        loaded = pickle.loads(function)
    except Exception as error:
        os.unlink(log)
        yield _unloaded(error)
    else:
        yield made(loaded, job, Path(log), seconds)


def _unloaded(error: BaseException) -> Outcome:
    text = "".join(traceback.format_exception(error))
    return Outcome(None, f"the function cannot be loaded in a worker: {type(error).__name__}: {error}", output=text)
