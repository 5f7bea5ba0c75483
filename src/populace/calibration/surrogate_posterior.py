"""A posterior by a surrogate's likelihood, with runs added where the posterior is, and a simulation at its best point.

The data are taken for the moments of one run: N(mean, noise + epistemic), all three as the surrogate says at the
parameters (a synthetic likelihood, Simon Wood 2010, Nature 466:1102, on a surrogate). What the surrogate does not know
makes the posterior wider, never sharper. Half of the calls go into a design of the whole prior; then, in rounds, runs
are added at draws of the posterior so far, which an acquisition chooses: by default more of them where the surrogate's
own doubt is the larger part of the variance; the last calls are fresh runs at the best point, which no surrogate has
seen.
"""

import equinox as eqx
import jax.random as jr
import numpy as np

from .._errors import MethodError
from .._results import Code
from .._types import Key
from ..core.host import split
from ..core.noise import host_generator
from ..core.rounds import Done, Method
from ..problem.problem import Problem, Simulate, Simulated
from ..problem.space import Space
from ..problem.target import Target
from ..surrogates.acquisitions import Acquisition
from ..surrogates.bandit import Bandit, Credit, chosen, names, parts
from ..surrogates.confirm import confirmed
from ..surrogates.design import design
from ..surrogates.fitting import learned
from ..surrogates.guard import Guarded, guarded
from ..surrogates.posterior_acquisitions import PosteriorAcquisition, ShareOfDoubt, WeighedDraws
from ..surrogates.regressor import Regressor
from ..surrogates.runs import Runs
from ..surrogates.samplers import Replicated, Sobol
from ..surrogates.surrogate import Emulated, Surrogate
from .estimates import Estimate, systematic, worth
from .population import Found, found_in, log_prior
from .tally import Tally
from .tries import Tries

_FIRST = 0.5
_REPEATED = 0.1
"""The share of the first runs that repeat a point with another seed."""
_CONFIRMING = 20
_LEAST = 10
"""Runs a parameter, of the first design, at the least."""
_AT_ONCE = 256


class Designed(eqx.Module):
    """The state: points on the priors' probability scale (n, d), moments (n, k), NaN where a run failed, how many of
    each round (rounds,), those of fresh runs at the best point, `held` (c, k), calls unspent, and who chose each run. A
    run yields the part of the surrogate's doubt at its point that is gone when it was learned from, times the
    likelihood there where that is lower than at half of the posterior.
    """

    unit: np.ndarray
    moments: np.ndarray
    counts: np.ndarray
    held: np.ndarray
    left: np.ndarray
    credit: Credit
    tally: Tally


