"""`populace reproduce`: a finished study is run again and compared, number by number."""

import inspect
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .._errors import UnknownNameError, did_you_mean
from .speak import print_record, speak
from .verb import FAILED, Interrupted

if TYPE_CHECKING:
    from ..studies.reproduction import Reproduction
    from ..studies.study import Study


def reproduce(
    folder: Annotated[Path, typer.Argument(help="The folder that `populace study` wrote.")],
    out: Annotated[Path | None, typer.Option(help="Where to make it again; FOLDER/reproduction by default.")] = None,
    only_check: Annotated[
        bool, typer.Option("--only-check", help="Compare what it is made with, and run nothing.")
    ] = False,
    seed: Annotated[
        int | None, typer.Option(min=0, max=2**32 - 1, help="Another seed, to see what hangs on it.")
    ] = None,
    study: Annotated[str | None, typer.Option(help="A study of your own: FILE.py:NAME.")] = None,
    tolerance: Annotated[float, typer.Option(min=0.0, help="The relative difference that counts as rounding.")] = 1e-5,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on the last line.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress and no text.")] = False,
) -> None:
    """Make a study again, compare every number, and say what differs and why.

    What it was made with (seed, data, source, versions, machine) is compared first, in seconds. The exit status is 0
    when the numbers are the same but for rounding, 1 when not. When it is stopped, the same command goes on.
    """
    began = time.monotonic()
    from ..core.executor import use_all_cores
    from ..reporting import write
    from ..reporting.text import to_terminal
    from ..studies.reproduce import PLACE
    from ..studies.reproduce import reproduce as reproduced

    use_all_cores()
    own = None if study is None else _own(study)
    found = reproduced(folder, study=own, seed=seed, run=False, tolerance=tolerance)
    files: tuple[Path, ...] = ()
    if not only_check:
        place = folder / PLACE if out is None else out
        if not quiet:
            _first(found, aside=as_json)
        try:
            found = reproduced(
                folder, study=own, out=place, seed=seed, tolerance=tolerance, progress=False if quiet else None
            )
        except KeyboardInterrupt as stop:
            raise Interrupted(
                f"interrupted: what was done is kept in '{place}', and the same command goes on from there"
            ) from stop
        files = write(found, place / "comparison.html", title=f"Study {found.study}, made again")
    if not quiet:
        speak(to_terminal(found.sections()), "", *(f"written: {path}" for path in files), aside=as_json)
    if as_json:
        print_record({"seconds": round(time.monotonic() - began, 3), **found.record()})
    if not found.same:
        raise typer.Exit(FAILED)


def _first(found: "Reproduction", *, aside: bool) -> None:
    """What is known before the run."""
    speak(*(f"the folder contradicts itself: {said}" for said in found.contradictions), aside=aside)
    speak(f"before the run: {found.verdicts()[0].sentence}", "", aside=aside)


def _own(name: str) -> "Study":
    """The study of `FILE.py:NAME`.

    **Raises:** `UnknownNameError`.
    """
    from ..studies.study import Study
    from .which import run_file

    path, _, inside = name.rpartition(":")
    if not path.endswith(".py") or not Path(path).is_file():
        raise UnknownNameError(f"'{name}' names no study in a file: give FILE.py:NAME")
    held = vars(run_file(Path(path)))
    classes = [n for n, thing in held.items() if inspect.isclass(thing) and issubclass(thing, Study)]
    known = [n for n in classes if held[n] is not Study]
    if inside not in known:
        raise UnknownNameError(f"'{path}' has no study '{inside}'; {did_you_mean(inside, known)}")
    return held[inside]()
