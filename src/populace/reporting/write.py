"""Writes any result to a file, by the file's suffix."""

import csv
import io
import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from populace._errors import OutputError, did_you_mean
from populace._files import atomic_write, write_manifest
from populace._results import Cell, Figure, Result, Section, Table
from populace.reporting.figures import draw
from populace.reporting.html import page
from populace.reporting.markdown import to_markdown
from populace.reporting.record import to_json
from populace.reporting.style import styled
from populace.reporting.svg import standalone


@dataclass(frozen=True)
class Front:
    """What a document says before and after its sections."""

    title: str
    subtitle: str
    headline: Sequence[str]
    manifest: Mapping[str, Any]


def write(
    result: Result | Sequence[Result],
    path: str | os.PathLike[str],
    *,
    title: str = "",
    subtitle: str = "",
    headline: Sequence[str] = (),
    manifest: Mapping[str, Any] | None = None,
) -> tuple[Path, ...]:
    """Writes a result, or several as one document, in the kind of file that `path` ends in.

    | suffix | holds |
    |---|---|
    | `.html` | everything: one page without scripts, its figures inside |
    | `.md` | everything but figures, of which it has the captions |
    | `.json` | `result.record()`, or a list of them; strict JSON |
    | `.csv` | its tables, unrounded, and beside them `NAME.csv.manifest.json` |
    | `.png` `.svg` `.pdf` | its figures |

    All say what made them: versions, machine, and what the results know of their problems and methods. JSON has it
    under `manifest`, pictures where their kind keeps a description, tables in a file of its own.

    Several tables or figures go to a file each, with the name appended: `flu.png` becomes `flu-spread.png`, ...
    Each file is written whole or not at all, and missing folders are made.

    **Arguments:** `title`, `subtitle`, `headline`: what `.html` and `.md` say around the sections (see `page`); the
    other kinds hold data only. Without a `title` the class of the result gives one. `manifest`: what else made them,
    such as the seed.

    **Returns:** the files written, in the order of the tables or figures; of tables, their manifest last.

    **Raises:** `OutputError`: an unknown suffix, nothing of that kind to write, a NaN in a record, a full disk, a
    folder that is not writable.
    """
    path = Path(path)
    results = (result,) if isinstance(result, Result) else tuple(result)
    writer = _writer(path)
    if not results:
        raise OutputError(f"cannot write '{path}': no result was given")
    from ..campaigns.manifest import of_results  # it loads JAX, and to render takes none

    front = Front(title or _title(results), subtitle, headline, {**of_results(results), **(manifest or {})})
    return writer(results, path, front)


def gather(results: Sequence[Result]) -> tuple[Section, ...]:
    """The sections of several results, one after the other."""
    return tuple(section for result in results for section in result.sections())


def _writer(path: Path) -> Callable[[Sequence[Result], Path, Front], tuple[Path, ...]]:
    suffix = path.suffix.lower()
    if suffix not in _WRITERS:
        said = f"no kind of file ends in '{suffix}'" if suffix else "its name has no suffix to tell the kind of file"
        raise OutputError(f"cannot write '{path}': {said}; {did_you_mean(suffix, list(_WRITERS))}")
    return _WRITERS[suffix]


def _title(results: Sequence[Result]) -> str:
    names = dict.fromkeys(type(result).__name__ for result in results)
    words = [re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name).lstrip("_") for name in names]
    return ", ".join(word[:1].upper() + word[1:].lower() for word in words)


# --- one function a kind of file


def _html(results: Sequence[Result], path: Path, front: Front) -> tuple[Path, ...]:
    text = page(front.title, gather(results), subtitle=front.subtitle, manifest=front.manifest, headline=front.headline)
    return (atomic_write(path, text.encode()),)


def _markdown(results: Sequence[Result], path: Path, front: Front) -> tuple[Path, ...]:
    text = to_markdown(
        gather(results),
        title=front.title,
        subtitle=front.subtitle,
        manifest=front.manifest,
        headline=front.headline,
    )
    return (atomic_write(path, text.encode()),)


def _json(results: Sequence[Result], path: Path, front: Front) -> tuple[Path, ...]:
    records = [{**(record := result.record()), **_unsaid(record, front)} for result in results]
    return (atomic_write(path, to_json(records[0] if len(records) == 1 else records)),)


def _unsaid(record: Mapping[str, Any], front: Front) -> dict[str, Any]:
    return {} if "manifest" in record else {"manifest": front.manifest}


def _csv(results: Sequence[Result], path: Path, front: Front) -> tuple[Path, ...]:
    tables = [table for section in gather(results) for table in section.tables]
    places = _places(path, [table.title for table in tables], "table")
    written = [atomic_write(place, _rows(table)) for place, table in zip(places, tables, strict=True)]
    return (*written, write_manifest(path, front.manifest))


def _pictures(results: Sequence[Result], path: Path, front: Front) -> tuple[Path, ...]:
    figures = [figure for section in gather(results) for figure in section.figures]
    places = _places(path, [figure.name for figure in figures], "figure")
    return tuple(
        atomic_write(place, _picture(figure, path, front)) for place, figure in zip(places, figures, strict=True)
    )


_WRITERS: dict[str, Callable[[Sequence[Result], Path, Front], tuple[Path, ...]]] = {
    ".html": _html,
    ".md": _markdown,
    ".json": _json,
    ".csv": _csv,
    ".png": _pictures,
    ".svg": _pictures,
    ".pdf": _pictures,
}


def _picture(figure: Figure, path: Path, front: Front) -> bytes:
    drawing, told = draw(figure), json.dumps(front.manifest)
    suffix = path.suffix.lower()
    if suffix == ".svg":
        comment = told.replace("--", "\\u002d\\u002d")  # which no XML comment may hold, and JSON reads back
        return standalone(drawing) + f"<!-- {comment} -->\n".encode()
    buffer = io.BytesIO()
    own = {"Subject": told} if suffix == ".pdf" else {"Description": told}
    metadata = {"CreationDate": None, "ModDate": None} if suffix == ".pdf" else {"Software": None}
    with styled():
        drawing.savefig(buffer, format=suffix[1:], metadata={**metadata, **own})
    return buffer.getvalue()


def _rows(table: Table) -> bytes:
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(table.columns)
    writer.writerows([_raw(value) for value in row] for row in table.rows)
    return buffer.getvalue().encode()


def _raw(value: Cell) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _places(path: Path, names: Sequence[str], kind: str) -> list[Path]:
    """Where each of several goes: `path` itself when there is one, else its name is appended."""
    if not names:
        raise OutputError(f"cannot write '{path}': the result has no {kind}; write '.html', '.md' or '.json' instead")
    if len(names) == 1:
        return [path]
    slugs: list[str] = []
    for name in names:
        slug = base = re.sub(r"[^\w]+", "-", name.lower()).strip("-")[:60] or kind
        count = 1
        while slug in slugs:
            count += 1
            slug = f"{base}-{count}"
        slugs.append(slug)
    return [path.with_name(f"{path.stem}-{slug}{path.suffix}") for slug in slugs]
