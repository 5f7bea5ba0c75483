"""Runs in worker processes of their own: a run that crashes, hangs or eats the memory costs that run only.

Workers are started afresh and never forked, as JAX runs threads that a fork would cut off. They stay between batches,
and end a minute after the last one, with this process, or when a batch is interrupted.
"""

import atexit
import concurrent.futures
import contextlib
import itertools
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import equinox as eqx
import jax

from .._errors import MissingExtraError, SimulatorError
from ..core.executor import Ticker
from ..problem.simulators import Simulator
from .limits import Limits, Watch, ended, kill
from .outside import (
    Heard,
    OfFunction,
    Patience,
    Runner,
    check_settings,
    dead,
    function_of,
    pickled,
    run_all,
)
from .spawning import Spawning
from .worker import Job, Outcome, begin, tail, work

_IDLE = 60.0
"""Seconds that workers wait for another batch."""
_START = 120.0
"""Seconds in which a worker must have started its first run."""
_GRACE = 5.0
"""Seconds after its time limit in which a worker must have ended itself."""
_BREAKS = 3
"""Times that all workers may die in a row before a run began."""
_IN_FLIGHT = 3
"""Runs that are sent ahead, a worker."""
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_SAME_NUMBERS = (
    "jax_enable_x64",
    "jax_threefry_partitionable",
    "jax_default_prng_impl",
    "jax_default_matmul_precision",
    "jax_numpy_dtype_promotion",
    "jax_platforms",
)
"""JAX's settings that a worker needs to give the numbers of this process."""


class InProcesses(OfFunction):
    """Any Python function as a simulator whose runs are made in worker processes.

    A worker that is killed, crashes, hangs or holds too much memory takes down one run. That run is tried again,
    `retries` times, and then excluded with the reason; all others come back, in order, with the numbers that
    `Callable(function)` gives in this process. A run that raises, returns NaN or another shape is excluded at once.

    **Arguments:** `function`: `(parameters, key) -> observations` as for `Callable`; `Seeded(function)` of a whole
    number, for which a worker need not load JAX; or a simulator that runs one by one, such as `MesaModel`. Functions
    of notebooks and scripts are fine, and the script is not run again in the workers; `workers`: processes;
    `time_limit`: seconds a run; `memory_limit`: bytes in use by a worker and what it started, which is killed at
    more; `logs`: a folder for what failed runs printed, with traceback and parameters, a file a run.

    **Raises:** `SimulatorError` for settings that make no sense, a function that cannot be sent, and when every run
    fails; `MissingExtraError`.
    """

    function: Callable[..., Any] | Simulator = eqx.field(static=True)
    workers: int = eqx.field(static=True)
    limits: Limits = eqx.field(static=True)
    retries: int = eqx.field(static=True)
    logs: Path | None = eqx.field(static=True)

    def __init__(
        self,
        function: Callable[..., Any] | Simulator,
        workers: int = 2,
        *,
        time_limit: float = 60.0,
        memory_limit: float = 2e9,
        retries: int = 1,
        logs: str | Path | None = None,
    ):
        self.function, self.workers, self.retries = function, workers, retries
        self.limits = Limits(time_limit, memory_limit)
        self.logs = check_settings(limits=self.limits, retries=retries, together={"workers": workers}, logs=logs)
        function_of(function)

    def outcomes(self, wanted: list[Job], ticker: Ticker, heard: Heard) -> list[Outcome]:
        with _pool(pickled(_load()[1].dumps, function_of(self.function)), self.workers, self.limits) as pool:
            return run_all(pool, wanted, Patience(self.in_hand(), self.retries), ticker, heard)

    def in_hand(self) -> int:
        return _IN_FLIGHT * self.workers


def _load() -> tuple[Any, Any]:
    """The packages pebble and cloudpickle."""
    try:
        import cloudpickle
        import pebble
    except ImportError as error:
        raise MissingExtraError("pebble", "processes") from error
    return pebble, cloudpickle


