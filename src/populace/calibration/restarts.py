"""Searches that begin at points apart and go downhill without a look at each other: whether they end alike is a check.

Each walks on a local regression of all runs made so far, whoever asked for them (`searches.py`), and asks for runs
around where it stands, nearer in every wave.
"""

from dataclasses import dataclass

import equinox as eqx
import numpy as np
from scipy.stats import chi2

from .._errors import MethodError
from ..problem.problem import Problem
from ..problem.space import Space
from .ensemble_smoother import at, gaps_of, neighbours_for
from .judgement import scales
from .local_regression import NEIGHBOURS, LocalRegression
from .sandwich import Linearised
from .searches import EDGE, Searches, searched

WAVES = 4
FIRST = 0.5
"""The share of the search's runs that cover the prior."""
_WIDTHS = (0.5, 0.25, 0.12, 0.06)
"""How far runs of a wave lie around a restart, in standard deviations on the prior's normal scale."""
_AMONG = 0.1
"""Restarts begin among the best such share of the first runs."""
_STEPS = 10
_PULL = 1e-3
"""How much less where a search began counts than the data: enough to stand still where nothing reacts."""
_LEVEL = 0.99


class Restarts(eqx.Module):
    """Where n restarts stand, `z` (n, d) on the prior's normal scale; their `losses` (n,) |g|^2 by regression, infinite
    for one that was dropped, `noise` (n,), the errors of these, and how many waves were.
    """

    z: np.ndarray
    losses: np.ndarray
    noise: np.ndarray
    waves: np.ndarray

    @staticmethod
    def none(d: int) -> "Restarts":
        """Before the first runs."""
        return Restarts(np.zeros((0, d)), np.zeros(0), np.zeros(0), np.array(0))

    @staticmethod
    def begun(task: Problem, z: np.ndarray, moments: np.ndarray, count: int) -> "Restarts":
        """After the runs at z (N, d) with moments (N, K): each begins at one of the best, as far from the others as
        these are, and goes downhill.
        """
        d, gaps = task.space.size, gaps_of(task, moments)
        losses = (gaps**2).sum(1)
        sound = np.flatnonzero(np.isfinite(losses))
        if len(sound) < max(LocalRegression.least(d), count):
            raise MethodError(
                f"only {len(sound)} of {len(z)} runs of the prior can be compared with the data: narrow the priors, or "
                "raise the budget"
            )
        best = sound[np.argsort(losses[sound], kind="stable")[: max(2 * count, int(_AMONG * len(sound)))]]
        chosen = [best[0]]
        far = np.full(len(best), np.inf)
        while len(chosen) < count:
            far = np.minimum(far, ((z[best] - z[chosen[-1]]) ** 2).sum(1))
            chosen.append(best[int(far.argmax())])
        return _downhill(task, z, gaps, z[chosen], NEIGHBOURS[0], 0)

    @property
    def best(self) -> int:
        """Which has the smallest loss."""
        return int(self.losses.argmin())

    def around(self, runs: int, rng: np.random.Generator) -> np.ndarray:
        """Points around each, about `runs` (m, d)."""
        each = max(1, runs // len(self.z))
        noise = rng.standard_normal((len(self.z), each, self.z.shape[1]))
        points = self.z[:, None] + _WIDTHS[int(self.waves)] * noise
        return np.clip(points.reshape(-1, self.z.shape[1]), -EDGE, EDGE)

    def moved(self, task: Problem, z: np.ndarray, moments: np.ndarray, new: int) -> "Restarts":
        """After a wave: z (N, d) with moments (N, K), of which the last `new` are its own."""
        gaps = gaps_of(task, moments)
        return _downhill(task, z, gaps, self.z, neighbours_for(z, gaps, new), int(self.waves) + 1)

    def weighed_anew(self, task: Problem, z: np.ndarray, moments: np.ndarray) -> "Restarts":
        """By another weight of the moments, from the same runs."""
        gaps = gaps_of(task, moments)
        return _downhill(task, z, gaps, self.z, NEIGHBOURS[0], int(self.waves))

    def without_best(self) -> "Restarts":
        """With the best dropped."""
        losses = np.where(np.arange(len(self.z)) == self.best, np.inf, self.losses)
        return Restarts(self.z, losses, self.noise, self.waves)


def _downhill(
    task: Problem, z: np.ndarray, gaps: np.ndarray, starts: np.ndarray, neighbours: int, waves: int
) -> Restarts:
    """Each start by itself, so that none hears of a better one."""
    sound = np.isfinite(gaps).all(1)
    known = LocalRegression(z[sound], gaps[sound], neighbours)
    nothing = np.zeros((1, gaps.shape[1]))
    heat = _PULL * min(1.0, float(np.quantile((gaps[sound] ** 2).mean(1), 0.1)))
    ends = [searched(Searches(nothing, one[None]), known, one[None], heat, _STEPS) for one in starts]
    losses = np.array([float((near.mean**2).sum()) for _, near in ends])
    doubt = np.array([float(near.doubt[0]) for _, near in ends])
    noise = 2.0 * np.sqrt(losses * doubt) + gaps.shape[1] * doubt
    return Restarts(np.concatenate([end for end, _ in ends]), losses, noise, np.array(waves))


@dataclass(frozen=True)
class Agreement:
    """Of `restarts`, how many ended at the estimate, `same`; as near to the data `elsewhere`; the rest farther away.
    `rank`: how many combinations of parameters the moments react to; `full`: whether that is all.
    """

    restarts: int
    same: int
    elsewhere: int
    rank: int
    full: bool

    @property
    def short(self) -> str:
        """In a clause."""
        return f"{self.same} of {self.restarts} restarts ended there"

    @property
    def sentence(self) -> str:
        """In words, with what to do."""
        if not self.rank:
            return f"Whether the {self.restarts} restarts agree is not known: no moment reacts beyond its noise."
        left = self.restarts - self.same - self.elsewhere
        said = f"Of {self.restarts} restarts {self.same} ended at the estimate, within the errors"
        said += f", and {left} farther from the data" if left else ""
        if not self.elsewhere:
            return f"{said}."
        several = "there may be several answers, of which this is one" if self.full else "answers lie along a ridge"
        return f"{said}; {self.elsewhere} came as near to the data elsewhere: {several}. A posterior shows all of them."


def agreement(space: Space, restarts: Restarts, centre: np.ndarray, near: Linearised) -> Agreement:
    """Where restarts ended, beside the estimate's `centre` (d,) in prior spreads, around which the model is `near`.

    One is at the estimate if it lies within the 99 % ellipsoid of its sampling error and its regression's (directions
    that no moment reacts to do not count), and as near to the data if its loss is not larger by more than that.
    """
    middle, width = scales(space)
    real = np.asarray(space.to_real(at(space, restarts.z)), np.float64)
    along = ((real - middle) / width - centre) @ near.directions[:, : near.rank]
    apart = (along**2 * near.squares[: near.rank]).sum(1)
    most = float(chi2.ppf(_LEVEL, max(near.rank, 1)))
    same = apart <= most + 2.0 * restarts.noise
    low = restarts.losses - restarts.losses.min() <= most + 2.0 * restarts.noise
    return Agreement(len(restarts.z), int(same.sum()), int((low & ~same).sum()), near.rank, near.full)
