"""`populace identify`: what is identified, of a study or from a table of runs, as one page."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .._errors import OutputError, ProblemError, did_you_mean
from .speak import print_record, speak
from .verb import Interrupted

if TYPE_CHECKING:
    from .._results import Result

_TABLES = "--parameters P.csv --summaries S.csv"
_KINDS = [".html", ".md", ".json"]
_QUESTION = "What do the data decide, and what do they leave open?"


def identify(
    study: Annotated[str | None, typer.Argument(help="A study's name (see `populace studies`); or none.")] = None,
    parameters: Annotated[
        Path | None, typer.Option(help="Runs made elsewhere: their parameters, a row a run (.csv, .csv.gz, .parquet).")
    ] = None,
    summaries: Annotated[Path | None, typer.Option(help="The same runs' summaries, in the same order.")] = None,
    data: Annotated[Path | None, typer.Option(help="One row: the summaries of the data.")] = None,
    out: Annotated[Path, typer.Option(help="The report to write: .html, .md or .json.")] = Path("identification.html"),
    folder: Annotated[Path | None, typer.Option(help="Of a study: its folder; the study's name by default.")] = None,
    budget: Annotated[int | None, typer.Option(min=1, help="Of a study: simulator calls.")] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, max=2**32 - 1, help="Every random number follows from it; 1978 by default.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on the last line.")] = False,
    full: Annotated[
        bool,
        typer.Option("--full", help="Of a study: all that can be asked of its fits; about ten times as many calls."),
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress and no text: the report only.")] = False,
) -> None:
    """Say what is identified: a sentence a parameter.

    With a study, its fits are made, or taken from its folder, and judged. With two tables of runs (--parameters,
    --summaries) nothing is run; with --data too, what these data decide stands first.
    """
    began = time.monotonic()
    _check(study, parameters, summaries, data, (folder, budget, full or None))
    if out.suffix.lower() not in _KINDS:
        raise OutputError(
            f"cannot write '{out}': its suffix tells the kind of file; {did_you_mean(out.suffix, _KINDS)}"
        )
    from ..core.executor import use_all_cores
    from ..studies.study import SEED

    use_all_cores()
    seed = SEED if seed is None else seed
    if study is not None:
        results, made_with = _of_study(study, Path(study) if folder is None else folder, budget, seed, quiet, full)
    else:
        assert parameters is not None and summaries is not None
        results, made_with = _of_tables(parameters, summaries, data, seed)
    parts = _titled(study, results)
    title = "Identification from a table of runs" if study is None else f"Identification: {study}"
    from ..reporting import write

    files = write(parts, out, title=title, subtitle=_QUESTION, manifest=made_with)
    if not quiet:
        _tell(parts, files, aside=as_json)
    if as_json:
        records = {name: result.record() for name, result in results.items()}
        print_record({"seconds": round(time.monotonic() - began, 3), **records})


def _check(study: str | None, parameters: Path | None, summaries: Path | None, data: Path | None, own: Any) -> None:
    """Whether the arguments fit each other.

    **Raises:** `ProblemError`.
    """
    tables = (parameters, summaries, data)
    if study is None and (parameters is None or summaries is None):
        raise ProblemError(f"name a study (`populace studies` lists them), or give both tables: {_TABLES}")
    if study is not None and any(path is not None for path in tables):
        raise ProblemError("give a study or tables of runs, not both")
    if study is None and any(one is not None for one in own):
        raise ProblemError("--folder, --budget and --full are those of a study: nothing is run for tables")


def _of_tables(
    parameters: Path, summaries: Path, data: Path | None, seed: int
) -> "tuple[dict[str, Result], dict[str, Any]]":
    """What is identified from tables, and what that was made with: the tables by their bytes."""
    import jax

    from ..campaigns.sources import digest
    from ..identification.identify import identify as judge
    from ..identification.tables import read_data, read_runs

    table = read_runs(parameters, summaries)
    row = None if data is None else read_data(data, table.runs)
    files = [path for path in (parameters, summaries, data) if path is not None]
    made_with = {"seed": seed, "data": {path.name: digest(path.read_bytes()) for path in files}}
    return {"identification": judge(table, jax.random.key(seed), data=row), "table": table}, made_with


def _of_study(
    name: str, folder: Path, budget: int | None, seed: int, quiet: bool, full: bool
) -> "tuple[dict[str, Result], dict[str, Any]]":
    """The identification of each of a study's fits, which are made where the folder does not hold them, and what the
    study was made with.
    """
    from ..studies.registry import find

    make = find(name).make
    import jax

    from ..campaigns.manifest import brief
    from ..identification.identify import identify as judge
    from ..studies.study import run_study

    shown = False if quiet else None
    try:
        done = run_study(make(), folder, seed=seed, budget=budget, progress=shown)
    except KeyboardInterrupt as stop:
        raise Interrupted(
            f"interrupted: what was done is kept in '{folder / 'checkpoints'}', and the same command goes on from there"
        ) from stop
    fits = done.findings.fits
    if not fits:
        raise ProblemError(f"the study '{name}' fits nothing, so there is nothing to identify: `populace study {name}`")
    keys = jax.random.split(jax.random.fold_in(jax.random.key(seed), 1), len(fits))
    pairs = list(zip(fits.items(), keys, strict=True))
    made_with = brief(done.summary["manifest"])
    if not full:
        return {label: judge(fit.problem, fit, key) for (label, fit), key in pairs}, made_with
    from ..identification.dossier import dossier

    return {
        label: dossier(fit, key, budget=budget, folder=folder / "placebos" / label, progress=shown)
        for (label, fit), key in pairs
    }, made_with


def _titled(study: str | None, results: "dict[str, Result]") -> "list[Result]":
    """The results in order; several fits of a study each under a heading of its own."""
    from ..studies.study import Part

    several = study is not None and len(results) > 1
    return [Part(name.capitalize(), result) if several else result for name, result in results.items()]


def _tell(parts: "Sequence[Result]", files: Sequence[Path], *, aside: bool) -> None:
    """The verdicts, and where the report is."""
    from .._results import Section
    from ..reporting.text import to_terminal

    said = [section for part in parts for section in part.sections()]
    brief = [Section(s.title, s.text if s.title == "Table of runs" else (), s.verdicts) for s in said]
    shown = [section for section in brief if section.verdicts or section.text]
    speak(to_terminal(shown), "", *(f"written: {path}" for path in files), aside=aside)
