"""History matching: parameters are ruled out in waves, and what is left when nothing speaks against it is the answer.

A first surrogate of all the prior rules out what cannot show the data, whatever else is doubtful; runs are then made in
what is left, where a new surrogate is surer and rules out more, and so on (Ian Vernon, Michael Goldstein and Richard
Bower 2010, Bayesian Analysis 5:619; for stochastic models Ioannis Andrianakis and others 2015, PLoS Computational
Biology 11:e1003968). The answer is a region, not a posterior: all its points are as good, and none is likely. It may be
empty, and then the model is wrong or its error was understated: a posterior would not have said so.
"""

import equinox as eqx
import jax.random as jr
import numpy as np
from scipy.stats import binom

from .._errors import MethodError
from .._results import Code
from .._types import Key, Parameters
from ..core.host import split
from ..core.noise import host_generator
from ..core.rounds import Done, Method
from ..problem.problem import Problem, Simulate, Simulated
from ..surrogates.fitting import learned
from ..surrogates.regressor import Regressor
from ..surrogates.runs import Runs
from ..surrogates.samplers import Replicated, Sobol
from .accepted import real_of
from .estimates import Estimate
from .implausibility import Levels, Wave, cut
from .tally import Tally

_POINTS = 2_000
_CONFIRMING = 20
_LEAST = 10
"""Runs a parameter in a wave, at the least."""
_REPEATED = 0.1
"""The share of the first wave's runs that repeat a point with another seed."""
_PROBES = 0.1
"""The share of a later wave's runs that are made where the last one has just ruled out."""
_SURE = 0.1
"""Waves end when the surrogate's doubt is a smaller part of the variance: more runs would rule out little more."""
_BEYOND, _OFTEN = 3.0, 0.02
"""A surrogate that misses fresh runs by more than 3 standard deviations more often is over-confident."""


class Waves(eqx.Module):
    """The state: runs at `unit` (n, d) with `moments` (n, k), NaN where one failed, `counts` (w,) of each wave;
    `inside` (m, d): points all over what is left, `shell` (s, d): such as were just ruled out, `shares` (w,): what each
    wave left of the last; `doubts` (w,): of its surrogate, there; `missed` (w, 2): fresh numbers far from what the
    surrogate before had said, and all; `empty`, a mark; `held` (c, k), runs at draws of the answer; calls unspent.
    """

    unit: np.ndarray
    moments: np.ndarray
    counts: np.ndarray
    inside: np.ndarray
    shell: np.ndarray
    shares: np.ndarray
    doubts: np.ndarray
    missed: np.ndarray
    empty: np.ndarray
    held: np.ndarray
    left: np.ndarray
    tally: Tally

    @property
    def over(self) -> bool:
        """Whether another wave would rule out little, or there is nothing left."""
        return bool(self.empty) or (self.doubts.size > 0 and float(self.doubts[-1]) < _SURE)


