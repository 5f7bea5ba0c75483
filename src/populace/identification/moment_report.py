"""The moment report: each moment of the data beside what the fitted model predicts for it."""

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np

from .._results import Code, Figure, IntervalPanel, Result, Section, Table, Verdict, cell
from .._types import Key
from ..calibration.fit import Fit
from ..core.executor import Ticker
from ..core.host import split
from .reached import typical

_APART = 2.0
_DRAWN = 40
"""Rows of the figure, at the most."""


@dataclass(frozen=True)
class MomentReport(Result):
    """What the fit matches and what it does not.

    All arrays (k,): `labels`; `data` and `error`, the data's moments and how much
    they vary between runs at the fit; `simulated`, the median
    of the predictive sample; `spread`, half its central 68 % interval, which holds both the model's own noise and what
    is not known of the parameters; `noise`, the Monte-Carlo error of `simulated`; `gap` = (simulated - data) / spread;
    `codes`. `coverage`: the share of fitted moments inside their 95 % bands; `ceiling`: its mean and lower 5 % point
    were the model true.
    """

    labels: tuple[str, ...]
    data: np.ndarray
    error: np.ndarray
    simulated: np.ndarray
    spread: np.ndarray
    noise: np.ndarray
    gap: np.ndarray
    fitted: np.ndarray
    codes: tuple[Code, ...]
    coverage: float
    ceiling: tuple[float, float]

    def of(self, label: str) -> float:
        """The gap of one moment in standard errors."""
        return float(self.gap[self.labels.index(label)])

    def sentence(self) -> str:
        """What is matched, in words."""
        inside = sum(c is Code.MATCHED for c in self.codes)
        held = [label for label, c in zip(self.labels, self.codes, strict=True) if c is Code.HELD_OUT_UNMATCHED]
        n = int(self.fitted.sum())
        text = f"{inside} of {n} fitted moments are matched"
        if n < len(self.labels):
            out = len(self.labels) - n
            text += f"; of {out} held out, {out - len(held)} are" + (f", and {_some(held)} not" if held else "")
        return text + "."

    def verdict(self) -> Verdict:
        """Whether the moments speak for the model or against it."""
        wrong = [i for i, c in enumerate(self.codes) if c in (Code.UNMATCHED, Code.HELD_OUT_UNMATCHED)]
        numbers = {"coverage": self.coverage, "ceiling": self.ceiling[0]}
        surprising = len(wrong) / len(self.labels) > 0.1 or any(abs(self.gap[i]) > 4 for i in wrong)
        if surprising:
            worst = max(wrong, key=lambda i: abs(self.gap[i]))
            sentence = (
                f"The model as fitted is contradicted: {self.sentence()} The worst is {self.labels[worst]}: the data "
                "say "
                f"{self.data[worst]:.4g}, the model {self.simulated[worst]:.4g}, {abs(self.gap[worst]):.1f} standard "
                "errors apart."
            )
            return Verdict("the model", Code.CONTRADICTED, sentence, numbers)
        return Verdict("the model", Code.SUPPORTED, f"The model reaches what it was asked: {self.sentence()}", numbers)

    def sections(self) -> tuple[Section, ...]:
        columns = ("moment", "data", "its error", "simulated", "its noise", "gap in standard errors", "verdict")
        parts = (self.labels, self.data, self.error, self.simulated, self.noise, self.gap, self.codes)
        rows = tuple(
            (label, *(cell(x) for x in numbers), code.value) for label, *numbers, code in zip(*parts, strict=True)
        )
        note = (
            "Data: the moment and its standard error (how much it varies between runs at the fit). Simulated: the "
            "median "
            "of fresh runs at posterior draws, with its Monte-Carlo error. Gap: in half-widths of the central 68 % of "
            f"those runs; matched below {_APART:g}."
        )
        shown = self._shown()
        less = "" if len(shown) == len(self.labels) else f" The {len(shown)} farthest apart; all are in the table."
        panel = IntervalPanel(
            "Gap between model and data",
            "standard errors",
            tuple(self.labels[i] for i in shown),
            self.gap[shown],
            self.gap[shown] - 1.0,
            self.gap[shown] + 1.0,
            tuple(self.codes[i] in (Code.UNMATCHED, Code.HELD_OUT_UNMATCHED) for i in shown),
            reference=0.0,
            note=f"Bars are one standard error; emphasised rows are not matched.{less}",
        )
        text = (
            self.sentence(),
            f"{100 * self.coverage:.0f} % of the fitted moments lie in their 95 % bands; were the model true it would "
            "be "
            f"{100 * self.ceiling[0]:.0f} % on average, and below {100 * self.ceiling[1]:.0f} % in one case of twenty.",
        )
        figure = Figure("moments", "Simulated minus observed, a row a moment.", (panel,))
        table = Table("Moments", columns, rows, note)
        return (Section("Moments", text, (self.verdict(),), (figure,), (table,)),)

    def _shown(self) -> np.ndarray:
        """Which moments are drawn, in their order: all, or those held out and the farthest apart of the fitted."""
        if len(self.labels) <= _DRAWN:
            return np.arange(len(self.labels))
        apart = np.where(self.fitted, np.nan_to_num(np.abs(self.gap)), np.inf)
        return np.sort(np.argsort(-apart, kind="stable")[:_DRAWN])

    def record(self) -> dict[str, Any]:
        return {
            label: {
                "data": float(self.data[i]),
                "simulated": float(self.simulated[i]),
                "gap": float(self.gap[i]),
                "held_out": not bool(self.fitted[i]),
                "class": self.codes[i].value,
            }
            for i, label in enumerate(self.labels)
        }


