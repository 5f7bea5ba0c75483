"""A likelihood learned from runs, and the posterior that it gives.

Neural likelihood estimation (George Papamakarios, David Sterratt and Iain Murray 2019, arXiv:1805.07226) of whole
series: the law of each time given those before it is learned, so that a run teaches as many examples as it has times.
A likelihood does not know where its runs were proposed, so that later rounds put theirs where the posterior is, and
nothing has to be corrected.
"""

from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Float

from .._errors import MethodError, TargetError
from .._types import Key
from ..core.noise import host_generator
from ..core.rounds import Done, Method
from ..problem.problem import Problem, Simulated
from ..problem.space import Space
from ..problem.target import Target
from ..surrogates.transitions import FittedTransitions, SeriesLikelihood, Transitions
from . import nuts, population
from .estimates import Estimate, systematic
from .regions import Proposal, Region, Scale, check_rounds, ended, proposed, surroundings
from .tally import Tally

_HELD = 2_000
"""Draws of the posterior that a region is made to hold."""
_PRIOR = 4_000
_COMPARED = 200
_RARE = 0.01


class Read(eqx.Module):
    """The state: runs that count, v (n, d), series (n, times, m) and moments (n, k), how many of each round (rounds,),
    the last region's centre (d,) and root (d, d), and calls unspent.
    """

    v: np.ndarray
    series: np.ndarray
    moments: np.ndarray
    counts: np.ndarray
    centre: np.ndarray
    root: np.ndarray
    left: np.ndarray
    tally: Tally


class NeuralLikelihood(Method[Problem, Read, "LearnedLikelihood"]):
    """A posterior by a learned likelihood of the whole series that the target's moments read, and NUTS.

    The fit is to the series themselves; the moments say afterwards what of them it matches.

    **Arguments:** `law`: what learns; `rounds`: into how many the budget goes, later ones where the posterior is. With
    one, all runs come from the prior and the posterior can be read off at any data (`pop.amortised_calibration` checks
    it there). `chains`, `draws`: of NUTS, each with as many draws.
    """

    law: Transitions = Transitions()
    rounds: int = eqx.field(static=True, default=2)
    chains: int = eqx.field(static=True, default=4)
    draws: int = eqx.field(static=True, default=500)

    @property
    def needs_covariance(self) -> bool:
        return False

    def start(self, task: Problem, key: Key, budget: int) -> Read:
        if self.chains < 2 or self.draws < 50:
            raise MethodError("take two chains or more, and 50 draws or more in each")
        check_rounds(self.rounds, budget)
        data, d = observed(task.target), task.space.size
        return Read(
            np.zeros((0, d)),
            np.zeros((0, *data.shape)),
            np.zeros((0, len(task.target.labels))),
            np.zeros(0, int),
            np.zeros(d),
            np.full((d, d), np.inf),
            np.array(budget),
            Tally.empty(),
        )

    def ask(self, task: Problem, state: Read, key: Key) -> Proposal:
        scale, made = Scale.of(task.space), state.counts.size
        count = int(state.left) // (self.rounds - made)
        learn, pick, simulate = jr.split(key, 3)
        rng, region = host_generator(pick), None
        if made == 0:
            v = scale.sample(rng, count)
        else:
            inputs = Inputs.of(task.space)
            law = _learned(self.law, inputs, state, learn)
            found = _found(_Posterior(law.at(observed(task.target)), inputs), pick)
            draws = found.points[systematic(pick, found.weights, _HELD)]
            region, v = proposed(scale, (), Region.around(rows_of(scale, draws)), rng, count)
        return Proposal.at(task.space, v, simulate, region, keep=True)

    def tell(self, task: Problem, state: Read, ask: Proposal, answer: Simulated) -> Read:
        good = ~answer.excluded
        region = (state.centre, state.root) if ask.region is None else (ask.region.centre, ask.region.root)
        return Read(
            np.concatenate([state.v, ask.v[good]]),
            np.concatenate([state.series, stacked(task.target, answer.observations)[good]]),
            np.concatenate([state.moments, answer.moments[good]]),
            np.append(state.counts, good.sum()),
            *region,
            np.array(int(state.left) - ask.calls()),
            state.tally.with_(answer),
        )

    def done(self, task: Problem, state: Read, left: int) -> Done | None:
        return ended(state.counts, self.rounds)

    def finish(self, task: Problem, state: Read, key: Key) -> "LearnedLikelihood":
        learn, search, walk, compare = jr.split(key, 4)
        data, inputs = observed(task.target), Inputs.of(task.space)
        law = _learned(self.law, inputs, state, learn)
        density = _Posterior(law.at(data), inputs)
        found = _found(density, search)
        chains = nuts.walked(density, found, walk, self.chains, self.draws)
        real = chains.path.reshape(-1, chains.path.shape[2])
        used = int(_near(state).sum())
        notes = [
            f"The law of {data.shape[0]} times by {self.law.name}, learned from {used} of {len(state.v)} runs; "
            f"{self.chains} chains of NUTS are worth {chains.worst()[1]:.0f} independent draws at the least.",
            *nuts.faults(chains),
            *_unlikely(law, inputs, task, state, real, compare),
        ]
        if state.tally.excluded:
            notes.append(state.tally.sentence())
        scale, first = Scale.of(task.space), slice(int(state.counts[0]))
        notes += surroundings(scale, task.target, state.v[first], state.moments[first], rows_of(scale, real))
        only = None if self.rounds == 1 else data
        return LearnedLikelihood(law, real, data, only, (self.chains, self.draws), found.log_integral, tuple(notes))