def _environment(workers: int) -> dict[str, str]:
    """What workers find in their environment beside ours: their share of the cores, and JAX set as it is here."""
    share = str(max(1, (os.cpu_count() or 1) // workers))
    threads = {name: share for name in _THREADS if name not in os.environ}
    known = {name: jax.config.values.get(name) for name in _SAME_NUMBERS}
    return {**threads, **{name.upper(): str(value) for name, value in known.items() if value is not None}}


# The pool


@dataclass(eq=False)
class _Flight:
    """A run that was sent: to which workers, and where its output goes."""

    pool: Any
    future: "concurrent.futures.Future[Outcome]"
    log: Path


class _Pool(Runner[_Flight]):
    """Workers for one function, started when they are needed."""

    def __init__(self, function: bytes, workers: int, limits: Limits):
        self.function, self.workers, self.limits = function, workers, limits
        self.watch, self.context = Watch(limits), Spawning()
        self.scratch = tempfile.TemporaryDirectory(prefix="populace-runs-")
        self.alive, self.breaks = time.monotonic(), 0
        self._numbers = itertools.count()
        self._open: Any = None  # the pool of the package

    def submit(self, job: Job) -> _Flight:
        log = Path(self.scratch.name) / f"{next(self._numbers)}.log"
        call = {"args": (job, str(log), self.limits.seconds), "timeout": self.limits.seconds + _GRACE}
        pool = self._open if self._open is not None and self._open.active else self._start()
        try:
            future = pool.schedule(work, **call)
        except RuntimeError:  # the workers died while nothing was under way
            pool = self._start()
            future = pool.schedule(work, **call)
        return _Flight(pool, future, log)

    def wait(self, handles: list[_Flight]) -> list[_Flight]:
        self._look_after()
        by_future = {handle.future: handle for handle in handles}
        done, rest = concurrent.futures.wait(by_future, timeout=0.2, return_when=concurrent.futures.FIRST_COMPLETED)
        # A pool that has broken forgets runs, also such as it calls running.
        done |= {handle.future for handle in handles if not handle.pool.active}
        if done or any(future.running() for future in rest):
            self.alive = time.monotonic()
        elif time.monotonic() - self.alive > _START:
            self.close()
            done = set(by_future)
        return [by_future[future] for future in done]

    def outcome(self, handle: _Flight) -> Outcome | None:
        pebble = _load()[0]
        try:
            out = handle.future.result(timeout=0)
        except pebble.ProcessExpired as died:
            out = self._died(handle, died.pid, died.exitcode)
        except (BrokenProcessPool, RuntimeError, concurrent.futures.CancelledError) as error:
            return self._lost(handle, error)
        except TimeoutError:
            if not handle.future.done():
                return self._lost(handle, None)
            out = self._died(handle, None, 0)
        self.breaks = 0
        return out

    def abandon(self) -> None:
        self.close()

    def close(self) -> None:
        """End the workers, and what they have started."""
        pool, self._open = self._open, None
        if pool is not None:
            pool.stop()
        for process in list(self.context.started):
            if process.pid is not None:
                kill(process.pid)
        if pool is not None:
            pool.join()
        self.context.started.clear()

    def end(self) -> None:
        """End the workers for good."""
        self.close()
        self.scratch.cleanup()

    def _start(self) -> Any:
        self.close()
        self.alive = time.monotonic()
        self._open = _load()[0].ProcessPool(
            max_workers=self.workers,
            initializer=begin,
            initargs=(self.function, _environment(self.workers), self.scratch.name),
            context=self.context,
        )
        return self._open

    def _look_after(self) -> None:
        """Watch the workers that live, and end what dead ones have left."""
        watched = self.watch.groups()
        for process in list(self.context.started):
            if process.pid is not None and process.is_alive():
                if process.pid not in watched:
                    self.watch.add(process.pid)
            elif process.pid is not None:
                kill(process.pid)
                self.context.started.remove(process)

    def _died(self, handle: _Flight, pid: int | None, status: int) -> Outcome:
        output = tail(handle.log)
        handle.log.unlink(missing_ok=True)
        killed = self.watch.remove(pid) if pid is not None else ""
        how = ended(status) if pid is not None else "its process was lost, or stood still past its time limit"
        self._look_after()
        return dead(output, killed or how, self.limits)

    def _lost(self, handle: _Flight, error: BaseException | None) -> None:
        """A run that never began, as all workers are gone."""
        if self._open is handle.pool:
            self.close()
            self.breaks += 1
        if self.breaks >= _BREAKS:
            told = tail(Path(self.scratch.name) / "start.log")
            raise SimulatorError(f"worker processes end before they make a run: {told or error or 'they hang'}")


_Mark = tuple[bytes, int, Limits]
_pools: dict[_Mark, _Pool] = {}
_timers: dict[_Mark, threading.Timer] = {}


@contextlib.contextmanager
def _pool(function: bytes, workers: int, limits: Limits) -> Iterator[_Pool]:
    """The pool of a function, which waits a while for the next batch; an error ends it."""
    mark = (function, workers, limits)
    if mark in _timers:
        _timers.pop(mark).cancel()
    pool = _pools.pop(mark, None) or _Pool(function, workers, limits)
    try:
        with pool.watch:
            yield pool
    except BaseException:
        pool.end()
        raise
    _pools[mark] = pool
    _timers[mark] = threading.Timer(_IDLE, _retire, (mark,))
    _timers[mark].daemon = True
    _timers[mark].start()


def _retire(mark: _Mark) -> None:
    pool = _pools.pop(mark, None)  # there is none where a batch has just taken it up
    if pool is not None:
        pool.end()


@atexit.register
def close_workers() -> None:
    """End all workers that wait for another batch."""
    for mark in list(_pools):
        _timers.pop(mark).cancel()
        _retire(mark)
