"""A study: a real question asked of real data, from the data file to the report."""

import abc
import importlib.resources
import inspect
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
from ..campaigns.differences import differences
from ..campaigns.manifest import brief, manifest
from ..campaigns.sources import Sources, sources
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
    """One real study. `name` is what the command line calls it; `title` heads the report; `files` are the data files
    that it reads, by their names in the package or by their paths: the manifest holds a hash of each. What is set on
    a study counts in its manifest too, unless its name begins with an underscore.
    """

    name: str
    title: str
    question: str
    budget: int
    files: tuple[str, ...] = ()

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
    unfinished work of another seed, budget, data, code or version.
    """
    out = Path(out)
    made_with = provenance(study, seed, budget)
    machines = _claim(out, study.name, made_with)
    with display(progress) as shown:
        findings = study.run(jax.random.key(seed), made_with["budget"], out / "checkpoints", shown)
    made_with["problems"] = {name: fit.problem.identity() for name, fit in findings.fits.items()}
    if len(machines) > 1:
        made_with["begun_on"] = machines[:-1]
    summary = {"study": study.name, **findings.summary, "manifest": made_with}
    html = page(
        study.title,
        tuple(section for result in findings.results for section in result.sections()),
        subtitle=study.question,
        manifest=brief(made_with),
        headline=findings.headline,
    )
    files = [atomic_write(out / "report.html", html.encode())]
    for number, (name, fit) in enumerate(findings.fits.items()):
        files.append(write_fit(fit, out / ("fit.nc" if number == 0 else f"fit-{name}.nc"), made_with))
    files += write(_Summary(summary), out / "summary.json")
    return Studied(findings, summary, tuple(files))


@dataclass(frozen=True)
class _Summary(Result):
    values: Mapping[str, Any]

    def sections(self) -> tuple[Section, ...]:
        return ()

    def record(self) -> dict[str, Any]:
        return dict(self.values)


def provenance(study: Study, seed: int, budget: int | None = None) -> dict[str, Any]:
    """The manifest of a study before it is run: all that decides its numbers.

    **Raises:** `TargetError` when one of its data files is not there.
    """
    return manifest(
        seed=seed,
        budget=study.budget if budget is None else budget,
        sources=_sources(study),
        data=[_data_file(name) for name in study.files],
        settings={name: value for name, value in vars(study).items() if not name.startswith("_")},
    )


def _sources(study: Study) -> Sources:
    """The code that a study may run; of one that was typed in at a prompt nothing is known."""
    try:
        file = inspect.getsourcefile(type(study))
    except TypeError:
        file = None
    return Sources({}, {}, ()) if file is None or not Path(file).is_file() else sources(Path(file))


def _data_file(name: str) -> Path:
    held = Path(str(importlib.resources.files("populace.studies"))) / "data" / name
    path = held if held.is_file() else Path(name)
    if not path.is_file():
        raise TargetError(f"there is no data file '{name}': mend the study's `files`")
    return path


_OF_THE_PLACE = ("machine",)
"""What may differ between the beginning of a study and its end."""


def _claim(out: Path, name: str, made_with: Mapping[str, Any]) -> list[Any]:
    """Check that the folder can be written to and holds no other work, and mark whose work it holds.

    **Returns:** the machines that have worked on it, this one last.
    """
    marker = out / "checkpoints" / "study.json"
    what = {"study": name, "seed": made_with["seed"], "budget": made_with["budget"]}
    try:
        held = json.loads(marker.read_text(encoding="utf-8")) if marker.exists() else {**what, "made_with": made_with}
        whose = f"{held['study']}, seed {held['seed']}, budget {held['budget']}"
        other = {key: held[key] for key in what} != what
        then, machines = held.get("made_with"), list(held.get("machines", []))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(
            f"'{marker}' cannot be read ({error}): delete '{out}', or choose another folder"
        ) from error
    if other:
        raise CheckpointError(f"'{out}' holds other work ({whose}): choose another folder, or delete this one")
    if then is None:
        raise CheckpointError(
            f"'{out}' holds work of an earlier version of populace, which does not say what it was made with: choose "
            "another folder, or delete this one"
        )
    found = [one.sentence for one in differences(then, made_with).found if one.kind not in _OF_THE_PLACE]
    if found:
        more = f", and {len(found) - 3} more" if len(found) > 3 else ""
        raise CheckpointError(
            f"'{out}' holds work that was made otherwise ({'; '.join(found[:3])}{more}): choose another folder, or "
            f"delete '{marker.parent}' to make it anew"
        )
    here = made_with["machine"]
    machines = [one for one in machines if one != here] + [here]
    atomic_write(marker, json.dumps({**what, "made_with": then, "machines": machines}).encode())
    return machines


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
