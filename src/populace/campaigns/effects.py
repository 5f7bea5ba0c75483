"""What interventions do in one fitted model: outcomes and costs in pairs of runs, and the choice that follows."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from .._results import Cell, Figure, IntervalPanel, Result, Section, Table, cell
from .decision import Decision, shown, standard_error

AS_IT_IS = "as it is"
"""The option of doing nothing, or whatever is the baseline."""


@dataclass(frozen=True)
class Aim:
    """What counts: the `outcome` in words, whether more of it is better, the `price` of one of it in the `cost_unit`
    (None: costs are shown, and do not count), and the `level` of intervals.
    """

    outcome: str
    higher_is_better: bool = False
    price: float | None = None
    cost_unit: str = ""
    level: float = 0.9

    def losses(self, outcomes: np.ndarray, costs: np.ndarray) -> np.ndarray:
        """What is to be as small as can be."""
        signed = -outcomes if self.higher_is_better else outcomes
        return signed if self.price is None else self.price * signed + costs

    @property
    def unit(self) -> str:
        """Of losses."""
        return self.outcome if self.price is None else (self.cost_unit or "in costs")

    @property
    def gained(self) -> str:
        """What is said of an effect that is wanted."""
        return "gained" if self.higher_is_better else "spared"

    def sentence(self) -> str:
        """What is best."""
        way = "Higher" if self.higher_is_better else "Lower"
        if self.price is None:
            return f"{way} is better: {self.outcome}."
        sign = "minus" if self.higher_is_better else "plus"
        return f"Best is the least total: cost {sign} {self.price:g} {self.cost_unit} for each of {self.outcome}."


@dataclass(frozen=True)
class Counterfactual(Result):
    """Outcomes with and without each intervention, paired by draw and key.

    `baseline` (n,): the outcome as it is; `outcomes`: intervention to (n,), the outcome of the same draw and the same
    key with it; `excluded`: draws left out, as a run of theirs could not be used, and why (`reasons`: sentence to
    runs). `costs`: option to (n,), the baseline's under `AS_IT_IS`; `draws`: parameter to (n, ...); `rows` (n,): which
    of the draws that were asked for; `groups` (n,): equal where the parameters are; `fixed`: whether all are.
    """

    aim: Aim
    baseline: np.ndarray
    outcomes: dict[str, np.ndarray]
    excluded: int
    reasons: dict[str, int] = field(default_factory=dict)
    costs: dict[str, np.ndarray] = field(default_factory=dict)
    draws: dict[str, np.ndarray] = field(default_factory=dict)
    rows: np.ndarray = field(default_factory=lambda: np.zeros(0, int))
    groups: np.ndarray = field(default_factory=lambda: np.zeros(0, int))
    fixed: bool = False

    @property
    def outcome(self) -> str:
        """What is counted, in words."""
        return self.aim.outcome

    @property
    def options(self) -> tuple[str, ...]:
        """The baseline, and the interventions."""
        return (AS_IT_IS, *self.outcomes)

    def spared(self, name: str) -> np.ndarray:
        """How much of the outcome an intervention takes away in each pair of runs, (n,)."""
        return self.baseline - self.outcomes[name]

    def gain(self, name: str) -> np.ndarray:
        """How much better the outcome is with it in each pair of runs, (n,): spared, or gained where more is better."""
        return -self.spared(name) if self.aim.higher_is_better else self.spared(name)

    def interval(self, name: str) -> tuple[float, float, float]:
        """Low end, median and high end of the gain's central interval at the aim's level, over both uncertainties."""
        tail = (1.0 - self.aim.level) / 2
        low, middle, high = np.quantile(self.gain(name), [tail, 0.5, 1.0 - tail])
        return float(low), float(middle), float(high)

    def mean(self, name: str) -> tuple[float, float]:
        """The mean gain and its Monte-Carlo error."""
        gain, ones = self.gain(name), np.full(len(self.baseline), 1.0 / len(self.baseline))
        error = standard_error(gain, self._groups, ones, np.zeros(gain.size, int))
        return float(gain.mean()), float(error)

    def pairing(self, name: str) -> float:
        """How many times the variance of the gain would be with independent runs."""
        apart = self.baseline.var() + self.outcomes[name].var()
        return float(apart / max(float(self.gain(name).var()), 1e-12 * max(float(apart), 1e-300)))

    @cached_property
    def decision(self) -> Decision:
        """The choice between the options, by the aim."""
        count = len(self.baseline)
        outcomes = np.stack([self.baseline, *self.outcomes.values()], axis=1)
        losses = self.aim.losses(outcomes, self._costs)
        return Decision(self.options, losses, self._groups, np.full(count, 1.0 / count), np.zeros(count, int))

    def benefits(self) -> dict[str, np.ndarray]:
        """The net benefit of each option in each draw, (n,), in the unit of the choice: higher is better."""
        return {name: -self.decision.losses[:, i] for i, name in enumerate(self.options)}

    @property
    def _groups(self) -> np.ndarray:
        return self.groups if self.groups.size else np.arange(len(self.baseline))

    @property
    def _costs(self) -> np.ndarray:
        nothing = np.zeros(len(self.baseline))
        return np.stack([self.costs.get(name, nothing) for name in self.options], axis=1)

    def sections(self) -> tuple[Section, ...]:
        percent = f"{100 * self.aim.level:g} %"
        said = [self._said(name, percent) for name in self.outcomes]
        source = "chance only: the fit is a point" if self.fixed else "parameters and chance"
        notes = [f"Intervals are of {source}, from {len(self.baseline)} pairs of runs.", *self._left_out()]
        names = tuple(self.outcomes)
        low, middle, high = np.array([self.interval(name) for name in names]).T.reshape(3, -1)
        title = f"{self.aim.gained.capitalize()} by each intervention"
        panel = IntervalPanel(title, self.outcome, names, middle, low, high, reference=0.0)
        figure = Figure("counterfactual", f"Effect on {self.outcome}: median and {percent} interval.", (panel,))
        tables = (self._effects(), self.decision_table())
        verdict = self.decision.verdict(self.aim.unit)
        return (Section("What if", (*said, *notes), (verdict,), (figure,), tables),)

    def _said(self, name: str, percent: str) -> str:
        low, middle, high = self.interval(name)
        helps = 100.0 * float((self.gain(name) > 0).mean())
        return (
            f"{name}: {shown(middle)} {self.aim.gained} ({percent} interval {shown(low)} to {shown(high)}); it helps "
            f"in {helps:.0f} % of runs."
        )

    def _left_out(self) -> list[str]:
        if not self.excluded:
            return []
        why = "; ".join(f"{count} x {reason}" for reason, count in self.reasons.items()) or "no reason was given"
        return [f"{self.excluded} draws were left out, as a run of theirs could not be used: {why}."]

    def _effects(self) -> Table:
        tail = 50.0 * (1.0 - self.aim.level)
        gained = self.aim.gained
        columns = (
            "intervention", f"{gained}, median", f"{tail:g} %", f"{100 - tail:g} %", "mean", "Monte-Carlo error",
            "share of runs it helps", "gain of pairing",
        )  # fmt: skip
        rows = []
        for name in self.outcomes:
            low, middle, high = self.interval(name)
            helps = float((self.gain(name) > 0).mean())
            rows.append((name, middle, low, high, *self.mean(name), helps, float(np.sqrt(self.pairing(name)))))
        way = "with it minus without it" if self.aim.higher_is_better else "without it minus with it"
        note = (
            f"{gained.capitalize()}: {self.outcome} {way}, in pairs of runs with the same parameters and random "
            "numbers. Gain of pairing: how many times as wide the spread would be with independent runs."
        )
        return Table("Effects", columns, tuple(rows), note)

    def decision_table(self) -> Table:
        """Outcome and cost of each option, how often it is the best, and what is lost by it."""
        base, costs = float(self.baseline.mean()), self._costs.mean(0)
        rows: list[tuple[Cell, ...]] = []
        for i, (name, (loss, *rest)) in enumerate(zip(self.options, self.decision.columns(), strict=True)):
            outcome = float(self.baseline.mean() if i == 0 else self.outcomes[name].mean())
            gain = (outcome - base) * (1.0 if self.aim.higher_is_better else -1.0)
            each = cell((costs[i] - costs[0]) / gain) if i and gain > 0 else None
            total = None if self.aim.price is None else loss
            rows.append((name, outcome, float(costs[i]), each, total, *rest))
        columns = (
            "option", "outcome", "cost", f"cost of each {self.aim.gained}", "total", "probability of being best",
            "error", "expected regret", "error ",
        )  # fmt: skip
        note = f"{self.aim.sentence()} Means over runs; ties for the best are shared in equal parts."
        if self.aim.price is None and costs.any():
            note += " Costs do not count here: say price=, what one of the outcome is worth."
        return Table("Decision", columns, tuple(rows), note)

    def record(self) -> dict[str, Any]:
        low, middle, high = np.quantile(self.baseline, _ends(self.aim.level))
        return {
            "outcome": self.outcome,
            "higher_is_better": self.aim.higher_is_better,
            "level": self.aim.level,
            "runs": len(self.baseline),
            "excluded": self.excluded,
            "reasons": self.reasons,
            "chance_only": self.fixed,
            "baseline": {"low": float(low), "median": float(middle), "high": float(high)},
            "spared": {name: self._summary(name) for name in self.outcomes},
            "decision": self.decision.record(),
            "verdict": self.decision.verdict(self.aim.unit).record(),
        }

    def _summary(self, name: str) -> Mapping[str, float]:
        spared = self.spared(name)
        low, middle, high = np.quantile(spared, _ends(self.aim.level))
        return {
            "low": float(low),
            "median": float(middle),
            "high": float(high),
            "mean": float(spared.mean()),
            "error": self.mean(name)[1],
            "helps": float((self.gain(name) > 0).mean()),
            "variance_ratio": self.pairing(name),
        }


def _ends(level: float) -> list[float]:
    return [(1.0 - level) / 2, 0.5, (1.0 + level) / 2]
