"""Clouds of points: ridges and trade-offs."""

import numpy as np
from matplotlib.axes import Axes

from populace._results import ScatterPanel
from populace.reporting import ticks
from populace.reporting.cells import number
from populace.reporting.panels import label_axes, nothing, paint, remarks
from populace.reporting.style import PALETTE

_MANY_POINTS = 2_000  # above this a cloud is embedded as an image, so that a page stays small


@paint.register
def _(panel: ScatterPanel, axes: Axes) -> None:
    x, y, kept = _cloud(panel)
    label_axes(axes, panel.x_label, panel.y_label)
    if not kept.any():
        nothing(axes, "no points")
        return
    x, y = x[kept], y[kept]
    axes.set_xscale("log" if panel.log_x else "linear")
    axes.set_yscale("log" if panel.log_y else "linear")
    alpha = float(np.clip(6.0 / np.sqrt(x.size), 0.12, 0.75))
    size = float(np.clip(400.0 / np.sqrt(x.size), 5.0, 18.0))
    axes.scatter(x, y, s=size, color=PALETTE[0], alpha=alpha, linewidths=0, rasterized=x.size > _MANY_POINTS)
    axes.margins(0.05)
    for axis, log in ((axes.xaxis, panel.log_x), (axes.yaxis, panel.log_y)):
        if log:
            ticks.logarithmic(axis)
        else:
            ticks.linear(axis, most=5)


@remarks.register
def _(panel: ScatterPanel) -> str:
    kept = _cloud(panel)[2]
    lost = int(kept.size - kept.sum())
    left_out = f"{number(lost)} of {number(kept.size)} points cannot be shown on these axes." if lost else ""
    return " ".join(part for part in (panel.note, left_out) if part)


def _cloud(panel: ScatterPanel) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    x, y = np.ravel(np.asarray(panel.x, np.float64)), np.ravel(np.asarray(panel.y, np.float64))
    kept = np.isfinite(x) & np.isfinite(y)
    return x, y, kept & ((x > 0) | (not panel.log_x)) & ((y > 0) | (not panel.log_y))
