"""How a number is spread over agents, as bars."""

import numpy as np
from matplotlib.axes import Axes

from populace._results import BarPanel
from populace.reporting import ticks
from populace.reporting.panels import label_axes, nothing, paint
from populace.reporting.style import PALETTE


@paint.register
def _(panel: BarPanel, axes: Axes) -> None:
    label_axes(axes, panel.x_label, panel.y_label)
    counts = np.asarray(panel.counts, np.float64)
    if not counts.size:
        nothing(axes, "nobody is there")
        return
    bars(panel, axes)
    axes.set(xlim=(panel.edges[0], panel.edges[-1]), ylim=(0.0, 1.05 * max(panel.top, 1e-9)))
    ticks.linear(axes.xaxis, most=8)
    ticks.linear(axes.yaxis, most=5)


def bars(panel: BarPanel, axes: Axes) -> None:
    """The bars alone."""
    axes.stairs(np.asarray(panel.counts, np.float64), panel.edges, fill=True, color=PALETTE[0], linewidth=0)
