"""Intervals in named rows against a reference: the forest plot."""

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes

from populace._results import IntervalPanel
from populace.reporting import ticks
from populace.reporting.panels import break_text, label_axes, nothing, paint
from populace.reporting.style import INK, PALETTE, SOFT, STRIPE, TEXT_SIZE, WARNING

_NAME_WIDTH = 30  # characters of a row's name before it is broken


@dataclass(frozen=True)
class Row:
    """One row: its name in at most two lines, and where it stands (`height` 1 is a row of one line)."""

    name: str
    top: float
    height: float

    @property
    def middle(self) -> float:
        return self.top + 0.5 * self.height


def rows_of(panel: IntervalPanel) -> list[Row]:
    """The rows of a panel from the top."""
    rows: list[Row] = []
    for name in panel.names:
        lines = break_text(name, _NAME_WIDTH, 2)
        top = rows[-1].top + rows[-1].height if rows else 0.0
        rows.append(Row("\n".join(lines), top, 1.0 if len(lines) == 1 else 1.6))
    return rows


@paint.register
def _(panel: IntervalPanel, axes: Axes) -> None:
    rows = rows_of(panel)
    letters = max((len(line) for row in rows for line in row.name.split("\n")), default=0)
    label_axes(axes, panel.x_label, beside=24 + 0.6 * TEXT_SIZE * letters)
    if not rows:
        nothing(axes, "no rows")
        return
    emphasis = panel.emphasis or (False,) * len(rows)
    for row in rows[1::2]:
        axes.axhspan(row.top, row.top + row.height, color=STRIPE, linewidth=0, zorder=0)
    if panel.reference is not None and np.isfinite(panel.reference):
        axes.axvline(panel.reference, color=SOFT, linewidth=1.0, linestyle=(0, (4, 2.5)), zorder=1)
    for i, row in enumerate(rows):
        _interval(axes, row.middle, float(panel.centre[i]), float(panel.low[i]), float(panel.high[i]), emphasis[i])
    axes.set_ylim(rows[-1].top + rows[-1].height, 0)
    axes.set_yticks([row.middle for row in rows], [row.name for row in rows])
    axes.tick_params(axis="y", length=0, labelcolor=INK)
    axes.spines["left"].set_visible(False)
    for label, strong in zip(axes.get_yticklabels(), emphasis, strict=True):
        label.set(color=WARNING if strong else INK, fontweight="bold" if strong else "normal", linespacing=1.05)
    axes.margins(x=0.04)
    ticks.linear(axes.xaxis)


def _interval(axes: Axes, y: float, centre: float, low: float, high: float, strong: bool) -> None:
    colour = WARNING if strong else PALETTE[0]
    if not np.isfinite([centre, low, high]).any():
        axes.annotate("not available", (0.5, y), xycoords=("axes fraction", "data"), ha="center", va="center")
        return
    axes.plot([low, high], [y, y], color=colour, linewidth=2.0, solid_capstyle="butt", zorder=3)
    axes.plot([centre], [y], marker="D" if strong else "o", markersize=5.0, color=colour, zorder=4)
