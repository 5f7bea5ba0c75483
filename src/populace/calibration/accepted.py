"""The region of acceptable parameters, as a classifier of runs has learned it: an estimate, its size and its edge.

Draws follow the prior times the probability that a run is within the tolerance, which is the posterior of approximate
Bayesian computation at that tolerance. They come from prior draws, resampled by that probability, which then walk by
differences of each other (ter Braak 2006, Statistics and Computing 16:239), so that a region too rare for prior draws
is filled as well.
"""

import equinox as eqx
import numpy as np

from .._types import Key, Parameters
from ..core.noise import host_generator
from ..problem.problem import Problem
from ..surrogates.acceptance import FittedClassifier, accepted, f1_threshold
from .estimates import Estimate

_LOOKED = 1 << 16
_CHAINS = 2_000
_SWEEPS = 60
_JUMP = 0.1
"""The share of moves that propose a point anywhere."""
_EDGE = 1e-6


class AcceptedRegion(Estimate):
    """Parameters whose runs come within a tolerance of the data.

    `classifier`: what was learned; `unit` (n, d), `ratios` (n,): the runs it was learned from, on the priors'
    probability scale, and their distance over the tolerance; `threshold`: the probability from which a point is called
    acceptable; `share`: of the prior that is acceptable, one seed a point, and `share_spread`: its standard deviation
    over members.
    """

    classifier: FittedClassifier = eqx.field(static=True)
    unit: np.ndarray
    ratios: np.ndarray
    threshold: float
    share: float
    share_spread: float
    remarks: tuple[str, ...] = eqx.field(static=True)

    def probability(self, problem: Problem, parameters: Parameters) -> np.ndarray:
        """The probability that a run is acceptable, at points name to (m, ...): (m,); 0 outside the prior."""
        within = np.isfinite(np.asarray(problem.space.log_prob(parameters)))
        unit = np.asarray(problem.space.cdf(parameters), np.float64)
        return np.where(within, self.classifier.probabilities(unit).mean(0), 0.0)

    def acceptable(self, problem: Problem, parameters: Parameters) -> np.ndarray:
        """Which points are called acceptable, (m,) bool: whose probability is at least the threshold."""
        return self.probability(problem, parameters) >= self.threshold

    def draws(self, problem: Problem, key: Key, count: int) -> np.ndarray:
        unit = walked(self.classifier, self.unit, self.ratios, host_generator(key), max(count, _CHAINS))
        chosen = host_generator(key).permutation(len(unit))[:count]
        return real_of(problem, unit[chosen])

    def centre(self, problem: Problem) -> np.ndarray:
        """The likeliest of the runs' points: the mean of a region need not lie in it."""
        return real_of(problem, self.unit[[int(self.classifier.probabilities(self.unit).mean(0).argmax())]])[0]

    def notes(self) -> tuple[str, ...]:
        return self.remarks


def real_of(problem: Problem, unit: np.ndarray) -> np.ndarray:
    """Points on the priors' probability scale, on the real scale of the space, (m, d)."""
    held = np.clip(unit, _EDGE, 1.0 - _EDGE)
    return np.asarray(problem.space.to_real(problem.space.from_unit(held)), np.float64)


def sized(classifier: FittedClassifier, size: int, generator: np.random.Generator) -> tuple[float, float, float]:
    """The threshold with the largest expected F1, the acceptable share of the prior and its spread over members."""
    said = classifier.probabilities(generator.random((_LOOKED, size)))
    each = said.mean(1)
    spread = float(each.std(ddof=1)) if each.size > 1 else float("nan")
    return f1_threshold(said.mean(0))[0], float(each.mean()), spread


def walked(
    classifier: FittedClassifier, unit: np.ndarray, ratios: np.ndarray, generator: np.random.Generator, count: int
) -> np.ndarray:
    """Points (count, d) of the unit cube that follow the classifier's mean probability; where that is 0 wherever it was
    looked for, points all over the cube.
    """
    d = unit.shape[1]
    first = np.concatenate([generator.random((_LOOKED, d)), unit[accepted(ratios)]])
    chance = classifier.probabilities(first).mean(0)
    if not chance.sum() > 0.0:
        return generator.random((count, d))
    picked = generator.choice(len(first), count, p=chance / chance.sum())
    at, level = first[picked], chance[picked]
    for sweep in range(_SWEEPS):
        others = generator.integers(0, count, (2, count))
        # Now and then as far as two chains lie apart: from one part of the region to another.
        scale = 1.0 if sweep % 10 == 9 else 2.38 / np.sqrt(2.0 * d)
        step = scale * (at[others[0]] - at[others[1]]) + 1e-4 * generator.standard_normal(at.shape)
        anywhere = generator.random(count) < _JUMP
        proposed = np.where(anywhere[:, None], generator.random(at.shape), at + step)
        inside = ((proposed > 0.0) & (proposed < 1.0)).all(1)
        there = np.where(inside, classifier.probabilities(np.clip(proposed, 0.0, 1.0)).mean(0), 0.0)
        moved = generator.random(count) * level < there
        at, level = np.where(moved[:, None], proposed, at), np.where(moved, there, level)
    return at
