"""A posterior learned from runs: a conditional density of parameters where moments are given, read off at the data.

Neural posterior estimation (George Papamakarios and Iain Murray 2016, arXiv:1605.06376) in truncated rounds (Michael
Deistler, Pedro Goncalves and Jakob Macke 2022, arXiv:2210.04815): each round draws from the prior, cut to a region that
holds the posterior so far. The runs in it follow the prior there, whichever round made them, so that nothing has to
be corrected and no mass leaks; and where the region is too small for the prior's draws to find, it is filled evenly
and the runs weigh as the prior does, so that no sampler waits.
"""

import equinox as eqx
import jax.random as jr
import numpy as np

from .._errors import MethodError
from .._types import Key
from ..core.noise import host_generator
from ..core.rounds import Done, Method
from ..problem.problem import Problem, Simulated
from ..problem.space import Space
from ..surrogates.conditional import ConditionalDensity, Density
from ..surrogates.flow_matching import FlowMatching
from .estimates import Estimate
from .regions import Proposal, Region, Scale, check_rounds, ended, proposed, surroundings, weights
from .tally import Tally

_HELD = 2_000
"""Draws of the posterior that a region is made to hold."""
_ATTEMPTS = 10
_DRAWN = 2_000
_SPILT = 0.05


class Known(eqx.Module):
    """The state: runs that count, v (n, d) and fitted moments (n, k), and how many of each round, `counts` (rounds,).

    `regions`: centres (r, d), roots (r, d, d), log shares and log sizes (r,) of later rounds; `left`: calls unspent.
    """

    v: np.ndarray
    moments: np.ndarray
    counts: np.ndarray
    regions: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
    left: np.ndarray
    tally: Tally

    def parts(self) -> tuple[Region, ...]:
        """The regions, one by one."""
        return tuple(Region(*row) for row in zip(*self.regions, strict=True))


def begun(task: Problem, rounds: int, budget: int) -> Known:
    """No runs yet.

    **Raises:** `MethodError` for no rounds, or too few calls a round.
    """
    check_rounds(rounds, budget)
    d, k = task.space.size, int(task.target.fitted.sum())
    regions = (np.zeros((0, d)), np.zeros((0, d, d)), np.zeros(0), np.zeros(0))
    return Known(np.zeros((0, d)), np.zeros((0, k)), np.zeros(0, int), regions, np.array(budget), Tally.empty())


def told(task: Problem, state: Known, ask: Proposal, answer: Simulated) -> Known:
    """What is known with the runs of a further round."""
    good = ~answer.excluded
    regions = state.regions
    if ask.region is not None:
        row = (ask.region.centre, ask.region.root, ask.region.log_share, ask.region.log_size)
        joined = [np.concatenate([old, np.asarray(new)[None]]) for old, new in zip(regions, row, strict=True)]
        regions = (joined[0], joined[1], joined[2], joined[3])
    return Known(
        np.concatenate([state.v, ask.v[good]]),
        np.concatenate([state.moments, answer.moments[good][:, task.target.fitted]]),
        np.append(state.counts, good.sum()),
        regions,
        np.array(int(state.left) - ask.calls()),
        state.tally.with_(answer),
    )


class NeuralPosterior(Method[Problem, Known, "LearnedPosterior"]):
    """A posterior learned by a conditional density.

    **Arguments:** `density`: what learns; `rounds`: into how many the budget goes. With one, all runs come from the
    prior and the posterior can be read off at any data (`pop.amortised_calibration` checks it there); with more, later
    ones lie where the data put the posterior.
    """

    density: ConditionalDensity = FlowMatching()
    rounds: int = eqx.field(static=True, default=2)

    @property
    def needs_covariance(self) -> bool:
        return False

    def start(self, task: Problem, key: Key, budget: int) -> Known:
        return begun(task, self.rounds, budget)

    def ask(self, task: Problem, state: Known, key: Key) -> Proposal:
        scale, made = Scale.of(task.space), state.counts.size
        count = int(state.left) // (self.rounds - made)
        learn, pick, simulate = jr.split(key, 3)
        rng = host_generator(pick)
        region = None
        if made == 0:
            v = scale.sample(rng, count)
        else:
            draws, _ = _sampled(scale, _learned(self.density, scale, state, learn), data_of(task), pick, _HELD)
            region, v = proposed(scale, state.parts(), Region.around(draws), rng, count)
        return Proposal.at(task.space, v, simulate, region)

    def tell(self, task: Problem, state: Known, ask: Proposal, answer: Simulated) -> Known:
        return told(task, state, ask, answer)

    def done(self, task: Problem, state: Known, left: int) -> Done | None:
        return ended(state.counts, self.rounds)

    def finish(self, task: Problem, state: Known, key: Key) -> "LearnedPosterior":
        scale = Scale.of(task.space)
        learn, draw = jr.split(key)
        density = _learned(self.density, scale, state, learn)
        draws, spilt = _sampled(scale, density, data_of(task), draw, _DRAWN)
        notes = [f"A density by {self.density.name}, learned from {_counted(state)}."]
        if state.tally.excluded:
            notes.append(state.tally.sentence())
        if spilt > 1.0 - 1.0 / _ATTEMPTS:
            notes.append(
                f"{100 * spilt:.0f} % of the density lay outside the prior, and draws are held at its bounds: read "
                "nothing off them; widen the prior, or mend the model."
            )
        elif spilt > _SPILT:
            notes.append(f"{100 * spilt:.0f} % of the density lay outside the prior and were left out.")
        notes += around(scale, task, state, draws)
        data = None if self.rounds == 1 else data_of(task)
        return LearnedPosterior(density, data, tuple(notes))


