"""Maps: a height over two axes, such as how far parameters are from the data."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.lines import Line2D

from populace._results import MapPanel
from populace.reporting import ticks
from populace.reporting.cells import number
from populace.reporting.panels import cycle, label_axes, legend, nothing, paint, remarks
from populace.reporting.style import INK, PALETTE

_SHADES = LinearSegmentedColormap.from_list("shades", [PALETTE[0], "#9fc1e3", "#e8eff7", "#ffffff"])
_FAR = 100.0
"""Shades fall to white at so many times the first level."""


@paint.register
def _(panel: MapPanel, axes: Axes) -> None:
    label_axes(axes, panel.x_label, panel.y_label)
    height = np.asarray(panel.height, np.float64)
    if not np.isfinite(height).any():
        nothing(axes, "nothing is known here")
        return
    first = panel.levels[0] if panel.levels else float(np.nanmedian(height)) + 1e-300
    shade = np.log1p(np.clip(height, 0.0, _FAR * first) / first)
    axes.pcolormesh(
        panel.x, panel.y, shade, cmap=_SHADES, vmin=0.0, vmax=np.log1p(_FAR), shading="nearest", rasterized=True
    )
    lowest, highest = float(np.nanmin(height)), float(np.nanmax(height))
    handles, labels = [], []
    for level, style in zip(panel.levels, ("solid", "dashed", "dotted"), strict=False):
        if lowest < level < highest:
            axes.contour(panel.x, panel.y, height, [level], colors=[INK], linewidths=0.9, linestyles=[style])
            handles.append(Line2D([], [], color=INK, linewidth=0.9, linestyle=style))
            labels.append(number(level))
    for (label, (x, y)), colour in zip(panel.lines.items(), cycle(len(panel.lines) + 1)[1:], strict=True):
        handles += axes.plot(x, y, color=colour, linewidth=1.6)
        labels.append(label)
    axes.set(xlim=(panel.x[0], panel.x[-1]), ylim=(panel.y[0], panel.y[-1]))
    ticks.linear(axes.xaxis, most=6)
    ticks.linear(axes.yaxis, most=5)
    legend(axes, handles, labels)


@remarks.register
def _(panel: MapPanel) -> str:
    unknown = int((~np.isfinite(np.asarray(panel.height, np.float64))).sum())
    left_out = f"Not known at {number(unknown)} of {number(panel.height.size)} points." if unknown else ""
    return " ".join(part for part in (panel.note, left_out) if part)
