"""The verb `global_sensitivity`: what moves the moments, beside what the moments identify, which is not the same."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import jax.random as jr
import numpy as np

from .._errors import MethodError
from .._results import Code, Figure, IntervalPanel, Result, Section, Table, Verdict
from .._types import Key
from ..surrogates.fitting import fit_surrogate
from ..surrogates.runs import Runs
from ..surrogates.surrogate import Surrogate
from .sensitivity_methods import Measured, Morris, Pawn, SensitivityMethod, SobolIndices

_PANELS = 4

NOT_THE_SAME = (
    "Influential is not identified: where a moment is a x b both factors move it, and neither can be told from it. "
    "What moves nothing here cannot be identified by these moments; what moves them may still not be."
)


class Judged(Protocol):
    """What holds a verdict a parameter: an identification."""

    @property
    def verdicts(self) -> Mapping[str, Verdict]:
        """Label to verdict."""
        ...


@dataclass(frozen=True)
class GlobalSensitivity(Result):
    """How much parameters move moments over the prior.

    `labels` (d,), `moments` (k,): names; `measures`: each with values and intervals (k, d); `noise` (k,): the share of
    a moment's variance over prior and seeds that is the seeds', NaN where no surrogate says; `judged`: an
    identification's verdicts, label to verdict.
    """

    labels: tuple[str, ...]
    moments: tuple[str, ...]
    measures: tuple[Measured, ...]
    noise: np.ndarray
    judged: Mapping[str, Verdict]

    def of(self, name: str) -> Measured:
        """A measure by its name.

        **Raises:** `MethodError` when it was not taken.
        """
        for one in self.measures:
            if one.name == name:
                return one
        raise MethodError(f"'{name}' was not measured; there are {', '.join(one.name for one in self.measures)}")

    def influential(self) -> tuple[str, ...]:
        """The parameters that move some moment beyond doubt, by any of the measures."""
        found = np.zeros(len(self.labels), bool)
        for one in self.measures:
            if one.mark is not None:
                found |= (np.nan_to_num(one.low) > one.mark).any(0)
        return tuple(label for label, moves in zip(self.labels, found, strict=True) if moves)

    def verdicts(self) -> tuple[Verdict, ...]:
        """The parameters that are influential and yet not identified, when an identification was given."""
        found = []
        for label in self.influential():
            known = self.judged.get(label)
            if known is not None and known.code is not Code.IDENTIFIED:
                found.append(Verdict(label, known.code, f"Influential, and yet: {known.sentence}", known.numbers))
        return tuple(found)

    def sections(self) -> tuple[Section, ...]:
        moving = self.influential()
        still = [label for label in self.labels if label not in moving]
        text = [NOT_THE_SAME, f"Influential on some moment: {', '.join(moving) or 'none'}."]
        if still:
            text.append(f"Not seen to move any: {', '.join(still)}.")
        figures = tuple(self._figure(i) for i in range(len(self.measures)))
        return (Section("Sensitivity", tuple(text), self.verdicts(), figures, self._tables()),)

    def _figure(self, number: int) -> Figure:
        one = self.measures[number]
        most = dict.fromkeys(np.argmax(np.nan_to_num(one.value), axis=0).tolist())  # a parameter's own moment
        shown = sorted(list(most)[:_PANELS])
        note = "" if one.mark is None else f"Influential where the whole bar lies above the mark at {one.mark:.2g}."
        panels = tuple(
            IntervalPanel(
                self.moments[j],
                one.name,
                self.labels,
                np.nan_to_num(one.value[j]),
                np.nan_to_num(one.low[j]),
                np.nan_to_num(one.high[j]),
                reference=0.0 if one.mark is None else one.mark,
                note=note,
            )
            for j in shown
        )
        every = len(shown) == len(self.moments)
        less = "" if every else f" Drawn are moments that single parameters move most, {_PANELS} at the most."
        return Figure(f"sensitivity_{number}", f"{one.name}. {one.about} Bars are 95 % intervals.{less}", panels)

    def _tables(self) -> tuple[Table, ...]:
        tables = []
        for one in self.measures:
            rows = []
            for i, label in enumerate(self.labels):
                j = int(np.argmax(np.nan_to_num(one.value[:, i])))
                rows.append((label, self.moments[j], *(_plain(part[j, i]) for part in (one.value, one.low, one.high))))
            columns = ("parameter", "most on", one.name, "2.5 %", "97.5 %")
            tables.append(Table(one.name, columns, tuple(rows), "Of each parameter the moment that it moves most."))
        if np.isfinite(self.noise).any():
            rows = tuple((name, _plain(share)) for name, share in zip(self.moments, self.noise, strict=True))
            note = "Of the variance over prior and seeds; the indices of Sobol are shares of the rest."
            tables.append(Table("What seeds do", ("moment", "share of the variance"), rows, note))
        return tuple(tables)

    def record(self) -> dict[str, Any]:
        def one(measure: Measured) -> dict[str, Any]:
            return {
                name: {
                    label: {part: _plain(getattr(measure, part)[j, i]) for part in ("value", "low", "high")}
                    for i, label in enumerate(self.labels)
                }
                for j, name in enumerate(self.moments)
            }

        return {
            "measures": {measure.name: one(measure) for measure in self.measures},
            "influential": list(self.influential()),
            "influential, not identified": {v.subject: v.record() for v in self.verdicts()},
            "note": NOT_THE_SAME,
        }


def global_sensitivity(
    source: Surrogate | Runs,
    key: Key,
    *,
    methods: Sequence[SensitivityMethod] = (SobolIndices(), Morris(), Pawn()),
    identification: Judged | None = None,
) -> GlobalSensitivity:
    """How much each parameter moves each moment over the prior, with error bars.

    **Arguments:** `source`: a surrogate, or runs, of which one is then learned if a method needs it; `methods`: what to
    measure; `identification`: its verdicts are set beside, and parameters that are influential and yet not identified
    are named.

    **Returns:** a `GlobalSensitivity`.

    **Raises:** `MethodError` for no method, or too few runs.
    """
    if not methods:
        raise MethodError("name a method: SobolIndices(), Morris() or Pawn()")
    learn, ask = jr.split(key)
    runs = source.runs if isinstance(source, Surrogate) else source
    surrogate = source if isinstance(source, Surrogate) else None
    if surrogate is None and any(method.needs_surrogate for method in methods):
        surrogate = fit_surrogate(runs, learn)
    measures = [one for i, method in enumerate(methods) for one in method.measure(runs, surrogate, jr.fold_in(ask, i))]
    judged = {} if identification is None else dict(identification.verdicts)
    return GlobalSensitivity(runs.space.labels, runs.labels, tuple(measures), _noise(runs, surrogate), judged)


def _noise(runs: Runs, surrogate: Surrogate | None) -> np.ndarray:
    """The seeds' share of each moment's variance, (k,)."""
    if surrogate is None:
        return np.full(len(runs.labels), np.nan)
    said = surrogate.predict_unit(runs.unit[runs.valid][:1000])
    noise, signal = said.noise.mean(0), said.mean.var(0)
    return noise / np.maximum(noise + signal, 1e-300)


def _plain(number: Any) -> float | None:
    return float(number) if np.isfinite(number) else None
