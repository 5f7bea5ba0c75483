"""A table of runs that somebody made elsewhere: parameters and summaries, a row a run, as files.

Nothing is known of how the runs were made but what the tables show. Each parameter's prior is taken to be uniform over
the range of its column, unless a space is given; columns that cannot be parameters or moments (a seed, a row number,
a number that never changes) are left out, and the result says so.
"""

import csv
import gzip
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpyro.distributions as dist

from .._errors import MissingExtraError, ProblemError, did_you_mean
from .._results import Result, Section
from ..problem.space import Space
from ..surrogates.runs import Runs

_COUNTERS = {"", "index", "id", "run", "row", "unnamed: 0", "[run number]"}
_MISSING = {"", "na", "n/a", "nan", "null", "none"}
_TRUTH = {"true": 1.0, "false": 0.0}
_UNDEFINED = 0.5
"""A summary that is missing in a larger share of the runs is left out, not the runs."""
_EVEN = 0.05
"""How far the distribution of a column may lie from the uniform one, as Kolmogorov and Smirnov measure, beyond what
chance does, before it is said.
"""


@dataclass(frozen=True)
class Columns:
    """A file of numbers: `names` (k,), `values` (n, k) float64, NaN where a cell is empty, and where it was read."""

    names: tuple[str, ...]
    values: np.ndarray
    path: Path

    def without(self, gone: Sequence[str]) -> "Columns":
        """The same without some of the columns."""
        kept = [i for i, name in enumerate(self.names) if name not in gone]
        return Columns(tuple(self.names[i] for i in kept), self.values[:, kept], self.path)


@dataclass(frozen=True)
class RunTable(Result):
    """Runs as they were read: `runs`, whose moments are the summaries, and `notes` on what was left out or assumed."""

    runs: Runs
    notes: tuple[str, ...]

    def sections(self) -> tuple[Section, ...]:
        first, *rest = self.runs.sections()
        return (Section("Table of runs", (*first.text, *self.notes), first.verdicts, (), first.tables), *rest)

    def record(self) -> dict[str, Any]:
        return {**self.runs.record(), "notes": list(self.notes)}


def read_runs(parameters: Path | str, summaries: Path | str, *, space: Space | None = None) -> RunTable:
    """Read runs from two files with a header and a row a run: `.csv`, `.csv.gz`, or `.parquet` (extra `parquet`).

    A run with a summary that is missing or not finite counts as failed.

    **Arguments:** `space`: which columns are parameters, and their priors; by default all that are no seed, no row
    number and no constant, uniform over their ranges.

    **Returns:** a `RunTable`.

    **Raises:** `ProblemError` for files that cannot be read, differ in length, or hold what is no number; it names the
    row and the column. `MissingExtraError` for Parquet without its reader.
    """
    points, moments = read_columns(parameters), read_columns(summaries)
    n = points.values.shape[0]
    if moments.values.shape[0] != n:
        raise ProblemError(
            f"'{points.path}' has {n} rows and '{moments.path}' {moments.values.shape[0]}: the two files hold the same "
            "runs, a row each, in the same order"
        )
    if n < 2:
        raise ProblemError(f"'{points.path}' holds {n} runs: a table has many")
    points, notes = _parameters(points, space)
    moments, more = _summaries(moments, points.names)
    placed = np.isfinite(points.values).all(1)
    if not placed.all():
        notes.append(f"{int((~placed).sum())} runs have a parameter that is missing, and were left out.")
    space, about = (space, []) if space is not None else _ranges(points.names, points.values[placed])
    batch = _batch(space, points.names, points.values[placed])
    runs = Runs.of(space, batch, moments.values[placed], moments.names)
    if not runs.valid.any():
        raise ProblemError(f"no run of '{moments.path}' has all its summaries: leave out the columns that are missing")
    return RunTable(runs, (*notes, *more, *about))


