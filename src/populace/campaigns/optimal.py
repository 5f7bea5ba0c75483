"""The best decision, what it gains, and which others are as good for all that is known."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import norm

from .._results import Code, Figure, IntervalPanel, Result, ScatterPanel, Section, Table, Verdict
from ..identification.combinations import listed
from .decision_search import Searched, expected_losses
from .effects import Aim

_SIZE = 0.05
_RIM = 0.02
_FLAT = 0.25
_MATTERS = 0.01
NOTHING = "doing nothing"
BEST = "the best"


def matters(gain: np.ndarray) -> float:
    """What a difference between decisions has to exceed to matter: 1 % of the mean gain over doing nothing."""
    return _MATTERS * abs(float(gain.mean()))


@dataclass(frozen=True)
class OptimalIntervention(Result):
    """The decision of least expected loss, confirmed on draws and keys that the search has not seen.

    `labels` (d,); `best` (d,): its value; `options` (k,) and `decisions` (k, d): what it was compared with on fresh
    runs, itself first, `NOTHING` and fixed choices last, NaN where they are no point of the space; `losses` (n, k),
    paired; `ends` (2, d): of the space; `searched`; `known` (3, d): 2.5 %, median and 97.5 % of the best decision, were
    the parameters known; `swapped`: whether fresh runs put another decision in the place of the search's; `gap`,
    `gap_error`: fresh runs less what the search said of the gain over nothing; `seconds`.
    """

    aim: Aim
    labels: tuple[str, ...]
    best: np.ndarray
    options: tuple[str, ...]
    decisions: np.ndarray
    losses: np.ndarray
    ends: np.ndarray
    searched: Searched
    known: np.ndarray
    swapped: bool
    gap: float
    gap_error: float
    left_out: int
    seconds: float

    @property
    def decision(self) -> dict[str, float]:
        """The best decision by name."""
        return dict(zip(self.labels, map(float, self.best), strict=True))

    def gain(self, other: str = NOTHING) -> np.ndarray:
        """What is lost less than with another option in each pair of runs, (n,)."""
        return self.losses[:, self.options.index(other)] - self.losses[:, 0]

    def mean(self, other: str = NOTHING) -> tuple[float, float]:
        """The mean gain over another option, and its standard error."""
        gain = self.gain(other)
        return float(gain.mean()), float(gain.std(ddof=1) / np.sqrt(gain.size))

    def tied(self) -> np.ndarray:
        """The decisions (m, d) that fresh runs do not tell from the best, itself first: together they hold the best of
        those compared in 95 of 100 cases. A difference of less than 1 % of the gain is none.
        """
        rivals = [i for i in range(1, len(self.options)) if np.isfinite(self.decisions[i]).all()]
        sure, least = float(norm.isf(_SIZE / max(len(rivals), 1))), matters(self.gain())
        found = [0]
        for i in rivals:
            mean, error = self.mean(self.options[i])
            if mean <= max(sure * error, least):
                found.append(i)
        return self.decisions[found]

    def verdicts(self) -> tuple[Verdict, ...]:
        """Does it pay, is it flat, does it lean on an end, was it confirmed."""
        return (self._pays(), self._flat(), *self._bounds(), *self.searched.verdicts, self._confirmed())

    def _pays(self) -> Verdict:
        mean, error = self.mean()
        low, high = np.quantile(self.gain(), [0.025, 0.975])
        numbers = {"gain": mean, "error": error, "low": float(low), "high": float(high)}
        at = ", ".join(f"{name} = {value:.3g}" for name, value in self.decision.items())
        text = f"{at}: saves {mean:.4g} ({self.aim.unit}; error {error:.2g}) against doing nothing"
        text += f"; 95 % of runs lie between {low:.4g} and {high:.4g}"
        fixed = self._fixed()
        if fixed is not None:
            gain, doubt = self.mean(fixed)
            text += f"; against '{fixed}', the best fixed choice, {gain:.4g} (error {doubt:.2g})"
        pays = mean > float(norm.isf(_SIZE / 2)) * error
        return Verdict("the best decision", Code.PAYS if pays else Code.DOES_NOT_PAY, f"{text}.", numbers)

    def _fixed(self) -> str | None:
        names = self.options[self.options.index(NOTHING) + 1 :]
        means = {name: self.losses[:, self.options.index(name)].mean() for name in names}
        return min(names, key=lambda name: means[name]) if names else None

    def _flat(self) -> Verdict:
        tied = self.tied()
        spans = np.ptp(tied, axis=0) / np.ptp(self.ends, axis=0)
        numbers = {name: float(span) for name, span in zip(self.labels, spans, strict=True)}
        ranges = listed(
            [f"{n} from {a:.3g} to {b:.3g}" for n, a, b in zip(self.labels, tied.min(0), tied.max(0), strict=True)]
        )
        if spans.max() > _FLAT:
            text = f"The optimum is flat: {len(tied)} of the decisions compared, {ranges}, are not told apart."
            return Verdict("the optimum", Code.FLAT_OPTIMUM, text, numbers)
        text = f"Of the decisions compared, those not told from the best have {ranges}."
        return Verdict("the optimum", Code.CLEAR_OPTIMUM, text, numbers)

    def _bounds(self) -> tuple[Verdict, ...]:
        found = []
        for name, value, low, high in zip(self.labels, self.best, *self.ends, strict=True):
            for side, end in (("lower", low), ("upper", high)):
                if abs(value - end) < _RIM * (high - low):
                    text = f"The best {name} is at its {side} end {end:.3g}: a better one may lie beyond."
                    found.append(Verdict(name, Code.AT_BOUND, text, {"value": float(value), "bound": float(end)}))
        return tuple(found)

    def _confirmed(self) -> Verdict:
        numbers = {"gap": self.gap, "error": self.gap_error}
        if self.swapped:
            text = "Fresh runs found another of the decisions better than the search's; it stands here, on runs again."
            return Verdict("the search's word", Code.REFUTED, text, numbers)
        off = abs(self.gap) / max(self.gap_error, 1e-300)
        text = (
            f"{len(self.losses)} fresh draws give a gain over doing nothing {off:.1f} standard errors from what the "
            "search said"
        )
        if off > float(norm.isf(_SIZE / 4)):
            return Verdict("the search's word", Code.REFUTED, f"{text}: read the gain off the fresh runs.", numbers)
        return Verdict("the search's word", Code.CONFIRMED, f"{text}, and none of the others is better.", numbers)

    def sections(self) -> tuple[Section, ...]:
        rows = []
        for i, name in enumerate(self.options):
            mean, error = self.mean(name) if i else (0.0, 0.0)
            values = [float(x) if np.isfinite(x) else None for x in self.decisions[i]]
            rows.append((name, *values, float(self.losses[:, i].mean()), mean, error))
        columns = ("option", *self.labels, "expected loss", "more than the best", "its error")
        note = f"On {len(self.losses)} fresh draws and keys, the same for all. Loss: {self.aim.sentence()}"
        compared = Table("Compared on fresh runs", columns, tuple(rows), note)
        interval = tuple(
            (name, float(self.best[i]), *(float(x) if np.isfinite(x) else None for x in self.known[:, i]))
            for i, name in enumerate(self.labels)
        )
        doubt = Table(
            "The best decision, were the parameters known",
            ("decision", "best now", "2.5 %", "median", "97.5 %"), interval,
            "Over the posterior, of the decisions that the search tried.",
        )  # fmt: skip
        text = [*self.searched.notes, f"{self.seconds:.1f} seconds."]
        if self.left_out:
            text.append(f"{self.left_out} fresh draws were left out, as a run of theirs could not be used.")
        return (Section("Best decision", tuple(text), self.verdicts(), self._figures(), (compared, doubt)),)

    def _figures(self) -> tuple[Figure, ...]:
        shown = range(1, len(self.options))
        means, errors = (np.array(each) for each in zip(*(self.mean(self.options[i]) for i in shown), strict=True))
        names = tuple(self.options[i] for i in shown)
        panel = IntervalPanel(
            "More is lost than with the best", self.aim.unit, names, means, means - 2 * errors, means + 2 * errors,
            reference=0.0, note="Bars are two standard errors of the paired difference.",
        )  # fmt: skip
        ends, tried = self.ends, expected_losses(self.searched.losses)
        values = ends[0] + self.searched.unit * (ends[1] - ends[0])
        clouds = tuple(
            ScatterPanel(name, name, "expected loss", values[:, i], tried) for i, name in enumerate(self.labels)
        )
        return (
            Figure("compared", "Options against the best decision, on fresh runs.", (panel,)),
            Figure("tried", "The decisions that the search tried, on its own draws.", clouds),
        )

    def record(self) -> dict[str, Any]:
        mean, error = self.mean()
        known = [[float(x) if np.isfinite(x) else None for x in row] for row in self.known.T]
        return {
            "decision": self.decision,
            "gain": {"mean": mean, "error": error},
            "known": dict(zip(self.labels, known, strict=True)),
            "not told apart": self.tied().tolist(),
            "verdicts": [one.record() for one in self.verdicts()],
            "options": {
                name: {"loss": float(self.losses[:, i].mean()), "more": self.mean(name)[0], "error": self.mean(name)[1]}
                for i, name in enumerate(self.options)
            },
            "seconds": self.seconds,
        }
