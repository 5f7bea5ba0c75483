"""Where to run next to find the best fit: what a surrogate of the *moments* says of their distance to the data.

The distance is a sum of squares of what the surrogate knows, gaps of expected moments in independent units, and is
worked out for each joint draw of the gaps: a surrogate of the distance itself would have forgotten the signs (Raul
Astudillo and Peter Frazier 2019, ICML: Bayesian optimization of composite functions). What a run shows besides its
mean, its seed's luck, is nowhere in it: the best so far is the best of a *draw* of the mean at the points of the runs
made (Benjamin Letham, Brian Karrer, Guilherme Ottoni and Eytan Bakshy 2019, Bayesian Analysis 14:495), never the run
that came nearest.
"""

import abc
import functools
from dataclasses import dataclass

import equinox as eqx
import numpy as np

from .acquisitions import Acquisition

_TINY = 1e-12


@dataclass(frozen=True)
class Foreseen:
    """What a surrogate says of m points.

    `gaps` (draws, m, k): what the gaps of expected moments to the data may be, in independent units, jointly over the
    points of a draw; `noise` (m, k): variances of one run's gaps about their mean; `valid` (m,): the probability that a
    run counts. The first `made` points are of runs that were made.
    """

    gaps: np.ndarray
    noise: np.ndarray
    valid: np.ndarray
    made: int

    @functools.cached_property
    def losses(self) -> np.ndarray:
        """Sums of squared gaps, (draws, m)."""
        return (self.gaps**2).sum(2)

    @functools.cached_property
    def repeatable(self) -> np.ndarray:
        """Where another seed changes more than the surrogate does not know, (m,) bool: a run there may be repeated."""
        return self.noise.sum(1) > self.gaps.var(0).sum(1)

    @property
    def free(self) -> np.ndarray:
        """Which points may be chosen at all, (m,) bool: those of runs made only where they may be repeated."""
        return self.repeatable | (np.arange(self.noise.shape[0]) >= self.made)


class OptimumAcquisition(Acquisition[Foreseen]):
    """A choice of where a better fit may be. Where noise rules, a point may be chosen again, or be of a run made."""

    @abc.abstractmethod
    def choose(self, said: Foreseen, count: int, generator: np.random.Generator) -> np.ndarray: ...


class ExpectedImprovement(OptimumAcquisition):
    """Where the loss is expected to fall most below the best of the runs' points: the mean over draws of what it falls
    by. A point that is chosen counts as run for the next, draw by draw, so that a batch does not huddle.
    """

    def choose(self, said: Foreseen, count: int, generator: np.random.Generator) -> np.ndarray:
        losses, expected, free = said.losses, said.losses.mean(0), said.free
        best, chosen = losses[:, : said.made].min(1), np.zeros(count, int)
        for i in range(count):
            gain = np.maximum(best[:, None] - losses, 0.0).mean(0) * said.valid
            # Where no draw improves any more, the lowest expected loss.
            score = gain if (gain[free] > _TINY).any() else -expected
            chosen[i] = at = int(np.where(free, score, -np.inf).argmax())
            free[at] = said.repeatable[at]
            free |= not free.any()
            best = np.minimum(best, losses[:, at])
        return chosen


class Thompson(OptimumAcquisition):
    """The best point of one draw after another (William Thompson 1933, Biometrika 25:285): as often as it may be the
    best. Draws that agree on a point repeat it where noise rules, and take the next best where it does not.
    """

    def choose(self, said: Foreseen, count: int, generator: np.random.Generator) -> np.ndarray:
        draws = len(said.losses)
        order = np.concatenate([generator.permutation(draws) for _ in range(-(-count // draws))])[:count]
        free, chosen = said.free, np.zeros(count, int)
        for i, draw in enumerate(order):
            score = said.losses[draw] / np.maximum(said.valid, _TINY)
            chosen[i] = at = int(np.where(free, score, np.inf).argmin())
            free[at] = said.repeatable[at]
            free |= not free.any()
        return chosen


class KnowledgeGradient(OptimumAcquisition):
    """Where a run, with its noise, is expected to lower the least expected loss most (Peter Frazier, Warren Powell and
    Savas Dayanik 2009, INFORMS Journal on Computing 21:599).

    What a run at c tells of a gap at x lowers its variance by cov(x, c)^2 / (var(c) + noise(c)), by the correlation of
    draws, and moves its mean by as much, whatever the regressor. A chosen run counts as made for the next, so that
    where noise rules a point is repeated, and elsewhere it is not.

    **Arguments:** `outcomes`: of a run that are averaged over.
    """

    outcomes: int = eqx.field(static=True, default=16)

    def choose(self, said: Foreseen, count: int, generator: np.random.Generator) -> np.ndarray:
        mean, away = said.gaps.mean(0), said.gaps - said.gaps.mean(0)
        spread = np.einsum("smk,snk->kmn", away, away, optimize=True) / max(len(away) - 1, 1)
        normal = generator.standard_normal((self.outcomes // 2, mean.shape[1]))
        normal = np.concatenate([normal, -normal])
        chosen = np.zeros(count, int)
        for i in range(count):
            known = np.einsum("kmm->mk", spread) + said.noise
            steps = spread / np.sqrt(np.maximum(known.T, _TINY))[:, None, :]  # (k, x, c)
            least = self._least(mean, np.einsum("kmm->m", spread), steps, normal)
            chosen[i] = at = int((np.where(said.valid > 0.5, least, np.inf)).argmin())
            step = steps[:, :, at]
            spread = spread - step[:, :, None] * step[:, None, :]
        return chosen

    def _least(self, mean: np.ndarray, doubt: np.ndarray, steps: np.ndarray, normal: np.ndarray) -> np.ndarray:
        """The least expected loss, averaged over outcomes, after a run at each candidate, (m,)."""
        left = doubt[:, None] - (steps**2).sum(0)
        total = np.zeros(mean.shape[0])
        for z in normal:
            moved = mean.T[:, :, None] + steps * z[:, None, None]
            total += ((moved**2).sum(0) + left).min(0)
        return total / len(normal)
