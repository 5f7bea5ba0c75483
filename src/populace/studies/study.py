"""A study: a real question asked of real data, from the data file to the report."""

import abc
import importlib.resources
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
from rich.progress import Progress

from .._errors import CheckpointError, TargetError
from .._files import atomic_write
from .._results import Result, Section
from .._types import Key
from ..calibration.fit import Fit
from ..campaigns.manifest import manifest
from ..core.progress import display
from ..reporting import page, write
from ..reporting.netcdf import write_fit


@dataclass(frozen=True)
class Findings:
    """What a study found: sentences that answer its question, results in reading order, fits by name (the first is the
    main one), and a flat summary for programs.
    """

    headline: tuple[str, ...]
    results: tuple[Result, ...]
    fits: dict[str, Fit]
    summary: dict[str, Any]


@dataclass(frozen=True)
class Studied:
    """A study that was run: its `findings`, the `summary` as it was written, and the `files`, the report first."""

    findings: Findings
    summary: dict[str, Any]
    files: tuple[Path, ...]


SEED = 1978


class Study(abc.ABC):
    """One real study. `name` is what the command line calls it; `title` heads the report."""

    name: str
    title: str
    question: str
    budget: int

    @abc.abstractmethod
    def run(self, key: Key, budget: int, folder: Path, progress: Progress | None) -> Findings:
        """Do it. `folder` takes checkpoints: a second call with the same arguments goes on from them."""


@dataclass(frozen=True)
class Part(Result):
    """A result under a heading of its own, for a report of several models."""

    title: str
    result: Result

    def sections(self) -> tuple[Section, ...]:
        return tuple(
            Section(f"{self.title}: {s.title[0].lower()}{s.title[1:]}", s.text, s.verdicts, s.figures, s.tables)
            for s in self.result.sections()
        )

    def record(self) -> dict[str, Any]:
        return {self.title: self.result.record()}


def run_study(
    study: Study, out: Path | str, *, seed: int = SEED, budget: int | None = None, progress: bool | None = None
) -> Studied:
    """Run a study and write its folder: `report.html`, `fit.nc`, `summary.json`.

    **Arguments:** `out`: the folder; `seed`: every random number follows from it; `budget`: simulator calls, the
    study's own by default; `progress`: show it (None: where there is a terminal).

    **Returns:** what was found and written.

    **Raises:** `OutputError` before any work when the folder cannot be written to; `CheckpointError` when it holds the
    unfinished work of another seed, budget or version.
    """
    out = Path(out)
    budget = study.budget if budget is None else budget
    _claim(out, {"study": study.name, "seed": seed, "budget": budget})
    with display(progress) as shown:
        findings = study.run(jax.random.key(seed), budget, out / "checkpoints", shown)
    problems = {name: fit.problem.identity() for name, fit in findings.fits.items()}
    made_with = manifest(seed=seed, budget=budget, problems=problems)
    summary = {"study": study.name, **findings.summary, "manifest": made_with}
    html = page(
        study.title,
        tuple(section for result in findings.results for section in result.sections()),
        subtitle=study.question,
        manifest=made_with,
        headline=findings.headline,
    )
    files = [atomic_write(out / "report.html", html.encode())]
    for number, (name, fit) in enumerate(findings.fits.items()):
        files.append(write_fit(fit, out / ("fit.nc" if number == 0 else f"fit-{name}.nc")))
    files += write(_Summary(summary), out / "summary.json")
    return Studied(findings, summary, tuple(files))


@dataclass(frozen=True)
class _Summary(Result):
    values: Mapping[str, Any]

    def sections(self) -> tuple[Section, ...]:
        return ()

    def record(self) -> dict[str, Any]:
        return dict(self.values)


def _claim(out: Path, what: Mapping[str, Any]) -> None:
    """Check that the folder can be written to, and mark whose work it holds."""
    marker = out / "checkpoints" / "study.json"
    try:
        held = json.loads(marker.read_text(encoding="utf-8")) if marker.exists() else dict(what)
        other = held != dict(what)
        whose = f"{held['study']}, seed {held['seed']}, budget {held['budget']}"
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"'{marker}' cannot be read ({error}): delete '{out}', or choose another folder"
        ) from error
    if other:
        raise CheckpointError(f"'{out}' holds other work ({whose}): choose another folder, or delete this one")
    atomic_write(marker, json.dumps(dict(what)).encode())


def read_table(name: str) -> dict[str, np.ndarray]:
    """A data file of the package: column name to (rows,) float64.

    **Raises:** `TargetError` when the file is not a table of numbers.
    """
    path = importlib.resources.files("populace.studies") / "data" / name
    lines = path.read_text().strip().splitlines()
    heads = lines[0].split(",")
    try:
        rows = np.array([[float(cell) if cell else np.nan for cell in line.split(",")] for line in lines[1:]])
    except ValueError as error:
        raise TargetError(f"'{name}' is not a table of numbers: {error}") from error
    if rows.ndim != 2 or rows.shape[1] != len(heads):
        raise TargetError(f"'{name}' has rows that do not fit its {len(heads)} columns")
    return {head: rows[:, i] for i, head in enumerate(heads)}
