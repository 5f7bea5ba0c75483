"""Do models that fit alike agree on an intervention?

A difference between models is measured against two things. Against its Monte-Carlo error: is it there at all? And
against the spread within the models: of two models with mean gains a distance g apart and variances v1 and v2 within,
g^2 / 4 of the variance of an even mixture is the difference between them, and (v1 + v2) / 2 is within. Where the first
makes a fifth of the sum or more, either model's interval misleads about the other's.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Any

import numpy as np

from .._errors import ProblemError
from .._results import Cell, Code, Figure, IntervalPanel, Result, Section, Table, Verdict
from ..identification.combinations import listed
from .decision import Decision, shown
from .effects import Aim, Counterfactual

_SURE = 3.0
"""Standard errors by which a difference, or a sign, must be beyond chance."""
_MATTERS = 0.2
"""The share of the variance that is the difference between two models, from which on it matters."""


_DIFFER = (Code.MODELS_DIFFER_IN_SIZE, Code.MODELS_DIFFER_IN_SIGN)


@dataclass(frozen=True)
class Apart:
    """How far apart the two models are that differ most on an intervention.

    `lower`, `higher`: the models, by their mean gain; `gap` between the means, with its Monte-Carlo `error`; `share` of
    the variance of both that the gap makes; `opposed`: whether it surely helps in one and surely harms in the other.
    """

    intervention: str
    lower: str
    higher: str
    means: tuple[float, float]
    gap: float
    error: float
    share: float
    opposed: bool

    @property
    def code(self) -> Code:
        """What they are said to do."""
        if self.opposed:
            return Code.MODELS_DIFFER_IN_SIGN
        if self.share < _MATTERS:
            return Code.MODELS_AGREE
        return Code.MODELS_DIFFER_IN_SIZE if self.gap > _SURE * self.error else Code.MODELS_UNSETTLED

    def verdict(self, gained: str) -> Verdict:
        """In words."""
        low, high = (shown(mean) for mean in self.means)
        said = f"'{self.lower}' says {low} {gained} on average, '{self.higher}' {high} (error {shown(self.error)})"
        part = f"the difference between them makes {100 * self.share:.0f} % of the variance"
        start = {
            Code.MODELS_DIFFER_IN_SIGN: "it helps in one model and harms in another: ",
            Code.MODELS_DIFFER_IN_SIZE: "models that fit alike differ in how much it does: ",
            Code.MODELS_UNSETTLED: "whether models agree is open: ",
            Code.MODELS_AGREE: "all models say about the same: ",
        }[self.code]
        numbers = {"gap": self.gap, "error": self.error, "share": self.share}
        return Verdict(self.intervention, self.code, f"{self.intervention}: {start}{said}; {part}.", numbers)


@dataclass(frozen=True)
class Counterfactuals(Result):
    """The same interventions in several models that fit alike.

    `models`: name to its `Counterfactual`; `weights`: name to the model's weight, summing to 1, and where they come
    from, `weighed`, in words.
    """

    aim: Aim
    models: dict[str, Counterfactual]
    weights: dict[str, float]
    weighed: str

    @property
    def interventions(self) -> tuple[str, ...]:
        """Their names."""
        return tuple(next(iter(self.models.values())).outcomes)

    def of(self, model: str) -> Counterfactual:
        """One model's answer."""
        return self.models[model]

    def apart(self, intervention: str) -> Apart:
        """How far apart the models are on an intervention: of all pairs, the one of which the gap makes most.

        **Raises:** `ProblemError` where there is one model only.
        """
        if len(self.models) < 2:
            raise ProblemError("one model has none to agree with: give fits of two or more")
        pairs = [self.between(intervention, a, b) for a, b in combinations(self.models, 2)]
        return max(pairs, key=lambda pair: (pair.opposed, pair.share))

    def between(self, intervention: str, a: str, b: str) -> Apart:
        """How far apart two of the models are on it."""
        (low, error), (high, its) = (self.models[name].mean(intervention) for name in (a, b))
        if low > high:
            return self.between(intervention, b, a)
        gap = (high - low) ** 2 / 4.0
        within = float(np.mean([self.models[name].gain(intervention).var() for name in (a, b)]))
        share = gap / (gap + within) if gap > 1e-18 * max(low**2, high**2) else 0.0
        opposed = low < -_SURE * error and high > _SURE * its
        return Apart(intervention, a, b, (low, high), high - low, float(np.hypot(error, its)), share, opposed)

    @cached_property
    def decision(self) -> Decision:
        """The choice over all models, each with its weight."""
        parts = {name: one.decision for name, one in self.models.items()}
        counts = {name: len(part.losses) for name, part in parts.items()}
        groups, offset = [], 0
        for part in parts.values():
            groups.append(part.groups + offset)
            offset += int(part.groups.max()) + 1
        return Decision(
            next(iter(parts.values())).options,
            np.concatenate([part.losses for part in parts.values()]),
            np.concatenate(groups),
            np.concatenate([np.full(count, self.weights[name] / count) for name, count in counts.items()]),
            np.repeat(np.arange(len(parts)), list(counts.values())),
        )

    def choice(self) -> Verdict:
        """Whether all models choose the same option, each by itself."""
        parts = {name: one.decision for name, one in self.models.items()}
        sets = [set(part.tied()) for part in parts.values()]
        shared = sorted(set.intersection(*sets), key=lambda i: float(self.decision.means[i]))
        options = self.decision.options
        worst, whole = self.decision.worst(), self.decision
        safest = int(np.argmin(worst))
        numbers = {"worst regret of the best": float(worst[whole.best]), "least worst regret": float(worst[safest])}
        if not shared:
            chosen = listed([f"'{options[part.best]}' in '{name}'" for name, part in parts.items()])
            text = (
                f"The models choose differently: {chosen}. '{options[safest]}' loses least in the worst of them, "
                f"{shown(float(worst[safest]))} {self.aim.unit}."
            )
            return Verdict("the choice of each model", Code.OTHER_CHOICE, text, numbers)
        if max(len(one) for one in sets) == 1:
            text = f"All {len(parts)} models choose '{options[shared[0]]}'."
            return Verdict("the choice of each model", Code.SAME_CHOICE, text, numbers)
        text = f"'{options[shared[0]]}' is the best in all {len(parts)} models, or not told from the best."
        return Verdict("the choice of each model", Code.CHOICE_OPEN, text, numbers)

    def verdicts(self) -> tuple[Verdict, ...]:
        """Whether the models agree on each intervention, whether they choose alike, and what is best over all."""
        whole = self.decision.verdict(self.aim.unit)
        if len(self.models) < 2:
            return (whole,)
        return (*(self.apart(name).verdict(self.aim.gained) for name in self.interventions), self.choice(), whole)

    def sections(self) -> tuple[Section, ...]:
        weights = ", ".join(f"{name} {100 * weight:.0f} %" for name, weight in self.weights.items())
        text = (f"{len(self.models)} models that were fitted to the same data, {self.weighed}: {weights}.",)
        tables = (self._effects(), self._decision())
        section = Section("Do the models agree?", text, self.verdicts(), (self._figure(),), tables)
        inner = [(name, part) for name, one in self.models.items() for part in one.sections()]
        return (section, *(Section(f"{p.title}: {n}", p.text, p.verdicts, p.figures, p.tables) for n, p in inner))

    def _effects(self) -> Table:
        tail = 50.0 * (1.0 - self.aim.level)
        columns = (
            "intervention", "model", f"{self.aim.gained}, mean", "Monte-Carlo error", f"{tail:g} %",
            f"{100 - tail:g} %", "share of runs it helps",
        )  # fmt: skip
        rows: list[tuple[Cell, ...]] = []
        for name in self.interventions:
            for model, one in self.models.items():
                low, _, high = one.interval(name)
                rows.append((name, model, *one.mean(name), low, high, float((one.gain(name) > 0).mean())))
        return Table(f"{self.aim.gained.capitalize()}: {self.aim.outcome}", columns, tuple(rows))

    def _decision(self) -> Table:
        columns = ("option", "expected loss", "probability of being best", "error", "expected regret", "error ")
        worst = self.decision.worst()
        rows = tuple(
            (name, *row, float(worst[i]))
            for i, (name, row) in enumerate(zip(self.decision.options, self.decision.columns(), strict=True))
        )
        note = (
            f"{self.aim.sentence()} Losses are in {self.aim.unit}. Worst: how much more it loses than the model's own "
            "best choice, on average, in the model where that is most."
        )
        return Table("Decision over all models", (*columns, "worst of the models"), rows, note)

    def _figure(self) -> Figure:
        names, ends = [], []
        for name in self.interventions:
            for model, one in self.models.items():
                names.append(f"{name}: {model}")
                ends.append(one.interval(name))
        low, middle, high = np.array(ends).T
        differ = {v.subject for v in self.verdicts() if v.code in _DIFFER}
        strong = tuple(name in differ for name in self.interventions for _ in self.models)
        title = f"{self.aim.gained.capitalize()} in each model"
        panel = IntervalPanel(title, self.aim.outcome, tuple(names), middle, low, high, strong, 0.0)
        percent = f"{100 * self.aim.level:g} %"
        caption = f"Median and {percent} interval in each model; coloured where models differ."
        return Figure("agreement", caption, (panel,))

    def record(self) -> dict[str, Any]:
        return {
            "outcome": self.aim.outcome,
            "weights": self.weights,
            "weighed": self.weighed,
            "models": {name: one.record() for name, one in self.models.items()},
            "verdicts": {v.subject: v.record() for v in self.verdicts()},
            "decision": self.decision.record(),
            "worst_regret": dict(zip(self.decision.options, self.decision.worst().tolist(), strict=True)),
        }


def weights_of(models: tuple[str, ...], given: Mapping[str, float]) -> dict[str, float]:
    """Weights of models, summing to 1."""
    total = sum(given[name] for name in models)
    return {name: given[name] / total for name in models}
