"""What summaries tell of parameters, from runs alone: how well runs that were left out give their parameters away.

The performance of a parameter is 1 - RMSE / RMSE(prior mean), out of sample (Ernesto Carrella 2021, Journal of
Artificial Societies and Social Simulation 24(2):7): 0 is no better than guessing, 1 is exact. It is the share of the
prior's spread that is taken away, on average over the prior; of its variance that is 1 - (1 - performance)^2.

A parameter is *identified* from .5 on, where three quarters of its variance are taken away, and *not identified* below
.1, where less than a fifth is. These marks are lower than those of `identify` for one posterior: an average over the
box holds places where data say little, and a predictor is no better than it has learned to be. On the tables
of three published models the four parameters known for .02 or less come out below .03, and all those known for .5 or
more above it.
"""

from dataclasses import dataclass
from typing import Any

import jax.random as jr
import numpy as np

from .._results import Code, Figure, IntervalPanel, Result, ScatterPanel, Section, Table, Verdict
from .._types import Key
from ..problem.space import Space
from ..surrogates.runs import Runs
from .cross_predictions import CrossPredictions, cross_predictions
from .pairs import Pair, pairs

IDENTIFIED, WEAK = 0.5, 0.1
_COMBINED = 0.68
"""From here on a combination is known: nine tenths of its variance are taken away."""
_TIGHTER, _PREFERRED = 0.6, 0.9
_DRAWN, _SHOWN = 1500, 3

AVERAGED = (
    "Averaged over the prior box: a parameter that is identified somewhere and nowhere else lies between. Whether the "
    "data at hand decide it depends on where they lie."
)


@dataclass(frozen=True)
class Performance:
    """1 - RMSE / RMSE(prior mean) out of sample, with the central 95 % of a bootstrap over points."""

    value: float
    low: float
    high: float

    @property
    def contraction(self) -> float:
        """The share of the prior's variance that is taken away on average (`value` is that of its spread)."""
        return 1.0 - (1.0 - min(self.value, 1.0)) ** 2


@dataclass(frozen=True)
class Recovered:
    """A combination of two parameters that summaries tell far better than either: its text, its members' labels."""

    text: str
    members: tuple[str, str]
    performance: Performance


@dataclass(frozen=True)
class Recoverability(Result):
    """How well summaries tell parameters, averaged over the prior.

    `performance`: label to it; `verdicts`; `combinations`: pairs known only together; `truth`, `said`: label to (n,),
    parameters of the runs that count and what runs without them say, on the priors' probability scale; `learned`: the
    predictions that it stands on, parameters first.
    """

    runs: Runs
    performance: dict[str, Performance]
    combinations: tuple[Recovered, ...]
    learned: CrossPredictions

    @property
    def labels(self) -> tuple[str, ...]:
        """The parameters."""
        return self.runs.space.labels

    @property
    def verdicts(self) -> dict[str, Verdict]:
        """A verdict a parameter."""
        return {label: self._verdict(label) for label in self.labels}

    def _verdict(self, label: str) -> Verdict:
        one = self.performance[label]
        numbers = {"performance": one.value, "low": one.low, "high": one.high, "contraction": one.contraction}
        shown = f"performance {one.value:.2f} ({one.low:.2f} to {one.high:.2f})"
        mine = [c for c in self.combinations if label in c.members]
        if one.value >= IDENTIFIED:
            more = f" {mine[0].text} is known better still ({mine[0].performance.value:.2f})." if mine else ""
            text = f"{label} is identified on average over the prior box: {shown}.{more}"
            return Verdict(label, Code.IDENTIFIED, text, numbers)
        if mine:
            text = (
                f"{label} is known only in combination: the summaries tell {mine[0].text} (performance "
                f"{mine[0].performance.value:.2f}), and {label} itself far less ({shown})."
            )
            return Verdict(label, Code.COMBINATION, text, numbers)
        if one.value >= WEAK:
            text = f"{label} is only weakly identified on average over the prior box: {shown}."
            return Verdict(label, Code.WEAK, text, numbers)
        doubt = "" if one.high < WEAK else " More runs would tell whether it is weakly identified."
        text = f"{label} is not identified: the summaries say next to nothing about it ({shown}).{doubt}"
        return Verdict(label, Code.NOT_IDENTIFIED, text, numbers)

    def sections(self) -> tuple[Section, ...]:
        used = int(self.runs.valid.sum())
        text = (
            f"{used} runs, each fifth predicted by what the others teach: {len(self.labels)} parameters from "
            f"{len(self.runs.labels)} summaries. Performance is 1 - RMSE / RMSE of the prior's mean: 0 is guessing, 1 "
            "is exact.",
            AVERAGED,
        )
        verdicts, tables = self.verdicts, [self._table()]
        if self.combinations:
            rows = tuple(
                (c.text, c.performance.value, c.performance.low, c.performance.high) for c in self.combinations
            )
            note = "On the combination's own probability scale; its members are known far less."
            columns = ("combination", "performance", "2.5 %", "97.5 %")
            tables.append(Table("Known only in combination", columns, rows, note))
        figures = (self._bars(), self._clouds())
        return (Section("What the summaries tell", text, tuple(verdicts.values()), figures, tuple(tables)),)

    def _table(self) -> Table:
        rows = tuple(
            (label, self.verdicts[label].code.value, one.value, one.low, one.high, one.contraction)
            for label, one in self.performance.items()
        )
        note = (
            f"Identified from {IDENTIFIED:g} on, not identified below {WEAK:g}: three quarters, and a fifth, of the "
            "prior's variance taken away. A better predictor may show more: these are lower bounds."
        )
        columns = ("parameter", "class", "performance", "2.5 %", "97.5 %", "of the variance")
        return Table("How well runs give their parameters away", columns, rows, note)

    def _bars(self) -> Figure:
        ones = {**self.performance, **{c.text: c.performance for c in self.combinations[:_SHOWN]}}
        emphasis = tuple(label in self.labels and one.value < WEAK for label, one in ones.items())
        panel = IntervalPanel(
            "Out-of-sample performance",
            "1 - RMSE / RMSE of the prior's mean",
            tuple(ones),
            *(np.array([getattr(one, part) for one in ones.values()]) for part in ("value", "low", "high")),
            emphasis=emphasis,
            reference=0.0,
            note="Bars are the central 95 % of a bootstrap over runs"
            + ("; emphasised rows are not identified." if any(emphasis) else "."),
        )
        return Figure("performance", "How well the summaries tell each parameter.", (panel,))

    def _clouds(self) -> Figure:
        """Predicted against true, of the best and the worst parameter."""
        order = sorted(self.labels, key=lambda label: self.performance[label].value)
        panels = []
        for label in dict.fromkeys((order[-1], order[0])):
            truth, said = (column[:_DRAWN] for column in self._columns(label))
            title = f"{label}: performance {self.performance[label].value:.2f}"
            panels.append(ScatterPanel(title, "true", "predicted by other runs", truth, said))
        caption = "Left-out runs, on the prior's probability scale; a parameter that is known lies on the diagonal."
        return Figure("predicted", caption, tuple(panels))

    def _columns(self, label: str) -> tuple[np.ndarray, np.ndarray]:
        i = self.labels.index(label)
        return self.learned.outputs[:, i], self.learned.said[:, i]

    def record(self) -> dict[str, Any]:
        def plain(one: Performance) -> dict[str, float]:
            return {"performance": one.value, "low": one.low, "high": one.high}

        return {
            "runs": int(self.runs.valid.sum()),
            "verdicts": {label: v.record() for label, v in self.verdicts.items()},
            "combinations": [{"combination": c.text, **plain(c.performance)} for c in self.combinations],
            "averaged": AVERAGED,
        }


