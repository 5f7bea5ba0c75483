"""A study's folder read back, by this version or by earlier ones."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import xarray as xr

from .._errors import CheckpointError
from .._results import Result, Section, Table
from ..campaigns.manifest import FORMAT
from ..reporting.manifest import spread


@dataclass(frozen=True)
class StudyFolder(Result):
    """What a finished study wrote.

    `study`: its name; `summary`: what it found, as JSON values; `manifest`: what it was made with; `format`: of the
    folder (0: before it was counted); `fits`: file name to the tree of its posterior, prior, predictive sample and data
    (groups as ArviZ names them; `xarray.DataTree`); `report`: the page, empty where it is gone; `contradictions`: what
    the files of the folder say differently of how they were made.
    """

    study: str
    summary: dict[str, Any]
    manifest: dict[str, Any]
    format: int
    fits: dict[str, xr.DataTree]
    report: str
    contradictions: tuple[str, ...]

    def sections(self) -> tuple[Section, ...]:
        made = tuple((name, text) for name, text in spread(self.manifest) if not name.startswith("sources."))
        groups = [(name, group, tree.sizes) for name, one in self.fits.items() for group, tree in one.items()]
        rows = tuple((name, group, ", ".join(f"{k} {v}" for k, v in sizes.items())) for name, group, sizes in groups)
        fits = Table("Fits", ("file", "group", "sizes"), rows)
        return (Section(f"Study {self.study}", tables=(fits, Table("What made it", ("what", "value"), made))),)

    def record(self) -> dict[str, Any]:
        return {**self.summary, "study": self.study, "manifest": self.manifest}


def read_study(folder: Path | str) -> StudyFolder:
    """Read the folder of a finished study.

    **Raises:** `CheckpointError` when it is no such folder, its study was not finished, a file of it is torn, or a
    newer version wrote it.
    """
    folder = Path(folder)
    summary = _summary(folder)
    made_with = summary["manifest"]
    number = made_with.get("format", 0)
    if not isinstance(number, int) or number > FORMAT:
        raise CheckpointError(
            f"'{folder}' was written by a newer version of populace (folder format {number}; this one reads up to "
            f"{FORMAT}): pip install --upgrade populace"
        )
    files = sorted(folder.glob("fit*.nc"), key=lambda path: (path.name != "fit.nc", path.name))
    fits = {path.name: _fit(path) for path in files}
    page = folder / "report.html"
    report = page.read_text(encoding="utf-8") if page.is_file() else ""
    said = {name: json.loads(tree.attrs["manifest"]) for name, tree in fits.items() if "manifest" in tree.attrs}
    marker = folder / "checkpoints" / "study.json"
    if marker.is_file():
        said["checkpoints/study.json"] = _json(marker)
    wrong = tuple(text for name, other in said.items() for text in _contradictions(name, other, made_with))
    return StudyFolder(summary["study"], summary, made_with, number, fits, report, wrong)


def _summary(folder: Path) -> dict[str, Any]:
    path = folder / "summary.json"
    if not path.is_file():
        if (folder / "checkpoints" / "study.json").is_file():
            raise CheckpointError(f"the study in '{folder}' was not finished: give its command again to go on")
        raise CheckpointError(f"'{folder}' is no folder of a study, which `populace study` writes: no summary.json")
    found = _json(path)
    made_with = found.get("manifest")
    if not isinstance(found.get("study"), str) or not isinstance(made_with, dict):
        raise CheckpointError(f"'{path}' names no study and manifest: it was not written by `populace study`")
    missing = [name for name in ("seed", "budget") if not isinstance(made_with.get(name), int)]
    if missing:
        raise CheckpointError(f"the manifest in '{path}' has no {' and no '.join(missing)}: it cannot be made again")
    return found


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"'{path}' cannot be read ({error}): restore it, or make the study again") from error
    if not isinstance(found, dict):
        raise CheckpointError(f"'{path}' holds no JSON object: restore it, or make the study again")
    return found


def _fit(path: Path) -> xr.DataTree:
    try:
        with xr.open_datatree(path, engine="h5netcdf") as tree:
            return tree.load()
    except Exception as error:  # a torn file raises whatever its bytes mean to HDF5
        raise CheckpointError(f"'{path}' cannot be read ({error}): restore it, or make the study again") from error


def _contradictions(name: str, other: Mapping[str, Any], manifest: Mapping[str, Any]) -> list[str]:
    """Where another file of the folder tells otherwise of what decides the numbers."""
    return [
        f"{key}: {other[key]} in {name}, {manifest[key]} in summary.json"
        for key in ("seed", "budget", "data", "settings")
        if key in other and key in manifest and other[key] != manifest[key]
    ]