def read_data(path: Path | str, runs: Runs) -> np.ndarray:
    """The data as a file of one row, its columns the runs' moments by name in any order; others are ignored.

    **Returns:** (k,) float64, in the order of `runs.labels`.

    **Raises:** `ProblemError` for another number of rows, a moment that is not there, or one that is not finite.
    """
    found = read_columns(path)
    if found.values.shape[0] != 1:
        raise ProblemError(f"'{path}' has {found.values.shape[0]} rows: the data are one row of summaries")
    row = dict(zip(found.names, found.values[0].tolist(), strict=True))
    absent = [label for label in runs.labels if label not in row]
    if absent:
        raise ProblemError(f"'{path}' has no summary '{absent[0]}'; {did_you_mean(absent[0], found.names)}")
    data = np.array([row[label] for label in runs.labels])
    if not np.isfinite(data).all():
        wrong = runs.labels[int(np.flatnonzero(~np.isfinite(data))[0])]
        raise ProblemError(f"'{path}': '{wrong}' is not a finite number; leave this summary out of the runs too")
    return data


def read_columns(path: Path | str) -> Columns:
    """A file of numbers under a header.

    **Raises:** as `read_runs`.
    """
    path = Path(path)
    kind = next((end for end in _READERS if path.name.lower().endswith(end)), None)
    if kind is None:
        raise ProblemError(f"cannot read '{path}': a table of runs is a file .csv, .csv.gz or .parquet")
    try:
        names, values = _READERS[kind](path)
    except OSError as error:
        raise ProblemError(f"cannot read '{path}': {error.strerror or error}") from error
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ProblemError(f"'{path}' has two columns '{twice[0]}': give each a name of its own")
    return Columns(tuple(names), values, path)


def _csv(path: Path) -> tuple[list[str], np.ndarray]:
    raw = gzip.decompress(path.read_bytes()) if path.suffix.lower() == ".gz" else path.read_bytes()
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ProblemError(f"'{path}' is no text in UTF-8: save it as .csv again") from error
    rows = [row for row in csv.reader(io.StringIO(text, newline="")) if row]
    if not rows:
        raise ProblemError(f"'{path}' is empty: it needs a header and a row a run")
    names, body = [name.strip() for name in rows[0]], rows[1:]
    for i, row in enumerate(body):
        if len(row) != len(names):
            raise ProblemError(f"'{path}', row {i + 1}: {len(row)} cells under {len(names)} names")
    try:
        return names, np.array(body, np.float64).reshape(len(body), len(names))
    except ValueError:  # some cell is empty, a truth value, or no number: read them one by one
        cells = [[_number(cell, path, i, names[j]) for j, cell in enumerate(row)] for i, row in enumerate(body)]
        return names, np.array(cells, np.float64)


def _number(cell: str, path: Path, row: int, column: str) -> float:
    plain = cell.strip().lower()
    if plain in _MISSING:
        return np.nan
    if plain in _TRUTH:
        return _TRUTH[plain]
    try:
        return float(plain)
    except ValueError as error:
        raise ProblemError(
            f"'{path}', row {row + 1}, column '{column}': '{cell}' is no number; leave the column out, or code it as "
            "numbers"
        ) from error


def _parquet(path: Path) -> tuple[list[str], np.ndarray]:
    try:
        from pyarrow import parquet  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise MissingExtraError("pyarrow", "parquet") from error
    table = parquet.read_table(path)
    columns = []
    for name in table.column_names:
        try:
            columns.append(np.asarray(table.column(name).to_pylist(), dtype=np.float64))  # None becomes NaN
        except (TypeError, ValueError) as error:
            raise ProblemError(f"'{path}', column '{name}' holds what is no number: leave it out") from error
    return list(table.column_names), np.stack(columns, axis=1)


_READERS = {".csv": _csv, ".csv.gz": _csv, ".parquet": _parquet}


