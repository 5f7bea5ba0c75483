"""The runs of a campaign as columns, as an xarray data set, and as files that others read."""

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from .._errors import MissingExtraError, OutputError, ProblemError, did_you_mean
from .._files import atomic_write, write_manifest
from .plan import Plan
from .store import StoredRun
from .stored import judged, usual_layout

Runs = Sequence[StoredRun | None]
"""The runs of a plan, in its order; None where one is missing."""
_OWN = ("point", "replicate", "status", "reason", "seconds")


def columns(plan: Plan, runs: Runs) -> dict[str, np.ndarray]:
    """What `Campaign.table` returns."""
    held = [run for run in runs if run is not None]
    usual = usual_layout(held)
    reasons = [None if run is None else judged(run, usual) for run in runs]
    status = [
        "missing" if run is None else "done" if why is None else "excluded"
        for run, why in zip(runs, reasons, strict=True)
    ]
    good = [run for run, said in zip(runs, status, strict=True) if run is not None and said == "done"]
    observed = _observed(runs, status, good[0]) if good else {}
    for name in plan.parameters:
        if name in observed or name in _OWN:
            raise ProblemError(f"a parameter and a column of the table are both called '{name}': give one another name")
    twice = sorted(observed.keys() & set(_OWN))
    if twice:
        raise ProblemError(f"an observation and a column of the table are both called '{twice[0]}': rename it")
    return {
        "point": plan.point,
        "replicate": plan.replicate,
        **plan.parameters,
        "status": np.array(status),
        "reason": np.array([why or "" for why in reasons]),
        "seconds": np.array([np.nan if run is None else run.seconds for run in runs]),
        **observed,
    }


def _observed(runs: Runs, status: Sequence[str], like: StoredRun) -> dict[str, np.ndarray]:
    rows = [i for i, said in enumerate(status) if said == "done"]
    out = {}
    for name, value in like.observations.items():
        whole = len(rows) == len(runs)
        kind = value.dtype if whole or np.issubdtype(value.dtype, np.inexact) else np.dtype(np.float64)
        filled = np.full((len(runs), *value.shape), np.nan if not whole else 0, kind)
        for i in rows:
            run = runs[i]
            assert run is not None
            filled[i] = run.observations[name]
        out[name] = filled
    return out


def dataset(plan: Plan, runs: Runs) -> xr.Dataset:
    """What `Campaign.dataset` returns: parameters, status and the like are coordinates of `run`."""
    table = columns(plan, runs)
    about = {*_OWN, *plan.parameters}
    variables = {
        name: (("run", *(f"{name}_dim_{i}" for i in range(value.ndim - 1))), value) for name, value in table.items()
    }
    return xr.Dataset(
        {name: value for name, value in variables.items() if name not in about},
        coords={name: value for name, value in variables.items() if name in about},
    )


def write(path: Path, plan: Plan, runs: Callable[[], Runs], manifest: Mapping[str, Any]) -> Path:
    """What `Campaign.write` does: a row a run. Where an observation has several numbers, Parquet has a list in its cell
    and CSV a column each. The `manifest` is an attribute (JSON), and a file beside a CSV.
    """
    suffix = path.suffix.lower()
    if suffix not in _WRITERS:
        raise OutputError(f"cannot write '{path}': its suffix tells the kind; {did_you_mean(suffix, list(_WRITERS))}")
    atomic_write(path, _WRITERS[suffix](plan, runs(), json.dumps(manifest)))
    if suffix == ".csv":
        write_manifest(path, manifest)
    return path


def _netcdf(plan: Plan, runs: Runs, manifest: str) -> bytes:
    buffer = io.BytesIO()
    dataset(plan, runs).assign_attrs({"manifest": manifest}).to_netcdf(buffer, engine="h5netcdf")
    return buffer.getvalue()


def _csv(plan: Plan, runs: Runs, manifest: str) -> bytes:
    heads, values = [], []
    for name, value in columns(plan, runs).items():
        for place in np.ndindex(value.shape[1:]):
            heads.append(name + (f"[{','.join(map(str, place))}]" if place else ""))
            values.append(value[(slice(None), *place)].tolist())
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(heads)
    writer.writerows([_cell(cell) for cell in row] for row in zip(*values, strict=True))
    return buffer.getvalue().encode()


def _cell(value: object) -> object:
    return "" if isinstance(value, float) and np.isnan(value) else value


def _parquet(plan: Plan, runs: Runs, manifest: str) -> bytes:
    flat = {}
    for name, value in columns(plan, runs).items():
        cells = value
        if value.ndim > 1:
            cells = np.empty(len(value), object)
            for i, row in enumerate(value):
                cells[i] = row.tolist()
        flat[name] = ("run", cells)
    buffer = io.BytesIO()
    frame = xr.Dataset(flat).to_dataframe().reset_index(drop=True)
    frame.attrs["manifest"] = manifest
    try:
        frame.to_parquet(buffer, engine="pyarrow", index=False)
    except ImportError as error:
        raise MissingExtraError("pyarrow", "parquet") from error
    return buffer.getvalue()


_WRITERS: dict[str, Callable[[Plan, Runs, str], bytes]] = {".parquet": _parquet, ".nc": _netcdf, ".csv": _csv}
