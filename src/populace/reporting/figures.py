"""Lays the panels of a figure out and draws them."""

import math
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure as Drawing
from matplotlib.gridspec import GridSpec
from matplotlib.layout_engine import ConstrainedLayoutEngine

from populace._results import DensityPanel, Figure, IntervalPanel, Panel, ScenePanel
from populace.reporting import (  # noqa: F401  (each paints its kind)
    bands,
    clouds,
    densities,
    drawing_bars,
    drawing_scenes,
    hits,
    intervals,
    maps,
)
from populace.reporting.drawing_scenes import height_of
from populace.reporting.intervals import rows_of
from populace.reporting.panels import break_text, paint, remarks
from populace.reporting.style import INK, SMALL_SIZE, SOFT, TITLE_SIZE, styled

_SIZES = {1: (5.0, 2.9), 2: (4.6, 3.0), 3: (3.35, 2.6)}  # inches of one panel, by panels in a row
_ROW = 0.235  # inches of a row of a forest plot
_TITLE_LINE, _NOTE_LINE, _LABEL_LINE = 0.22, 0.16, 0.15  # inches
_LEGEND = 16.0  # points of the one row of legend that a panel's height provides for
_SHARED = 26.0  # points by which a panel grows at most to stand level with a neighbour's higher legend


@dataclass(frozen=True)
class Frame:
    """What is drawn around a panel: a page sets title and note in its own type, a picture needs them inside."""

    title: bool
    note: bool


INSIDE = Frame(title=True, note=True)
BARE = Frame(title=False, note=False)


def draw(figure: Figure, across: int | None = None) -> Drawing:
    """Draws a figure's panels in a grid, up to three in a row, each with its title and note.

    **Arguments:** `across`: panels in a row, 1 to 3, by which their size goes; None for what suits the figure.

    **Returns:** a matplotlib figure that no `pyplot` knows of; save it inside `style.styled()` to keep the style.
    """
    with styled():
        drawing = _grid(figure.panels, across or columns(figure), INSIDE) if figure.panels else _empty()
        drawing.draw_without_rendering()  # the layout is settled while the style holds
        return drawing


def draw_each(figure: Figure) -> list[Drawing]:
    """Draws each panel bare of title and note, for a page that lets them flow.

    All have the width of a panel in a row of `columns(figure)`, and legends take the same height where they are
    alike, so that the axes of neighbours stand on one line.
    """
    across = columns(figure)
    with styled():
        drawings = [_grid((panel,), across, BARE) for panel in figure.panels]
        extra = [_legend_height(drawing.axes[0]) for drawing in drawings]
        for drawing, own in zip(drawings, extra, strict=True):
            drawing.set_figheight(drawing.get_figheight() + _room(min(max(extra), own + _SHARED)) - _room(own))
        return drawings


def columns(figure: Figure) -> int:
    """Panels in a row: up to three, fewer when there are fewer or when rows have long names."""
    longest = max((len(n) for p in figure.panels if isinstance(p, IntervalPanel) for n in p.names), default=0)
    most = 3 if longest <= 10 else 2 if longest <= 20 else 1
    count = len(figure.panels)
    if count == 4 and most == 3:
        return 2  # two rows of two, and no lonely fourth
    return max(1, min(most, count))


def _empty() -> Drawing:
    drawing = Drawing(figsize=_SIZES[1])
    FigureCanvasAgg(drawing)
    drawing.text(0.5, 0.5, "no panels", ha="center", va="center", color=SOFT)
    return drawing


