"""The verb `value_of_information`: what to measure next, by how much better the choice would then be.

Interventions have net benefits, uncertain as parameters are. Chosen now, the best has the benefit max_d E[B_d]; chosen
after X is known, E[max_d E[B_d | X]]. The difference is the expected value of X: of partial perfect information where
X is a parameter, of sample information where X is what a measurement would show. E[B_d | X] is a regression of
simulated benefits on simulated X, draw by draw of the posterior (Mark Strong, Jeremy Oakley and Alan Brennan 2014,
Medical Decision Making 34, 311-326; with sufficient summaries of a measurement: Strong, Oakley, Brennan and Breeze
2015, Medical Decision Making 35, 570-583).

A regression that has learned a draw's luck promises too much: max_d of noisy predictions is biased upwards. So the
value that counts is of choices made by predictions for draws that the regression did not learn from, judged by the
benefits of these draws: what somebody who measured and chose so would really gain, which is biased downwards, if at
all.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax.random as jr
import numpy as np
from scipy.stats import norm

from .._errors import MethodError
from .._results import Code, Figure, IntervalPanel, Result, Section, Table, Verdict
from .._types import Key
from ..surrogates.regressor import Regressor
from .conditional_means import FOLDS, USUAL, ConditionalMeans, conditional_means

_SIZE = 0.05
_MATTERS = 0.01
ALL = "all parameters"
_PERFECT, _SAMPLE = "parameter", "measurement"


@dataclass(frozen=True)
class Worth:
    """What knowing one thing is worth, in the unit of the benefits.

    `kind`: a parameter, known exactly, or a measurement; `value`: of choices for draws that were left out, with its
    standard `error`; `promised`: of fitted predictions, with the error `promised_error`; `changes`: the share of draws
    in which the choice changes; `cost`; `by`: the regression; `explained`: its share of the variance of benefits.
    """

    name: str
    kind: str
    value: float
    error: float
    promised: float
    promised_error: float
    changes: float
    cost: float
    by: str
    explained: float

    @property
    def net(self) -> float:
        """Value less cost."""
        return self.value - self.cost


@dataclass(frozen=True)
class InformationValue(Result):
    """What each measurement is worth, the best first.

    `interventions` (d,), `means` (d,): expected net benefits; `best`: the choice now; `ceiling`: the worth of knowing
    all parameters, which no measurement of them exceeds; `worths`; `least`: what is of no account; `draws`.
    """

    interventions: tuple[str, ...]
    means: np.ndarray
    best: str
    ceiling: Worth
    worths: tuple[Worth, ...]
    least: float
    draws: int

    def verdicts(self) -> tuple[Verdict, ...]:
        """The answer, and one for each measurement."""
        return (self.verdict(), *(self._judged(one) for one in self.worths))

    def verdict(self) -> Verdict:
        """What to measure next, or that nothing changes the choice."""
        subject, judged = "what to measure next", [(one, self._judged(one).code) for one in self.worths]
        good = [one for one, code in judged if code is Code.WORTH_MEASURING]
        if good:
            one = good[0]
            text = f"{subject}: {one.name}, worth {_shown(one)}{_less(one)}; it changes the choice in "
            text += f"{100 * one.changes:.0f} % of draws."
            return Verdict(subject, Code.WORTH_MEASURING, text, _numbers(one))
        top = self.ceiling
        if all(code is Code.CHANGES_NOTHING for _, code in judged):
            text = f"{subject}: nothing that was offered can change the choice of '{self.best}' and be worth its cost"
            text += f"; all parameters, known exactly, would be worth {_shown(top)}."
            return Verdict(subject, Code.CHANGES_NOTHING, text, _numbers(top))
        text = f"{subject}: open. Of nothing that was offered is it sure beyond the error that it is worth its cost."
        return Verdict(subject, Code.WORTH_OPEN, text, _numbers(self.worths[0]))

    def _judged(self, one: Worth) -> Verdict:
        sure = float(norm.isf(_SIZE / len(self.worths)))
        bar = max(one.cost, self.least)
        text = (
            f"{one.name} ({one.kind}): worth {_shown(one)}{_less(one)}; fitted predictions promise {one.promised:.3g}."
        )
        if one.value - sure * one.error > bar:
            code = Code.WORTH_MEASURING
        elif max(one.promised + sure * one.promised_error, one.value + sure * one.error) < bar or one.promised <= 0.0:
            code = Code.CHANGES_NOTHING
        else:
            code = Code.WORTH_OPEN
        return Verdict(one.name, code, text, _numbers(one))

    def sections(self) -> tuple[Section, ...]:
        rows = tuple(
            (
                one.name,
                one.kind,
                one.value,
                one.error,
                one.promised,
                one.changes,
                one.cost,
                one.net,
                one.by,
                one.explained,
            )
            for one in (*self.worths, self.ceiling)
        )
        columns = (
            "known", "kind", "worth", "its error", "promised", "changes the choice", "cost", "net", "learned by",
            "variance explained",
        )  # fmt: skip
        note = (
            "Worth: gain in expected benefit of choosing once it is known, by choices for draws that were left out of "
            "the regression. Promised: by the fitted one, biased upwards. Nothing that tells of parameters is worth "
            "more than all of them known."
        )
        expected = tuple(zip(self.interventions, map(float, self.means), strict=True))
        benefits = Table("Interventions", ("intervention", "expected net benefit"), expected)
        text = (
            f"{self.draws} draws of the posterior. Chosen now: {self.best}.",
            f"Worth below {self.least:.3g} is of no account (1 % of how much benefits differ between draws).",
        )
        shown = (*self.worths, self.ceiling)
        values, errors = (np.array([getattr(one, name) for one in shown]) for name in ("value", "error"))
        panel = IntervalPanel(
            "Worth of knowing", "net benefit", tuple(one.name for one in shown), values, values - 2 * errors,
            values + 2 * errors, reference=0.0, note="Bars are two standard errors.",
        )  # fmt: skip
        figure = Figure("worth", "What knowing each is worth to the choice, before its cost.", (panel,))
        table = Table("What to measure next", columns, rows, note)
        return (Section("Value of information", text, self.verdicts(), (figure,), (table, benefits)),)

    def record(self) -> dict[str, Any]:
        return {
            "best": self.best,
            "benefits": dict(zip(self.interventions, self.means.tolist(), strict=True)),
            "verdict": self.verdict().record(),
            "worth": {
                one.name: {"kind": one.kind, "by": one.by, **_numbers(one)} for one in (*self.worths, self.ceiling)
            },
        }


def value_of_information(
    benefits: Mapping[str, np.ndarray],
    parameters: Mapping[str, np.ndarray],
    key: Key,
    *,
    measurements: Mapping[str, np.ndarray] | None = None,
    costs: Mapping[str, float] | None = None,
    least: float | None = None,
    regressors: Sequence[Regressor] = USUAL,
) -> InformationValue:
    """What knowing a parameter, or measuring something, is worth to a choice between interventions.

    **Arguments:** `benefits`: intervention to its net benefit at each draw of the posterior, (n,), more is better,
    doing nothing among them; `parameters`: name to the draws, (n,) or (n, k), each worth its perfect information, and
    all of them together the ceiling; `measurements`: name to what it would show at each draw, (n,) or (n, k), simulated
    with its own noise at the draw's parameters; `costs`: of knowing these by name, in the unit of benefits, 0 where not
    listed; `least`: a worth that is of no account, by default 1 % of the standard deviation over draws of the largest
    difference between interventions; `regressors`: to choose from, polynomials by default.

    **Returns:** an `InformationValue`.

    **Raises:** `MethodError` for fewer than two interventions or 50 draws, or what does not fit.
    """
    names, known = tuple(benefits), {name: _wide(name, each) for name, each in parameters.items()}
    shown = {name: _wide(name, each) for name, each in (measurements or {}).items()}
    if len(names) < 2 or not known:
        raise MethodError("a choice is between two interventions or more, and hangs on a parameter or more")
    table = np.stack([np.asarray(one, np.float64) for one in benefits.values()], axis=1)
    if table.ndim != 2 or not np.isfinite(table).all():
        raise MethodError("benefits are finite numbers, (n,) for each intervention: leave out draws that have none")
    if any(len(each) != len(table) for each in (*known.values(), *shown.values())):
        raise MethodError(f"there are {len(table)} draws of benefits: give as many of each parameter and measurement")
    twice = sorted(known.keys() & shown.keys()) + [ALL] * (ALL in known or ALL in shown)
    if twice:
        raise MethodError(f"'{twice[0]}' names two things: give each its own name")
    prices = dict(costs or {})
    strange = sorted(prices.keys() - known.keys() - shown.keys())
    if strange:
        raise MethodError(f"a cost is given for '{strange[0]}', which is neither a parameter nor a measurement")
    every = {
        **{name: (_PERFECT, each) for name, each in known.items()},
        **{n: (_SAMPLE, each) for n, each in shown.items()},
    }
    worths = [
        _worth(name, kind, table, each, prices.get(name, 0.0), jr.fold_in(key, i), regressors)
        for i, (name, (kind, each)) in enumerate(every.items())
    ]
    whole = np.concatenate(list(known.values()), axis=1)
    ceiling = _worth(ALL, _PERFECT, table, whole, 0.0, jr.fold_in(key, len(every)), regressors)
    apart = (table - table[:, [int(table.mean(0).argmax())]]).std(0).max()
    return InformationValue(
        names,
        table.mean(0),
        names[int(table.mean(0).argmax())],
        ceiling,
        tuple(sorted(worths, key=lambda one: -one.net)),
        _MATTERS * float(apart) if least is None else float(least),
        len(table),
    )


def _worth(
    name: str,
    kind: str,
    benefits: np.ndarray,
    known: np.ndarray,
    cost: float,
    key: Key,
    regressors: Sequence[Regressor],
) -> Worth:
    gains = benefits[:, 1:] - benefits[:, :1]
    said = conditional_means(gains, known, key, regressors)
    chosen, now = _choices(said.held_out), _now(gains, said)
    rows = np.arange(len(gains))
    gained = benefits[rows, chosen] - benefits[rows, now]
    fitted = np.maximum(said.fitted.max(1), 0.0)
    unknowing = np.append(0.0, said.fitted.mean(0)).argmax()
    promised = fitted - (said.fitted[:, unknowing - 1] if unknowing else 0.0)
    root = np.sqrt(len(gains))
    return Worth(
        name,
        kind,
        float(gained.mean()),
        float(gained.std(ddof=1) / root),
        float(promised.mean()),
        float(promised.std(ddof=1) / root),
        float((chosen != now).mean()),
        cost,
        said.by,
        said.explained,
    )


def _choices(gains: np.ndarray) -> np.ndarray:
    """The intervention of the largest predicted gain over the first, (n,)."""
    return np.concatenate([np.zeros((len(gains), 1)), gains], axis=1).argmax(1)


def _now(gains: np.ndarray, said: ConditionalMeans) -> np.ndarray:
    """The choice without knowing more, (n,), made without the fifth that a draw is in."""
    each = [np.append(0.0, gains[said.fold != i].mean(0)).argmax() for i in range(FOLDS)]
    return np.array(each)[said.fold]


def _wide(name: str, values: np.ndarray) -> np.ndarray:
    found = np.asarray(values, np.float64)
    if found.ndim not in (1, 2) or not np.isfinite(found).all():
        raise MethodError(f"'{name}' has shape {found.shape}: give finite numbers, (n,) or (n, k)")
    return found.reshape(len(found), -1)


def _shown(one: Worth) -> str:
    return f"{max(one.value, 0.0):.3g} (standard error {one.error:.2g})"


def _less(one: Worth) -> str:
    return f" before its cost of {one.cost:.3g}" if one.cost else ""


def _numbers(one: Worth) -> dict[str, float]:
    return {
        "worth": one.value, "error": one.error, "promised": one.promised, "changes": one.changes, "cost": one.cost,
        "net": one.net,
    }  # fmt: skip
