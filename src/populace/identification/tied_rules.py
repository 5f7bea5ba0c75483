"""The verb `tied_rules`: which rules of a grammar at a site the data cannot tell from the best.

All rules run from their priors and are weighed by the evidence that approximate Bayesian computation gives at a
tolerance: the mean of a Gaussian kernel of the distance to the data. The worse half is dropped, and the others run
twice as often at a smaller tolerance (successive halving, Kevin Jamieson and Ameet Talwalkar 2016, arXiv:1502.07943).
A few are left, and the rule that the model has; these are fitted and weighed as `pop.compare` does. What comes out is
all that ties with the best: one winner of a search is no finding.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax.random as jr
import numpy as np
from rich.progress import Progress
from scipy.special import logsumexp

from .._errors import MethodError
from .._results import Code, Result, Section, Table, Verdict
from .._types import Key
from ..calibration.calibrate import calibrate, spread_or_zero
from ..calibration.fit import Fit
from ..calibration.surrogate_posterior import SurrogatePosterior
from ..core.executor import Ticker
from ..core.plug import Replace
from ..core.progress import display
from ..problem.plugged import behind, own_prefix
from ..problem.problem import Problem
from ..surrogates.polynomial import Polynomial
from .grammar import Expression, Grammar
from .weighing import Weighing, weigh

AS_WRITTEN = "the rule as written"
_SCREENING = 0.4
_CLASSIFIED = 0.3
_FEWEST = 20
"""Runs of a rule in the first round."""
_NEAR = 0.1
"""The share of a round's runs within the tolerance of it."""
_CLOSE = 2.0
"""By how much less evidence a dropped rule may have had than the last that was kept, to be worth a word."""


@dataclass(frozen=True)
class Tried:
    """A rule of the screening: its `runs`, the `round` it was last in, and its `lag`: by how much its log-evidence
    there is less than the best's, infinite where no run of it counts.
    """

    rule: str
    runs: int
    round: int
    lag: float


@dataclass(frozen=True)
class TiedRules(Result):
    """The family of rules that tie with the best.

    `tried`: all rules of the screening, the last dropped first; `fits` and `weighing`: of those left; `numbers`: rule
    to the medians of its free numbers.
    """

    site: str
    tried: tuple[Tried, ...]
    fits: dict[str, Fit]
    weighing: Weighing
    numbers: dict[str, tuple[float, ...]]

    @property
    def family(self) -> tuple[str, ...]:
        """The rules that the data do not tell from the best, itself among them."""
        return self.weighing.tied()

    def text(self, rule: str) -> str:
        """A rule with the medians of its free numbers."""
        for i, value in enumerate(self.numbers.get(rule, ())):
            rule = rule.replace(f"c{i}", f"{value:.3g}")
        return rule

    def verdict(self) -> Verdict:
        """One rule, or a family."""
        numbers = {"rules": float(len(self.tried)), "tied": float(len(self.family))}
        shown = "; ".join(self.text(rule) for rule in self.family)
        if len(self.family) == 1:
            text = f"Of {len(self.tried)} rules at '{self.site}' one is left that these data do not rule out: {shown}."
            return Verdict(self.site, Code.TOLD_APART, text, numbers)
        text = f"{len(self.family)} rules at '{self.site}' do as well as each other on these data: {shown}."
        return Verdict(self.site, Code.NOT_TOLD_APART, text, numbers)

    def sections(self) -> tuple[Section, ...]:
        last = max(one.round for one in self.tried)
        text = [
            f"{len(self.tried)} rules were run in {last} rounds, of which the worse half was dropped in each; "
            f"{len(self.fits)} were fitted, the rule that the model has among them."
        ]
        dropped = [one for one in self.tried if one.rule not in self.fits]
        near = [one.rule for one in dropped if one.round == last and one.lag < self._limit() + _CLOSE]
        if near and len(self.family) > 1:
            text.append(f"The family may be larger: {', '.join(near[:5])} came near. Give more finalists.")
        rows = tuple((o.rule, o.runs, o.round, _finite(o.lag), o.rule in self.fits) for o in self.tried)
        note = "Lag: of the log-evidence at the round's tolerance behind the best of the round."
        table = Table("Screening", ("rule", "runs", "last round", "lag", "fitted"), rows, note)
        tables = (self.weighing.table(), table)
        figures = (self.weighing.figure(),)
        verdicts = (self.verdict(), *self.weighing.verdicts())
        return (Section(f"Rules at '{self.site}'", tuple(text), verdicts, figures, tables),)

    def _limit(self) -> float:
        """The lag of the last rule that was kept."""
        return max((one.lag for one in self.tried if one.rule in self.fits), default=0.0)

    def record(self) -> dict[str, Any]:
        return {
            "verdict": self.verdict().record(),
            "family": [self.text(rule) for rule in self.family],
            "evidence": self.weighing.record(),
            "tried": [{"rule": o.rule, "runs": o.runs, "round": o.round, "lag": _finite(o.lag)} for o in self.tried],
        }


def _finite(number: float) -> float | None:
    return number if np.isfinite(number) else None