def _grid(panels: tuple[Panel, ...], across: int, frame: Frame) -> Drawing:
    """Panels in rows; a row is as high as its highest panel, and its titles stand on one line."""
    shown = min(across, len(panels))
    rows = [panels[start : start + shown] for start in range(0, len(panels), shown)]
    width = _SIZES[across][0]
    layout = ConstrainedLayoutEngine(w_pad=0.09, h_pad=0.09, wspace=0.04, hspace=0.04)
    drawing = Drawing(figsize=(width * shown, 3.0 * len(rows)), layout=layout)
    FigureCanvasAgg(drawing)
    grid = GridSpec(len(rows), shown, figure=drawing)
    heights = []
    for i, row in enumerate(rows):
        painted = [drawing.add_subplot(grid[i, j]) for j in range(len(row))]
        for panel, axes in zip(row, painted, strict=True):
            paint(panel, axes)
        legend = max(_legend_height(axes) for axes in painted)
        for panel, axes in zip(row, painted, strict=True):
            _surround(panel, axes, across, frame, legend)
        labels = max(axes.get_xlabel().count("\n") for axes in painted)
        heights.append(max(_height(p, across, frame) for p in row) + _room(legend) + _LABEL_LINE * labels)
    grid.set_height_ratios(heights)
    drawing.set_figheight(sum(heights))
    return drawing


def _height(panel: Panel, across: int, frame: Frame) -> float:
    base = _SIZES[across][1]
    if isinstance(panel, IntervalPanel):
        base = max(1.4, 0.62 + _ROW * sum(row.height for row in rows_of(panel)))
    elif isinstance(panel, DensityPanel) and across == 1:
        base -= 0.6
    elif isinstance(panel, ScenePanel):
        base = height_of(panel, _SIZES[across][0])
    title = _TITLE_LINE * len(_title(panel, across)) if frame.title else 0.0
    return base + title + (_NOTE_LINE * len(_note(panel, across)) if frame.note else 0.0)


def _surround(panel: Panel, axes: Axes, across: int, frame: Frame, legend: float) -> None:
    start = _left(axes) if isinstance(panel, IntervalPanel) else 0.0
    if frame.title and panel.title:
        text = "\n".join(_title(panel, across))
        _beside(axes, text, 1.0, (-start, 6 + legend), "bottom", size=TITLE_SIZE, color=INK, weight="bold")
    lines = _note(panel, across) if frame.note else []
    if lines:
        below = 20 + (12 + 10.5 * axes.get_xlabel().count("\n") if axes.get_xlabel() else 0)
        _beside(axes, "\n".join(lines), 0.0, (-start, -below), "top", size=SMALL_SIZE, color=SOFT, weight="normal")


def _beside(
    axes: Axes, text: str, y: float, offset: tuple[float, float], va: str, *, size: float, color: str, weight: str
) -> None:
    """Text set `offset` points from the left end of the axes' top (`y` 1) or bottom (`y` 0)."""
    axes.annotate(
        text,
        (0, y),
        xycoords="axes fraction",
        xytext=offset,
        textcoords="offset points",
        ha="left",
        va=va,
        fontsize=size,
        color=color,
        fontweight=weight,
        annotation_clip=False,
    )


def _left(axes: Axes) -> float:
    """Points that the names and numbers of the vertical axis take left of it."""
    drawing = axes.get_figure(root=True)
    box = axes.yaxis.get_tightbbox()
    if drawing is None or box is None:
        return 0.0
    return max(axes.get_window_extent().x0 - box.x0, 0.0) * 72 / drawing.dpi


def _room(legend: float) -> float:
    """Inches to add for a legend higher than a panel provides for."""
    return max(legend - _LEGEND, 0.0) / 72


def _legend_height(axes: Axes) -> float:
    """Points that the legend takes above the axes."""
    legend = axes.get_legend()
    drawing = axes.get_figure(root=True)
    if legend is None or drawing is None:
        return 0.0
    return math.ceil(legend.get_window_extent().height * 72 / drawing.dpi) + 2.0


def _title(panel: Panel, across: int) -> list[str]:
    return break_text(panel.title, _letters(across, TITLE_SIZE * 1.2), 3) if panel.title else []


def _note(panel: Panel, across: int) -> list[str]:
    said = remarks(panel)
    return break_text(said, _letters(across, SMALL_SIZE), 6) if said else []


def _letters(across: int, size: float) -> int:
    """Characters of `size` points that fit the width of a panel, its vertical axis aside."""
    return int((_SIZES[across][0] * 72 - 40) / (0.58 * size))
