"""An ensemble smoother: draws of the posterior as fits, each to data and a prior of its own luck.

Randomised maximum likelihood (Dean Oliver, Nanqun He and Albert Reynolds 1996, European Conference on the Mathematics
of Oil Recovery): draw number i minimises |m(z) - e_i|^2 / T + |z - c_i|^2, where m is the gap of expected moments to
the data in independent units, e_i ~ N(0, T I), c_i ~ N(0, I), the prior on its normal scale, and T = 1. Where m is
linear that is the posterior, exactly; where the data say nothing a draw stays where its prior put it; on a ridge of
parameters that fit alike draws lie along it, however thin it is. As in ensemble smoothers (Alexandre Emerick and Albert
Reynolds 2013, Computers & Geosciences 55, 3-15) the temperature falls to 1 in waves, a run at each draw in each, and
slopes are learned from all runs; here not by one regression but near each draw (`local_regression.py`), so that ridges
may bend and answers be several.

For the exact shares of several answers, or the exact density along a curved ridge, take a method that weighs its draws.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from scipy.special import ndtr, ndtri
from scipy.stats import chi2

from .._errors import MethodError
from .._results import Code
from .._types import Key, Parameters
from ..core.host import split
from ..core.noise import host_generator
from ..core.rounds import Done, Method
from ..problem.problem import Problem, Simulate, Simulated
from ..problem.space import Space
from .estimates import Posterior
from .judgement import whitened
from .local_regression import NEIGHBOURS, LocalRegression
from .searches import EDGE, Searches, searched
from .tally import Tally

_FIRST = 0.25
"""The share of the budget that the first wave, of runs from the prior, takes."""
_AMONG = 30
"""A draw starts at the nearest to the data of so many runs."""
_COOLER = 5.0
_LAST = 3
"""Waves at a temperature of 1, at the least."""
_LEAST = 20
_STEPS = 5
_JUDGES = 200
_RECENT = 20.0
"""A regression rests on the runs of waves up to so many times as warm, where these suffice."""
_NOISE = 0.5
"""The regression's own noise adds about so much."""


class Waves(eqx.Module):
    """The state: all runs so far, at `z` (N, d) with moments (N, all), NaN where a run does not count, `born` (N,) at
    what temperature; the draws' own luck, `wanted` (n, k) at T = 1 and `centre` (n, d); where they are, `draws` (n, d),
    and their `losses` |m|^2 / T; the temperature of each wave; calls unspent.
    """

    z: np.ndarray
    moments: np.ndarray
    born: np.ndarray
    wanted: np.ndarray
    centre: np.ndarray
    draws: np.ndarray
    losses: np.ndarray
    heats: np.ndarray
    left: np.ndarray
    tally: Tally


