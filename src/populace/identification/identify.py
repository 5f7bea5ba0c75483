"""The verb `identify`: a sentence a parameter on what the data say of it, and the moments beside it."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from .._errors import ProblemError
from .._results import Code, Figure, Result, ScatterPanel, Section, Table, Verdict
from .._types import Key
from ..calibration.fit import Fit
from ..calibration.information import Information
from ..problem.problem import Problem
from .combinations import Combination, combinations, contraction
from .moment_report import MomentReport, moment_report

_STRONG, _SOME, _NONE = 0.75, 0.2, 0.05
_EDGE = 0.025
_PILED = 0.2


@dataclass(frozen=True)
class Identification(Result):
    """What a fit identifies, given its prior box and its moments.

    `moments`: the moment report; `verdicts`: label to a verdict; `contractions`: label to the share of the prior's
    spread that the data took away; `combinations`: pairs that are known only together; `ridges`: their draws, label to
    (n,).
    """

    moments: MomentReport
    verdicts: dict[str, Verdict]
    contractions: dict[str, float]
    combinations: tuple[Combination, ...]
    draws: dict[str, np.ndarray]
    information: Information | None = None

    def sections(self) -> tuple[Section, ...]:
        rows = tuple(
            (label, v.code.value, self.contractions[label], *(v.numbers[k] for k in ("median", "low", "high")))
            for label, v in self.verdicts.items()
        )
        columns = ("parameter", "class", "contraction", "median", "2.5 %", "97.5 %")
        note = (
            "Contraction: 1 minus the variance of the posterior over that of the prior, on the prior's probability "
            "scale; "
            "0 is the prior returned, 1 is a point. Classes hold for this prior box and these moments."
        )
        tables = [Table("What is identified", columns, rows, note)]
        if self.combinations:
            known = tuple((c.text, c.contraction, c.middle, c.low, c.high) for c in self.combinations)
            heads = ("combination", "contraction", "median", "2.5 %", "97.5 %")
            tables.append(Table("Known only in combination", heads, known))
        section = Section(
            "Identification",
            (
                "A good fit is not identification: these sentences say what the data decide, not what the fit looks "
                "like.",
            ),
            tuple(self.verdicts.values()),
            self._ridges(),
            tuple(tables),
        )
        spectrum = () if self.information is None else self.information.sections()
        return (*self.moments.sections(), section, *spectrum)

    def _ridges(self) -> tuple[Figure, ...]:
        panels = tuple(
            ScatterPanel(c.text, c.members[0], c.members[1], self.draws[c.members[0]], self.draws[c.members[1]])
            for c in self.combinations[:3]
        )
        return (
            (Figure("ridges", "Posterior draws of parameters that are known only together.", panels),) if panels else ()
        )

    def record(self) -> dict[str, Any]:
        return {
            "moments": self.moments.record(),
            "verdicts": {label: v.record() for label, v in self.verdicts.items()},
            "combinations": [
                {"combination": c.text, "low": c.low, "median": c.middle, "high": c.high, "contraction": c.contraction}
                for c in self.combinations
            ],
            **({} if self.information is None else {"information": self.information.record()}),
        }


def identify(
    problem: Problem, fit: Fit, key: Key, *, replicates: int = 400, information: Information | None = None
) -> Identification:
    """What a fit identifies, from its posterior draws, its prior, its predictive sample and replicates at its centre.

    A parameter is *only in combination* when a product, ratio, sum or difference with another is known much better than
    either; else *identified* when the data took away three quarters of the prior's spread, *weak* from a fifth on, and
    *not identified* below, or *prior returned* when nothing changed. All of it is conditional on the prior box and on
    the fitted moments.

    **Arguments:** `problem`: what was fitted; `replicates`: runs at the centre of the fit, whose spread is each
    moment's standard error; `information`: that of `pop.information` at the fit, whose spectrum is then shown beside.

    **Raises:** `ProblemError` when the fit is of another problem.
    """
    if problem.space.labels != fit.problem.space.labels or problem.target.labels != fit.problem.target.labels:
        raise ProblemError("this fit is of another problem: its parameters or moments differ")
    space = fit.problem.space
    after = _columns(fit.draws, space.names, space.labels)
    before = _columns(fit.prior, space.names, space.labels)
    shares = {label: contraction(after[label], before[label]) for label in space.labels}
    pairs = combinations(after, before)
    worth = min(fit.estimate.effective_size, float(fit.moments.shape[0]))
    verdicts = {
        label: _verdict(label, after[label], before[label], shares[label], pairs, worth) for label in space.labels
    }
    return Identification(moment_report(fit, key, replicates), verdicts, shares, pairs, after, information)


def _columns(draws: dict[str, np.ndarray], names: tuple[str, ...], labels: tuple[str, ...]) -> dict[str, np.ndarray]:
    flat = np.concatenate([np.reshape(draws[name], (draws[name].shape[0], -1)) for name in names], axis=1)
    return {label: flat[:, i].astype(np.float64) for i, label in enumerate(labels)}


def _verdict(
    label: str, posterior: np.ndarray, prior: np.ndarray, share: float, pairs: tuple[Combination, ...], worth: float
) -> Verdict:
    low, middle, high = (float(q) for q in np.quantile(posterior, [0.025, 0.5, 0.975]))
    numbers = {"contraction": share, "median": middle, "low": low, "high": high}
    shown = f"{middle:.3g} ({low:.3g} to {high:.3g})"
    mine = [c for c in pairs if label in c.members]
    if mine:
        c = mine[0]
        sentence = (
            f"{label} is known only in combination: the data fix {c.text} at {c.middle:.3g} ({c.low:.3g} to "
            f"{c.high:.3g}), "
            f"and {label} itself may be anywhere from {low:.3g} to {high:.3g}."
        )
        return Verdict(label, Code.COMBINATION, sentence, numbers)
    ranks = np.searchsorted(np.sort(prior), posterior, side="right") / prior.size
    piled = max(float((ranks < _EDGE).mean()), float((ranks > 1 - _EDGE).mean()))
    none = max(_NONE, 2.0 * np.sqrt(0.8 / worth))  # two standard errors of the contraction of a prior returned
    if share >= none and piled > _PILED:
        end = "lower" if (ranks < _EDGE).mean() > _EDGE * 2 else "upper"
        share_piled = f"{100 * piled:.0f} % of draws"
        sentence = f"{label} piles up at the {end} end of its prior ({share_piled}): {shown} is the prior's doing."
        return Verdict(label, Code.AT_BOUND, sentence, numbers)
    share_text = f"the data take away {100 * share:.0f} % of the prior's spread"
    if share > _STRONG:
        return Verdict(label, Code.IDENTIFIED, f"{label} is identified: {shown}; {share_text}.", numbers)
    if share > _SOME:
        sentence = f"{label} is only weakly identified: {shown}; {share_text}."
        return Verdict(label, Code.WEAK, sentence, numbers)
    if share < none and abs(float(ranks.mean()) - 0.5) < max(_NONE, 2.0 * np.sqrt(1.0 / 12.0 / worth)):
        sentence = f"{label}: the prior came back ({shown}); the fitted moments say nothing about it."
        return Verdict(label, Code.PRIOR_RETURNED, sentence, numbers)
    sentence = f"{label} is not identified: {shown} is little more than the prior; {share_text}."
    return Verdict(label, Code.NOT_IDENTIFIED, sentence, numbers)