class LearnedLikelihood(Estimate):
    """A law of series that has been learned, and draws of the posterior at the data of the fit.

    `real` (n, d): these draws, on the real scale; `log_evidence`: the logarithm of the data's density under model and
    prior, as the learned law has it.
    """

    law: FittedTransitions = eqx.field(static=True)
    real: np.ndarray
    data: np.ndarray
    only: np.ndarray | None
    chains: tuple[int, int] = eqx.field(static=True)
    log_evidence: float
    remarks: tuple[str, ...] = eqx.field(static=True)

    def draws(self, problem: Problem, key: Key, count: int) -> np.ndarray:
        """Draws of the posterior at the data of the problem: for those of the fit, of the draws that it made; for other
        data, where all runs came from the prior, by new chains.
        """
        data = observed(problem.target)
        if np.array_equal(data, self.data):
            return self.real[systematic(key, np.full(len(self.real), 1.0 / len(self.real)), count)]
        if self.only is not None:
            raise MethodError("this likelihood was learned near other data: fit anew, or with rounds=1 for any data")
        density = _Posterior(self.law.at(data), Inputs.of(problem.space))
        search, walk, pick = jr.split(key, 3)
        path = nuts.walked(density, _found(density, search), walk, *self.chains).path
        real = path.reshape(-1, path.shape[2])
        return real[systematic(pick, np.full(len(real), 1.0 / len(real)), count)]

    def centre(self, problem: Problem) -> np.ndarray:
        """The mean of the draws."""
        return self.draws(problem, jr.key(0), _HELD).mean(0)

    def notes(self) -> tuple[str, ...]:
        return self.remarks


def observed(target: Target) -> Float[np.ndarray, "times m"]:
    """All series that a target's moments read, side by side.

    **Raises:** `TargetError` where they are of different lengths, or miss a time, or are not those of the moments.
    """
    target.check_series("the law of series")
    series = target.series
    lengths = {name: 1 if one.at_end else one.length for name, one in series.items()}
    if len(set(lengths.values())) > 1:
        raise TargetError(f"the law of series takes all of one length, not {lengths}: leave out the moments of others")
    missing = [name for name, one in series.items() if one.missing]
    if missing:
        raise TargetError(f"the law of a series takes every time, and '{missing[0]}' misses some: cut it to a stretch")
    return stacked(target, {name: one.values[None] for name, one in series.items()})[0]


