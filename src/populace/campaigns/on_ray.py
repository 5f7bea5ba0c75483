"""Runs as tasks on Ray (Moritz et al., 2018, OSDI): on this machine, or on all of a cluster."""

import os
import platform
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import equinox as eqx

from .._errors import MissingExtraError, SimulatorError
from ..core.executor import Ticker
from ..problem.simulators import Simulator
from .limits import Limits
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
from .worker import Began, Job, Outcome, on_node, tail

_GRACE = 1.0
"""Seconds after its time limit in which a task must have ended itself, before Ray is told to end it."""
_START = 600.0
"""Seconds in which some run must begin: clusters that grow take minutes for the first."""


class OnRay(OfFunction):
    """Any Python function as a simulator whose runs are tasks on Ray.

    Ray is connected to where the program has not done so: to `address`, or as RAY_ADDRESS says, or else it is started
    on this machine alone; it then sends no usage statistics. populace must be installed on every node. A run whose
    worker or node is lost, or that hangs, is tried again, `retries` times, and then excluded with the reason; all
    others come back, in order, with the numbers that `Callable(function)` gives here.

    **Arguments:** `function`: as for `InProcesses`, a `Command` too; `time_limit`: seconds a run from when it begins;
    `memory`: bytes that Ray keeps free for a run when it places it (it is no limit; Ray ends workers when a node runs
    full); `in_flight`: runs that are sent and not done, two a processor of the cluster where it is not said; `logs`: a
    folder for what failed runs printed; what a worker printed that died on another machine stays there.

    **Raises:** `SimulatorError` for settings that make no sense, when no run begins within ten minutes, and when every
    run fails; `MissingExtraError`.
    """

    function: Callable[..., Any] | Simulator = eqx.field(static=True)
    address: str | None = eqx.field(static=True)
    limits: Limits = eqx.field(static=True)
    retries: int = eqx.field(static=True)
    in_flight: int | None = eqx.field(static=True)
    logs: Path | None = eqx.field(static=True)

    def __init__(
        self,
        function: Callable[..., Any] | Simulator,
        *,
        address: str | None = None,
        time_limit: float = 60.0,
        memory: float = 5e8,
        retries: int = 1,
        in_flight: int | None = None,
        logs: str | Path | None = None,
    ):
        self.function, self.address = function, address
        self.retries, self.in_flight = retries, in_flight
        self.limits = Limits(time_limit, memory)
        together = {} if in_flight is None else {"in_flight": in_flight}
        self.logs = check_settings(limits=self.limits, retries=retries, together=together, logs=logs)
        function_of(function)

    def outcomes(self, wanted: list[Job], ticker: Ticker, heard: Heard) -> list[Outcome]:
        runner = _Tasks(self._connected(), function_of(self.function), self.limits)
        return run_all(runner, wanted, Patience(self.in_hand(), self.retries), ticker, heard)

    def in_hand(self) -> int:
        return self.in_flight or 2 * max(1, int(self._connected().cluster_resources().get("CPU", 1)))

    def _connected(self) -> Any:
        ray = _load()
        if not ray.is_initialized():
            _connect(ray, self.address)
        return ray


def _load() -> Any:
    try:
        import ray
        import ray.cloudpickle
    except ImportError as error:
        raise MissingExtraError("ray", "ray") from error
    return ray


def _connect(ray: Any, address: str | None) -> None:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    with warnings.catch_warnings():
        # Ray starts its own programs with a function between fork and exec; they never come back to JAX's threads.
        warnings.filterwarnings("ignore", message=r"os\.fork\(\) was called", category=RuntimeWarning)
        ray.init(address=address, log_to_driver=False, include_dashboard=False)


@dataclass(eq=False)
class _Flight:
    """A run that was sent: what it has told so far, and what became of it."""

    told: Any
    began: Began | None = None
    since: float = 0.0
    stopped: bool = False
    outcome: Outcome | None = None


class _Tasks(Runner[_Flight]):
    """Tasks of one function. Each tells first that it began, so that time in a queue is not counted."""

    def __init__(self, ray: Any, function: Callable[..., Any], limits: Limits):
        self._ray, self._limits = ray, limits
        self._function = ray.put(pickled(ray.cloudpickle.dumps, function))
        settings = {"num_cpus": 1, "memory": int(limits.memory), "max_retries": 0, "num_returns": "streaming"}
        self._task = ray.remote(**settings)(on_node)
        self._flying: set[_Flight] = set()
        self._alive = time.monotonic()

    def submit(self, job: Job) -> _Flight:
        flight = _Flight(self._task.remote(self._function, job, self._limits.seconds))
        self._flying.add(flight)
        return flight

    def wait(self, handles: list[_Flight]) -> list[_Flight]:
        by_task = {flight.told: flight for flight in handles}
        ready, _ = self._ray.wait(list(by_task), num_returns=1, timeout=0.25)
        for task in ready:
            self._hear(by_task[task])
        for flight in handles:
            self._stop_if_late(flight)
        if ready or any(flight.began for flight in handles):
            self._alive = time.monotonic()
        elif time.monotonic() - self._alive > _START:
            raise SimulatorError(
                f"no run began on Ray in {_START:g} s: one wants a processor and {self._limits.memory / 1e9:g} GB, and "
                f"the cluster has {self._ray.cluster_resources()}; ask for less memory, or wait for other work to end"
            )
        done = [flight for flight in handles if flight.outcome is not None]
        self._flying.difference_update(done)
        return done

    def outcome(self, handle: _Flight) -> Outcome | None:
        return handle.outcome

    def abandon(self) -> None:
        for flight in self._flying:
            self._ray.cancel(flight.told, force=True)
            self._output(flight)

    def _hear(self, flight: _Flight) -> None:
        """The next that a run tells: that it began, or what became of it."""
        exceptions = self._ray.exceptions
        try:
            told = self._ray.get(next(flight.told))
        except exceptions.OutOfMemoryError:
            flight.outcome = self._lost(flight, "Ray ended the run as its node ran out of memory")
        except exceptions.RayTaskError as error:
            flight.outcome = Outcome(None, f"the run could not be made on Ray: {error.cause!r}", output=str(error))
        except (exceptions.RayError, StopIteration) as error:
            name = type(error).__name__
            flight.outcome = self._lost(flight, f"the worker that made the run was lost ({name})")
        else:
            if isinstance(told, Began):
                flight.began, flight.since = told, time.monotonic()
            else:
                flight.outcome = told

    def _stop_if_late(self, flight: _Flight) -> None:
        late = flight.began is not None and time.monotonic() - flight.since > self._limits.seconds + _GRACE
        if late and not flight.stopped and flight.outcome is None:
            flight.stopped = True
            self._ray.cancel(flight.told, force=True)

    def _lost(self, flight: _Flight, status: str) -> Outcome:
        """A run whose process is gone: by its own clock, by ours, or by something else."""
        output = self._output(flight)
        late = flight.began is not None and time.monotonic() - flight.since >= 0.95 * self._limits.seconds
        return dead(output, self._limits.too_long() if flight.stopped or late else status, self._limits)

    def _output(self, flight: _Flight) -> str:
        """The end of what a run has printed, where that is within reach; the file is then removed."""
        if flight.began is None or flight.began.machine != platform.node():
            return ""
        log = Path(flight.began.log)
        output = tail(log)
        log.unlink(missing_ok=True)
        return output
