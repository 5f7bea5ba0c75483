"""Rival models side by side: what each reaches, and what each leaves unmatched."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._results import Code, Result, Section, Table, Verdict
from .identify import Identification


@dataclass(frozen=True)
class Rivals(Result):
    """Fits of rival models to the same data, by name; they may have been fitted to different moments of it."""

    models: dict[str, Identification]

    def shared(self) -> tuple[str, ...]:
        """The moments that every rival was confronted with."""
        first, *rest = [m.moments.labels for m in self.models.values()]
        return tuple(label for label in first if all(label in other for other in rest))

    def verdicts(self) -> tuple[Verdict, ...]:
        """A sentence a model."""
        out = []
        for name, one in self.models.items():
            v = one.moments.verdict()
            out.append(Verdict(name, v.code, v.sentence, v.numbers))
        return tuple(out)

    def sections(self) -> tuple[Section, ...]:
        rows = []
        for name, one in self.models.items():
            report = one.moments
            gaps = np.array([report.of(label) for label in self.shared()])
            wrong = sum(c in (Code.UNMATCHED, Code.HELD_OUT_UNMATCHED) for c in report.codes)
            unknown = [label for label, v in one.verdicts.items() if v.code is not Code.IDENTIFIED]
            rows.append(
                (name, len(one.verdicts), float(np.sqrt(np.mean(gaps**2))), wrong, ", ".join(unknown) or "none")
            )
        columns = ("model", "parameters", "root mean square gap", "unmatched moments", "parameters not identified")
        note = (
            f"Over the {len(self.shared())} moments that all were confronted with, in standard errors of each "
            "model's own predictions."
        )
        return (Section("Rival models", (), self.verdicts(), (), (Table("Rivals", columns, tuple(rows), note),)),)

    def record(self) -> dict[str, Any]:
        return {v.subject: v.record() for v in self.verdicts()}


def rivals(models: Mapping[str, Identification]) -> Rivals:
    """Compare what rival models reach."""
    return Rivals(dict(models))
