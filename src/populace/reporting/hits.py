"""Cells of a plane, shaded by how often each was hit."""

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.container import Container
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from populace._results import CellPanel
from populace.reporting import ticks
from populace.reporting.cells import number
from populace.reporting.panels import label_axes, legend, nothing, paint
from populace.reporting.style import PALETTE, WARNING

_BOUNDS = (1, 2, 4, 10)
"""Where a shade begins, the largest number of hits permitting."""
_LIGHT = "#cfe0f3"
_MARKERS = ("D", "o", "s", "^")


@paint.register
def _(panel: CellPanel, axes: Axes) -> None:
    label_axes(axes, panel.x_label, panel.y_label)
    x, y = np.asarray(panel.x, np.float64), np.asarray(panel.y, np.float64)
    if not x.size:
        nothing(axes, "no cell was hit")
        return
    hits = np.asarray(panel.hits)
    bounds = [bound for bound in _BOUNDS if bound <= hits.max()]
    shades = _shades(len(bounds))
    which = np.searchsorted(bounds, hits, side="right") - 1
    corners = np.array([(-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5)]) * (panel.width, panel.height)
    squares = np.stack([x, y], axis=1)[:, None] + corners
    axes.add_collection(PolyCollection(list(squares), facecolors=[shades[i] for i in which], edgecolors="none"))
    handles: list[Artist | Container | tuple[Artist, ...]] = [Patch(facecolor=shade) for shade in shades]
    labels = _labels(bounds, int(hits.max()))
    for (name, (at_x, at_y)), marker in zip(panel.marks.items(), _MARKERS, strict=False):
        style = {"marker": marker, "markersize": 6.0, "markerfacecolor": WARNING, "markeredgecolor": "white"}
        axes.plot([at_x], [at_y], linestyle="none", zorder=5, clip_on=False, markeredgewidth=1.0, **style)
        handles.append(Line2D([], [], linestyle="none", markeredgewidth=1.0, **style))
        labels.append(name)
    axes.autoscale_view()
    axes.margins(0.04)
    ticks.linear(axes.xaxis, most=6)
    ticks.linear(axes.yaxis, most=5)
    legend(axes, handles, labels)


def _shades(count: int) -> list[tuple[float, float, float, float]]:
    """From light to dark, so that they also read in grey."""
    scale = LinearSegmentedColormap.from_list("hits", [_LIGHT, PALETTE[0], "#0b2745"])
    return [scale(t) for t in (np.linspace(0.0, 1.0, count) if count > 1 else (0.5,))]


def _labels(bounds: list[int], most: int) -> list[str]:
    ends = [*(bound - 1 for bound in bounds[1:]), most]
    texts = [number(a) if a == b else f"{number(a)}\N{EN DASH}{number(b)}" for a, b in zip(bounds, ends, strict=True)]
    return [f"{texts[0]} hit", *texts[1:]]
