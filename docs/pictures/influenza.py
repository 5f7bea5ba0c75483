"""The picture of the README, from the folder that `populace study influenza` wrote.

python docs/pictures/influenza.py influenza docs/pictures/influenza.png
"""

import sys
from pathlib import Path

import numpy as np
import xarray as xr

from populace._results import Band, BandPanel, DensityPanel, Figure, Points, quantiles
from populace.reporting import draw

PROBABILITIES = np.array([0.025, 0.25, 0.5, 0.75, 0.975])


def panel(tree: xr.DataTree, title: str) -> BandPanel:
    """Boys in bed: predictive bands and data."""
    runs = tree["posterior_predictive"]["in_bed"].values[0]
    data = tree["observed_data"]["in_bed"].values
    day = np.arange(2, 2 + data.size)
    low, inner_low, middle, inner_high, high = quantiles(runs, PROBABILITIES)
    band = Band("model", day, middle, {0.95: (low, high), 0.5: (inner_low, inner_high)})
    return BandPanel(title, "day", "boys in bed", (band,), (Points("data", day, data),))


def final_size(simple: xr.DataTree, rival: xr.DataTree) -> DensityPanel:
    """Boys ever in bed, predicted by both, beside the 512."""
    samples = {
        name: tree["posterior_predictive"]["ever_in_bed"].values[0, :, -1]
        for name, tree in (("simple model", simple), ("rival", rival))
    }
    seen = float(simple["observed_data"]["ever_in_bed"].values.ravel()[0])
    shown = {name: values[values > 300] for name, values in samples.items()}
    return DensityPanel("Ever in bed: held out of the simple model", "boys", shown, marks={"data": seen})


def main(folder: str, out: str) -> None:
    """Draw the picture."""
    simple, rival = (xr.open_datatree(Path(folder) / name, engine="h5netcdf") for name in ("fit.nc", "fit-rival.nc"))
    panels = (panel(simple, "The simple model fits"), panel(rival, "So does the rival"), final_size(simple, rival))
    draw(Figure("influenza", "", panels)).savefig(out, dpi=160)


if __name__ == "__main__":
    main(*sys.argv[1:])
