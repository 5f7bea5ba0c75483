"""How the data weigh rivals: the evidence of each in three ways, the set that is not rejected, and a verdict each.

Importance sampling and tempered populations average one likelihood, that of a surrogate: where they differ, draws
missed what counts. A classifier of runs takes no likelihood: where it differs, the surrogate is wrong, or it is.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any, NamedTuple

import jax.random as jr
import numpy as np

from .._errors import MethodError
from .._results import Code, Figure, IntervalPanel, Table, Verdict
from .._types import Key
from ..calibration.fit import Fit
from ..calibration.surrogate_posterior import EmulatedPosterior
from ..core.executor import Ticker
from .classified import Classified, classified
from .combinations import listed
from .confidence_set import ConfidenceSet, confidence_set
from .evidence import Evidence, Near, cooled, evidence, weighed
from .tempered import Tempered

STRONG = float(np.log(10.0))
"""Log-odds from which on rivals count as told apart: 10 : 1 (Harold Jeffreys 1961, Theory of Probability)."""
_SIMULATED = 300
"""Runs of each rival that the confidence set is judged by."""


class Lead(NamedTuple):
    """By how much the log-evidence of the best exceeds that of another, in one `way`: `lag`, its standard error, and
    that of the draws alone, which two ways of averaging one likelihood do not share; infinite where there is no such
    other way.
    """

    way: str
    lag: float
    error: float
    drawn: float = float("inf")

    @property
    def sure(self) -> bool:
        """Whether it is beyond 10 : 1 by two standard errors."""
        return self.lag - 2.0 * self.error > STRONG

    def agrees(self, other: "Lead") -> bool:
        """Whether two ways say the same within two standard errors of what they do not share."""
        own, its = (self.drawn, other.drawn) if np.isfinite(self.drawn + other.drawn) else (self.error, other.error)
        return abs(self.lag - other.lag) <= 2.0 * np.hypot(own, its)


@dataclass(frozen=True)
class Weighing:
    """Evidences of rivals, in the order of `names`: by importance sampling of a surrogate's likelihood, by tempered
    populations of it, and by a classifier of runs.
    """

    names: tuple[str, ...]
    evidences: tuple[Evidence, ...]
    tempered: tuple[Tempered, ...]
    classified: Classified
    held: ConfidenceSet

    @property
    def best(self) -> int:
        """Which has the largest evidence."""
        return int(np.argmax([one.log for one in self.evidences]))

    def lag(self, i: int) -> tuple[float, float]:
        """By how much the log-evidence of the best exceeds that of another, and the standard error."""
        one, best = self.evidences[i], self.evidences[self.best]
        return best.log - one.log + 0.0, 0.0 if i == self.best else float(np.hypot(one.error, best.error))

    def classified_lag(self, i: int) -> tuple[float, float]:
        """The same by the classifier."""
        odds = self.classified.log_odds
        return float(odds[self.best] - odds[i]), float(self.classified.error[i, self.best])

    def leads(self, i: int) -> tuple[Lead, Lead, Lead]:
        """Of the best over another, each way."""
        if i == self.best:
            return Lead("importance", 0.0, 0.0), Lead("tempering", 0.0, 0.0), Lead("classifier", 0.0, 0.0)
        pair, drawn = (i, self.best), [self.tempered[j].error for j in (i, self.best)]
        shared = [part for j in pair for part in (self.evidences[j].doubt, self.evidences[j].noise)]
        sampled = _joint(self.evidences[j].sampling for j in pair)
        cooled = self.tempered[self.best].log - self.tempered[i].log
        return (
            Lead("importance", *self.lag(i), sampled),
            Lead("tempering", cooled, _joint([*drawn, *shared]), _joint(drawn)),
            Lead("classifier", *self.classified_lag(i)),
        )

    def code(self, i: int) -> Code:
        """Of a rival against the best: told apart where all ways say 10 : 1 beyond two standard errors and the 90 %
        set leaves it out; not told apart where none says so, where they are within their errors of each other, or
        where the set holds it (its prior is wide, and pays for it); else not settled.
        """
        leads = self.leads(i)
        sure = [one.sure for one in leads]
        if self.held.kept[i] or not any(sure):
            return Code.NOT_TOLD_APART
        if all(sure):
            return Code.TOLD_APART
        return Code.NOT_TOLD_APART if all(a.agrees(b) for a, b in combinations(leads, 2)) else Code.UNSETTLED

    def tied(self) -> tuple[str, ...]:
        """The best, and the rivals that are not told apart from it."""
        return tuple(name for i, name in enumerate(self.names) if i == self.best or self.code(i) is not Code.TOLD_APART)

    def verdicts(self) -> tuple[Verdict, ...]:
        """A sentence a rival, the best first."""
        others = (self._verdict(i) for i in range(len(self.names)) if i != self.best)
        return (self._of_best(), *others)

    def _of_best(self) -> Verdict:
        name, tied = self.names[self.best], [n for n in self.tied() if n != self.names[self.best]]
        numbers = {"log evidence": self.evidences[self.best].log, "error": self.evidences[self.best].error}
        if not tied:
            return Verdict(name, Code.TOLD_APART, f"{name} is what these data favour, of these rivals.", numbers)
        sentence = f"{name} has the largest evidence, but these data do not tell it from {listed(tied)}."
        return Verdict(name, Code.NOT_TOLD_APART, sentence, numbers)

    def _verdict(self, i: int) -> Verdict:
        first, second, third = self.leads(i)
        name, best, code, its = self.names[i], self.names[self.best], self.code(i), _odds(third.lag)
        numbers = {
            "log odds": -first.lag, "error": first.error, "tempering": -second.lag, "tempering error": second.error,
            "classifier": -third.lag, "its error": third.error, "p": float(self.held.p[i]),
        }  # fmt: skip
        others = f"by tempering {_odds(second.lag)}, by a classifier {its}"
        if code is Code.TOLD_APART:
            text = f"{name} is told apart: the data favour {best} {_odds(first.lag)} ({others})."
        elif code is Code.UNSETTLED:
            text = (
                f"Whether the data tell {name} from {best} is not settled: importance sampling of the surrogate's "
                f"likelihood says {_odds(first.lag)}, tempering {_odds(second.lag)}, a classifier {its}, farther apart "
                "than their errors."
            )
        else:
            often = 100 * self.held.power[self.best, i]
            odds = f"odds {_odds(first.lag)} (a factor of {np.exp(first.error):.2g} either way), {others}"
            even = abs(first.lag) <= 2.0 * first.error
            how = f"does as well as {best}" if even else f"lags behind {best}, and is not told apart"
            text = f"{name} {how}: {odds}. Of data sets from {best}, {often:.0f} % would reject it."
            if first.sure and self.held.kept[i]:
                text = (
                    f"{name} pays for a wide prior ({odds}), but is not rejected: were it true, such odds would be "
                    f"common (p = {self.held.p[i]:.2g})."
                )
        return Verdict(name, code, text, numbers)

    def table(self) -> Table:
        rows = []
        for i, name in enumerate(self.names):
            one, inside = self.evidences[i], "in" if self.held.kept[i] else "out"
            pairs = [number for lead in self.leads(i) for number in (0.0 - lead.lag, lead.error)]
            rows.append((name, one.log, one.error, *pairs, float(self.held.p[i]), inside))
        columns = (
            "rival", "log evidence", "its error", "log odds against the best", "error", "by tempering", "error ",
            "by a classifier", "error  ", "p", "90 % set",
        )  # fmt: skip
        slope, error = self.classified.slope
        said = "calibrated" if self.classified.calibrated else "not calibrated: do not lean on them"
        note = (
            "Log evidence: of the fitted moments, under model and prior, by importance sampling. p: how often data "
            "from that rival would show so large a lead of another. The classifier's left-out odds are "
            f"{said} (slope {slope:.2f}, error {error:.2f})."
        )
        return Table("Evidence", columns, tuple(rows), note)

    def figure(self) -> Figure:
        order = [i for i in range(len(self.names)) if i != self.best]
        leads = [(f"{self.names[i]}, {lead.way}", lead.lag, lead.error) for i in order for lead in self.leads(i)]
        names, lags, errors = zip(*leads, strict=True)
        centre, reach = -np.array(lags), 2.0 * np.array(errors)
        panel = IntervalPanel(
            f"Odds against {self.names[self.best]}", "log odds", names, centre, centre - reach, centre + reach,
            tuple(self.code(i) is Code.TOLD_APART for i in order for _ in self.leads(i)), -STRONG,
            "Bars are two standard errors; left of the line the odds are beyond 10 : 1.",
        )  # fmt: skip
        return Figure("odds", "Evidence of each rival against the best, three ways.", (panel,))

    def record(self) -> dict[str, Any]:
        return {
            name: {
                "log_evidence": one.log,
                "error": one.error,
                "tempered": self.tempered[i].log,
                "tempered_error": self.tempered[i].error,
                "classifier": -self.classified_lag(i)[0],
                "classifier_error": self.classified_lag(i)[1],
                "p": float(self.held.p[i]),
                "in_set": bool(self.held.kept[i]),
            }
            for i, (name, one) in enumerate(zip(self.names, self.evidences, strict=True))
        }


def weigh(fits: Mapping[str, Fit], key: Key, runs: int, ticker: Ticker) -> Weighing:
    """Weigh rivals that were fitted to the same moments by `SurrogatePosterior`, with `runs` further runs of each.

    **Raises:** `MethodError` for a fit by another method.
    """
    draw, judge, classify, cool = jr.split(key, 4)
    at, evidences, populations, simulated = {}, [], [], {}
    for i, (name, fit) in enumerate(fits.items()):
        if not isinstance(fit.estimate, EmulatedPosterior):
            raise MethodError(f"'{name}' was fitted by {fit.method}, which has no likelihood: take SurrogatePosterior")
        surrogate, target = fit.estimate.surrogate, fit.problem.target
        near = Near.of(surrogate, target, fit.draws, np.where(fit.excluded[:, None], np.nan, fit.moments))
        at[name] = weighed(surrogate, target, near, jr.fold_in(draw, i))
        evidences.append(evidence(surrogate, target, near, at[name], jr.fold_in(judge, i)))
        populations.append(cooled(surrogate, target, near, jr.fold_in(cool, i)))
        simulated[name] = fit.moments[~fit.excluded][:_SIMULATED, target.fitted]
    target = next(iter(fits.values())).problem.target
    held = confidence_set(at, simulated, target.values[target.fitted])
    found = classified(fits, classify, runs, ticker)
    return Weighing(tuple(fits), tuple(evidences), tuple(populations), found, held)


def _joint(errors: Iterable[float]) -> float:
    """Of independent errors together."""
    return float(np.linalg.norm(list(errors)))


def _odds(log: float) -> str:
    """Odds for the best, as people say them."""
    if abs(log) > np.log(1e6):
        return f"e^{log:.0f} : 1"
    odds = np.exp(abs(log))
    shown = f"{odds:.3g}" if odds < 999.5 else f"{odds:,.0f}"
    return f"{shown} : 1" if log >= 0 else f"1 : {shown}"
