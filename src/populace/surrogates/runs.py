"""Runs at the points of a design: what a surrogate learns from."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.random as jr
import numpy as np
from rich.progress import Progress

from .._errors import ProblemError
from .._results import Code, Result, Section, Table, Verdict
from .._types import Key, Parameters
from ..core.executor import Ticker
from ..core.progress import display
from ..problem.problem import Problem
from ..problem.space import Space
from .design import Design, unit_of


@dataclass(frozen=True)
class Runs(Result):
    """Moments of runs at points of a space; a run that failed stays, marked.

    `unit` (n, d) float64: the points on the priors' probability scale; `moments` (n, k) float64, NaN where a run
    failed; `valid` (n,) bool; `labels` (k,): the moments' names; `reasons`: why runs failed, a sentence to its count.
    """

    space: Space
    unit: np.ndarray
    moments: np.ndarray
    valid: np.ndarray
    labels: tuple[str, ...]
    reasons: dict[str, int]

    def __post_init__(self) -> None:
        n = self.unit.shape[0]
        if self.unit.shape != (n, self.space.size):
            raise ProblemError(f"points of shape {self.unit.shape} in a space of {self.space.size} numbers")
        if self.moments.shape != (n, len(self.labels)) or self.valid.shape != (n,):
            raise ProblemError(
                f"{n} points need moments ({n}, {len(self.labels)}) and {n} marks, not {self.moments.shape} and "
                f"{self.valid.shape}"
            )
        if not np.isfinite(self.moments[self.valid]).all():
            raise ProblemError("a run that counts has a moment that is not finite: mark it as failed")

    @staticmethod
    def of(space: Space, points: Parameters, moments: np.ndarray, labels: tuple[str, ...]) -> "Runs":
        """Runs made elsewhere: points name to (n, ...), moments (n, k), a run with one that is not finite failed."""
        moments = np.asarray(moments, np.float64)
        valid = np.asarray(np.isfinite(moments).all(1))
        why = {"a moment is not finite": int((~valid).sum())} if not valid.all() else {}
        return Runs(space, unit_of(space, points), moments, valid, labels, why)

    @property
    def size(self) -> int:
        """How many runs, with those that failed, n."""
        return self.unit.shape[0]

    def joined(self, other: "Runs") -> "Runs":
        """These runs and then others of the same problem."""
        if self.labels != other.labels or self.space.labels != other.space.labels:
            raise ProblemError("runs of two problems cannot be joined: their moments or parameters have other names")
        reasons = dict(self.reasons)
        for why, count in other.reasons.items():
            reasons[why] = reasons.get(why, 0) + count
        parts = [np.concatenate(pair) for pair in zip(self._arrays(), other._arrays(), strict=True)]
        return Runs(self.space, *parts, labels=self.labels, reasons=reasons)

    def taken(self, rows: np.ndarray) -> "Runs":
        """Some of the runs, by index or mark; the reasons are those of all."""
        return Runs(self.space, *(part[rows] for part in self._arrays()), labels=self.labels, reasons=self.reasons)

    def _arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return self.unit, self.moments, self.valid

    def sections(self) -> tuple[Section, ...]:
        failed = int((~self.valid).sum())
        verdicts = ()
        if failed:
            listed = "; ".join(f"{count} x {why}" for why, count in self.reasons.items())
            text = f"{failed} of {self.size} runs failed: {listed}."
            verdicts = (Verdict("the runs", Code.EXCLUDED, text, {"failed": failed / self.size}),)
        used = self.moments[self.valid]
        rows = [
            (label, *(float(q) for q in np.quantile(column, [0.0, 0.05, 0.5, 0.95, 1.0])))
            for label, column in zip(self.labels, used.T, strict=True)
        ]
        table = Table("Moments over the design", ("moment", "least", "5 %", "median", "95 %", "most"), tuple(rows))
        return (Section("Runs", (f"{self.size} runs.",), verdicts, (), (table,)),)

    def record(self) -> dict[str, Any]:
        return {
            "runs": self.size,
            "failed": int((~self.valid).sum()),
            "reasons": self.reasons,
            "parameters": list(self.space.labels),
            "moments": list(self.labels),
        }


def run_design(
    problem: Problem, design: Design, key: Key, *, done: Runs | None = None, progress: bool | Progress | None = None
) -> Runs:
    """Run a problem's simulator once at each point of a design.

    The run at point number i has the key `fold_in(key, i)`: an extended design repeats no run.

    **Arguments:** `done`: runs of the design's first points, which are then not made again.

    **Returns:** `Runs`; a run that fails is marked and not learned from.

    **Raises:** `SimulatorError` when every run failed.
    """
    first = 0 if done is None else done.size
    if first and (first > design.size or not np.array_equal(design.unit[:first], done.unit)):  # type: ignore[union-attr]
        raise ProblemError("the runs that are done are not those of the design's first points")
    if first == design.size and done is not None:
        return done
    keys = jax.vmap(lambda i: jr.fold_in(key, i))(np.arange(first, design.size, dtype=np.uint32))
    points = {name: value[first:] for name, value in design.parameters.items()}
    with display(progress) as shown:
        seen = problem.simulate(points, keys, Ticker(shown, "design", design.size - first))
    valid = ~seen.excluded & np.isfinite(seen.moments).all(1)
    moments = np.where(valid[:, None], seen.moments, np.nan)
    reasons = dict(seen.reasons)
    held_out = int((~valid & ~seen.excluded).sum())
    if held_out:
        reasons["a held-out moment is not defined"] = held_out
    made = Runs(problem.space, design.unit[first:], moments, valid, problem.target.labels, reasons)
    return made if done is None else done.joined(made)