class SurrogatePosterior(Method[Problem, Designed, "EmulatedPosterior"]):
    """A posterior by a surrogate, re-simulated near the answer.

    It needs no covariance of the moments: how a run's moments scatter is learned.

    **Arguments:** `rounds`: in how many the runs near the answer are added, 0 for none; `regressors`: as for
    `fit_surrogate`, by default those it tries; `acquisition`: which draws of the posterior are run, `ShareOfDoubt()`,
    `Truncated()`, `ExpectedIntegratedVariance()` or a `Bandit` of them.
    """

    rounds: int = eqx.field(static=True, default=3)
    regressors: tuple[Regressor, ...] | None = None
    acquisition: Acquisition[WeighedDraws] = ShareOfDoubt()

    @property
    def needs_covariance(self) -> bool:
        return False

    def start(self, task: Problem, key: Key, budget: int) -> Designed:
        d, k = task.space.size, len(task.target.labels)
        least = int(np.ceil(_LEAST * d / _FIRST)) + _CONFIRMING + 100
        if self.rounds < 0:
            raise MethodError("the rounds of added runs are 0 or more")
        if budget < least:
            raise MethodError(f"a budget of {budget} calls is too small for {d} parameters: give {least} or more")
        other = [one for one in parts(self.acquisition) if not isinstance(one, PosteriorAcquisition)]
        if other:
            raise MethodError(f"{type(other[0]).__name__} does not look for a posterior: take ShareOfDoubt()")
        none, start = np.zeros((0, k)), (Credit.empty(), Tally.empty())
        return Designed(np.zeros((0, d)), none, np.zeros(0, int), none, np.array(budget), *start)

    def ask(self, task: Problem, state: Designed, key: Key) -> Tries:
        made, left = state.counts.size, int(state.left)
        spare, rng = left - _CONFIRMING, host_generator(key)
        if made == 0:
            count = spare if self.rounds == 0 else int(_FIRST * spare)
            points = design(task.space, key, count, sampler=Replicated(Sobol(), _REPEATED)).parameters
            real = np.asarray(task.space.to_real(points), np.float64)
            return _at(task.space, real, key, state.credit.with_runs(np.full(count, -1)), first=True)
        surrogate, draws = self._answer(task, state)
        credit = state.credit.judged(_learned(task, state, surrogate, draws))
        if made > self.rounds:
            return _at(task.space, np.repeat(draws.points[draws.best][None], left, axis=0), key, credit)
        count = spare // (self.rounds + 1 - made)
        said = weighed(surrogate, task.target, draws, jr.fold_in(key, 2))
        rows, by = chosen(self.acquisition, said, count, rng, credit)
        credit = credit.with_runs(by, said.doubt[rows])
        return _at(task.space, _shaken(draws, rows, rng), key, credit)

    def tell(self, task: Problem, state: Designed, ask: Tries, answer: Simulated) -> Designed:
        moments = np.where(answer.excluded[:, None], np.nan, answer.moments)
        left, told = np.array(int(state.left) - ask.calls()), (ask.credit, state.tally.with_(answer))
        if state.counts.size > self.rounds:
            return Designed(state.unit, state.moments, state.counts, moments, left, *told)
        joined = np.concatenate([state.unit, ask.unit]), np.concatenate([state.moments, moments])
        return Designed(*joined, np.append(state.counts, ask.calls()), state.held, left, *told)

    def done(self, task: Problem, state: Designed, left: int) -> Done | None:
        if not len(state.held):
            return None
        return Done(
            Code.CONVERGED, f"{len(state.unit)} runs were learned from, {len(state.held)} made at the best point"
        )

    def finish(self, task: Problem, state: Designed, key: Key) -> "EmulatedPosterior":
        surrogate, draws = self._answer(task, state)
        batch = task.space.from_real(draws.points)
        seen = Simulated(state.held, np.asarray(np.isnan(state.held).any(1)), {})
        best = {name: value[draws.best][None] for name, value in batch.items()}
        said = guarded(task.target, surrogate, batch, draws.weights, confirmed(task.target, surrogate, best, seen))
        notes = [
            f"A surrogate of {int(surrogate.runs.valid.sum())} runs, {int(state.counts[0])} over the prior and "
            f"{int(state.counts[1:].sum())} added near the answer; its {len(draws.points)} draws are worth "
            f"{draws.effective:.0f}.",
            *(verdict.sentence for verdict in said.verdicts()),
        ]
        if isinstance(self.acquisition, Bandit):
            notes.append(state.credit.sentence(names(self.acquisition), "the part of the doubt that is gone"))
        if state.tally.excluded:
            notes.append(state.tally.sentence())
        return EmulatedPosterior(draws.points, draws.weights, draws.log_integral, surrogate, said, tuple(notes))

    def _answer(self, task: Problem, state: Designed) -> tuple[Surrogate, Found]:
        """The surrogate of all runs so far, and draws of its posterior; the same whenever it is asked."""
        key = jr.key(len(state.unit))
        valid = np.asarray(np.isfinite(state.moments).all(1))
        runs = Runs(task.space, state.unit, state.moments, valid, task.target.labels, state.tally.reasons)
        surrogate = learned(runs, self.regressors)
        return surrogate, surrogate_draws(surrogate, task.target, key)


class EmulatedPosterior(Estimate):
    """Weighted draws of a surrogate's posterior, with what the guard says of it.

    `real` (n, d), `weights` (n,) summing to 1; `log_evidence`: the logarithm of the density of the fitted moments under
    model and prior, as the surrogate has it.
    """

    real: np.ndarray
    weights: np.ndarray
    log_evidence: float
    surrogate: Surrogate = eqx.field(static=True)
    guarded: Guarded = eqx.field(static=True)
    remarks: tuple[str, ...] = eqx.field(static=True)

    def draws(self, problem: Problem, key: Key, count: int) -> np.ndarray:
        return self.real[systematic(key, self.weights, count)]

    def centre(self, problem: Problem) -> np.ndarray:
        """The weighted mean."""
        return self.weights @ self.real

    def notes(self) -> tuple[str, ...]:
        return self.remarks

    @property
    def effective_size(self) -> float:
        return worth(self.weights)


