"""Painting a panel: one function dispatched over the kinds of panel, and what the kinds share.

Each kind is drawn in a file of its own (`bands`, `densities`, `intervals`, `clouds`).
"""

import textwrap
from collections.abc import Sequence
from functools import singledispatch

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.container import Container

from populace._results import Panel
from populace.reporting.style import PALETTE, RULE, SOFT, TEXT_SIZE

_AXIS = 56.0  # points beside the axes: its tick labels, its label, the margins


@singledispatch
def paint(panel: Panel, axes: Axes) -> None:
    """Draws `panel` on `axes`, all but its title and note."""
    raise TypeError(f"no drawing is known for a panel of type {type(panel).__name__}")


@singledispatch
def remarks(panel: Panel) -> str:
    """What stands below a panel: its note, and what could not be drawn."""
    return panel.note


def break_text(text: str, width: int, most: int) -> list[str]:
    """`text` in at most `most` lines of `width` characters, an ellipsis where it was cut."""
    lines = textwrap.wrap(text, max(width, 8), break_on_hyphens=False) or [""]
    if len(lines) > most:
        lines = [*lines[: most - 1], lines[most - 1][: max(width, 8) - 1].rstrip() + "…"]
    return lines


def label_axes(axes: Axes, x_label: str, y_label: str = "", *, beside: float = _AXIS) -> None:
    """Axis labels, broken to the length of their axes; `beside` points of the width are not the axes'."""
    across = int((width(axes) * 72 - beside) / (0.57 * TEXT_SIZE))
    axes.set_xlabel("\n".join(break_text(x_label, across, 3)))
    axes.set_ylabel("\n".join(break_text(y_label, 32, 2)))


def cycle(count: int) -> list[str]:
    """The palette's first `count` colours, again from the start when it is used up."""
    return [PALETTE[i % len(PALETTE)] for i in range(count)]


def nothing(axes: Axes, text: str) -> None:
    """An empty frame that says why it is empty."""
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set_color(RULE)
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color=SOFT)


def legend(axes: Axes, handles: Sequence[Artist | Container | tuple[Artist, ...]], labels: Sequence[str]) -> None:
    """The legend above the axes, in as few rows as fit."""
    if not labels:
        return
    letters = int((width(axes) * 72 - _AXIS) / (0.57 * TEXT_SIZE))
    texts = ["\n".join(break_text(label, letters - 6, 3)) for label in labels]
    fitting = (n for n in range(len(texts), 0, -1) if n == 1 or _needs(texts, n) <= letters)
    axes.legend(handles, texts, loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=next(fitting))


def _needs(texts: Sequence[str], across: int) -> int:
    """Letters that a legend of `across` columns is wide; matplotlib fills it column by column."""
    parts = np.array_split(np.array(texts, object), across)
    return sum(max(len(line) for text in part for line in text.split("\n")) + 6 for part in parts)


def width(axes: Axes) -> float:
    """Inches of the figure that belong to this panel."""
    drawing, place = axes.get_figure(root=True), axes.get_subplotspec()
    assert drawing is not None and place is not None
    return drawing.get_figwidth() / place.get_gridspec().ncols
