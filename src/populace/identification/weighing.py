"""How the data weigh rivals: the evidence of each in two ways, the set that is not rejected, and a verdict each."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax.random as jr
import numpy as np

from .._errors import MethodError
from .._results import Code, Figure, IntervalPanel, Table, Verdict
from .._types import Key
from ..calibration.fit import Fit
from ..calibration.surrogate_posterior import EmulatedPosterior
from ..core.executor import Ticker
from .classified import Classified, classified
from .confidence_set import ConfidenceSet, confidence_set
from .evidence import Evidence, Near, evidence, weighed

STRONG = float(np.log(10.0))
"""Log-odds from which on rivals count as told apart: 10 : 1 (Harold Jeffreys 1961, Theory of Probability)."""
_SIMULATED = 300
"""Runs of each rival that the confidence set is judged by."""


@dataclass(frozen=True)
class Weighing:
    """Evidences of rivals, in the order of `names`: by importance sampling of a surrogate's likelihood, and by a
    classifier of runs.
    """

    names: tuple[str, ...]
    evidences: tuple[Evidence, ...]
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

    def code(self, i: int) -> Code:
        """Of a rival against the best: told apart where both ways say 10 : 1 beyond two standard errors and the 90 %
        set leaves it out; not told apart where neither says so, where they are within their errors of each other, or
        where the set holds it (its prior is wide, and pays for it); else not settled.
        """
        (lag, error), (other, its) = self.lag(i), self.classified_lag(i)
        sure = lag - 2.0 * error > STRONG, other - 2.0 * its > STRONG
        if self.held.kept[i] or not any(sure):
            return Code.NOT_TOLD_APART
        if all(sure):
            return Code.TOLD_APART
        return Code.NOT_TOLD_APART if abs(lag - other) <= 2.0 * np.hypot(error, its) else Code.UNSETTLED

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
        sentence = f"{name} has the largest evidence, but these data do not tell it from {_listed(tied)}."
        return Verdict(name, Code.NOT_TOLD_APART, sentence, numbers)

    def _verdict(self, i: int) -> Verdict:
        (lag, error), (other, its), best = self.lag(i), self.classified_lag(i), self.best
        name, first, code = self.names[i], self.names[best], self.code(i)
        numbers = {"log odds": -lag, "error": error, "classifier": -other, "its error": its, "p": float(self.held.p[i])}
        if code is Code.TOLD_APART:
            text = f"{name} is told apart: the data favour {first} {_odds(lag)} (by a classifier {_odds(other)})."
        elif code is Code.UNSETTLED:
            text = (
                f"Whether the data tell {name} from {first} is not settled: the surrogate's likelihood says "
                f"{_odds(lag)}, a classifier {_odds(other)}, farther apart than their errors."
            )
        else:
            often, heavy = 100 * self.held.power[best, i], lag - 2.0 * error > STRONG
            odds = f"odds {_odds(lag)} (a factor of {np.exp(error):.2g} either way), by a classifier {_odds(other)}"
            text = f"{name} does as well as {first}: {odds}. Of data sets from {first}, {often:.0f} % would reject it."
            if heavy and self.held.kept[i]:
                text = (
                    f"{name} pays for a wide prior ({odds}), but is not rejected: were it true, such odds would be "
                    f"common (p = {self.held.p[i]:.2g})."
                )
        return Verdict(name, code, text, numbers)

    def table(self) -> Table:
        rows = []
        for i, name in enumerate(self.names):
            (lag, error), (other, its), one = self.lag(i), self.classified_lag(i), self.evidences[i]
            inside = "in" if self.held.kept[i] else "out"
            rows.append((name, one.log, one.error, 0.0 - lag, error, 0.0 - other, its, float(self.held.p[i]), inside))
        columns = (
            "rival", "log evidence", "its error", "log odds against the best", "error", "by a classifier", "error ",
            "p", "90 % set",
        )  # fmt: skip
        slope, error = self.classified.slope
        said = "calibrated" if self.classified.calibrated else "not calibrated: do not lean on them"
        note = (
            "Log evidence: of the fitted moments, under model and prior. p: how often data from that rival would show "
            "so large a lead of another. The classifier's left-out odds are "
            f"{said} (slope {slope:.2f}, error {error:.2f})."
        )
        return Table("Evidence", columns, tuple(rows), note)

    def figure(self) -> Figure:
        order = [i for i in range(len(self.names)) if i != self.best]
        pairs = [(f"{self.names[i]}, {how}", *of(i)) for i in order for how, of in (
            ("likelihood", self.lag), ("classifier", self.classified_lag))]  # fmt: skip
        names, lags, errors = zip(*pairs, strict=True)
        centre, reach = -np.array(lags), 2.0 * np.array(errors)
        panel = IntervalPanel(
            f"Odds against {self.names[self.best]}", "log odds", names, centre, centre - reach, centre + reach,
            tuple(self.code(i) is Code.TOLD_APART for i in order for _ in range(2)), -STRONG,
            "Bars are two standard errors; left of the line the odds are beyond 10 : 1.",
        )  # fmt: skip
        return Figure("odds", "Evidence of each rival against the best, two ways.", (panel,))

    def record(self) -> dict[str, Any]:
        return {
            name: {
                "log_evidence": one.log,
                "error": one.error,
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
    draw, judge, classify = jr.split(key, 3)
    at, evidences, simulated = {}, [], {}
    for i, (name, fit) in enumerate(fits.items()):
        if not isinstance(fit.estimate, EmulatedPosterior):
            raise MethodError(f"'{name}' was fitted by {fit.method}, which has no likelihood: take SurrogatePosterior")
        surrogate, target = fit.estimate.surrogate, fit.problem.target
        near = Near.of(surrogate, target, fit.draws, np.where(fit.excluded[:, None], np.nan, fit.moments))
        at[name] = weighed(surrogate, target, near, jr.fold_in(draw, i))
        evidences.append(evidence(surrogate, target, near, at[name], jr.fold_in(judge, i)))
        simulated[name] = fit.moments[~fit.excluded][:_SIMULATED, target.fitted]
    target = next(iter(fits.values())).problem.target
    held = confidence_set(at, simulated, target.values[target.fitted])
    return Weighing(tuple(fits), tuple(evidences), classified(fits, classify, runs, ticker), held)


def _odds(log: float) -> str:
    """Odds for the best, as people say them."""
    if abs(log) > np.log(1e6):
        return f"e^{log:.0f} : 1"
    return f"{np.exp(log):.3g} : 1" if log >= 0 else f"1 : {np.exp(-log):.3g}"


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]