def surrogate_draws(surrogate: Surrogate, target: Target, key: Key) -> Found:
    """Weighted draws of a surrogate's posterior, on the real scale."""
    space = surrogate.space
    return found_in(space, lambda real: log_prior(space, real) + log_likelihoods(surrogate, target, real), key)


def log_likelihoods(surrogate: Surrogate, target: Target, real: np.ndarray) -> np.ndarray:
    """The log-density of a target's fitted moments at points (n, d) on the real scale, as a surrogate says: of a run
    that counts, times the probability that one does.
    """
    said = surrogate.predict(surrogate.space.from_real(real))
    return _log_likelihoods(surrogate, target, said)


def _log_likelihoods(surrogate: Surrogate, target: Target, said: Emulated) -> np.ndarray:
    used = target.fitted
    gaps, noise = (target.values - said.mean)[:, used], said.noise[:, used]
    correlation, k = surrogate.correlation[np.ix_(used, used)], int(used.sum())
    levels = np.empty(len(gaps))
    for start in range(0, len(gaps), _AT_ONCE):
        rows = slice(start, start + _AT_ONCE)
        spread = np.sqrt(noise[rows])
        covariance = correlation * spread[:, :, None] * spread[:, None, :]
        covariance[:, range(k), range(k)] += said.epistemic[rows][:, used] + 1e-12 * noise[rows].mean(1)[:, None]
        lower = np.linalg.cholesky(covariance)
        z = np.linalg.solve(lower, gaps[rows][..., None])[..., 0]
        levels[rows] = -0.5 * (z**2).sum(1) - np.log(lower[:, range(k), range(k)]).sum(1)
    return levels - 0.5 * k * np.log(2.0 * np.pi) + np.log(np.maximum(said.valid, 1e-12))


def _shaken(draws: Found, chosen: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Chosen draws (n, d), those that are chosen again moved a little, as far as the posterior is wide over the root of
    their number.
    """
    spread = np.sqrt(draws.weights @ (draws.points - draws.weights @ draws.points) ** 2)
    points = draws.points[chosen]
    again = np.ones(len(chosen), bool)
    again[np.unique(chosen, return_index=True)[1]] = False
    noise = rng.standard_normal(points.shape) * spread / np.sqrt(len(chosen))
    return points + np.where(again[:, None], noise, 0.0)


def weighed(surrogate: Surrogate, target: Target, draws: Found, key: Key) -> WeighedDraws:
    """Weighted draws, with what a surrogate says there of the fitted moments."""
    space, used = surrogate.space, target.fitted
    batch = space.from_real(draws.points)
    said = surrogate.predict(batch)

    def functions(rows: np.ndarray, count: int) -> np.ndarray:
        return surrogate.functions({name: value[rows] for name, value in batch.items()}, key, count)[:, :, used]

    return WeighedDraws(
        draws.weights,
        draws.levels,
        log_prior(space, draws.points),
        (said.mean - target.values)[:, used],
        said.noise[:, used],
        said.epistemic[:, used],
        functions,
    )


def _learned(task: Problem, state: Designed, surrogate: Surrogate, draws: Found) -> np.ndarray:
    """What runs of the last round have yielded, (n,)."""
    last = int(state.counts[-1])
    before = state.credit.before[state.credit.open]
    if not before.any():
        return np.zeros(last)  # the first design: nothing was said of it
    unit, used = state.unit[-last:], task.target.fitted
    said = surrogate.predict_unit(unit)
    after = (said.epistemic / (said.epistemic + said.noise))[:, used].mean(1)
    gone = np.clip(1.0 - after / np.maximum(before, 1e-12), 0.0, 1.0)
    level = _log_likelihoods(surrogate, task.target, said)
    levels = draws.levels - log_prior(task.space, draws.points)
    order = np.argsort(levels, kind="stable")
    middle = levels[order][np.searchsorted(np.cumsum(draws.weights[order]), 0.5)]
    return gone * np.exp(np.minimum(level - middle, 0.0)) * np.isfinite(state.moments[-last:]).all(1)


def _at(space: Space, real: np.ndarray, key: Key, credit: Credit, *, first: bool = False) -> Tries:
    points = space.from_real(real)
    work = Simulate(points, split(jr.fold_in(key, 1), len(real)), none=not first)
    return Tries(work, np.asarray(space.cdf(points), np.float64), credit, np.zeros(0))
