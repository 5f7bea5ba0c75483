"""Agents where they are: cells, points, headings and links, seen from above."""

from collections.abc import Sequence

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.colors import LinearSegmentedColormap, to_rgb
from matplotlib.container import Container
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from populace._results import Marks, ScenePanel
from populace.reporting.cells import number
from populace.reporting.panels import legend, paint
from populace.reporting.style import INK, PALETTE, RULE

GROUND = "#edf0f3"
"""Cells and agents of the first kind."""
_RED, _GREEN = "#c8391f", "#3f9a4f"
_SUGGESTED = {
    "infected": _RED,
    "infectious": _RED,
    "ill": _RED,
    "burning": _RED,
    "standing": _GREEN,
    "tree": _GREEN,
    "trees": _GREEN,
    "grass": _GREEN,
}
"""Colours that a name calls for; all others come from the palette."""
SHADES = LinearSegmentedColormap.from_list("agents", ["#f4f7fa", "#9fc1e3", PALETTE[0], "#0b2745"])
PALE = LinearSegmentedColormap.from_list("ground", ["#ffffff", "#9aa5b1"])
_MARGIN = 0.45
"""Inches that legend and margins take of a scene's height."""
_ROOM = 290.0
"""Points that a scene is wide, about."""


def colours(names: Sequence[str]) -> dict[str, str]:
    """A colour a name: the same for the same names, whoever is there at the time."""
    free = iter(colour for colour in (*PALETTE, INK, "#7a8691") * 4)
    return {name: _SUGGESTED.get(name) or next(free) for name in names}


def height_of(panel: ScenePanel, width: float) -> float:
    """Inches of a scene whose panel is `width` wide."""
    return (width - 0.3) * panel.height / panel.width + _MARGIN


@paint.register
def _(panel: ScenePanel, axes: Axes) -> None:
    axes.set(xticks=[], yticks=[], xlim=(0, panel.width), ylim=(0, panel.height), aspect="equal")
    for spine in axes.spines.values():
        spine.set_visible(True)
        spine.set_color(RULE)
    if panel.links is not None:
        for spine in axes.spines.values():
            spine.set_visible(False)
    fill(panel, axes)
    handles, labels = _explained(panel)
    legend(axes, handles, labels)


def fill(panel: ScenePanel, axes: Axes) -> None:
    """Draws what changes from one frame to the next: everything but axes and legend."""
    palette = _palette(panel)
    if panel.cells is not None:
        image = _coloured(panel, palette)
        if panel.brick:
            image = _bricks(image)
        extent = (0.0, panel.width + (0.5 if panel.brick else 0.0), 0.0, panel.height)
        dense = max(image.shape[:2]) > 2 * _ROOM
        smooth = "antialiased" if dense else "nearest"
        axes.imshow(image, extent=extent, interpolation=smooth, interpolation_stage="rgba", aspect="equal")
        axes.set(xlim=(0, extent[1]), ylim=(0, panel.height))
    if panel.links is not None and len(panel.links):
        axes.add_collection(_lines(panel.links, panel.strength))
    many = sum(marks.x.size for marks in panel.marks)
    for marks in panel.marks:
        _points(panel, marks, palette[marks.label], many, axes)


def _palette(panel: ScenePanel) -> dict[str, str]:
    """The colour of each kind, and of each sort of marks; the ground's is pale."""
    ground = panel.kinds[:1]
    others = [*panel.kinds[1:], *(marks.label for marks in panel.marks)]
    return {**colours([name for name in dict.fromkeys(others) if name not in ground]), **dict.fromkeys(ground, GROUND)}


def _coloured(panel: ScenePanel, palette: dict[str, str]) -> np.ndarray:
    """Cells as colours, (rows, columns, 3); white where nothing is known."""
    cells = np.asarray(panel.cells)
    if panel.kinds:
        table = np.array([to_rgb(palette[kind]) for kind in panel.kinds])
        known = table[np.clip(np.nan_to_num(cells).astype(int), 0, len(table) - 1)]
    else:
        low, high = panel.span
        share = np.clip((cells - low) / max(high - low, 1e-12), 0.0, 1.0)
        known = _shades(panel)(np.nan_to_num(share))[..., :3]
    return np.where(np.isfinite(cells)[..., None], known, 1.0)


