"""Simulated bands with data over a common axis."""

from collections.abc import Sequence

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.container import Container
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from populace._results import Band, BandPanel, Points
from populace.reporting import ticks
from populace.reporting.cells import number
from populace.reporting.panels import cycle, label_axes, legend, nothing, paint
from populace.reporting.style import INK, SOFT


@paint.register
def _(panel: BandPanel, axes: Axes) -> None:
    label_axes(axes, panel.x_label, panel.y_label)
    if not any(np.isfinite(values).any() for values in _heights(panel)):
        nothing(axes, "no data")
        return
    shares = {tuple(sorted(band.intervals)) for band in panel.bands}
    apart = len(panel.bands) <= 2 or len(shares) > 1  # else one entry tells the shades of all
    handles: list[Artist | Container | tuple[Artist, ...]] = []
    labels: list[str] = []
    for band, colour in zip(panel.bands, cycle(len(panel.bands)), strict=True):
        handles.append(_band(axes, band, colour))
        labels.append(f"{band.label} ({_shades(band, band.line)})" if apart else band.label)
    if panel.bands and not apart:
        handles.append(_swatch(SOFT, len(panel.bands[0].intervals)))
        labels.append(_shades(panel.bands[0], f"{panel.bands[0].line}s"))
    for points, (marker, face) in zip(panel.points, _markers(len(panel.points)), strict=True):
        handles.append(_points(axes, points, marker, face))
        labels.append(points.label)
    axes.margins(x=0.03, y=0.06)
    _level_floor(axes, panel)
    xs = np.concatenate([np.asarray(series.x, np.float64) for series in (*panel.bands, *panel.points)])
    ticks.linear(axes.xaxis, most=8, whole=ticks.whole_numbers(xs))
    ticks.linear(axes.yaxis, most=5)
    legend(axes, handles, labels)


def _heights(panel: BandPanel) -> list[np.ndarray]:
    values = [array for band in panel.bands for pair in band.intervals.values() for array in pair]
    values += [band.median for band in panel.bands] + [points.y for points in panel.points]
    return [np.ravel(np.asarray(array, np.float64)) for array in values]


def _level_floor(axes: Axes, panel: BandPanel) -> None:
    """Series that are never negative get no axis below zero."""
    flat = np.concatenate(_heights(panel))
    low, high = axes.get_ylim()
    if np.all(flat[np.isfinite(flat)] >= 0) and low < 0 < high:
        axes.set_ylim(bottom=0)


def _swatch(colour: str, intervals: int) -> tuple[Artist, ...]:
    """What stands for a band in the legend: its shades upon each other, and its line."""
    shades = [Patch(facecolor=colour, alpha=float(shade), linewidth=0) for shade in _alphas(intervals)]
    return (*shades, Line2D([], [], color=colour))


def _alphas(intervals: int) -> np.ndarray:
    """Opacity of each nested interval, the widest first."""
    return np.linspace(0.2, 0.36, max(intervals, 2))[:intervals]


def _band(axes: Axes, band: Band, colour: str) -> tuple[Artist, ...]:
    intervals = sorted(band.intervals.items(), reverse=True)
    x = np.asarray(band.x, np.float64)
    for (_, (low, high)), shade in zip(intervals, _alphas(len(intervals)), strict=True):
        if x.size == 1:  # an area over one point has no width
            axes.vlines(x, low, high, colors=colour, alpha=float(shade), linewidth=9)
        else:
            axes.fill_between(x, low, high, color=colour, alpha=float(shade), linewidth=0)
    axes.plot(x, band.median, color=colour, marker="_" if x.size == 1 else "", markersize=9)
    return _swatch(colour, len(intervals))


def _shades(band: Band, line: str) -> str:
    shares = [f"{number(100 * probability)} %" for probability in sorted(band.intervals)]
    return f"{line}, {_listed(shares)}" if shares else line


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _points(axes: Axes, points: Points, marker: str, face: str) -> Container:
    return axes.errorbar(
        np.asarray(points.x, np.float64),
        np.asarray(points.y, np.float64),
        yerr=None if points.error is None else np.asarray(points.error, np.float64),
        linestyle="none",
        marker=marker,
        markersize=4.2,
        markerfacecolor=face,
        markeredgecolor=INK,
        markeredgewidth=0.9,
        ecolor=INK,
        elinewidth=0.9,
        capsize=0,
        zorder=5,
        clip_on=False,
    )


def _markers(count: int) -> list[tuple[str, str]]:
    kinds = [("o", INK), ("s", "white"), ("^", SOFT), ("D", "white")]
    return [kinds[i % len(kinds)] for i in range(count)]
