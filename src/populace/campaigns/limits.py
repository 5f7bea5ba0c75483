"""Limits on processes that are not ours to trust: how long they take, and how much memory they hold.

What counts is the memory that is in use (resident), of a process and of all that it started. Address space would be
the wrong measure: JAX maps seven times what it uses (1.4 GB of 0.2), and a Java machine more. Nothing here imports JAX.
"""

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_SHORTEST, _SHARE = 0.02, 0.05
"""Seconds between two looks at least, and the share of one core that looking may take."""


@dataclass(frozen=True)
class Limits:
    """What one run may take: seconds, and bytes in use by its processes together."""

    seconds: float
    memory: float

    def too_long(self) -> str:
        """The sentence for a run that took too long."""
        return f"the run was stopped at its time limit of {self.seconds:g} s"

    def too_large(self) -> str:
        """The sentence for a run that held too much."""
        return f"the run was stopped at its memory limit of {self.memory / 1e9:g} GB"


class Watch:
    """Kills each watched process group that holds more than its memory or is not done in time.

    A context: it looks while it is entered. `killed`: group to the sentence that says why.
    """

    def __init__(self, limits: Limits):
        self._limits = limits
        self._until: dict[int, float] = {}
        self._lock = threading.Lock()
        self._end = threading.Event()
        self._closed = False
        self.killed: dict[int, str] = {}

    def __enter__(self) -> "Watch":
        self._end = threading.Event()
        threading.Thread(target=self._look, args=(self._end,), daemon=True, name="populace-limits").start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()

    def add(self, group: int, *, seconds: float = float("inf")) -> None:
        """Watch a group from now on; it may go on for so many seconds."""
        with self._lock:
            self._until[group] = time.monotonic() + seconds
            if self._closed:
                kill(group)

    def remove(self, group: int) -> str:
        """Watch it no longer; why it was killed, or nothing."""
        with self._lock:
            self._until.pop(group, None)
            return self.killed.pop(group, "")

    def groups(self) -> set[int]:
        """The groups that are watched."""
        with self._lock:
            return set(self._until)

    def kill(self) -> None:
        """End all that is watched, and whatever will be."""
        with self._lock:
            self._closed = True
            for group in self._until:
                kill(group)

    def _look(self, end: threading.Event) -> None:
        wait = _SHORTEST
        while not end.wait(wait):
            began = time.thread_time()
            held = resident(self.groups()) if self.groups() else {}
            with self._lock:
                for group, until in self._until.items():
                    if time.monotonic() > until:
                        self._kill(group, self._limits.too_long())
                    elif held.get(group, 0) > self._limits.memory:
                        self._kill(group, self._limits.too_large())
            wait = max(_SHORTEST, (time.thread_time() - began) / _SHARE)

    def _kill(self, group: int, sentence: str) -> None:
        self.killed.setdefault(group, sentence)
        kill(group)


def kill(group: int) -> None:
    """End a process group at once, and all that is in it; nothing where there is none."""
    with contextlib.suppress(ProcessLookupError, PermissionError):  # it is gone, or only a zombie is left of it
        os.killpg(group, signal.SIGKILL)


def resident(groups: Iterable[int]) -> dict[int, int]:
    """The bytes that each process group has in use; groups that are gone are left out."""
    wanted = set(groups)
    held: dict[int, int] = {}
    for group, size in _from_proc() if Path("/proc/self/stat").exists() else _from_ps():
        if group in wanted:
            held[group] = held.get(group, 0) + size
    return held


def _from_proc() -> Iterable[tuple[int, int]]:
    page = os.sysconf("SC_PAGE_SIZE")
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError):  # it has ended meanwhile
                text = Path(f"/proc/{name}/stat").read_bytes()
                fields = text[text.rindex(b")") + 2 :].split()  # a program's name may hold blanks and brackets
                if fields[0] != b"Z":  # it has ended, and its parent has not asked yet how
                    yield int(fields[2]), int(fields[21]) * page


def _from_ps() -> Iterable[tuple[int, int]]:
    told = subprocess.run(["ps", "-axo", "pgid=,rss=,stat="], capture_output=True, text=True, check=True).stdout
    for line in told.splitlines():
        group, kilobytes, state = line.split()
        if not state.startswith("Z"):
            yield int(group), int(kilobytes) * 1024


def ended(status: int) -> str:
    """The sentence for a process that ended on its own, by its exit status (negative: a signal)."""
    if status >= 0:
        return f"its process ended with exit status {status}"
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = f"signal {-status}"
    hint = ", which is also what a system out of memory does" if -status == signal.SIGKILL else ""
    return f"its process was killed ({name}{hint})"