def moment_report(fit: Fit, key: Key, replicates: int) -> MomentReport:
    """The moment report of a fit, from its predictive sample, and `replicates` runs at the draw in its middle."""
    problem, target = fit.problem, fit.problem.target
    middle = typical(fit)
    same = {name: jnp.repeat(jnp.asarray(v)[middle][None], replicates, axis=0) for name, v in fit.draws.items()}
    again = problem.simulate(same, split(key, replicates), Ticker(None, "", replicates)).moments
    errors = _half_width(again)
    runs = fit.moments[~fit.excluded]
    middle = np.nanmedian(runs, axis=0)
    spread = np.maximum(_half_width(runs), 1e-12 + 1e-6 * np.abs(middle))
    gap = (middle - target.values) / spread
    codes = tuple(_code(g, bool(f)) for g, f in zip(gap, target.fitted, strict=True))
    noise = 1.2533 * spread / np.sqrt(runs.shape[0])
    coverage, ceiling = _coverage(runs[:, target.fitted], target.values[target.fitted])
    return MomentReport(
        target.labels, target.values, errors, middle, spread, noise, gap, target.fitted, codes, coverage, ceiling
    )


def _half_width(runs: np.ndarray) -> np.ndarray:
    """Half the central 68 % interval of each column: a standard error that a few odd runs do not move."""
    low, high = np.nanquantile(runs, [0.158655, 0.841345], axis=0)
    return (high - low) / 2


def _code(gap: float, fitted: bool) -> Code:
    if not np.isfinite(gap):
        return Code.UNJUDGED
    if fitted:
        return Code.MATCHED if abs(gap) < _APART else Code.UNMATCHED
    return Code.HELD_OUT_MATCHED if abs(gap) < _APART else Code.HELD_OUT_UNMATCHED


def _coverage(runs: np.ndarray, data: np.ndarray) -> tuple[float, tuple[float, float]]:
    """The share of the data's moments in the runs' 95 % bands, and the mean and 5 % point of the same for runs."""
    low, high = np.nanquantile(runs, [0.025, 0.975], axis=0)
    inside = ((data >= low) & (data <= high)).mean()
    own = ((runs >= low) & (runs <= high)).mean(1)
    return float(inside), (float(own.mean()), float(np.quantile(own, 0.05)))


def _some(names: list[str], most: int = 4) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