def stacked(target: Target, observations: dict[str, np.ndarray]) -> Float[np.ndarray, "n times m"]:
    """Batches of all series (n, times, ...) side by side."""
    parts = [np.asarray(observations[name], np.float64) for name in target.series]
    if any(one.at_end for one in target.series.values()):
        parts = [part.reshape(part.shape[0], 1, -1) for part in parts]
    return np.concatenate([part.reshape(*part.shape[:2], -1) for part in parts], axis=2)


class Inputs(eqx.Module):
    """From the real scale to what the law is learned in: a bounded prior is uniform with mean 0 and variance 1, any
    other the real scale in standard deviations of its draws. Plain JAX.
    """

    space: Space = eqx.field(static=True)
    graded: Array
    middle: Array
    spread: Array

    @staticmethod
    def of(space: Space) -> "Inputs":
        low, high = space.bounds()
        graded = np.isfinite(low) & np.isfinite(high) & space.has_cdf()
        real = np.asarray(space.to_real(space.sample(jr.key(0), _PRIOR)), np.float64)
        parts = (np.asarray(part, np.float32) for part in (real.mean(0), real.std(0)))
        return Inputs(space, jnp.asarray(graded), *map(jnp.asarray, parts))

    def __call__(self, real: Float[Array, " d"]) -> Float[Array, " d"]:
        unit = self.space.cdf(self.space.from_real(real[None]))[0]
        return jnp.where(self.graded, (unit - 0.5) * jnp.sqrt(12.0), (real - self.middle) / self.spread)

    def rows(self, real: np.ndarray) -> np.ndarray:
        """Of many rows (n, d)."""
        return np.asarray(_all(self, jnp.asarray(real, jnp.float32)), np.float64)


@eqx.filter_jit
def _all(inputs: Inputs, real: Array) -> Array:
    return jax.vmap(inputs)(real)


class _Posterior(eqx.Module):
    """The posterior's log-density on the real scale, less a constant."""

    likelihood: SeriesLikelihood
    inputs: Inputs

    def __call__(self, real: Float[Array, " d"]) -> Float[Array, ""]:
        return self.inputs.space.log_prob_real(real[None])[0] + self.likelihood(self.inputs(real))


def _found(density: _Posterior, key: Key) -> population.Found:
    return population.found_in(density.inputs.space, partial(nuts.levels, density), key)


def rows_of(scale: Scale, real: np.ndarray) -> np.ndarray:
    """Points (n, d) of the real scale on that of `Scale`."""
    space = scale.space
    return scale.rows(np.asarray(space.cdf(space.from_real(real)), np.float64))


def _near(state: Read) -> np.ndarray:
    """Which runs lie in the last region, (n,)."""
    if not np.isfinite(state.root).all():
        return np.ones(len(state.v), bool)
    return (np.linalg.solve(state.root, (state.v - state.centre).T) ** 2).sum(0) <= 1.0


def _learned(law: Transitions, inputs: Inputs, state: Read, key: Key) -> FittedTransitions:
    near = _near(state)
    return law.fit(inputs.rows(Scale.of(inputs.space).real(state.v[near])), state.series[near], key)


def _unlikely(
    law: FittedTransitions, inputs: Inputs, task: Problem, state: Read, real: np.ndarray, key: Key
) -> list[str]:
    """A sentence where the data are less likely at the posterior than nearly all runs of the last round, each at its
    own parameters.
    """
    rng = host_generator(key)
    last = np.arange(len(state.v))[-int(state.counts[-1]) :]
    chosen = rng.choice(last, min(_COMPARED, last.size), replace=False)
    own = inputs.rows(Scale.of(task.space).real(state.v[chosen]))
    levels = np.array([law.log_prob(v[None], state.series[i])[0] for v, i in zip(own, chosen, strict=True)])
    here = law.log_prob(inputs.rows(real[rng.choice(len(real), _COMPARED)]), observed(task.target)).mean()
    share = float((levels <= here).mean())
    if share > _RARE:
        return []
    return [
        f"The data are less likely at the posterior than {100 * (1.0 - share):.0f} % of the runs near it are at their "
        "own parameters: the model does not make such series, whatever its parameters."
    ]