def _parameters(found: Columns, space: Space | None) -> tuple[Columns, list[str]]:
    """The columns that are parameters, and what is to be said of the others."""
    if space is not None:
        absent = [label for label in space.labels if label not in found.names]
        if absent:
            raise ProblemError(f"'{found.path}' has no parameter '{absent[0]}'; {did_you_mean(absent[0], found.names)}")
        other = [name for name in found.names if name not in space.labels]
        notes = [f"Not in the space, and left out of the parameters: {_some(other)}."] if other else []
        return found.without(other), notes
    seeds = [name for name, column in zip(found.names, found.values.T, strict=True) if _is_label(name, column)]
    rest = found.without(seeds)
    still = _still(rest)
    notes = [f"Taken for a seed or a row number, and left out: {_some(seeds)}."] if seeds else []
    notes += [f"Never changes, and left out of the parameters: {_some(still)}."] if still else []
    kept = rest.without(still)
    if not kept.names:
        raise ProblemError(f"'{found.path}' has no column that is a parameter: {' '.join(notes)}")
    return kept, notes


def _summaries(found: Columns, parameters: Sequence[str]) -> tuple[Columns, list[str]]:
    """The columns that are moments, and what is to be said of the others."""
    labels = [n for n, column in zip(found.names, found.values.T, strict=True) if _is_label(n, column)]
    same = [name for name in found.names if name in parameters]
    rest = found.without([*labels, *same])
    undefined = [n for n, c in zip(rest.names, rest.values.T, strict=True) if np.mean(~np.isfinite(c)) > _UNDEFINED]
    rest = rest.without(undefined)
    still = _still(rest)
    said = (
        (labels, "Taken for a seed or a row number, and left out of the summaries"),
        (same, "A parameter, and left out of the summaries"),
        (undefined, "Not defined in more than half of the runs, and left out of the summaries"),
        (still, "Never changes, and left out of the summaries"),
    )
    kept = rest.without(still)
    if not kept.names:
        raise ProblemError(f"'{found.path}' has no column that is a summary and changes between runs")
    return kept, [f"{text}: {_some(names)}." for names, text in said if names]


def _is_label(name: str, column: np.ndarray) -> bool:
    """Whether a column tells runs apart and says nothing of them: a seed by name, a counter by name and content."""
    words = re.split(r"[^a-z0-9]+", name.lower())
    counts = np.array_equal(np.diff(column), np.ones(column.size - 1))
    return "seed" in words or "randomseed" in words or (name.lower() in _COUNTERS and counts)


def _still(found: Columns) -> list[str]:
    return [
        name
        for name, column in zip(found.names, found.values.T, strict=True)
        if np.unique(column[np.isfinite(column)]).size < 2
    ]


def _ranges(names: Sequence[str], values: np.ndarray) -> tuple[Space, list[str]]:
    """Uniform priors over the columns' ranges, and which columns do not look as if drawn from them."""
    priors, uneven = {}, []
    for name, column in zip(names, values.T, strict=True):
        # The ends are the next float32 outwards: single precision must not put a run beyond its prior.
        low = np.nextafter(np.float32(column.min()), np.float32(-np.inf))
        high = np.nextafter(np.float32(column.max()), np.float32(np.inf))
        priors[name] = dist.Uniform(float(low), float(high))
        places = np.sort((column - column.min()) / np.ptp(column))
        step = 0.5 / np.unique(places).size  # a grid of few values steps as it must
        gap = np.abs(places - (np.arange(places.size) + 0.5) / places.size).max()
        if gap > _EVEN + step + 1.63 / np.sqrt(places.size):
            uneven.append(name)
    notes = [f"Priors are uniform over the range of each parameter in the table ({len(priors)} parameters)."]
    if uneven:
        notes.append(
            f"Not spread evenly over its range: {_some(uneven)}. Give the prior that it was drawn from (`space=`)."
        )
    return Space(priors), notes


def _batch(space: Space, names: Sequence[str], values: np.ndarray) -> dict[str, Any]:
    """Columns by label as a batch of the space."""
    order = [names.index(label) for label in space.labels]
    return dict(space.unflat(values[:, order]))  # type: ignore[arg-type]


def _some(names: Sequence[str], most: int = 5) -> str:
    return ", ".join(f"'{name}'" for name in names[:most]) + (
        f" and {len(names) - most} more" if len(names) > most else ""
    )
