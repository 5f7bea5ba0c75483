"""What the pictures of the gallery share: axes under one title, theory as a line, runs as dots."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from populace.reporting.style import INK, PALETTE, SOFT


def titled(figure: Figure, title: str) -> None:
    """The model and its fact, above all panels."""
    figure.suptitle(title, x=0.02, ha="left", fontsize=10, fontweight="bold", color=INK)


def panel(figure: Figure, title: str) -> Axes:
    """One panel."""
    titled(figure, title)
    return figure.subplots()


def beside(figure: Figure, title: str, widths: tuple[float, ...] = (1.0, 1.0)) -> list[Axes]:
    """Panels from left to right."""
    titled(figure, title)
    return list(figure.subplots(1, len(widths), width_ratios=widths))


def stacked(figure: Figure, title: str, panels: int = 2) -> list[Axes]:
    """Panels one above the other, on one horizontal axis."""
    titled(figure, title)
    return list(figure.subplots(panels, 1, sharex=True))


def law(axes: Axes, x: Any, y: Any, label: str | None = None) -> None:
    """What is known in closed form."""
    axes.plot(x, y, color=INK, linewidth=1.1, label=label)


def mark(axes: Axes, x: float, text: str, height: float = 0.95) -> None:
    """A value of the horizontal axis that theory names, written to the right of its line at a part of the height."""
    axes.axvline(x, color=SOFT, linewidth=0.9, linestyle="--")
    at = axes.get_xaxis_transform()
    axes.annotate(text, (x, height), xycoords=at, xytext=(4, 0), textcoords="offset points", color=SOFT, va="top")


def dots(axes: Axes, x: Any, runs: Any, label: str | None = None, colour: str = PALETTE[0]) -> None:
    """Means of runs (points, runs), with two standard errors."""
    rows = np.asarray(runs, np.float64)
    error = 2.0 * rows.std(axis=1, ddof=1) / np.sqrt(rows.shape[1])
    axes.errorbar(x, rows.mean(axis=1), error, fmt="o", color=colour, markersize=3.5, elinewidth=1.0, label=label)


def bare(axes: Axes, text: str) -> None:
    """A map: no ticks, and what it is of below."""
    axes.set(xticks=[], yticks=[], xlabel=text)
    axes.spines[:].set_visible(False)


def correlations(series: Any, lags: int) -> np.ndarray:
    """The autocorrelation at lags 1 .. `lags`."""
    x = np.asarray(series, np.float64)
    x = x - x.mean()
    return np.array([x[lag:] @ x[:-lag] for lag in range(1, lags + 1)]) / (x @ x)
