"""The verb `reproduce`: a finished study is run again and compared, number by number."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .._errors import CheckpointError, ProblemError, UnknownNameError
from .._files import atomic_write
from ..campaigns.differences import differences
from .compared import compared, shifts
from .folder import StudyFolder, read_study
from .registry import find
from .reproduction import Reproduction
from .study import Study, provenance, run_study

PLACE = "reproduction"
"""The folder inside a study's folder in which it is made again."""
_MARK = "reproduction.json"
_TOLERANCE = 1e-5


def reproduce(
    folder: Path | str,
    *,
    study: Study | None = None,
    out: Path | str | None = None,
    seed: int | None = None,
    run: bool = True,
    tolerance: float = _TOLERANCE,
    progress: bool | None = None,
) -> Reproduction:
    """Make a study again from its folder's manifest, and say what differs and why.

    **Arguments:** `folder`: what `run_study` or `populace study` wrote, with this version or an earlier one; `study`:
    the study where it is not one of the package's; `out`: where to make it again, `reproduction` inside the folder by
    default; `seed`: another than the manifest's, to see what hangs on it; `run`: False compares what it is made with
    only; `tolerance`: the difference, relative to the largest number of an array, that counts as rounding; `progress`:
    show it (None: where there is a terminal).

    When it is stopped, the same call goes on, unless code, data or machine have changed since. When it is finished, the
    next call begins anew.

    **Raises:** `CheckpointError` when the folder holds no finished study or one of a newer version, or `out` other
    work; `UnknownNameError` for a study that is not known; `ProblemError` for a study of another name.
    """
    folder = Path(folder)
    then = read_study(folder)
    task = _study(then, study)
    made_with = provenance(task, then.manifest["seed"] if seed is None else seed, then.manifest["budget"])
    if not run:
        made = differences(then.manifest, made_with)  # but for the problems, which are not known before
        return Reproduction(then.study, made, then.contradictions, None, (), tolerance)
    place = folder / PLACE if out is None else Path(out)
    _claim(place, made_with)
    run_study(task, place, seed=made_with["seed"], budget=made_with["budget"], progress=progress)
    now = read_study(place)
    _forget(place)
    made = differences(then.manifest, now.manifest)
    moved = tuple(shifts(then, now))
    return Reproduction(then.study, made, then.contradictions, compared(then, now), moved, tolerance)


def _study(then: StudyFolder, given: Study | None) -> Study:
    if given is None:
        try:
            return find(then.study).make()
        except UnknownNameError as error:
            raise UnknownNameError(f"{error}; a study of your own is given with it (study=, --study)") from error
    if given.name != then.study:
        raise ProblemError(f"the folder is of the study '{then.study}', and '{given.name}' was given")
    return given


def _claim(place: Path, made_with: Mapping[str, Any]) -> None:
    """Take the folder to work in: a new one, or one of an earlier reproduction, whose checkpoints count only if they
    were made with the same.
    """
    mark = place / _MARK
    text = json.dumps(made_with, sort_keys=True).encode()
    if mark.is_file():
        if mark.read_bytes() != text:
            _forget(place)
    elif place.exists() and (not place.is_dir() or any(place.iterdir())):
        raise CheckpointError(f"'{place}' holds something else: choose another folder (out=, --out), or delete it")
    atomic_write(mark, text)


def _forget(place: Path) -> None:
    """What is taken up again must not be that of other code, nor finished."""
    if (place / "checkpoints").exists():
        shutil.rmtree(place / "checkpoints")
