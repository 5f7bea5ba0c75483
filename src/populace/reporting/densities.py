"""Prior and posterior densities, with named marks."""

from collections.abc import Sequence

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.patches import Patch

from populace._results import DensityPanel
from populace.reporting import ticks
from populace.reporting.cells import number
from populace.reporting.kernel import Curve, density
from populace.reporting.panels import break_text, cycle, label_axes, legend, nothing, paint, remarks, width
from populace.reporting.style import INK, PRIOR, PRIOR_EDGE, SMALL_SIZE


@paint.register
def _(panel: DensityPanel, axes: Axes) -> None:
    shown = {label: _shown(panel, label) for label in panel.samples}
    pooled = np.concatenate([values for values, _ in shown.values()] or [np.zeros(0)])
    label_axes(axes, panel.x_label)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    if pooled.size == 0:
        nothing(axes, "no draws")
        return
    curves = {
        label: density(values, weights, float(pooled.min()), float(pooled.max()))
        for label, (values, weights) in shown.items()
    }
    marks = [(name, value) for name, value in panel.marks.items() if _drawable(value, panel.log_x)]
    if panel.log_x:
        axes.set_xscale("log")
    handles, labels = _curves(axes, curves, panel.log_x)
    where = [np.log10(value) if panel.log_x else value for _, value in marks]
    _set_span(axes, np.concatenate([pooled, where]), panel.log_x)
    _marks(axes, marks, panel.log_x)
    legend(axes, handles, labels)


@remarks.register
def _(panel: DensityPanel) -> str:
    said = [panel.note] if panel.note else []
    for label in panel.samples:
        lost = np.size(panel.samples[label]) - _shown(panel, label)[0].size
        if lost:
            why = "not finite, or not positive on a log axis" if panel.log_x else "not finite"
            said.append(f"{label}: {number(lost)} of {number(np.size(panel.samples[label]))} draws left out ({why}).")
        weights = _shown(panel, label)[1]
        if weights is not None and not (weights > 0).any():
            said.append(f"{label}: no draw has weight.")
    hidden = [name for name, value in panel.marks.items() if not _drawable(value, panel.log_x)]
    if hidden:
        said.append(f"Not on this axis: {', '.join(hidden)}.")
    return " ".join(said)


def _shown(panel: DensityPanel, label: str) -> tuple[np.ndarray, np.ndarray | None]:
    """The draws under `label` that the axis can show, in the axis's own scale, and their weights."""
    values = np.ravel(np.asarray(panel.samples[label], np.float64))
    weights = None if label not in panel.weights else np.ravel(np.asarray(panel.weights[label], np.float64))
    kept = np.isfinite(values) & (values > 0 if panel.log_x else True)
    values = values[kept]
    return (np.log10(values) if panel.log_x else values), (None if weights is None else weights[kept])


def _drawable(value: float, log: bool) -> bool:
    return bool(np.isfinite(value)) and (value > 0 or not log)


def _is_prior(label: str) -> bool:
    return label.strip().lower().startswith("prior")


def _curves(axes: Axes, curves: dict[str, Curve | None], log: bool) -> tuple[list[Artist], list[str]]:
    colours = iter(cycle(len(curves)))
    peak = max((float(curve.y.max()) for curve in curves.values() if curve), default=0.0) or 1.0
    handles: list[Artist] = []
    for label, curve in curves.items():
        prior = _is_prior(label)
        line, fill = (PRIOR_EDGE, PRIOR) if prior else ((colour := next(colours)), colour)
        shade, rank = (0.65, 1.0) if prior else (0.22, 2.0)
        handles.append(Patch(facecolor=(fill, shade), edgecolor=line, linewidth=1.2))
        if curve is None:
            continue
        x = 10.0**curve.x if log else curve.x
        if curve.is_spike:
            axes.plot([x[0], x[0]], [0, peak], color=line, linewidth=6.0 if prior else 2.4, zorder=rank + 1)
            continue
        axes.fill_between(x, 0, curve.y, color=fill, alpha=shade, linewidth=0, zorder=rank)
        axes.plot(x, curve.y, color=line, linewidth=1.0 if prior else 1.6, zorder=rank + 0.1)
    axes.set_ylim(0, peak * 1.06)
    return handles, list(curves)


def _set_span(axes: Axes, values: np.ndarray, log: bool) -> None:
    low, high = float(values.min()), float(values.max())
    margin = 0.03 * (high - low) or (0.3 if log else 0.1 * abs(low) or 1.0)
    low, high = low - margin, high + margin
    if log:
        low, high = 10.0**low, 10.0**high
        axes.set_xlim(low, high)
        ticks.logarithmic(axes.xaxis)
    else:
        axes.set_xlim(low, high)
        ticks.linear(axes.xaxis, most=6)


def _marks(axes: Axes, marks: Sequence[tuple[str, float]], log: bool) -> None:
    """Dashed lines above the curves, each up to a row of its own that holds its name.

    Names stand right of their lines where there is room, else left. The rows are dealt so that no line reaches the
    row of a name that it would cross.
    """
    axes.set_ylim(top=axes.get_ylim()[1] * (1 + 0.12 * len(marks)))
    low, high = axes.get_xlim()
    placed: list[tuple[bool, float, float, str]] = []
    for name, value in marks:
        name = break_text(name, 26, 1)[0]
        place = float(np.log(value / low) / np.log(high / low)) if log else (value - low) / (high - low)
        room = (1 - place) * 72 * (width(axes) - 0.3)
        left = room < 0.62 * SMALL_SIZE * len(name) + 4
        placed.append((left, -place if left else place, value, name))
    for row, (left, place, value, name) in enumerate(sorted(placed)):
        top = 0.99 - 0.1 * row
        axes.axvline(value, ymax=top, color=INK, linewidth=1.0, linestyle=(0, (4, 2.5)), zorder=4)
        axes.annotate(
            name,
            (abs(place), top),
            xycoords="axes fraction",
            xytext=(-4 if left else 4, 0),
            textcoords="offset points",
            ha="right" if left else "left",
            va="top",
            fontsize=SMALL_SIZE,
            zorder=6,
            bbox=dict(facecolor="white", alpha=0.85, linewidth=0, pad=0.8),
        )