class EnsembleSmoother(Method[Problem, Waves, Posterior]):
    """Draws of the posterior by randomised maximum likelihood, with slopes learned near each from all runs.

    For simulators of which thousands of runs are cheap; on thin and curved ridges, where particles and chains go
    astray, and wherever the question is what the moments identify.

    **Arguments:** `draws`: how many, or fewer where the budget does not suffice; `waves`: after the first, at the most.
    """

    draws: int = eqx.field(static=True, default=400)
    waves: int = eqx.field(static=True, default=16)

    def start(self, task: Problem, key: Key, budget: int) -> Waves:
        d, k = task.space.size, len(task.target.labels)
        whitened(task, np.zeros((1, k)))  # refuses a target without a covariance
        least = 4 * LocalRegression.least(d) + _LEAST * (_LAST + 3)
        if budget < least:
            raise MethodError(f"{budget} calls are too few for {d} parameters: give {least} or more")
        if self.draws < _LEAST or self.waves < _LAST:
            raise MethodError(f"take {_LEAST} draws and {_LAST} waves at the least")
        task.space.from_unit(jnp.full((1, d), 0.5))  # refuses priors whose numbers depend on each other
        none, nothing = np.zeros((0, d)), np.zeros((0, int(task.target.fitted.sum())))
        return Waves(
            none,
            np.zeros((0, k)),
            np.zeros(0),
            nothing,
            none,
            none,
            np.zeros(0),
            np.zeros(0),
            np.array(budget),
            Tally.empty(),
        )

    def ask(self, task: Problem, state: Waves, key: Key) -> Simulate:
        if not len(state.z):
            count = int(_FIRST * int(state.left))
            z = host_generator(key).standard_normal((count, task.space.size))
        else:
            z = state.draws
        return Simulate(at(task.space, z), split(jr.fold_in(key, 1), len(z)))

    def tell(self, task: Problem, state: Waves, ask: Simulate, answer: Simulated) -> Waves:
        left, tally = int(state.left) - ask.calls(), state.tally.with_(answer)
        z = np.concatenate([state.z, scaled(task.space, ask.parameters)])
        moments = np.concatenate([state.moments, np.where(answer.excluded[:, None], np.nan, answer.moments)])
        gaps = gaps_of(task, moments)
        rng = host_generator(ask.keys[0])
        wanted, centre, draws, heats = state.wanted, state.centre, state.draws, state.heats
        if not len(draws):
            if np.isfinite(gaps).all(1).sum() < LocalRegression.least(task.space.size):
                raise MethodError("too few runs of the prior can be compared with the data: narrow the priors")
            count = min(self.draws, max(_LEAST, left // self.waves))
            wanted = rng.standard_normal((count, gaps.shape[1]))
            centre = rng.standard_normal((count, task.space.size))
            far = (gaps**2).sum(1)
            among = rng.integers(len(z), size=(count, _AMONG))
            draws = z[among[np.arange(count), far[among].argmin(1)]]
            heat = max(1.0, float(np.quantile(far[np.isfinite(far)], 0.1)) / gaps.shape[1])
        else:
            heat = max(1.0, heats[-1] / _COOLER)
        sound = np.isfinite(gaps).all(1)
        born = np.concatenate([state.born, np.full(len(ask.keys), heats[-1] if len(heats) else np.inf)])
        recent = sound & (born <= _RECENT * heat)
        if recent.sum() < LocalRegression.rich(task.space.size):
            recent = sound
        known = LocalRegression(z[recent], gaps[recent], neighbours_for(z[recent], gaps[recent], ask.calls()))
        draws, near = searched(Searches(np.sqrt(heat) * wanted, centre), known, draws, heat, _STEPS)
        losses = (near.mean**2).sum(1) / heat
        return Waves(z, moments, born, wanted, centre, draws, losses, np.append(heats, heat), np.array(left), tally)

    def done(self, task: Problem, state: Waves, left: int) -> Done | None:
        made, n = len(state.heats), len(state.draws)
        cold = int((state.heats <= 1.0).sum())
        if not made or (cold <= _LAST and made <= self.waves and left >= n):
            return None
        if cold:
            return Done(Code.CONVERGED, f"{n} draws were fitted to the data's own errors in {cold} of {made} waves")
        return Done(
            Code.BUDGET_SPENT, f"after {made} waves the draws still are {state.heats[-1]:.3g} times as loose as data"
        )

    def finish(self, task: Problem, state: Waves, key: Key) -> Posterior:
        came = arrived(state.losses, task.space.size)
        real = np.asarray(task.space.to_real(at(task.space, state.draws[came])), np.float64)
        notes = [
            f"{int(came.sum())} of {came.size} draws, each a fit of its own, came as near to their data as the best of "
            "them; the others are left out. Several answers are shown by how many fits found them."
        ]
        if state.tally.excluded:
            notes.append(state.tally.sentence())
        moments = np.full((len(real), len(task.target.labels)), np.nan)
        return Posterior(real, np.full(len(real), 1.0 / len(real)), moments, tuple(notes))


def neighbours_for(z: np.ndarray, gaps: np.ndarray, new: int) -> int:
    """How many runs a coefficient the regression shall take: as many as tell the last `new` runs best from those before
    them. Few follow the moments' bends, many average the model's luck.
    """
    before, last = slice(0, len(z) - new), slice(len(z) - new, None)
    old = np.asarray(np.isfinite(gaps[before]).all(1))
    fresh = np.flatnonzero(np.isfinite(gaps[last]).all(1))[:_JUDGES]
    if old.sum() < LocalRegression.least(z.shape[1]) or not fresh.size:
        return NEIGHBOURS[0]
    missed = []
    for count in NEIGHBOURS:
        known = LocalRegression(z[before][old], gaps[before][old], count)
        left = gaps[last][fresh] - known.near(z[last][fresh]).mean
        missed.append(float(np.median((left**2).mean(1))))
    return NEIGHBOURS[int(np.argmin(missed))]


def arrived(losses: np.ndarray, d: int) -> np.ndarray:
    """Which draws (n,) are about as near to the data as the best twentieth, by |m|^2: above its least that is
    chi-squared with d degrees of freedom at the most where m is linear.
    """
    return np.asarray(losses <= np.quantile(losses, 0.05) + chi2.ppf(0.999, d) * (1.0 + _NOISE))


def gaps_of(task: Problem, moments: np.ndarray) -> np.ndarray:
    """Gaps (n, k) of moments (n, all) to the data, in independent units; NaN for a run without one of them."""
    sound = np.isfinite(moments[:, task.target.fitted]).all(axis=1, keepdims=True)
    return np.where(sound, whitened(task, moments), np.nan)


def at(space: Space, z: np.ndarray) -> dict[str, jax.Array]:
    """The batch at points (n, d) of the prior's normal scale."""
    return space.from_unit(ndtr(z))


def scaled(space: Space, batch: Parameters) -> np.ndarray:
    """A batch on the prior's normal scale, (n, d)."""
    unit = np.asarray(space.cdf(batch), np.float64)
    return np.clip(ndtri(np.clip(unit, 1e-6, 1.0 - 1e-6)), -EDGE, EDGE)
