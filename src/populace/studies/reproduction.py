"""A study made again: the same or not, and why."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from .._results import Code, Result, Section, Table, Verdict
from ..campaigns.differences import Differences
from .compared import Comparison

_SAID = 4
_ROWS = 40


@dataclass(frozen=True)
class Reproduction(Result):
    """What became of a study that was made again.

    `study`: its name; `made`: what it was made with then and now, where that differs; `contradictions`: what its own
    files say differently; `numbers`: what differs of what it found, None where it was not run; `moved`: of each
    posterior, file, parameter, median then and now, and by how many of its standard deviations the mean has moved;
    `tolerance`: the relative difference that counts as rounding.
    """

    study: str
    made: Differences
    contradictions: tuple[str, ...]
    numbers: Comparison | None
    moved: tuple[tuple[str, str, float, float, float], ...]
    tolerance: float

    @property
    def same(self) -> bool:
        """Whether the numbers are the same but for rounding; of a study that was not run: whether nothing differs."""
        verdict = self.verdicts()[-1]
        return verdict.code in (Code.IDENTICAL, Code.ALMOST_IDENTICAL, Code.MADE_ALIKE) and not self.contradictions

    def verdicts(self) -> tuple[Verdict, ...]:
        """On what it was made with, and, where it was run, on its numbers."""
        return (self._made(),) if self.numbers is None else (self._made(), self._compared(self.numbers))

    def sections(self) -> tuple[Section, ...]:
        text = [f"The folder contradicts itself: {said}." for said in self.contradictions]
        if self.made.unknown:
            text.append(f"The old manifest is silent, so that it cannot be checked, on: {_joined(self.made.unknown)}.")
        tables = [_table("Then and now", ("kind", "what", "then", "now"), [_row(d) for d in self.made.found])]
        if self.numbers is not None:
            gaps = [(g.file, g.where, g.differ, _finite(g.relative), g.then, g.now) for g in self.numbers.gaps]
            columns = ("file", "where", "numbers", "relative difference", "then", "now")
            note = "The relative difference is that to the largest number of its row; none where it is no number."
            tables.append(_table("What differs", columns, gaps, note))
            moved = [row for row in self.moved if row[4] > 0]
            columns = ("file", "parameter", "median then", "median now", "mean moved by, standard deviations")
            tables.append(_table("How far the posteriors moved", columns, moved))
        return (
            Section(f"{self.study}, made again", tuple(text), self.verdicts(), (), tuple(t for t in tables if t.rows)),
        )

    def record(self) -> dict[str, Any]:
        found: dict[str, Any] = {
            "study": self.study,
            "same": self.same,
            "verdicts": {v.subject: v.record() for v in self.verdicts()},
            "made": [{"kind": d.kind, "what": d.sentence, "then": d.then, "now": d.now} for d in self.made.found],
            "unknown": list(self.made.unknown),
            "contradictions": list(self.contradictions),
        }
        if self.numbers is not None:
            keys = ("file", "where", "numbers", "relative", "then", "now")
            rows = [(g.file, g.where, g.differ, _finite(g.relative), g.then, g.now) for g in self.numbers.gaps]
            moved = [dict(zip(("file", "parameter", "then", "now", "moved"), row, strict=True)) for row in self.moved]
            found |= {
                "compared": dict(self.numbers.numbers),
                "new": dict(self.numbers.new),
                "missing": list(self.numbers.missing),
                "gaps": [dict(zip(keys, row, strict=True)) for row in rows],
                "moved": moved,
            }
        return found

    def _made(self) -> Verdict:
        count = {"differences": len(self.made.found)}
        if self.made.found:
            return Verdict("what it is made with", Code.MADE_OTHERWISE, f"Made otherwise: {self._why()}", count)
        known = "as far as the old manifest says" if self.made.unknown else "from the seed to the source"
        return Verdict("what it is made with", Code.MADE_ALIKE, f"Nothing differs, {known}.", count)

    def _compared(self, numbers: Comparison) -> Verdict:
        total, files = sum(numbers.numbers.values()), len(numbers.numbers)
        of, apart, otherwise = f"{total:,} numbers of {files} files", numbers.apart, numbers.otherwise
        new = ", ".join(f"{count} in {file}" for file, count in numbers.new.items())
        rest = f" New since then: {new}." if new else ""
        rest += f" Not compared: {_joined(numbers.missing)}." if numbers.missing else ""
        differ, largest = sum(gap.differ for gap in apart), max((gap.relative for gap in apart), default=0.0)
        told = {"numbers": total, "differ": differ, "largest relative difference": largest, "texts": len(otherwise)}
        if not numbers.gaps:
            return Verdict("the numbers", Code.IDENTICAL, f"All {of} are the same, to the last bit.{rest}", told)
        said = f"No number of {of} differs"
        if apart:
            size = f"by up to {largest:.2g} of the largest" if largest else "by a unit of the last digit that is shown"
            said = f"{differ:,} of {of} differ, {size} ({apart[0].where} in {apart[0].file})"
        if not otherwise and largest <= self.tolerance:
            said += f": no more than {self.tolerance:g}, which is rounding.{rest}"
            return Verdict("the numbers", Code.ALMOST_IDENTICAL, said, told)
        if otherwise:
            count = "one text or shape" if len(otherwise) == 1 else f"{len(otherwise)} texts or shapes"
            said += (
                f"; {count} differ{'s' if len(otherwise) == 1 else ''} ({otherwise[0].where} in {otherwise[0].file})"
            )
        return Verdict("the numbers", Code.DIFFERS, f"{said}. {self._because()}{rest}", told)

    def _because(self) -> str:
        if self.contradictions:
            return f"The folder was changed after it was written: {_joined(self.contradictions)}."
        if self.made.found:
            return f"What may explain it: {self._why()}"
        if self.made.unknown:
            return "What the old manifest holds does not explain it; on the rest it is silent."
        return (
            "Nothing in the manifest explains it: the folder was changed after it was written, or the study reads what "
            "its manifest does not hold (a data file that is not in its `files`, a clock, other code)."
        )

    def _why(self) -> str:
        said = [one.sentence for one in self.made.found]
        more = f"; and {len(said) - _SAID} more" if len(said) > _SAID else ""
        return f"{'; '.join(said[:_SAID])}{more}."


def _table(title: str, columns: tuple[str, ...], rows: Iterable[tuple[Any, ...]], note: str = "") -> Table:
    every = tuple(rows)
    cut = f"The first {_ROWS} of {len(every)}." if len(every) > _ROWS else ""
    return Table(title, columns, every[:_ROWS], " ".join(part for part in (note, cut) if part))


def _row(one: Any) -> tuple[str, ...]:
    return (one.kind, one.sentence, *(text if len(text) <= 60 else f"{text[:60]}..." for text in (one.then, one.now)))


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _joined(texts: Iterable[str]) -> str:
    return "; ".join(texts)
