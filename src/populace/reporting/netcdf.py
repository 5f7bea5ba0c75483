"""A fit as a netCDF file in the ArviZ layout: groups posterior, posterior_predictive, prior, observed_data,
sample_stats.

`arviz.from_netcdf(path)` and `xarray.open_datatree(path)` open it.
"""

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from .._errors import OutputError
from .._files import atomic_write
from ..calibration.fit import Fit
from ..campaigns.manifest import brief, of_results


def fit_tree(fit: Fit) -> xr.DataTree:
    """The fit as a tree of datasets. Draws are one chain of equally weighted draws."""
    kept = ~fit.excluded
    draws = {**fit.draws, **fit.derived}
    prior = {**fit.prior, **fit.prior_derived}
    target = fit.problem.target
    moments = xr.DataArray(
        fit.moments[kept][None], dims=("chain", "draw", "moment"), coords={"moment": list(target.labels)}
    )
    predictive = _draws({name: values[kept] for name, values in fit.observations.items()})
    predictive["moments"] = moments
    seen = {
        name: xr.DataArray(
            np.asarray(series.values, np.float64), dims=[f"{name}_{i}" for i in range(np.ndim(series.values))]
        )
        for name, series in target.data.items()
    }
    seen["moments"] = xr.DataArray(target.values, dims=("moment",), coords={"moment": list(target.labels)})
    return xr.DataTree.from_dict(
        {
            "/posterior": xr.Dataset(_draws({name: values[kept] for name, values in draws.items()})),
            "/posterior_predictive": xr.Dataset(predictive),
            "/prior": xr.Dataset(_draws(prior)),
            "/observed_data": xr.Dataset(seen),
        }
    )


def _draws(arrays: dict[str, np.ndarray]) -> dict[str, xr.DataArray]:
    out = {}
    for name, values in arrays.items():
        dims = ("chain", "draw", *(f"{name}_dim_{i}" for i in range(np.ndim(values) - 1)))
        out[name] = xr.DataArray(np.asarray(values)[None], dims=dims)
    return out


def write_fit(fit: Fit, path: Path | str, manifest: Mapping[str, Any] | None = None) -> Path:
    """Write a fit to a `.nc` file, whole or not at all.

    **Arguments:** `manifest`: what it was made with, which the file holds as its attribute `manifest` (JSON); what the
    fit itself knows of that by default.

    **Raises:** `OutputError` when it cannot be written there.
    """
    path = Path(path)
    if path.suffix != ".nc":
        raise OutputError(f"'{path}': a fit in the ArviZ layout is a .nc file")
    buffer = io.BytesIO()
    tree = fit_tree(fit)
    tree.attrs["manifest"] = json.dumps(brief(of_results([fit]) if manifest is None else manifest))
    tree.to_netcdf(buffer, engine="h5netcdf")
    return atomic_write(path, buffer.getvalue())