class HistoryMatching(Method[Problem, Waves, "NonImplausible"]):
    """What is left of the prior when all that is implausible is ruled out, in waves.

    Where the target has a covariance, that is the data's error; else the data are taken for one run, and what a run
    scatters is learned. Waves stop early where the surrogate's doubt no longer counts.

    **Arguments:** `waves`: at the most; `cutoff`: the implausibility that is ruled out; `beyond`: standard deviations
    of what the model leaves out, a fitted moment each in their order, none by default; `regressors`: as for
    `fit_surrogate`.
    """

    waves: int = eqx.field(static=True, default=4)
    cutoff: float = eqx.field(static=True, default=3.0)
    beyond: tuple[float, ...] = eqx.field(static=True, default=())
    regressors: tuple[Regressor, ...] | None = None

    @property
    def needs_covariance(self) -> bool:
        return False

    def start(self, task: Problem, key: Key, budget: int) -> Waves:
        d, k = task.space.size, len(task.target.labels)
        if self.waves < 1 or not self.cutoff > 0.0:
            raise MethodError("take a wave at the least, and a cutoff above 0")
        fitted = int(task.target.fitted.sum())
        if self.beyond and (len(self.beyond) != fitted or not all(x >= 0.0 for x in self.beyond)):
            raise MethodError(f"`beyond` is a number a fitted moment, {fitted} of them, none negative")
        least = self.waves * max(50, _LEAST * d) + _CONFIRMING
        if budget < least:
            raise MethodError(f"{budget} calls are too few for {self.waves} waves: give {least}, or take fewer waves")
        none, nothing = np.zeros((0, d)), np.zeros(0)
        return Waves(
            none,
            np.zeros((0, k)),
            np.zeros(0, int),
            none,
            none,
            nothing,
            nothing,
            np.zeros((0, 2)),
            np.array(False),
            np.zeros((0, k)),
            np.array(budget),
            Tally.empty(),
        )

    def ask(self, task: Problem, state: Waves, key: Key) -> Simulate:
        made, spare = state.counts.size, int(state.left) - _CONFIRMING
        rng = host_generator(key)
        if made == 0:
            points = Replicated(Sobol(), _REPEATED).sequence(key, task.space.size, 0, spare // self.waves)
        elif state.over or made == self.waves:
            points = _some(state.inside, _CONFIRMING, rng)
        else:
            count = spare // (self.waves - made)
            probes = _some(state.shell, min(int(_PROBES * count), len(state.shell)), rng)
            points = np.concatenate([probes, _some(state.inside, count - len(probes), rng)])
        parameters = task.space.from_unit(points)
        return Simulate(parameters, split(jr.fold_in(key, 1), len(points)), none=made > 0)

    def tell(self, task: Problem, state: Waves, ask: Simulate, answer: Simulated) -> Waves:
        moments = np.where(answer.excluded[:, None], np.nan, answer.moments)
        unit = np.asarray(task.space.cdf(ask.parameters), np.float64)
        left, tally = np.array(int(state.left) - ask.calls()), state.tally.with_(answer)
        before = self._waves(task, state)
        fresh = before[-1].missed(unit, moments) if before else np.zeros(0)
        missed = np.concatenate([state.missed, [[float((fresh > _BEYOND).sum()), float(fresh.size)]]])
        if state.over or state.counts.size == self.waves:
            more = (state.counts, state.inside, state.shell, state.shares, state.doubts, missed, state.empty, moments)
            return Waves(state.unit, state.moments, *more, left, tally)
        joined = np.concatenate([state.unit, unit]), np.concatenate([state.moments, moments])
        counts = np.append(state.counts, ask.calls())
        more = (state.inside, state.shell, state.shares, state.doubts, missed, state.empty, state.held)
        told = Waves(*joined, counts, *more, left, tally)
        now = self._waves(task, told)
        rng = host_generator(jr.fold_in(ask.keys[0], 1))
        points = state.inside if before else rng.random((_POINTS, task.space.size))
        found = cut(_within(before, now[-1], self.cutoff), points, self.cutoff, rng)
        shares, doubts = np.append(state.shares, found.share), np.append(state.doubts, now[-1].doubt(found.points))
        empty, held = np.array(found.empty), state.held
        return Waves(*joined, counts, found.points, found.shell, shares, doubts, missed, empty, held, left, tally)

    def done(self, task: Problem, state: Waves, left: int) -> Done | None:
        if not len(state.held):
            return None
        share = 100.0 * float(np.prod(state.shares))
        return Done(
            Code.CONVERGED, f"{state.counts.size} waves of {len(state.unit)} runs leave {share:.2g} % of the prior"
        )

    def finish(self, task: Problem, state: Waves, key: Key) -> "NonImplausible":
        waves = self._waves(task, state)
        notes = [_left_sentence(state), *_decisive(task, state, waves, self.cutoff), _missed_sentence(state)]
        if state.tally.excluded:
            notes.append(state.tally.sentence())
        share = float(np.prod(state.shares))
        return NonImplausible(waves, state.inside, share, bool(state.empty), tuple(notes))

    def _waves(self, task: Problem, state: Waves) -> tuple[Wave, ...]:
        """The surrogates of all waves, each of the runs so far that lie in what was left before, and their probes."""
        beyond = np.asarray(self.beyond, np.float64) ** 2 if self.beyond else np.zeros(int(task.target.fitted.sum()))
        found: list[Wave] = []
        for last in np.cumsum(state.counts):
            rows = np.arange(last)
            if found:
                first = rows < last - state.counts[len(found)]
                near = found[-1](state.unit[rows]) <= 2.0 * self.cutoff
                rows = rows[near | ~first]
            moments = state.moments[rows]
            valid = np.asarray(np.isfinite(moments).all(1))
            runs = Runs(task.space, state.unit[rows], moments, valid, task.target.labels, state.tally.reasons)
            found.append(Wave(learned(runs, self.regressors), task.target, beyond))
        return tuple(found)


class NonImplausible(Estimate):
    """What is left of the prior: `inside` (m, d) of the unit cube, points all over it; `share` of the prior; `empty`:
    nothing is left, and the points are the least implausible that were found.
    """

    waves: tuple[Wave, ...] = eqx.field(static=True)
    inside: np.ndarray
    share: float
    empty: bool = eqx.field(static=True)
    remarks: tuple[str, ...] = eqx.field(static=True)

    def implausibility(self, problem: Problem, parameters: Parameters) -> np.ndarray:
        """The largest of any wave, at points name to (m, ...): (m,); infinite outside the prior."""
        within = np.isfinite(np.asarray(problem.space.log_prob(parameters)))
        unit = np.asarray(problem.space.cdf(parameters), np.float64)
        return np.where(within, np.max([wave(unit) for wave in self.waves], axis=0), np.inf)

    def draws(self, problem: Problem, key: Key, count: int) -> np.ndarray:
        return real_of(problem, _some(self.inside, count, host_generator(key)))

    def centre(self, problem: Problem) -> np.ndarray:
        """The least implausible point of them by the last wave: the mean of a region need not lie in it."""
        return real_of(problem, self.inside[[int(self.waves[-1](self.inside).argmin())]])[0]

    def notes(self) -> tuple[str, ...]:
        return self.remarks

    @property
    def effective_size(self) -> float:
        return float(len(np.unique(self.inside, axis=0)))


def _within(before: tuple[Wave, ...], now: Wave, cutoff: float) -> Levels:
    """The last wave's implausibility, infinite where an earlier one has ruled out."""

    def levels(unit: np.ndarray) -> np.ndarray:
        open_ = np.ones(len(unit), bool)
        for wave in before:
            open_[open_] = wave(unit[open_]) <= cutoff
        found = np.full(len(unit), np.inf)
        found[open_] = now(unit[open_])
        return found

    return levels


def _some(points: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """`count` of points (m, d), each as often as the others, or nearly."""
    rows = np.concatenate([rng.permutation(len(points)) for _ in range(-(-count // max(len(points), 1)))] or [[]])
    return points[rows[:count].astype(int)]


def _left_sentence(state: Waves) -> str:
    after = ", ".join(f"{100.0 * share:.2g} %" for share in np.cumprod(state.shares))
    if state.empty:
        return (
            f"Nothing is left: after {state.counts.size} waves no point of the prior is plausible ({after}). The model "
            "as it is does not make these data: name its error (`beyond`), widen the priors, or change a rule."
        )
    doubt = f"{100.0 * float(state.doubts[-1]):.0f} %"
    more = "more waves would rule out more" if state.doubts[-1] >= _SURE else "more runs would rule out little more"
    return (
        f"What is left of the prior, wave by wave: {after}. The surrogate's doubt is {doubt} of the variance there: "
        f"{more}. All points left are as good: this is no posterior."
    )


def _decisive(task: Problem, state: Waves, waves: tuple[Wave, ...], cutoff: float) -> list[str]:
    """Which moment rules out most of the prior by itself."""
    names = [label for label, used in zip(task.target.labels, task.target.fitted, strict=True) if used]
    if state.empty:
        least = waves[-1].gaps(state.inside).min(0)
        missed = [f"{names[j]} ({least[j]:.1f})" for j in np.argsort(-least)[:3] if least[j] > cutoff]
        return [f"No point is as near as {cutoff:g} standard deviations in {', '.join(missed)}."] if missed else []
    everywhere = Sobol().sequence(jr.key(0), task.space.size, 0, 2_048)
    out = (waves[0].gaps(everywhere) > cutoff).mean(0)
    most = int(out.argmax())
    return [f"{names[most]} alone rules out {100.0 * out[most]:.0f} % of the prior in the first wave."]


def _missed_sentence(state: Waves) -> str:
    """Whether fresh runs bore out what surrogates had said of them."""
    far, count = state.missed.sum(0)
    share = far / max(count, 1.0)
    text = f"Of {count:.0f} fresh moments, in what was left and just beyond, {100.0 * share:.1f} % lay over 3 standard "
    if binom.sf(far - 1, int(count), _OFTEN) < 0.01:
        return (
            f"{text}deviations from what the surrogate before had said: over-confident, and what it ruled out may be "
            "wrong. Take fewer waves of more runs, or other regressors."
        )
    return f"{text}deviations from what the surrogate before had said: it may be believed."