def tied_rules(
    problem: Problem,
    site: str,
    grammar: Grammar,
    key: Key,
    *,
    budget: int,
    finalists: int = 4,
    method: SurrogatePosterior | None = None,
    predictive: int = 300,
    progress: bool | Progress | None = None,
) -> TiedRules:
    """Search the rules of a grammar at a site, and keep all that tie with the best.

    **Arguments:** `problem`: a model with its space, which all rules share, each with its free numbers besides;
    `budget`: simulator calls in all, two fifths for the screening, the rest for the finalists and the rule as written
    in equal parts; `method`: fits these, by default on a `Polynomial`, which takes milliseconds; `predictive`: further
    runs of each.

    **Raises:** `MethodError` for a budget that gives a rule too few runs; `SimulatorError` for a simulator without
    sites; `UnknownSiteError` for no such site.
    """
    method = SurrogatePosterior(rounds=2, regressors=(Polynomial(),)) if method is None else method
    rules = _problems(problem, site, grammar)
    rounds = max(1, int(np.ceil(np.log2(max(len(rules) / finalists, 1.0)))))
    block = int(_SCREENING * budget / rounds / len(rules))
    share = int((1.0 - _SCREENING) * budget / (min(finalists, len(rules)) + 1))
    if block < _FEWEST or finalists < 2:
        raise MethodError(
            f"a budget of {budget} gives each of {len(rules)} rules {block} runs to begin with: give "
            f"{int(np.ceil(_FEWEST * rounds * len(rules) / _SCREENING))} or more, and two finalists or more"
        )
    screening, fitting, weighing = jr.split(key, 3)
    with display(progress) as shown:
        ticker = Ticker(shown, "rules screened", int(_SCREENING * budget))
        tried = _screened(rules, screening, rounds, block, finalists, ticker)
        kept = {AS_WRITTEN: problem, **{one.rule: rules[one.rule] for one in tried[:finalists]}}
        more = int(_CLASSIFIED * share)
        fits = {
            name: calibrate(
                one,
                method,
                jr.fold_in(fitting, i),
                budget=share - more,
                predictive=predictive,
                progress=shown or False,
            )
            for i, (name, one) in enumerate(kept.items())
        }
        weighed = weigh(fits, weighing, more, Ticker(shown, "runs for the classifier", more * len(fits)))
    free = own_prefix(problem.simulator) + "numbers"
    numbers = {
        name: tuple(np.median(fit.draws[free], axis=0).tolist()) for name, fit in fits.items() if free in fit.draws
    }
    return TiedRules(site, tried, fits, weighed, numbers)


def _problems(problem: Problem, site: str, grammar: Grammar) -> dict[str, Problem]:
    free = own_prefix(problem.simulator) + "numbers"
    found, spaces = {}, {0: problem.space}
    for text, rule in grammar.rules().items():
        count = _count(rule)
        if count not in spaces:
            spaces[count] = problem.space.extended({free: grammar.numbers.expand([count])})
        simulator = behind(problem.simulator, Replace(site, rule))
        found[text] = Problem(simulator, spaces[count], problem.target, derived=problem.derived)
    return found


def _count(rule: Expression) -> int:
    return int(rule.numbers.shape[0])


def _screened(
    rules: Mapping[str, Problem], key: Key, rounds: int, block: int, finalists: int, ticker: Ticker
) -> tuple[Tried, ...]:
    """All rules, the best first: those of the last round, then those that were dropped, the last dropped first."""
    runs: dict[str, list[np.ndarray]] = {name: [] for name in rules}
    alive, after = list(rules), []
    used = next(iter(rules.values())).target.fitted
    data = next(iter(rules.values())).target.values[used]
    for number in range(1, rounds + 1):
        for i, name in enumerate(alive):
            for j in range(len(runs[name]), 2**number - 1):
                runs[name].append(_block(rules[name], jr.fold_in(jr.fold_in(key, i + 1000 * j), number), block, ticker))
        levels = _levels({name: np.concatenate(runs[name])[:, used] for name in alive}, data)
        order = sorted(alive, key=lambda name: -levels[name])
        keep = max(finalists, (len(order) + 1) // 2) if number < rounds else finalists
        best = levels[order[0]]
        tried = [Tried(n, len(runs[n]) * block, number, float(best - levels[n])) for n in order]
        last = number == rounds
        after = [*(tried if last else tried[keep:]), *after]
        alive = order[:keep]
    return tuple(after)


def _block(problem: Problem, key: Key, block: int, ticker: Ticker) -> np.ndarray:
    """Moments (block, k) of runs from the prior."""
    draw, run = jr.split(key)
    return problem.simulate(problem.space.sample(draw, block), jr.split(run, block), ticker, none=True).moments


def _levels(moments: Mapping[str, np.ndarray], data: np.ndarray) -> dict[str, float]:
    """The log-evidence of each rule at a common tolerance, of moments in units of how far the nearest runs lie."""
    every = np.concatenate(list(moments.values()))
    every = every[np.isfinite(every).all(1)]
    if not len(every):
        raise MethodError("no run of any rule counts: the rules of this grammar leave the model's domain; change `act`")
    scale = spread_or_zero(every, data)
    for _ in range(2):
        scale = np.where(scale > 0, scale, 1.0)
        far = np.sqrt((((every - data) / scale) ** 2).mean(1))
        nearest = every[np.argsort(far, kind="stable")[: max(10, int(_NEAR * len(every)))]]
        scale = np.maximum(spread_or_zero(nearest, data), 1e-3 * scale)
    far = np.sqrt((((every - data) / scale) ** 2).mean(1))
    tolerance = max(float(np.quantile(far, _NEAR)), 1e-12)
    found = {}
    for name, rows in moments.items():
        square = np.where(np.isfinite(rows).all(1), (((rows - data) / scale) ** 2).mean(1), np.inf)
        found[name] = float(logsumexp(-0.5 * square / tolerance**2) - np.log(len(rows)))
    return found
