"""A posterior from likelihoods that runs estimate: adaptive importance sampling.

Jean-Marie Cornuet, Jean-Michel Marin, Antonietta Mira and Christian Robert (2012, Scandinavian Journal of Statistics
39:798): each round draws from kernels around what the rounds before found, tempered so that no few points have all the
weight, and at the end each point weighs prior times likelihood over the density from which all points of all rounds
were drawn. Every likelihood counts once, no run is forgotten, and where estimates of the likelihood are unbiased their
noise costs draws but moves nothing.
"""

import equinox as eqx
import jax.random as jr
import numpy as np
from scipy.special import logsumexp

from .._errors import MethodError
from .._results import Code
from .._types import Key
from ..core.noise import host_generator
from ..core.rounds import Done, Method
from ..problem.problem import Problem, Simulated
from ..problem.space import Space
from .estimates import Posterior, root_of, systematic, weighted_covariance, worth
from .population import heat_that_keeps, kernel_width, log_kernels, log_prior
from .run_likelihood import RunLikelihood, Weigh, Weighed
from .tally import Tally

_KERNELS = 200
"""Kernels of a round's proposals, at the most."""
_OPEN = 0.1
"""The share of later proposals that are drawn from the prior, so that no weight is without bound."""
_CHECKED = 20
"""Points of the posterior whose likelihoods are worked out a second time."""
_FEWEST = 30
"""Points of a round."""
_NOISY = 2.0
_STRANGE = 0.3
_LEVEL = 0.05


class Sampled(eqx.Module):
    """The state: points `real` (n, d) with their log-likelihoods `levels` (n,) and p-values `strange` (n,); points of
    each round `counts` (r,); `centres` (r - 1, m, d) and `roots` (r - 1, d, d) of the kernels of later rounds; `again`
    (c, 2): log-likelihoods at points of the posterior, first and second; `plan`: points of a round.
    """

    real: np.ndarray
    levels: np.ndarray
    strange: np.ndarray
    counts: np.ndarray
    centres: np.ndarray
    roots: np.ndarray
    again: np.ndarray
    plan: np.ndarray
    tally: Tally


class Points(Weigh):
    """Likelihoods at points, and the kernels (m, d), (d, d) that they were drawn from (none in the first round)."""

    first: np.ndarray | None
    centres: np.ndarray
    root: np.ndarray


