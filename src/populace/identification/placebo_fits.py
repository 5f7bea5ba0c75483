"""What fits to placebos say of a fit to data: a verdict a placebo, and one on the model.

How well a model fits is the median distance of its predictive runs from what it was fitted to, in standard errors of
the moments (root mean square, so that 1 is a gap like the data's own error), and whether what was fitted lies among
these runs: the first sees a fit that is too wide, the second one that is beside the point. If the fit to the data were
one among those to placebos, it would be better than half of them: this is the test with surrogate data of Theiler et
al. (1992, Physica D 58:77), with the quality of a fit for its statistic. Of m placebos drawn by chance, a are fitted as
well; that share is known to its binomial interval (Clopper and Pearson 1934, Biometrika 26:404), and of five placebos
none fitted as well says, at 95 %, that fewer than half would be.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import beta

from .._results import Code, Figure, IntervalPanel, Result, Section, Table, Verdict
from ..calibration.fit import Fit
from .combinations import listed
from .telltales import Telltale

_AS_GOOD = 1.25
"""A placebo that is fitted no farther off than so many times the data is fitted as well."""
_WITHIN = 1.0
"""And a distance below this counts as this: whatever lies within the data's own error is fitted."""
_SAME = 0.5
"""Moments of a placebo so near to the data's (standard errors, root mean square) are the data's own."""
_OUTLIER = 0.02
"""What fewer runs than this share are as far out as is an outlier among them."""
_TAIL = 0.05
_NAMED = 3


@dataclass(frozen=True)
class Scored:
    """How a fit did. `distance` of its runs, and the standard error `error` of its logarithm; `reached`: whether what
    was fitted lies among its runs, and `p` how many are farther; `matched`, the share of fitted moments; `held_out`,
    the same of those held out, None where there are none.
    """

    distance: float
    error: float
    reached: bool
    p: float
    matched: float
    held_out: float | None

    def farther(self, other: "Scored") -> tuple[float, float]:
        """The logarithm of this distance over another's, neither counted below 1, and its standard error."""
        gap = np.log(max(self.distance, _WITHIN) / max(other.distance, _WITHIN))
        return float(gap), float(np.hypot(self.error, other.error))

    def as_good(self, data: "Scored") -> bool:
        """Whether this is as good as the fit to the data: runs come about as near, within two standard errors of the
        comparison, and what was fitted is no outlier among them, unless the data are.
        """
        gap, error = self.farther(data)
        return bool(gap - 2.0 * error <= np.log(_AS_GOOD) and self.p >= min(_OUTLIER, data.p))


