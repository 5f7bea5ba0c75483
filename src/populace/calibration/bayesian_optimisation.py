"""The best fit of an expensive, stochastic simulator: runs are made where a surrogate of the moments says a better one
may be.

What is minimised is g' V^-1 g, g the gap of *expected* moments to the data: the seed's luck is no fit. A first design
of the whole prior teaches a surrogate the moments; then, in rounds, an acquisition chooses by joint draws of them (see
`optimum_acquisitions`); the last calls are fresh runs at the best point, which no surrogate has seen. Raul Astudillo
and Peter Frazier (2019, ICML); Benjamin Letham and others (2019, Bayesian Analysis 14:495).
"""

import equinox as eqx
import jax.random as jr
import numpy as np

from .._errors import MethodError
from .._results import Code
from .._types import Key
from ..core.noise import host_generator
from ..core.rounds import Done, Method
from ..problem.problem import Problem, Simulated
from ..surrogates.acquisitions import Acquisition
from ..surrogates.bandit import Credit, chosen, names, parts
from ..surrogates.fitting import fit_surrogate
from ..surrogates.gaussian_process import GaussianProcess
from ..surrogates.optimum_acquisitions import ExpectedImprovement, Foreseen, OptimumAcquisition
from ..surrogates.regressor import Regressor
from ..surrogates.runs import Runs
from ..surrogates.samplers import Sobol
from .composite import DRAWS, Composite, best_of, candidates, lines
from .judgement import whitened
from .optimum import Optimum, optimum
from .tally import Tally
from .tries import Tries

_CONFIRMING = 20
_LEAST = 10
"""Runs a parameter, of the first design, at the least."""
_FIRST = 0.25


class Tried(eqx.Module):
    """The state: runs at `unit` (n, d) with `moments` (n, k), NaN where one failed, `counts` (rounds,) of each round;
    `held` (c, k): of fresh runs at the best point; calls unspent.
    """

    unit: np.ndarray
    moments: np.ndarray
    counts: np.ndarray
    held: np.ndarray
    left: np.ndarray
    credit: Credit
    tally: Tally


class BayesianOptimisation(Method[Problem, Tried, Optimum]):
    """The parameters of least g' V^-1 g, g the gap of expected moments, from few runs.

    **Arguments:** `acquisition`: where to run next, `ExpectedImprovement()`, `Thompson()`, `KnowledgeGradient()` or a
    `Bandit` of them; `first`: runs of the Sobol design that it starts from, by default a quarter of the budget, or ten
    a parameter where that is more; `rounds`: in how many the others are made; `regressors`: as for `fit_surrogate`, by
    default a Gaussian process.
    """

    acquisition: Acquisition[Foreseen] = ExpectedImprovement()
    first: int | None = eqx.field(static=True, default=None)
    rounds: int = eqx.field(static=True, default=8)
    regressors: tuple[Regressor, ...] = (GaussianProcess(starts=2),)

    def start(self, task: Problem, key: Key, budget: int) -> Tried:
        d, k = task.space.size, len(task.target.labels)
        whitened(task, np.zeros((1, k)))  # refuses a target without a covariance
        other = [one for one in parts(self.acquisition) if not isinstance(one, OptimumAcquisition)]
        if other:
            raise MethodError(f"{type(other[0]).__name__} does not look for an optimum: take ExpectedImprovement()")
        if self.rounds < 1 or (self.first is not None and self.first < _LEAST):
            raise MethodError(f"take a round or more, and first={_LEAST} runs or more")
        least = self._first(d, 0) + self.rounds + _CONFIRMING
        if budget < least:
            raise MethodError(f"a budget of {budget} calls is too small for {d} parameters: give {least} or more")
        none = np.zeros((0, k))
        empty = (np.zeros(0, int), none, np.array(budget), Credit.empty(), Tally.empty())
        return Tried(np.zeros((0, d)), none, *empty)

    def _first(self, d: int, budget: int) -> int:
        return max(_LEAST * d, int(_FIRST * budget)) if self.first is None else self.first

    def ask(self, task: Problem, state: Tried, key: Key) -> Tries:
        pick, simulate = jr.split(key)
        made, generator = state.counts.size, host_generator(pick)
        if made == 0:
            count = self._first(task.space.size, int(state.left))
            unit = Sobol().sequence(pick, task.space.size, 0, count)
            credit = Credit.empty().with_runs(np.full(count, -1))
        else:
            loss = self._learned(task, state)
            credit = state.credit.judged(_better(loss, state))
            known, best = best_of(loss, _sound(state))
            if made > self.rounds:
                unit = np.repeat(best[None], int(state.left), axis=0)
            else:
                points = candidates(loss, known, best, generator)
                count = (int(state.left) - _CONFIRMING) // (self.rounds + 1 - made)
                said = loss.foreseen(points, len(known), pick, DRAWS)
                rows, by = chosen(self.acquisition, said, count, generator, credit)
                unit, credit = points[rows], credit.with_runs(by)
        return Tries.at(task, unit, simulate, credit, first=made == 0, said=np.zeros(0))

    def tell(self, task: Problem, state: Tried, ask: Tries, answer: Simulated) -> Tried:
        moments = np.where(answer.excluded[:, None], np.nan, answer.moments)
        left, tally = np.array(int(state.left) - ask.calls()), state.tally.with_(answer)
        if state.counts.size > self.rounds:
            return Tried(state.unit, state.moments, state.counts, moments, left, ask.credit, tally)
        joined = np.concatenate([state.unit, ask.unit]), np.concatenate([state.moments, moments])
        return Tried(*joined, np.append(state.counts, ask.calls()), state.held, left, ask.credit, tally)

    def done(self, task: Problem, state: Tried, left: int) -> Done | None:
        if not len(state.held):
            return None
        return Done(
            Code.CONVERGED, f"{len(state.unit)} runs were learned from, {len(state.held)} made at the best point"
        )

    def finish(self, task: Problem, state: Tried, key: Key) -> Optimum:
        loss = self._learned(task, state)
        known, best = best_of(loss, _sound(state))
        generator = host_generator(key)
        points = np.concatenate([candidates(loss, known, best, generator), lines(best, generator)])
        shared = state.credit.sentence(names(self.acquisition), "the share expected to fit better than all before")
        notes = [f"{int(state.counts[0])} runs over the prior, {int(state.counts[1:].sum())} chosen. {shared}"]
        if state.tally.excluded:
            notes.append(state.tally.sentence())
        said = loss.foreseen(points, len(known), key, DRAWS)
        held = Simulated(state.held, np.asarray(np.isnan(state.held).any(1)), {})
        return optimum(loss, best, points, said, held, state.credit.table(names(self.acquisition)), notes)

    def _learned(self, task: Problem, state: Tried) -> Composite:
        """The surrogate of all runs so far; the same whenever it is asked."""
        valid = np.asarray(np.isfinite(state.moments).all(1))
        runs = Runs(task.space, state.unit, state.moments, valid, task.target.labels, state.tally.reasons)
        return Composite.of(task, fit_surrogate(runs, jr.key(len(state.unit)), regressors=self.regressors))


def _sound(state: Tried) -> np.ndarray:
    """Points of runs that count."""
    return state.unit[np.isfinite(state.moments).all(1)]


def _better(loss: Composite, state: Tried) -> np.ndarray:
    """Which runs of the last round are expected to fit better than all before, by what was learned since: 1, else 0."""
    last = int(state.counts[-1])
    expected = np.where(np.isfinite(state.moments).all(1), loss.expected(state.unit), np.inf)
    before = expected[:-last].min() if len(expected) > last else -np.inf
    return (expected[-last:] < before).astype(float)
