"""What every result is made of: sections of sentences, tables and figure data.

A verb returns a frozen `Result`. Results know nothing of files or colours: `populace.reporting`
renders any of them. A figure here is its data; who draws it decides how it looks.
"""

import abc
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from ._codes import Code

Cell: TypeAlias = str | int | float | bool | None


@dataclass(frozen=True)
class Verdict:
    """One sentence about one subject, its class, and the numbers that it stands on."""

    subject: str
    code: Code
    sentence: str
    numbers: Mapping[str, float] = field(default_factory=dict)

    def record(self) -> dict[str, Any]:
        """The verdict as plain JSON values."""
        return {"class": self.code.value, "sentence": self.sentence, "numbers": dict(self.numbers)}


@dataclass(frozen=True)
class Table:
    """Rows under named columns; `note` is read below the table."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(f"table '{self.title}': a row has {len(row)} cells, not {len(self.columns)}")


@dataclass(frozen=True)
class Band:
    """A series as a line, the median unless `line` says otherwise, with nested central intervals.

    `x` and `median` have shape (points,); `intervals` maps a probability to (low, high), each (points,).
    """

    label: str
    x: np.ndarray
    median: np.ndarray
    intervals: Mapping[float, tuple[np.ndarray, np.ndarray]]
    line: str = "median"


@dataclass(frozen=True)
class Points:
    """Data: `x` and `y` of shape (points,), with `error` one standard error or None."""

    label: str
    x: np.ndarray
    y: np.ndarray
    error: np.ndarray | None = None


@dataclass(frozen=True)
class BandPanel:
    """Bands and points over a common axis."""

    title: str
    x_label: str
    y_label: str
    bands: tuple[Band, ...] = ()
    points: tuple[Points, ...] = ()
    note: str = ""


@dataclass(frozen=True)
class DensityPanel:
    """One-dimensional samples by label, drawn as densities on one axis; `marks` are named vertical lines."""

    title: str
    x_label: str
    samples: Mapping[str, np.ndarray]
    weights: Mapping[str, np.ndarray] = field(default_factory=dict)
    marks: Mapping[str, float] = field(default_factory=dict)
    log_x: bool = False
    note: str = ""


@dataclass(frozen=True)
class IntervalPanel:
    """A named row each: a centre with an interval, against a reference value."""

    title: str
    x_label: str
    names: tuple[str, ...]
    centre: np.ndarray
    low: np.ndarray
    high: np.ndarray
    emphasis: tuple[bool, ...] = ()
    reference: float | None = None
    note: str = ""


@dataclass(frozen=True)
class ScatterPanel:
    """A cloud of points, to show a ridge or a trade-off."""

    title: str
    x_label: str
    y_label: str
    x: np.ndarray
    y: np.ndarray
    log_x: bool = False
    log_y: bool = False
    note: str = ""


@dataclass(frozen=True)
class MapPanel:
    """A height over two axes, in shades, with contours at `levels` and lines upon it.

    `x` (nx,), `y` (ny,), rising; `height` (ny, nx), 0 or more, NaN where it is not known; `lines`: label to x and y of
    the same length.
    """

    title: str
    x_label: str
    y_label: str
    x: np.ndarray
    y: np.ndarray
    height: np.ndarray
    levels: tuple[float, ...] = ()
    lines: Mapping[str, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)
    note: str = ""


@dataclass(frozen=True)
class CellPanel:
    """Cells of a plane by how often each was hit.

    `x`, `y` (cells,): their middles, all `width` by `height`; `hits` (cells,); `marks`: named points (x, y).
    """

    title: str
    x_label: str
    y_label: str
    x: np.ndarray
    y: np.ndarray
    width: float
    height: float
    hits: np.ndarray
    marks: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    note: str = ""


@dataclass(frozen=True)
class Marks:
    """Agents of one kind: `x`, `y` (agents,); `way` (agents, 2): where they head; `shade` (agents,): numbers that are
    drawn as colours.
    """

    label: str
    x: np.ndarray
    y: np.ndarray
    way: np.ndarray | None = None
    shade: np.ndarray | None = None


@dataclass(frozen=True)
class ScenePanel:
    """Agents where they are, in a world of `width` by `height`, its corner (0, 0) at the lower left.

    `cells` (rows, columns), the first row on top: places in `kinds`, of which the first is the ground, or, without
    kinds, numbers `of` something, drawn lightest at `span[0]` and darkest at `span[1]`; `brick`: odd rows stand half a
    cell to the right; `marks`: agents as points; `links` (links, 4): lines x0, y0, x1, y1, as dark as `strength`.
    """

    title: str
    width: float
    height: float
    cells: np.ndarray | None = None
    kinds: tuple[str, ...] = ()
    of: str = ""
    span: tuple[float, float] = (0.0, 1.0)
    brick: bool = False
    marks: tuple[Marks, ...] = ()
    links: np.ndarray | None = None
    strength: np.ndarray | None = None
    note: str = ""


@dataclass(frozen=True)
class BarPanel:
    """How many fall between `edges` (bars + 1,): `counts` (bars,), up to `top` on the axis."""

    title: str
    x_label: str
    y_label: str
    edges: np.ndarray
    counts: np.ndarray
    top: float
    note: str = ""


Panel: TypeAlias = (
    BandPanel | DensityPanel | IntervalPanel | ScatterPanel | MapPanel | CellPanel | ScenePanel | BarPanel
)


@dataclass(frozen=True)
class Figure:
    """Panels drawn together under one caption."""

    name: str
    caption: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True)
class Section:
    """A heading with what stands under it, in this order: text, verdicts, figures, tables."""

    title: str
    text: tuple[str, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    figures: tuple[Figure, ...] = ()
    tables: tuple[Table, ...] = ()


class Result(abc.ABC):
    """Anything a verb returns that a person or a program may want to read."""

    @abc.abstractmethod
    def sections(self) -> tuple[Section, ...]:
        """The result as a person reads it."""

    @abc.abstractmethod
    def record(self) -> dict[str, Any]:
        """The result as JSON values (numbers, strings, lists, dicts; no NaN)."""


def cell(x: float) -> float | None:
    """A number of a table; None, which is shown as nothing, for one that is not finite."""
    return float(x) if np.isfinite(x) else None


def quantiles(samples: np.ndarray, probabilities: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Weighted quantiles along the first axis.

    **Arguments:** `samples` (n, ...); `probabilities` (q,) in [0, 1]; `weights` (n,), uniform when None.

    **Returns:** an array (q, ...), by linear interpolation of the weighted empirical distribution.
    """
    samples = np.asarray(samples, np.float64)
    probabilities = np.asarray(probabilities, np.float64)
    if weights is None:
        return np.quantile(samples, probabilities, axis=0)
    weights = np.asarray(weights, np.float64)
    flat = samples.reshape(samples.shape[0], -1)
    out = np.empty((probabilities.size, flat.shape[1]))
    for column in range(flat.shape[1]):
        order = np.argsort(flat[:, column], kind="stable")
        mass = weights[order]
        position = (np.cumsum(mass) - 0.5 * mass) / mass.sum()
        out[:, column] = np.interp(probabilities, position, flat[order, column])
    return out.reshape((probabilities.size, *samples.shape[1:]))
