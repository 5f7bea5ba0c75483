"""Starting a worker process from nothing, without the script that this process runs.

`multiprocessing` imports that script in every process that it starts, with all that the script imports: seconds of
loading JAX, and the whole script over again where it lacks `if __name__ == "__main__"`. Functions of a script are sent
whole here (by cloudpickle), so that a worker has no need of it. Nothing here imports JAX: a worker imports this file.
"""

import contextlib
import multiprocessing.spawn
import threading
from collections.abc import Iterator
from multiprocessing.context import SpawnContext, SpawnProcess
from multiprocessing.popen_spawn_posix import Popen
from typing import Any

_launching = threading.Lock()


@contextlib.contextmanager
def _without_script() -> Iterator[None]:
    """What a new process is told by this thread leaves out which script to import first."""
    whole, here = multiprocessing.spawn.get_preparation_data, threading.get_ident()

    def told(name: str) -> dict[str, Any]:
        data = whole(name)
        if threading.get_ident() == here:
            data = {k: v for k, v in data.items() if k not in ("init_main_from_path", "init_main_from_name")}
        return data

    with _launching:
        multiprocessing.spawn.get_preparation_data = told
        try:
            yield
        finally:
            multiprocessing.spawn.get_preparation_data = whole


class _Popen(Popen):
    """Starts a process without the script that this one runs: functions of a script are sent whole."""

    def _launch(self, process_obj: Any) -> None:
        with _without_script():
            super()._launch(process_obj)  # pyright: ignore[reportAttributeAccessIssue]


class _Process(SpawnProcess):
    @staticmethod
    def _Popen(process_obj: Any) -> Any:
        return _Popen(process_obj)


class Spawning(SpawnContext):
    """`multiprocessing` as a pool wants it; it knows the processes that were started."""

    def __init__(self) -> None:
        super().__init__()
        self.started: list[Any] = []

    def Process(self, *args: Any, **kwargs: Any) -> Any:  # as multiprocessing calls it
        self.started.append(_Process(*args, **kwargs))
        return self.started[-1]
