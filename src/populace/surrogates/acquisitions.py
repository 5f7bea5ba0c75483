"""Where to run next: what an acquisition is, and those that learn where runs are acceptable.

Those of the region ask which of many candidates a classifier would learn most from. Those of the optimum and of the
posterior stand in files of their own, and `Bandit` shares a batch among several of a kind.

A batch of the best would be a batch of the same: scores are shaken, so that it is a draw in proportion to a power of
them (Kirsch and others 2023, Transactions on Machine Learning Research: stochastic batch acquisition).
"""

import abc
import functools
from typing import Generic, TypeVar

import equinox as eqx
import jax.random as jr
import numpy as np
from scipy.stats import norm

from .samplers import Sobol

_TINY = 1e-12

Said = TypeVar("Said")
"""What is said of candidates before one is chosen."""


class Acquisition(eqx.Module, Generic[Said]):
    """A choice among candidates. One method."""

    @abc.abstractmethod
    def choose(self, said: Said, count: int, generator: np.random.Generator) -> np.ndarray:
        """Indices (count,) of candidates, the most wanted first. They differ, but where a candidate is to be run more
        than once (and its kind of acquisition says so).

        **Arguments:** `said`: for a region (members, m), each member's probability that a run at a candidate is
        acceptable; for an optimum a `Foreseen`; for a posterior a `WeighedDraws`.
        """


class Entropy(Acquisition[np.ndarray]):
    """Where it is least known whether a run is acceptable: the entropy of the mean probability, to a power."""

    power: float = eqx.field(static=True, default=3.0)

    def choose(self, said: np.ndarray, count: int, generator: np.random.Generator) -> np.ndarray:
        return shaken(self.power * np.log(np.maximum(entropy(said.mean(0)), _TINY)), count, generator)


class Disagreement(Acquisition[np.ndarray]):
    """Where members contradict each other: entropy of the mean less mean entropy, to a power (Houlsby and others 2011,
    arXiv:1112.5745). What another seed decides is not asked for again.
    """

    power: float = eqx.field(static=True, default=3.0)

    def choose(self, said: np.ndarray, count: int, generator: np.random.Generator) -> np.ndarray:
        score = entropy(said.mean(0)) - entropy(said).mean(0)
        return shaken(self.power * np.log(np.maximum(score, _TINY)), count, generator)


class Straddle(Acquisition[np.ndarray]):
    """Near the edge and unsure of it: 1.96 sd - |mean| of the members' probits (Bryan and others 2005, NIPS 18)."""

    power: float = eqx.field(static=True, default=3.0)

    def choose(self, said: np.ndarray, count: int, generator: np.random.Generator) -> np.ndarray:
        probits = norm.ppf(np.clip(said, 1e-6, 1.0 - 1e-6))
        return shaken(self.power * (1.96 * probits.std(0) - np.abs(probits.mean(0))), count, generator)


class PositivesThenEntropy(Acquisition[np.ndarray]):
    """Candidates called acceptable (above a half), at random; where they are too few, those of the largest entropy.

    The scheme of Lamperti, Roventini and Sani (2018, Journal of Economic Dynamics and Control 90:366).
    """

    def choose(self, said: np.ndarray, count: int, generator: np.random.Generator) -> np.ndarray:
        mean = said.mean(0)
        positive = np.flatnonzero(mean > 0.5)
        picked = generator.permutation(positive)[:count]
        rest = np.setdiff1d(np.argsort(-entropy(mean), kind="stable")[: 2 * count], positive, assume_unique=True)
        others = rest[np.argsort(-entropy(mean[rest]), kind="stable")]
        return np.concatenate([picked, others[: count - picked.size]])


class Passive(Acquisition[np.ndarray]):
    """Candidates at random: what every other acquisition has to beat."""

    def choose(self, said: np.ndarray, count: int, generator: np.random.Generator) -> np.ndarray:
        return generator.permutation(said.shape[1])[:count]


class Candidates(eqx.Module):
    """Where a run may be made next. One method."""

    @abc.abstractmethod
    def points(self, inputs: np.ndarray, ratios: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """Candidates (m, d) in the unit cube, given the runs so far, (n, d) and (n,) distances over the tolerance."""


class Evolving(Candidates):
    """Points all over the cube, and around the best runs so far: these changed a little, or crossed with others.

    With acceptance rarer than one in a thousand, chance alone puts next to no candidate into the region.

    **Arguments:** `everywhere`: points of the first kind; `near`: of each other kind; `best`: how many runs they start
    from; `reach`: standard deviation of a change.
    """

    everywhere: int = eqx.field(static=True, default=16_384)
    near: int = eqx.field(static=True, default=4_096)
    best: int = eqx.field(static=True, default=50)
    reach: float = eqx.field(static=True, default=0.1)

    def points(self, inputs: np.ndarray, ratios: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        d = inputs.shape[1]
        order = np.argsort(np.where(np.isfinite(ratios), ratios, np.inf), kind="stable")[: self.best]
        parents = inputs[order][generator.integers(0, order.size, self.near)]
        changed = self.reach * generator.standard_normal(parents.shape) * (generator.random(parents.shape) < 0.5)
        moved = reflected(parents + changed)
        crossed = np.where(generator.random(parents.shape) < 0.3, generator.random(parents.shape), parents)
        return np.concatenate([generator.random((self.everywhere, d)), moved, crossed])


class Pool(Candidates):
    """The same points in every round, the beginning of a Sobol sequence, less those that were run."""

    size: int = eqx.field(static=True, default=1_000_000)

    def points(self, inputs: np.ndarray, ratios: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        pool = _beginning(self.size, inputs.shape[1])
        return pool[~np.isin(pool[:, 0], inputs[:, 0])]


@functools.lru_cache(maxsize=1)
def _beginning(size: int, numbers: int) -> np.ndarray:
    return Sobol().sequence(jr.key(0), numbers, 0, size)


def entropy(probability: np.ndarray) -> np.ndarray:
    """Of coins that fall heads with these probabilities, in nats."""
    p = np.clip(probability, _TINY, 1.0 - _TINY)
    return -(p * np.log(p) + (1.0 - p) * np.log1p(-p))


def shaken(log_scores: np.ndarray, count: int, generator: np.random.Generator) -> np.ndarray:
    """Indices (count,) drawn one after another without replacement, in proportion to exp(log_scores) (Gumbel top-k)."""
    return np.argsort(-(log_scores + generator.gumbel(size=log_scores.size)), kind="stable")[:count]


def reflected(points: np.ndarray) -> np.ndarray:
    """Points (m, d) folded back into the unit cube at its faces; for steps shorter than the cube."""
    return np.clip(1.0 - np.abs(1.0 - np.abs(points)), 0.0, 1.0)