def _shades(panel: ScenePanel) -> LinearSegmentedColormap:
    """Grey where agents stand upon the shades."""
    return PALE if panel.cells is not None and panel.marks else SHADES


def _bricks(image: np.ndarray) -> np.ndarray:
    """Every cell two pixels wide, odd rows a pixel to the right, white at the ends."""
    wide = np.ones((image.shape[0], 2 * image.shape[1] + 1, 3))
    wide[0::2, :-1] = np.repeat(image[0::2], 2, axis=1)
    wide[1::2, 1:] = np.repeat(image[1::2], 2, axis=1)
    return wide


def _lines(links: np.ndarray, strength: np.ndarray | None) -> LineCollection:
    ends = np.asarray(links, np.float64).reshape(-1, 2, 2)
    share = np.ones(len(ends)) if strength is None else np.asarray(strength)
    faint = float(np.clip(60.0 / len(ends), 0.25, 0.9))
    shades = np.concatenate([np.tile(to_rgb(RULE), (len(ends), 1)), (faint * np.sqrt(share))[:, None]], axis=1)
    return LineCollection(list(ends), colors=shades, linewidths=0.7, zorder=1)


def _points(panel: ScenePanel, marks: Marks, colour: str, many: int, axes: Axes) -> None:
    if not marks.x.size:
        return
    if marks.way is not None:
        axes.add_collection(_darts(panel, marks, colour, many))
        return
    size = float(np.clip(0.30 * _ROOM**2 / max(many, 1), 2.5, 46.0))
    if panel.cells is not None:
        size = max(6.0, min(size, (0.42 * _ROOM * panel.height / panel.width / panel.cells.shape[0]) ** 2))
    rim = 0.5 if colour == GROUND else 0.0
    if marks.shade is None:
        axes.scatter(marks.x, marks.y, s=size, c=colour, zorder=3, linewidths=rim, edgecolors=RULE)
    else:
        low, high = panel.span
        axes.scatter(marks.x, marks.y, s=size, c=marks.shade, cmap=SHADES, vmin=low, vmax=high, zorder=3, linewidths=0)


def _darts(panel: ScenePanel, marks: Marks, colour: str, many: int) -> PolyCollection:
    """Narrow triangles that point where agents head."""
    assert marks.way is not None
    way = np.asarray(marks.way, np.float64)
    way = way / np.maximum(np.sqrt((way**2).sum(1, keepdims=True)), 1e-12)
    side = np.stack([-way[:, 1], way[:, 0]], axis=1)
    length = panel.width * float(np.clip(0.35 / np.sqrt(max(many, 1)), 0.006, 0.03))
    at = np.stack([marks.x, marks.y], axis=1)
    corners = [at + length * way, at + length * (0.45 * side - 0.6 * way), at - length * (0.45 * side + 0.6 * way)]
    faces = colour if marks.shade is None else SHADES(np.clip(marks.shade, 0, 1))
    return PolyCollection(list(np.stack(corners, axis=1)), facecolors=faces, edgecolors="none", zorder=3)


def _explained(panel: ScenePanel) -> tuple[list[Artist | Container | tuple[Artist, ...]], list[str]]:
    """What the legend shows: kinds, agents, and the ends of the shades."""
    palette, handles, labels = _palette(panel), [], []
    for kind in panel.kinds if panel.cells is not None else ():
        handles.append(Patch(facecolor=palette[kind], edgecolor=RULE, linewidth=0.5))
        labels.append(kind)
    shaded = (panel.cells is not None and not panel.kinds) or any(marks.shade is not None for marks in panel.marks)
    if shaded:
        for share, value in zip((0.0, 0.5, 1.0), np.linspace(*panel.span, 3), strict=True):
            handles.append(Patch(facecolor=_shades(panel)(share), edgecolor=RULE, linewidth=0.5))
            labels.append(
                f"{panel.of} {number(float(f'{value:.3g}'))}" if share == 0 else number(float(f"{value:.3g}"))
            )
    for marks in panel.marks:
        if marks.shade is None and (len(panel.marks) > 1 or panel.cells is not None or panel.kinds):
            edge = RULE if palette[marks.label] == GROUND else "none"
            style = {"markerfacecolor": palette[marks.label], "markeredgecolor": edge, "markersize": 5.5}
            handles.append(Line2D([], [], linestyle="none", marker="o", **style))
            labels.append(marks.label)
    return handles, labels