@dataclass(frozen=True)
class PlaceboKind:
    """Fits to draws of one placebo.

    `keeps`: what it has of the data; `shift` (m,): how far its moments lie from the data's, standard errors, root mean
    square; `scores` and `fits`, one a draw, none where the moments do not see the difference, and then `telltales`:
    moments that would.
    """

    name: str
    keeps: str
    chance: bool
    shift: np.ndarray
    scores: tuple[Scored, ...]
    fits: tuple[Fit, ...]
    telltales: tuple[Telltale, ...]

    @property
    def blind(self) -> bool:
        """Whether the moments do not see the difference."""
        return same(self.shift)

    def as_good(self, data: Scored) -> int:
        """How many draws are fitted as well as the data."""
        return sum(one.as_good(data) for one in self.scores)

    def share(self, data: Scored) -> tuple[float, float]:
        """One-sided 95 % bounds, lower and upper, of the share of placebos that are fitted as well as the data."""
        count, size = self.as_good(data), len(self.scores)
        low = float(beta.ppf(_TAIL, count, size - count + 1)) if count else 0.0
        high = float(beta.ppf(1.0 - _TAIL, count + 1, size - count)) if count < size else 1.0
        return low, high

    def times(self, data: Scored) -> np.ndarray:
        """How many times as far off as the data the draws are, (m,)."""
        return np.exp([one.farther(data)[0] for one in self.scores])

    def verdict(self, data: Scored) -> Verdict:
        """What this placebo says of the fit."""
        if self.blind:
            return Verdict(self.name, Code.PLACEBO_UNSEEN, self._unseen(), {"apart": float(np.median(self.shift))})
        count, size = self.as_good(data), len(self.scores)
        low, high = self.share(data)
        times = self.times(data)
        numbers = {"as good": count, "of": size, "share low": low, "share high": high, "times": float(np.median(times))}
        p = float(np.median([one.p for one in self.scores]))
        far = f"{np.median(times):.3g} times as far off, p = {p:.2g} against {data.p:.2g}"
        if self.chance:
            what = f"{count} of {size} {self.name} series are fitted as well as the data (in the middle {far})"
            bound = f"{100 * low:.0f} % or more" if count else f"fewer than {100 * high:.0f} %"
            told = f"{what}: at 95 %, {bound} of such series would be. They keep {self.keeps}."
        else:
            error = self.scores[0].farther(data)[1]
            how = "as well as the data" if count else "worse than the data"
            told = f"'{self.name}' is fitted {how} ({far}; error {100 * error:.0f} %). It keeps {self.keeps}."
        return Verdict(self.name, self._code(data), told, numbers)

    def _code(self, data: Scored) -> Code:
        count, size = self.as_good(data), len(self.scores)
        if not count or (self.chance and self.share(data)[1] < 0.5):
            return Code.FITS_DATA
        if 2 * count >= size:
            return Code.FITS_ANYTHING if data.reached else Code.FITS_NEITHER
        return Code.FITS_SOME_PLACEBOS

    def _unseen(self) -> str:
        text = (
            f"'{self.name}' is the same as the data to the moments ({np.median(self.shift):.2g} standard errors "
            f"apart): it keeps {self.keeps}, and any model fits both alike. "
        )
        if not self.telltales:
            return text + "No moment that was tried would see the difference."
        seen = [f"{one.label} ({one.apart:.1f} standard deviations apart)" for one in self.telltales[:_NAMED]]
        return text + f"These would see the difference: {', '.join(seen)}."