def recoverability(runs: Runs, key: Key) -> Recoverability:
    """How well summaries tell parameters, and pairs of them, from a table of runs over the prior.

    Every fifth of the runs is predicted by kernel ridge regression on the ranks of the summaries, learned from the
    other runs. A combination of two parameters is named when nine tenths of its variance are taken away and what is
    left is at most .6 of what is left of either member.

    **Arguments:** `runs`: of a simulator, or read from a table (`read_runs`); their points should follow the priors.

    **Returns:** a `Recoverability`.

    **Raises:** `MethodError` for fewer than 50 points with runs that count, or 10 a parameter.
    """
    learn, again = jr.split(key)
    used = runs.taken(runs.valid)
    labels = runs.space.labels
    d = len(labels)
    values = in_units(runs.space, used.unit)
    candidates = pairs(labels, values)
    outputs = np.concatenate([used.unit, *(pair.ranks()[:, None] for pair in candidates)], axis=1)
    said = cross_predictions(runs, outputs, d, learn)
    value = said.performance()
    low, high = np.quantile(said.bootstrap(again), [0.025, 0.975], axis=0)
    ones = [Performance(float(v), float(a), float(b)) for v, a, b in zip(value, low, high, strict=True)]
    best = _best(candidates, ones[:d], ones[d:])
    named = tuple(Recovered(pair.text, (labels[pair.members[0]], labels[pair.members[1]]), one) for pair, one in best)
    return Recoverability(runs, dict(zip(labels, ones[:d], strict=True)), named, said)


def in_units(space: Space, unit: np.ndarray) -> np.ndarray:
    """Points (m, d) on the priors' probability scale, in the parameters' own units."""
    return np.asarray(space.flat(space.from_unit(unit)), np.float64)


def _best(
    candidates: list[Pair], members: list[Performance], ones: list[Performance]
) -> list[tuple[Pair, Performance]]:
    """Of each pair the form that stands out, if one does, the best first: the first unless a later one leaves a tenth
    less.
    """
    found: dict[tuple[int, int], tuple[Pair, Performance]] = {}
    for pair, one in zip(candidates, ones, strict=True):
        left = 1.0 - one.value
        least = min(1.0 - members[i].value for i in pair.members)
        if one.value < _COMBINED or left > _TIGHTER * least:
            continue
        if pair.members not in found or left < _PREFERRED * (1.0 - found[pair.members][1].value):
            found[pair.members] = (pair, one)
    return sorted(found.values(), key=lambda known: -known[1].value)
