"""A posterior by a classifier: prior times the ratio of likelihood to evidence, that tells runs from shuffled ones.

Neural ratio estimation (Joeri Hermans, Volodimir Begy and Gilles Louppe 2020, Proceedings of the 37th International
Conference on Machine Learning, arXiv:1903.04057; contrastive as Benjamin Miller, Christoph Weniger and Patrick Forre
2022, arXiv:2210.06170, have it) in truncated rounds (Benjamin Miller, Alex Cole, Patrick Forre, Gilles Louppe and
Christoph Weniger 2021, arXiv:2107.01214). A classifier's odds that parameters and data belong together are p(x | p)
over the density of x under whatever runs there were: as a function of the parameters a likelihood, wherever these were
proposed. So all runs of all rounds teach, and nothing is weighed. No density is learned: a classifier is the least that
can be asked of a network, and of moments in any number.
"""

from functools import partial
from typing import NamedTuple

import equinox as eqx
import jax.random as jr
import numpy as np
from jaxtyping import Array, Float

from .._errors import MethodError
from .._types import Key
from ..core.noise import host_generator
from ..core.rounds import Done, Method
from ..problem.problem import Problem, Simulated
from ..surrogates.ratio import ContrastiveRatio, FittedRatio, RatioAt
from . import nuts, population
from .estimates import Estimate, systematic
from .neural_likelihood import Inputs, rows_of
from .neural_posterior import Known, around, begun, data_of, told
from .regions import Proposal, Region, Scale, ended, pooled, proposed

_HELD = 2_000
"""Draws of the posterior that a region is made to hold, and that an estimate keeps."""
_TRIED = 5
"""Importance draws a draw that is wanted."""
_LEAST_TRIED = 8_000
_WORTH = 1.0 / 8.0
"""Importance draws worth such a share of their number are taken; chains, where they are worth less."""
_APART = 0.5
_OFF = 1.5
"""By what factor a ratio may miss its sum of 1."""


class NeuralRatio(Method[Problem, Known, "LearnedRatio"]):
    """A posterior by a learned ratio, drawn from by importance sampling, and by NUTS where that is worth little.

    **Arguments:** `ratio`: what learns; `rounds`: into how many the budget goes, later ones where the posterior is.
    With one, all runs come from the prior and the posterior can be read off at any data (`pop.amortised_calibration`
    checks it there). `chains`, `draws`: of NUTS, each with as many draws.
    """

    ratio: ContrastiveRatio = ContrastiveRatio()
    rounds: int = eqx.field(static=True, default=2)
    chains: int = eqx.field(static=True, default=8)
    draws: int = eqx.field(static=True, default=250)

    @property
    def needs_covariance(self) -> bool:
        return False

    def start(self, task: Problem, key: Key, budget: int) -> Known:
        if self.chains < 2 or self.draws < 50:
            raise MethodError("take two chains or more, and 50 draws or more in each")
        return begun(task, self.rounds, budget)

    def ask(self, task: Problem, state: Known, key: Key) -> Proposal:
        scale, made = Scale.of(task.space), state.counts.size
        count = int(state.left) // (self.rounds - made)
        learn, pick, simulate = jr.split(key, 3)
        rng, region = host_generator(pick), None
        if made == 0:
            v = scale.sample(rng, count)
        else:
            inputs = Inputs.of(task.space)
            density = _Posterior(self._learned(inputs, state, learn).at(data_of(task)), inputs)
            drawn = _drawn(density, pick, _HELD, (self.chains, self.draws))
            region, v = proposed(scale, state.parts(), Region.around(rows_of(scale, drawn.real)), rng, count)
        return Proposal.at(task.space, v, simulate, region)

    def tell(self, task: Problem, state: Known, ask: Proposal, answer: Simulated) -> Known:
        return told(task, state, ask, answer)

    def done(self, task: Problem, state: Known, left: int) -> Done | None:
        return ended(state.counts, self.rounds)

    def finish(self, task: Problem, state: Known, key: Key) -> "LearnedRatio":
        learn, draw = jr.split(key)
        scale, inputs, data = Scale.of(task.space), Inputs.of(task.space), data_of(task)
        ratio = self._learned(inputs, state, learn)
        drawn = _drawn(_Posterior(ratio.at(data), inputs), draw, _HELD, (self.chains, self.draws))
        rows = rows_of(scale, drawn.real)
        notes = [
            f"A ratio by {self.ratio.name}, learned from {len(state.v)} runs"
            + ("." if self.rounds == 1 else f" of {self.rounds} rounds."),
            *drawn.notes,
            *_summed(drawn.log_integral + _log_mean(scale, state, rows)),
        ]
        if state.tally.excluded:
            notes.append(state.tally.sentence())
        notes += around(scale, task, state, rows)
        return LearnedRatio(ratio, drawn.real, data, self.rounds == 1, (self.chains, self.draws), tuple(notes))

    def _learned(self, inputs: Inputs, state: Known, key: Key) -> FittedRatio:
        return self.ratio.fit(inputs.rows(Scale.of(inputs.space).real(state.v)), state.moments, key)


