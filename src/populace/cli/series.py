"""The observations of a run, as a file."""

import csv
import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._errors import OutputError, did_you_mean
from .._files import atomic_write, write_manifest

if TYPE_CHECKING:
    from ..core.simulate import Run


def check_kind(path: Path) -> None:
    """Raise `OutputError` when no kind of file has the suffix of `path`."""
    if path.suffix.lower() not in _KINDS:
        hint = did_you_mean(path.suffix, list(_KINDS))
        raise OutputError(f"cannot write '{path}': its suffix tells the kind of file; {hint}")


def write_series(run: "Run", path: Path, about: Mapping[str, Any]) -> Path:
    """Write a run's observations with what it was made with (`about`), whole or not at all.

    `.csv` has a column a number (`price[3]` for an entry of an array) after `time`, numbers as precise as they are;
    `.nc` is an `xarray.Dataset` over `time`; `.json` is one object. What a `.csv` has no room for,
    `about`, is in `NAME.csv.manifest.json`.

    **Raises:** `OutputError`.
    """
    check_kind(path)
    kind = path.suffix.lower()
    atomic_write(path, _KINDS[kind](run, about))
    if kind == ".csv":
        write_manifest(path, about)
    return path


def _csv(run: "Run", about: Mapping[str, Any]) -> bytes:
    import numpy as np

    columns: dict[str, Any] = {"time": run.times.tolist()}
    for name, values in run.observations.items():
        series = np.asarray(values)
        for place in np.ndindex(series.shape[1:]):
            label = f"{name}[{','.join(map(str, place))}]" if place else name
            columns[label] = [str(number) for number in series[(slice(None), *place)]]
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    return buffer.getvalue().encode()


def _netcdf(run: "Run", about: Mapping[str, Any]) -> bytes:
    buffer = io.BytesIO()
    run.to_xarray().assign_attrs({"about": json.dumps(about)}).to_netcdf(buffer, engine="h5netcdf")
    return buffer.getvalue()


def _json(run: "Run", about: Mapping[str, Any]) -> bytes:
    from ..reporting.record import to_json

    return to_json({**about, **run.record()})


_KINDS: dict[str, Callable[["Run", Mapping[str, Any]], bytes]] = {".csv": _csv, ".nc": _netcdf, ".json": _json}
