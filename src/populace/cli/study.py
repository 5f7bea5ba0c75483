"""`populace study`: a real question asked of real data, from the data to the report."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .speak import print_record, speak
from .verb import Interrupted

if TYPE_CHECKING:
    from .._results import Result, Section

_SMALL = 12
"""Rows of the longest table that the terminal shows; the report has them all."""


def study(
    name: Annotated[str, typer.Argument(help="A study's name (see `populace studies`).")],
    out: Annotated[Path | None, typer.Option(help="The folder to write; the study's name by default.")] = None,
    budget: Annotated[
        int | None, typer.Option(min=1, help="Simulator calls; by default the study's own number.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, max=2**32 - 1, help="Every random number follows from it; 1978 by default.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on the last line.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress and no text: files only.")] = False,
) -> None:
    """Run a study: its report, its posterior and its numbers go to a folder.

    A study that was stopped goes on from its last checkpoint when the same command is given again, and ends with the
    same numbers.
    """
    began = time.monotonic()
    from ..studies.registry import find

    make = find(name).make
    from ..core.executor import use_all_cores
    from ..studies.study import SEED, run_study

    use_all_cores()
    folder = Path(name) if out is None else out
    try:
        done = run_study(
            make(), folder, seed=SEED if seed is None else seed, budget=budget, progress=False if quiet else None
        )
    except KeyboardInterrupt as stop:
        raise Interrupted(
            f"interrupted: what was done is kept in '{folder / 'checkpoints'}', and the same command goes on from there"
        ) from stop
    if not quiet:
        _tell(done.findings.headline, done.findings.results, done.files, aside=as_json)
    if as_json:
        print_record({"seconds": round(time.monotonic() - began, 3), **done.summary})


def _tell(headline: Sequence[str], results: Sequence["Result"], files: Sequence[Path], *, aside: bool) -> None:
    """The headline, the verdicts with the small tables, and where the files are."""
    from ..reporting.text import to_terminal

    sections = [brief for result in results for section in result.sections() if (brief := _brief(section)) is not None]
    speak(*headline, "", to_terminal(sections), "", *(f"written: {path}" for path in files), aside=aside)


def _brief(section: "Section") -> "Section | None":
    """A section's verdicts, and its small tables but for those that list the verdicts; None where it has neither."""
    from .._results import Section

    said = {verdict.subject for verdict in section.verdicts}
    tables = tuple(t for t in section.tables if len(t.rows) <= _SMALL and not {row[0] for row in t.rows} <= said)
    if not section.verdicts and not tables:
        return None
    return Section(section.title, verdicts=section.verdicts, tables=tables)