class LearnedRatio(Estimate):
    """A ratio that has been learned, and draws (n, d), on the real scale, of the posterior at the `data` of the fit.

    Where all runs came from the prior (`anywhere`) it is read off at other data too.
    """

    ratio: FittedRatio = eqx.field(static=True)
    real: np.ndarray
    data: np.ndarray
    anywhere: bool = eqx.field(static=True)
    chains: tuple[int, int] = eqx.field(static=True)
    remarks: tuple[str, ...] = eqx.field(static=True)

    def draws(self, problem: Problem, key: Key, count: int) -> np.ndarray:
        """Draws of the posterior at the data of the problem: those of the fit, if they suffice; new ones otherwise."""
        data = data_of(problem)
        own = np.array_equal(data, self.data)
        if not own and not self.anywhere:
            raise MethodError("this ratio was learned near other data: fit anew, or with rounds=1 for any data")
        if own and count <= len(self.real):
            return self.real[systematic(key, np.full(len(self.real), 1.0 / len(self.real)), count)]
        return _drawn(_Posterior(self.ratio.at(data), Inputs.of(problem.space)), key, count, self.chains).real

    def centre(self, problem: Problem) -> np.ndarray:
        """The mean of the draws."""
        return self.draws(problem, jr.key(0), _HELD).mean(0)

    def notes(self) -> tuple[str, ...]:
        return self.remarks


class _Posterior(eqx.Module):
    """The posterior's log-density on the real scale, less a constant."""

    ratio: RatioAt
    inputs: Inputs

    def __call__(self, real: Float[Array, " d"]) -> Float[Array, ""]:
        return self.inputs.space.log_prob_real(real[None])[0] + self.ratio(self.inputs(real))


class _Drawn(NamedTuple):
    """Draws (n, d) on the real scale, the logarithm of the integral of prior times ratio, and what is to be said."""

    real: np.ndarray
    log_integral: float
    notes: tuple[str, ...]


def _drawn(density: _Posterior, key: Key, count: int, chains: tuple[int, int]) -> _Drawn:
    """Draws of a posterior: importance draws, each taken as often as it weighs; where they are worth little, chains."""
    search, more, walk, pick = jr.split(key, 4)
    space, levels = density.inputs.space, partial(nuts.levels, density)
    first = population.found_in(space, levels, search)
    found = population.refined(levels, first, more, max(_LEAST_TRIED, _TRIED * count))
    share = found.effective / len(found.points)
    if share >= _WORTH:
        real = found.points[systematic(pick, found.weights, count)]
        note = (
            f"Its draws are importance draws, {len(found.points)} of them worth {found.effective:.0f} independent ones."
        )
        return _Drawn(real, found.log_integral, (note,))
    path = nuts.walked(density, found, walk, chains[0], max(chains[1], -(-count // chains[0])))
    real = path.path.reshape(-1, path.path.shape[2])
    apart = float((np.abs(real.mean(0) - found.weights @ found.points) / np.maximum(real.std(0), 1e-12)).max())
    notes = [f"{chains[0]} chains of NUTS are worth {path.worst()[1]:.0f} independent draws at the least."]
    notes += nuts.faults(path)
    if apart > _APART + 4.0 / np.sqrt(found.effective):
        notes.append(f"Chains and importance draws differ by {apart:.2g} spreads: do not read the posterior.")
    even = np.full(len(real), 1.0 / len(real))
    return _Drawn(real[systematic(pick, even, count)], found.log_integral, tuple(notes))


def _log_mean(scale: Scale, state: Known, rows: np.ndarray) -> float:
    """The logarithm of how many times as dense as the prior the runs are at draws of the posterior, on average."""
    return float(np.log(pooled(scale, state.parts(), state.counts, rows).mean() / state.counts.sum()))


def _summed(log_sum: float) -> list[str]:
    """Over what runs were drawn from a ratio sums to 1, whatever is given."""
    if abs(log_sum) < np.log(_OFF):
        return []
    return [
        f"Over all runs' parameters the ratio sums to {np.exp(log_sum):.2g} at these data, and a right one to 1: the "
        "classifier is not sure here; give more runs, and check it by pop.amortised_calibration."
    ]
