"""One case of a gradient audit with everything that was found there, as tables, panels and records."""

from dataclasses import dataclass
from typing import Any, final

import numpy as np

from .._results import Cell, Code, IntervalPanel, Table
from .cases import Case
from .directions import Compared
from .estimator import Gradient
from .judge import Judged
from .truth import Truth, flat

_PANELS = 6


@final
@dataclass(frozen=True)
class Tried:
    """One estimator on one case: what it found, its cost a key in forward runs, and what that is worth."""

    found: Gradient
    cost: float
    judged: Judged


@final
@dataclass(frozen=True)
class Audited:
    """One case: what of the gradient was compared, the truth by differences, the score function's (`second`, an
    independent one), and all estimators.
    """

    case: Case
    compared: Compared
    truth: Truth
    second: Gradient
    tried: dict[str, Tried]

    @property
    def agreement(self) -> float:
        """By how many standard errors the two truths differ, at most."""
        mean, error = _mean(flat(self.second.samples))
        gap = np.abs(mean - self.truth.value) / np.maximum(np.hypot(error, self.truth.error), 1e-30)
        return float(gap[self.truth.exists].max(initial=0.0))

    def samples(self, name: str) -> np.ndarray:
        """What is compared of an estimator's gradients, (keys, k)."""
        return self.compared.of(flat(self.tried[name].found.samples))

    def table(self) -> Table:
        """A row an estimator."""
        columns = ("estimator", *(f"d / d {name}" for name in self.compared.names), "cost a key", "work", "verdict")
        note = "Standard errors in brackets. Cost: forward runs. Work: forward runs for a relative error of 10 %."
        if self.compared.directions is not None:
            note += " The parameters are many: derivatives are along directions, those of the pathwise gradients first."
        truth = zip(self.truth.value, self.truth.error, self.truth.exists, strict=True)
        second = f"{self.agreement:.1f} errors apart"
        rows: list[tuple[Cell, ...]] = [
            ("differences on a ladder (truth)", *(_shown(v, e) if ok else "none" for v, e, ok in truth), *_NO_COST, ""),
            ("score (second truth)", *_row(flat(self.second.samples)), *_NO_COST, second),
        ]
        for name, one in self.tried.items():
            rows.append((name, *_row(self.samples(name)), one.cost, one.judged.work, one.judged.code.value))
        return Table(self.case.title, columns, tuple(rows), note)

    def panels(self) -> list[IntervalPanel]:
        """A panel for each of the first numbers compared: estimates with two standard errors, and the truth."""
        return [self._panel(i, label) for i, label in enumerate(self.compared.names[:_PANELS])]

    def _panel(self, i: int, label: str) -> IntervalPanel:
        centre, error = _mean(np.stack([self.samples(name)[:, i] for name in self.tried], axis=1))
        doubted = tuple(one.judged.code is not Code.BELIEVE for one in self.tried.values())
        truth = float(self.truth.value[i]) if self.truth.exists[i] else None
        title, axis = f"{self.case.title}, {label}", f"d loss / d {label}"
        ends = centre - 2.0 * error, centre + 2.0 * error
        return IntervalPanel(title, axis, tuple(self.tried), centre, *ends, doubted, truth)

    def record(self) -> dict[str, Any]:
        """The numbers, as JSON values."""
        return {
            "case": self.case.title,
            "compared": list(self.compared.names),
            "truth": self.truth.value.tolist(),
            "truth_error": self.truth.error.tolist(),
            "exists": self.truth.exists.tolist(),
            "agreement": self.agreement,
            "estimators": {name: self._recorded(name, one) for name, one in self.tried.items()},
        }

    def _recorded(self, name: str, one: Tried) -> dict[str, Any]:
        samples = self.samples(name)
        return {
            "mean": samples.mean(0).tolist(),
            "spread": samples.std(0, ddof=1).tolist(),
            "z": one.judged.z.tolist(),
            "cost": one.cost,
            "work": one.judged.work,
            "class": one.judged.code.value,
        }


_NO_COST = (None, None)


def _mean(samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means of samples (keys, k) and their standard errors."""
    return samples.mean(0), samples.std(0, ddof=1) / np.sqrt(len(samples))


def _row(samples: np.ndarray) -> list[str]:
    return [_shown(mean, error) for mean, error in zip(*_mean(samples), strict=True)]


def _shown(mean: float, error: float) -> str:
    return f"{mean:.3g} ({error:.1g})"