class ImportanceSampling(Method[Problem, Sampled, Posterior]):
    """A posterior by a likelihood that runs at each point estimate.

    **Arguments:** `likelihood`: `SyntheticLikelihood` of moments, `KernelLikelihood` of series, or the exact one of a
    `ParticleFilter`; `rounds`: into how many the budget goes. A budget of n calls weighs n / (runs a point) points: for
    a few parameters some hundreds do, in many dimensions few are ever worth anything, and the fit says so.
    """

    likelihood: RunLikelihood
    rounds: int = eqx.field(static=True, default=6)

    @property
    def needs_covariance(self) -> bool:
        return False

    def start(self, task: Problem, key: Key, budget: int) -> Sampled:
        self.likelihood.check(task)
        if self.rounds < 2:
            raise MethodError("take two rounds or more: the first draws from the prior")
        each, d = self.likelihood.runs(), task.space.size
        plan = (budget // each - _CHECKED) // self.rounds
        if plan < _FEWEST:
            raise MethodError(
                f"a point costs {each} runs, and a budget of {budget} gives {max(plan, 0)} in each of {self.rounds} "
                f"rounds: give {each * (_FEWEST * self.rounds + _CHECKED)} or more, or take fewer rounds or runs each"
            )
        kernels = min(plan, _KERNELS)
        empty = np.zeros(0)
        return Sampled(
            np.zeros((0, d)),
            empty,
            empty,
            np.zeros(0, int),
            np.zeros((0, kernels, d)),
            np.zeros((0, d, d)),
            np.zeros((0, 2)),
            np.array(plan),
            Tally.empty(),
        )

    def ask(self, task: Problem, state: Sampled, key: Key) -> Points:
        pick, run = jr.split(key)
        d, count = task.space.size, int(state.plan)
        if state.counts.size == self.rounds:
            chosen = systematic(pick, _weights(task.space, state, 1.0), _CHECKED)
            return Points(self.likelihood, state.real[chosen], run, state.levels[chosen], np.zeros((0, d)), np.eye(d))
        if not state.counts.size:
            return Points(self.likelihood, _prior(task.space, pick, count), run, None, np.zeros((0, d)), np.eye(d))
        centres, root = _kernels(task.space, state, pick)
        drawn = _drawn(task.space, centres, root, pick, count)
        return Points(self.likelihood, drawn, run, None, centres, root)

    def tell(self, task: Problem, state: Sampled, ask: Points, answer: Weighed) -> Sampled:
        told = Simulated(np.zeros((answer.excluded.size, 0)), answer.excluded, answer.reasons)
        tally = state.tally.with_(told)
        if ask.first is not None:
            again = np.stack([ask.first, answer.levels], axis=1)
            return eqx.tree_at(lambda s: (s.again, s.tally), state, (again, tally))
        later = (state.centres, state.roots)
        if len(ask.centres):
            later = (np.concatenate([later[0], ask.centres[None]]), np.concatenate([later[1], ask.root[None]]))
        return Sampled(
            np.concatenate([state.real, ask.real]),
            np.concatenate([state.levels, answer.levels]),
            np.concatenate([state.strange, answer.strange]),
            np.append(state.counts, len(ask.real)),
            *later,
            state.again,
            state.plan,
            tally,
        )

    def done(self, task: Problem, state: Sampled, left: int) -> Done | None:
        if state.counts.size == self.rounds and not np.isfinite(state.levels).any():
            return Done(Code.BUDGET_SPENT, "the data have no likelihood at any point that was tried")
        if not len(state.again):
            return None
        return Done(Code.CONVERGED, f"all {self.rounds} rounds were run, {len(state.real)} points with likelihoods")

    def finish(self, task: Problem, state: Sampled, key: Key) -> Posterior:
        logs = _log_weights(task.space, state, 1.0)
        total = float(np.asarray(logsumexp(logs)))
        weights = np.exp(logs - total)
        effective = worth(weights)
        notes = [
            f"Likelihoods at {len(state.real)} points, of {self.likelihood.runs()} runs each; the weighted points are "
            f"worth {effective:.0f} independent draws. The log-evidence is {total - np.log(len(logs)):.2f}.",
            f"The likelihood takes {self.likelihood.assumes()}.",
        ]
        if not np.isfinite(state.levels).any():
            notes[0] = "The data have no likelihood at any point that was tried: these are draws of the prior."
        notes += _doubts(self.likelihood, state, weights, effective)
        if state.tally.excluded:
            notes.append(state.tally.sentence())
        nothing = np.full((len(state.real), len(task.target.labels)), np.nan)
        return Posterior(state.real, weights, nothing, tuple(notes))


def _doubts(likelihood: RunLikelihood, state: Sampled, weights: np.ndarray, effective: float) -> list[str]:
    """What makes the weights not to be believed, a sentence each."""
    notes = []
    both = state.again[np.isfinite(state.again).all(1)]
    if len(both) > 1:
        noise = float((both[:, 0] - both[:, 1]).std(ddof=1) / np.sqrt(2.0))
        if noise > _NOISY:
            notes.append(
                f"Estimates of a log-likelihood at one point have a standard error of {noise:.1f}: luck chooses the "
                f"points. Take more than {likelihood.runs()} runs a point, at best until it is about 1."
            )
    tested = np.isfinite(state.strange)
    heavy = float(weights[tested & (state.strange < _LEVEL)].sum() / max(weights[tested].sum(), 1e-300))
    if heavy > _STRANGE:
        notes.append(
            f"At points with {100 * heavy:.0f} % of the weight runs contradict what the likelihood takes for granted "
            f"(at the {100 * _LEVEL:.0f} % level): intervals may be too narrow or in the wrong place."
        )
    if effective < 50.0:
        notes.append(
            f"Few points have the weight (worth {effective:.0f} draws): a larger budget, or a method that learns the "
            "likelihood (`NeuralLikelihood`, `SurrogatePosterior`)."
        )
    return notes


def _prior(space: Space, key: Key, count: int) -> np.ndarray:
    return np.asarray(space.to_real(space.sample(key, count)), np.float64)


def _kernels(space: Space, state: Sampled, key: Key) -> tuple[np.ndarray, np.ndarray]:
    """Where the next round draws: centres (m, d), and the root (d, d) of the kernels' covariance."""
    weights = _weights(space, state, None)
    centres = state.real[systematic(key, weights, state.centres.shape[1])]
    width = kernel_width(space.size, min(worth(weights), len(centres)))
    return centres, width * root_of(weighted_covariance(state.real, weights))


def _drawn(space: Space, centres: np.ndarray, root: np.ndarray, key: Key, count: int) -> np.ndarray:
    rng = host_generator(key)
    chosen = centres[rng.integers(len(centres), size=count)]
    drawn = chosen + rng.standard_normal((count, space.size)) @ root.T
    prior = _prior(space, key, count)
    return np.where(rng.uniform(size=(count, 1)) < _OPEN, prior, drawn)


def _log_proposed(state: Sampled, before: np.ndarray) -> np.ndarray:
    """The log-density (n,) that all points were drawn from; `before` (n,): the prior's there."""
    parts = [np.log(state.counts[0]) + before]
    for count, centres, root in zip(state.counts[1:], state.centres, state.roots, strict=True):
        around = np.log1p(-_OPEN) + log_kernels(state.real, centres, root)
        parts.append(np.log(count) + np.logaddexp(around, np.log(_OPEN) + before))
    return np.asarray(logsumexp(parts, axis=0)) - np.log(state.counts.sum())


def _log_weights(space: Space, state: Sampled, heat: float | None) -> np.ndarray:
    """Weights' logarithms at a temperature, None for one that leaves enough points with weight."""
    before = log_prior(space, state.real)
    proposed = _log_proposed(state, before)
    levels = np.where(np.isfinite(state.levels), before + state.levels, -np.inf)
    if not np.isfinite(levels).any():
        return before - proposed
    heat = heat_that_keeps(levels, before, proposed) if heat is None else heat
    gain = np.where(np.isfinite(state.levels), heat * state.levels, -np.inf)
    return before + gain - proposed


def _weights(space: Space, state: Sampled, heat: float | None) -> np.ndarray:
    logs = _log_weights(space, state, heat)
    return np.exp(logs - logsumexp(logs))
