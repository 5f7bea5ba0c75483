"""What a model can do: the cells of moment space that it reaches, whether that is all, and where the data lie."""

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._results import Band, BandPanel, CellPanel, Code, Figure, Result, Section, Table, Verdict
from ..surrogates.reach import Reach
from .attainable import Attainable
from .cells import Cells, Unseen, hits

LAST = 0.25
"""The last part of the search, by which it is judged whether cells are still being found."""
_SLOW, _LEFT = 0.05, 0.1
_POINTS = 200
_PAIRS = 3
_LISTED = 8


@dataclass(frozen=True)
class Confirmed:
    """Cells run again under other keys: how many, how many of these were hit again, and how many at least touched."""

    cells: int
    same: int
    touched: int


@dataclass(frozen=True)
class Place:
    """Where the data lie: `values` (axes,), their `cell`, the `nearest` that was reached and how many cells `away` that
    is; `reached`: whether a run there may land on the data; `nearing`: whether the last part of the search still came
    nearer.
    """

    values: np.ndarray
    cell: np.ndarray
    nearest: np.ndarray
    away: int
    reached: bool
    nearing: bool


@dataclass(frozen=True)
class PatternSpace(Result):
    """The cells that a model reaches.

    `axes`: moments; `grid`; `cells` (c, axes) with `hits` (c,), and `examples`: name to (c, ...), parameters that led
    to each; `by_search`, `by_design`, `by_both`: how many were found by the search, by Sobol points at as many runs,
    and by both; `growth`: how many cells the first 1, 2, ... patterns of either hold; `unseen`: an estimate of what the
    search has not hit; `confirmed`; `scatter` (axes,): the standard deviation of a run in widths of a cell; `data`;
    `moments`: each by itself, those that span no axis too; `reach`: of all fitted moments together, None of fewer than
    fifty runs; `failed`: patterns that do not count.
    """

    axes: tuple[str, ...]
    grid: Cells
    cells: np.ndarray
    hits: np.ndarray
    examples: dict[str, np.ndarray]
    by_search: int
    by_design: int
    by_both: int
    growth: dict[str, np.ndarray]
    unseen: Unseen
    confirmed: Confirmed
    replicates: int
    scatter: np.ndarray
    data: Place
    moments: tuple[Attainable, ...]
    reach: Reach | None
    failed: int
    why: str
    calls: int

    @property
    def late(self) -> float:
        """The share of the search's cells that its last quarter found."""
        curve = self.growth["search"]
        return float(1.0 - curve[int((1.0 - LAST) * len(curve))] / curve[-1])

    def saturation(self) -> Verdict:
        """Whether about all is seen."""
        share = self.unseen.count / (self.by_search + self.unseen.count)
        numbers = {"late": self.late, "unseen": self.unseen.count, "error": self.unseen.error}
        text = (
            f"The last quarter of the search found {100 * self.late:.2g} % of its {self.by_search} cells, and "
            f"{self.unseen.count:.0f} or more (standard error {self.unseen.error:.0f}) are estimated to be unseen"
        )
        if self.late <= _SLOW and share <= _LEFT:
            return Verdict("the search", Code.ABOUT_ALL_SEEN, f"{text}: about all is seen.", numbers)
        return Verdict("the search", Code.MORE_TO_SEE, f"{text}: the model can do more than is seen.", numbers)

    def place(self) -> Verdict:
        """Whether the data lie among what the model does, in these axes."""
        one, names = self.data, _and(self.axes)
        numbers = {"cells away": float(one.away)}
        if one.away == 0:
            text = f"In {names} the data lie in a cell that the model reaches."
            return Verdict("the data", Code.WITHIN_REACH, text, numbers)
        where = f"{one.away} cell{'s' if one.away > 1 else ''} from the nearest that the model reaches"
        if one.reached:
            text = f"In {names} the data lie {where}, no farther than single runs stray."
            return Verdict("the data", Code.WITHIN_REACH, text, numbers)
        near = ", ".join(f"{n} {v:.3g}" for n, v in zip(self.axes, self.grid.centres(one.nearest), strict=True))
        text = f"In {names} the data lie {where} ({near})"
        if one.nearing:
            text += ", and the search was still coming nearer."
            return Verdict("the data", Code.MORE_TO_SEE, text, numbers)
        text += ", and the search, which looked there too, came no nearer."
        return Verdict("the data", Code.OUT_OF_REACH, text, numbers)

    def paid(self) -> str:
        """What the search added to an even design, in words."""
        share = 100.0 * self.by_both / max(self.by_design, 1)
        times = self.by_search / max(self.by_design, 1)
        return (
            f"At equal runs the search found {self.by_search} cells and Sobol points {self.by_design}, {times:.2g} "
            f"times as many; of the cells of the Sobol points it found {share:.0f} %. Both together found "
            f"{len(self.cells)}."
        )

    def checked(self) -> str:
        """How the cells stand up to other keys, in words."""
        one = self.confirmed
        text = (
            f"A pattern is the median of {self.replicates} runs; a single run varies by "
            f"{', '.join(f'{s:.2g}' for s in self.scatter)} widths of a cell along {_and(self.axes)}, and no cell is "
            "narrower than three standard errors of a median. "
        )
        if self.replicates == 1:
            text = "A pattern is a single run: where there is chance, cells count by luck too. "
        return text + (
            f"Of {one.cells} of the search's cells, run again under other keys, {one.same} were hit again and "
            f"{one.touched} at least touched."
        )

    def out_of_reach(self) -> tuple[Attainable, ...]:
        """The moments that no parameter brings to the data."""
        return tuple(one for one in self.moments if not one.reached)

    def verdicts(self) -> tuple[Verdict, ...]:
        """Saturation, the place of the data, and the moments that are out of reach."""
        beyond = tuple(one.verdict() for one in self.out_of_reach()[:_LISTED])
        together = () if self.reach is None else (self.reach.verdict(),)
        return (self.saturation(), self.place(), *beyond, *together)

    def sections(self) -> tuple[Section, ...]:
        text = [self.paid(), self.checked()]
        if self.failed:
            text.append(f"{self.failed} patterns could not be used. {self.why}")
        more = len(self.out_of_reach()) - _LISTED
        if more > 0:
            text.append(f"{more} further moments are out of reach.")
        rows = tuple(
            (m.label, m.low, m.high, m.data, m.nearest, m.p, "yes" if m.reached else "no") for m in self.moments
        )
        columns = ("moment", "least", "most", "data", "nearest to the data", "p", "reached")
        note = (
            "Least and most of the patterns over all parameter sets that were run. p: the chance that a run at the "
            "nearest parameters is as far out as the data; of single runs, the share of all runs as far out."
        )
        figures = (Figure("patterns", "What the model can do.", (*self._maps(), self._curve())),)
        table = Table("What each moment can be", columns, rows, note)
        return (Section("Pattern space", tuple(text), self.verdicts(), figures, (table,)),)

    def _maps(self) -> tuple[CellPanel, ...]:
        panels = []
        for i, j in itertools.islice(itertools.combinations(range(len(self.axes)), 2), _PAIRS):
            flat, member, _ = hits(self.cells[:, [i, j]])
            often = np.bincount(member, weights=self.hits, minlength=len(flat)).astype(int)
            centres = Cells(self.grid.low[[i, j]], self.grid.width[[i, j]]).centres(flat)
            x, y = self.axes[i], self.axes[j]
            panels.append(
                CellPanel(
                    "Cells that were reached" if len(self.axes) == 2 else f"{x} and {y}",
                    x,
                    y,
                    *centres.T,
                    width=float(self.grid.width[i]),
                    height=float(self.grid.width[j]),
                    hits=often,
                    marks={"data": (float(self.data.values[i]), float(self.data.values[j]))},
                )
            )
        return tuple(panels)

    def _curve(self) -> BandPanel:
        bands = []
        for (name, curve), line in zip(self.growth.items(), ("novelty", "even"), strict=True):
            at = np.unique(np.linspace(1, len(curve), min(_POINTS, len(curve))).astype(int))
            bands.append(Band(name, at * float(self.replicates), curve[at - 1].astype(float), {}, line))
        return BandPanel("Cells found", "runs", "cells", tuple(bands))

    def record(self) -> dict[str, Any]:
        return {
            "axes": list(self.axes),
            "low": self.grid.low.tolist(),
            "width": self.grid.width.tolist(),
            "cells": self.cells.tolist(),
            "hits": self.hits.tolist(),
            "by_search": self.by_search,
            "by_design": self.by_design,
            "by_both": self.by_both,
            "confirmed": {
                "cells": self.confirmed.cells,
                "same": self.confirmed.same,
                "touched": self.confirmed.touched,
            },
            "search": self.saturation().record(),
            "data": self.place().record(),
            "moments": {one.label: one.verdict().record() for one in self.moments},
            "reach": None if self.reach is None else self.reach.record(),
            "failed": self.failed,
            "calls": self.calls,
        }


def _and(names: tuple[str, ...]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}"
