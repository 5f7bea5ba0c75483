"""Runs one after the other in this process, with a limit of time, tries again, and logs."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import equinox as eqx

from .._errors import SimulatorError
from ..core.executor import Ticker
from ..problem.simulators import Simulator
from .limits import Limits
from .outside import (
    Heard,
    OfFunction,
    Patience,
    Runner,
    check_settings,
    function_of,
    run_all,
)
from .worker import Job, Outcome, RunFailed, outcome

_NO_LIMIT = 1e9
"""Seconds, and bytes times as many, where nothing is limited."""


class InThisProcess(OfFunction):
    """Any Python function as a simulator whose runs are made here, one after the other, each stored when it has ended.

    Nothing has to be sent anywhere and nothing is started, and a debugger works. A run that takes too long is stopped
    between two steps of Python, not inside compiled code; one that crashes or holds too much memory takes the
    process with it: `InProcesses` bears both. What runs print goes where it always goes.

    **Arguments:** `function`: as of `InProcesses`; `time_limit`: seconds a run, None for no limit (it needs the main
    thread of a Unix process); `retries`: times more for a run that was stopped or that failed by chance; `logs`: a
    folder for parameters and traceback of what failed, a file a run.

    **Raises:** `SimulatorError` for settings that make no sense, a time limit where none can be kept, and when every
    run fails.
    """

    function: Callable[..., Any] | Simulator = eqx.field(static=True)
    limits: Limits = eqx.field(static=True)
    retries: int = eqx.field(static=True)
    logs: Path | None = eqx.field(static=True)

    def __init__(
        self,
        function: Callable[..., Any] | Simulator,
        *,
        time_limit: float | None = None,
        retries: int = 1,
        logs: str | Path | None = None,
    ):
        self.function, self.retries = function, retries
        self.limits = Limits(_NO_LIMIT if time_limit is None else time_limit, _NO_LIMIT)
        self.logs = check_settings(limits=self.limits, retries=retries, together={}, logs=logs)
        function_of(function)

    def outcomes(self, wanted: list[Job], ticker: Ticker, heard: Heard) -> list[Outcome]:
        here = _Here(function_of(self.function), self.limits)
        return run_all(here, wanted, Patience(self.in_hand(), self.retries), ticker, heard)

    def in_hand(self) -> int:
        return 1


@dataclass(eq=False)
class _Done:
    """What became of a run that was made when it was asked for."""

    out: Outcome


class _Here(Runner[_Done]):
    def __init__(self, function: Callable[..., Any], limits: Limits):
        self.function, self.limits = function, limits
        if limits.seconds < _NO_LIMIT and not _has_a_clock():
            raise SimulatorError(
                "a time limit in this process needs the main thread of a Unix process: take InProcesses, or no limit"
            )

    def submit(self, job: Job) -> _Done:
        try:
            with _stopped_after(self.limits):
                return _Done(outcome(self.function, job))
        except RunFailed as late:  # the clock struck between the end of the run and that of the clock
            return _Done(Outcome(None, late.failure, late.chance, late.output))

    def wait(self, handles: list[_Done]) -> list[_Done]:
        return handles

    def outcome(self, handle: _Done) -> Outcome:
        return handle.out

    def abandon(self) -> None:
        """Nothing is under way."""


def _has_a_clock() -> bool:
    return hasattr(signal, "setitimer") and threading.current_thread() is threading.main_thread()


@contextlib.contextmanager
def _stopped_after(limits: Limits) -> Iterator[None]:
    """A run inside is stopped when its time is over; the caller's own alarm is put back."""
    if limits.seconds >= _NO_LIMIT:
        yield
        return

    def stop(*_: object) -> None:
        raise RunFailed(limits.too_long(), chance=True)

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, limits.seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)
