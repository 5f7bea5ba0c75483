"""The progress display of long work."""

import contextlib
from collections.abc import Iterator

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


@contextlib.contextmanager
def display(show: bool | Progress | None) -> Iterator[Progress | None]:
    """A progress display on standard error.

    **Arguments:** `show`: True or False; None shows it where standard error is a terminal; a display that is already
    running is used, and left running.
    """
    if isinstance(show, Progress):
        yield show
        return
    console = Console(stderr=True)
    if show is False or (show is None and not console.is_terminal):
        yield None
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress:
        yield progress