@dataclass(frozen=True)
class PlaceboFits(Result):
    """A fit beside fits of the same model, by the same method and at equal budget, to placebos.

    `fit`, `data`: to the data, and how it did; `kinds`: a placebo each; `budget`: calls that each fit might spend.
    """

    fit: Fit
    data: Scored
    kinds: tuple[PlaceboKind, ...]
    budget: int

    def of(self, name: str) -> PlaceboKind:
        """The fits to the placebo of this name."""
        return next(one for one in self.kinds if one.name == name)

    def verdicts(self) -> tuple[Verdict, ...]:
        """One for each placebo."""
        return tuple(one.verdict(self.data) for one in self.kinds)

    def verdict(self) -> Verdict:
        """Whether the model fits anything."""
        each = self.verdicts()
        seen = [v for v in each if v.code is not Code.PLACEBO_UNSEEN]
        numbers = {"distance": self.data.distance, "p": self.data.p}
        unseen = listed([v.subject for v in each if v.code is Code.PLACEBO_UNSEEN])
        if not seen:
            text = f"The moments cannot see the difference between the data and their placebos ({unseen})."
            return Verdict("the fit", Code.PLACEBO_UNSEEN, text, numbers)
        by = {code: listed([v.subject for v in seen if v.code is code]) for code in {v.code for v in seen}}
        left = f" To the moments these placebos are the same as the data: {unseen}." if unseen else ""
        if set(by) == {Code.FITS_DATA}:
            text = f"The model fits the data and not their placebos ({by[Code.FITS_DATA]}).{left}"
            return Verdict("the fit", Code.FITS_DATA, _unless_far(text, self.data), numbers)
        if set(by) == {Code.FITS_ANYTHING}:
            text = f"The model fits anything: placebos ({by[Code.FITS_ANYTHING]}) are fitted as well as the data.{left}"
            return Verdict("the fit", Code.FITS_ANYTHING, text, numbers)
        if set(by) == {Code.FITS_NEITHER}:
            text = f"The model fits neither the data nor placebos ({by[Code.FITS_NEITHER]}), and both as badly.{left}"
            return Verdict("the fit", Code.FITS_NEITHER, text, numbers)
        alike = [self._counted(v.subject) for v in seen if v.code is not Code.FITS_DATA]
        apart = [v.subject for v in seen if v.code is Code.FITS_DATA]
        text = f"The model fits some placebos as well as the data ({listed(alike)})"
        text += f", and others not ({listed(apart)}).{left}" if apart else f".{left}"
        return Verdict("the fit", Code.FITS_SOME_PLACEBOS, text, numbers)

    def _counted(self, name: str) -> str:
        one = self.of(name)
        return f"{one.as_good(self.data)} of {len(one.scores)} {name}" if one.chance else name

    def sections(self) -> tuple[Section, ...]:
        columns = ("fitted to", "fits", "moments apart", "distance", "as good as the data", "data farther out, p",
                   "moments matched", "held-out matched")  # fmt: skip
        first = ("the data", 1, 0.0, self.data.distance, None, self.data.p, self.data.matched, self.data.held_out)
        rows = tuple((one.name, len(one.scores), float(np.median(one.shift)), *self._cells(one)) for one in self.kinds)
        note = (
            "Moments apart: how far the placebo's moments lie from the data's, in standard errors (root mean square); "
            f"below {_SAME:g} they are taken for the same, and nothing is fitted. Distance: of the median predictive "
            "run from what was fitted, likewise. All numbers of a placebo are medians over its draws. p: the share of "
            "predictive runs that lie farther out than what was fitted."
        )
        text = (
            f"The same model was fitted to placebos by {self.fit.method}, each within {self.budget} calls. A model "
            "that fits them as well explains nothing but what they keep of the data.",
        )
        figures = (self._figure(),) if any(one.scores for one in self.kinds) else ()
        table = Table("Fits to placebos", columns, (first, *rows), note)
        return (Section("Placebos", text, (self.verdict(), *self.verdicts()), figures, (table,)),)

    def _cells(self, one: PlaceboKind) -> tuple[float | str | None, ...]:
        if not one.scores:
            return None, None, None, None, None
        held = [s.held_out for s in one.scores if s.held_out is not None]
        middle = [float(np.median([getattr(s, name) for s in one.scores])) for name in ("distance", "p", "matched")]
        count = one.as_good(self.data)
        good = f"{count} of {len(one.scores)}" if one.chance else ("yes" if count else "no")
        return middle[0], good, middle[1], middle[2], float(np.median(held)) if held else None

    def _figure(self) -> Figure:
        shown = [one for one in self.kinds if one.scores]
        times = [np.log10(one.times(self.data)) for one in shown]
        names = tuple(f"{one.name} ({len(one.scores)})" if one.chance else one.name for one in shown)
        panel = IntervalPanel(
            "How much farther off placebos are",
            "distance over that of the data, powers of ten",
            ("the data", *names),
            np.array([0.0, *(np.median(t) for t in times)]),
            np.array([0.0, *(t.min() for t in times)]),
            np.array([0.0, *(t.max() for t in times)]),
            (False, *(one.verdict(self.data).code is not Code.FITS_DATA for one in shown)),
            reference=0.0,
            note="Medians and ranges over draws; of emphasised placebos some or all are fitted as well as the data.",
        )
        return Figure("placebos", "Distance of fits from what they were fitted to.", (panel,))

    def record(self) -> dict[str, Any]:
        return {
            "verdict": self.verdict().record(),
            "budget": self.budget,
            "data": _score_record(self.data),
            "placebos": {
                one.name: {
                    **one.verdict(self.data).record(),
                    "moments_apart": one.shift.tolist(),
                    "fits": [_score_record(score) for score in one.scores],
                    "would_see": {t.label: t.apart for t in one.telltales},
                }
                for one in self.kinds
            },
        }


def same(shift: np.ndarray) -> bool:
    """Whether placebos whose moments lie so far from the data's, (m,) standard errors, are the data to the moments."""
    return bool(np.median(shift) < _SAME)


def _unless_far(text: str, data: Scored) -> str:
    return text if data.reached else f"{text} Yet it does not reach the data either: it only comes nearer to them."


def _score_record(score: Scored) -> dict[str, Any]:
    return {
        "distance": score.distance,
        "error": score.error,
        "reached": score.reached,
        "p": score.p,
        "matched": score.matched,
        "held_out": score.held_out,
    }