class LearnedPosterior(Estimate):
    """A conditional density, read off at the data of the problem that it is asked for: any, where all runs came from
    the prior; the same `data` only, where they did not.
    """

    density: Density = eqx.field(static=True)
    data: np.ndarray | None
    remarks: tuple[str, ...] = eqx.field(static=True)

    def log_densities(self, space: Space, moments: np.ndarray, real: np.ndarray) -> np.ndarray:
        """The logarithm of the density (n,) at rows (n, d) on the real scale, each where its row of fitted moments
        (n, k) is; with respect to the scale on which a bounded prior is uniform, any other N(0, 1), with variance 1.
        What the prior forbids is not cut off.
        """
        unit = np.asarray(space.cdf(space.from_real(real)), np.float64)
        return self.density.log_prob(Scale.of(space).rows(unit), moments)

    def draws(self, problem: Problem, key: Key, count: int) -> np.ndarray:
        scale, data = Scale.of(problem.space), self._known(problem)
        return scale.real(_sampled(scale, self.density, data, key, count)[0])

    def _known(self, problem: Problem) -> np.ndarray:
        data = data_of(problem)
        if self.data is not None and not np.array_equal(self.data, data):
            raise MethodError("this posterior was learned near other data: fit anew, or with rounds=1 for any data")
        return data

    def centre(self, problem: Problem) -> np.ndarray:
        """The mean of 2,000 draws."""
        return self.draws(problem, jr.key(0), _DRAWN).mean(0)

    def notes(self) -> tuple[str, ...]:
        return self.remarks


def data_of(task: Problem) -> np.ndarray:
    """The fitted moments of the data, (k,)."""
    return task.target.values[task.target.fitted]


def around(scale: Scale, task: Problem, state: Known, draws: np.ndarray) -> tuple[str, ...]:
    """What `surroundings` says of the runs of the first round, and of draws (m, d) of the posterior."""
    first = slice(int(state.counts[0]))
    found = np.zeros((len(state.v[first]), len(task.target.labels)))  # moments held out are not looked at
    found[:, task.target.fitted] = state.moments[first]
    return surroundings(scale, task.target, state.v[first], found, draws)


def _counted(state: Known) -> str:
    if state.counts.size == 1:
        return f"{state.counts[0]} runs from the prior"
    within = np.ones(len(state.v), bool)
    for region in state.parts():
        within &= region.holds(state.v)
    return f"{int(within.sum())} of {state.v.shape[0]} runs, those of {state.counts.size} rounds near the data"


def _learned(density: ConditionalDensity, scale: Scale, state: Known, key: Key) -> Density:
    weight = weights(scale, state.parts(), state.counts, state.v)
    used = weight > 0
    return density.fit(state.v[used], state.moments[used], weight[used], key)


def _sampled(scale: Scale, density: Density, data: np.ndarray, key: Key, count: int) -> tuple[np.ndarray, float]:
    """Draws (count, d) that the prior allows, and the share of the density that it does not. Where too few of ten times
    as many lie inside, others are held at its bounds.
    """
    kept: list[np.ndarray] = []
    rows, found, made = np.zeros((0, scale.bounded.size)), 0, 0
    for attempt in range(_ATTEMPTS):
        rows = density.sample(data, jr.fold_in(key, attempt), count)
        kept.append(rows[scale.inside(rows)])
        found, made = found + len(kept[-1]), made + count
        if found >= count:
            break
    kept.append(scale.held(rows))  # of use only where hardly anything lies inside, and told then
    return np.concatenate(kept)[:count], 1.0 - found / made
