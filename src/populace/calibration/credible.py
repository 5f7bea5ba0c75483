"""Credible sets that hold what they promise: a learned posterior's sets, repaired by runs whose parameters are known.

A posterior's set at a level a holds the parameters that have at most a share a of it further in (`Density.depth`): it
holds a of the posterior, and if this is right, the truth in a share a of data sets. It hardly ever is. So the level is
calibrated: runs are made at parameters from the prior, the posterior is read off at each, and the level is taken that
the true parameters keep in as many of them as are promised (split-conformal prediction; Vovk, Gammerman and Shafer
2005; for posteriors Patel, McNamara, Loper, Regier and Tewari 2023, arXiv:2305.14275). Over prior and data together the
promise then holds whatever the posterior is worth. It is not made for every data set alike.
"""

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import jax.random as jr
import numpy as np
from rich.progress import Progress
from scipy.stats import binomtest

from .._errors import MethodError
from .._results import Code, Result, Section, Table, Verdict
from .._types import Key, Parameters
from ..core.executor import Ticker
from ..core.progress import display
from ..problem.problem import Problem
from .neural_posterior import LearnedPosterior

_SIZE = 0.05
_SHOWN = 2_000
_ALL = 0.995
"""A set of this level is as good as everything."""


@dataclass(frozen=True)
class CredibleSet(Result):
    """The parameters that a posterior does not exclude at these data, at a promised probability.

    `probability`: promised; `level`: of the posterior's own sets, that keeps it; `held`: how many of `datasets` truths
    lay in the posterior's sets at the promised level; `draws` (n, d): of the posterior, on the real scale, and which of
    them lie `within` (n,); `key`: of what depths are drawn by, where they are.
    """

    problem: Problem
    estimate: LearnedPosterior
    probability: float
    level: float
    held: int
    datasets: int
    draws: np.ndarray
    within: np.ndarray
    key: Key

    def holds(self, parameters: Parameters) -> np.ndarray:
        """Which points, name to (m, ...), lie in the set: (m,) bool; none outside the prior."""
        allowed = np.isfinite(np.asarray(self.problem.space.log_prob(parameters)))
        real = np.asarray(self.problem.space.to_real(parameters), np.float64)
        rows = np.where(allowed[:, None], real, self.draws[:1])
        return allowed & (_depths(self.problem, self.estimate, rows, self.key) <= self.level)

    def log_volume(self) -> float:
        """The logarithm of its volume, on the scale of `LearnedPosterior.log_densities`: of E[1 in the set / density]
        over the draws.
        """
        inner = self.draws[self.within]
        moments = np.broadcast_to(_data(self.problem), (len(inner), _data(self.problem).size))
        logs = self.estimate.log_densities(self.problem.space, moments, inner)
        lowest = float(logs.min())
        return float(np.log(np.exp(lowest - logs).sum() / len(self.draws)) - lowest)

    def verdict(self) -> Verdict:
        """Whether the posterior's own sets held what they promise."""
        p = binomtest(self.held, self.datasets, self.probability).pvalue
        share = self.held / self.datasets
        numbers = {"held": share, "promised": self.probability, "level": self.level, "p": float(p)}
        promise = f"{100 * self.probability:.0f} %"
        found = f"the posterior's own {promise} sets held the truth in {self.held} of {self.datasets} data sets"
        mended = f"this set takes the level {self.level:.3f}, which keeps the promise"
        if p >= _SIZE:
            return Verdict("the posterior", Code.CALIBRATED, f"Calibrated: {found}; {mended}.", numbers)
        code, what = (
            (Code.OVER_CONFIDENT, "Over-confident") if share < self.probability else (Code.TOO_WIDE, "Too wide")
        )
        return Verdict("the posterior", code, f"{what}, and repaired: {found}; {mended}.", numbers)

    def sections(self) -> tuple[Section, ...]:
        flat = np.asarray(self.problem.space.flat(self.problem.space.from_real(jnp.asarray(self.draws))), np.float64)
        inner = flat[self.within] if self.within.any() else flat
        rows = tuple(
            (label, float(np.median(column)), float(column.min()), float(column.max()))
            for label, column in zip(self.problem.space.labels, inner.T, strict=True)
        )
        text = (
            f"A {100 * self.probability:.0f} % credible set. It holds the true parameters in at least that share of "
            "data sets, over the prior; not in each data set alike.",
            "The table shows how far it reaches along each parameter: not every combination of these lies in it.",
        )
        table = Table("The set", ("parameter", "median", "lowest", "highest"), rows)
        return (Section("Credible set", text, (self.verdict(),), (), (table,)),)

    def record(self) -> dict[str, Any]:
        return {
            "probability": self.probability,
            "level": self.level,
            "held": self.held,
            "datasets": self.datasets,
            "verdict": self.verdict().record(),
        }


@dataclass(frozen=True)
class Depths:
    """How far out the truths of simulated data sets lie in the posterior that is read off at each: `own` (N,), uniform
    on [0, 1] for a right one; `truths`, name to (N, ...).
    """

    own: np.ndarray
    truths: dict[str, Any]

    def level(self, probability: float) -> float:
        """Of the sets that hold a promised share of truths: the rank ceil((N + 1) p) of N depths.

        **Raises:** `MethodError` for too few of them to promise it, or a posterior that no level repairs.
        """
        rank = int(np.ceil((self.own.size + 1) * probability))
        if rank > self.own.size:
            least = int(np.ceil(probability / (1.0 - probability)))
            raise MethodError(
                f"{self.own.size} data sets cannot promise {100 * probability:g} %: give {least} or more that count"
            )
        level = float(np.sort(self.own)[rank - 1])
        if level > _ALL:
            raise MethodError(
                f"no level of this posterior keeps a promise of {100 * probability:g} %: in more than "
                f"{100 * (1 - probability):.0f} % of {self.own.size} data sets the truth lies beyond "
                f"{100 * _ALL:.1f} % of it. Learn it from more runs"
            )
        return level


def depths(
    problem: Problem,
    estimate: LearnedPosterior,
    key: Key,
    *,
    datasets: int,
    progress: bool | Progress | None = None,
) -> Depths:
    """How far out the true parameters of simulated data sets lie in the posterior that is read off at them.

    **Arguments:** `datasets`: runs at parameters from the prior; those that fail are left out.

    **Raises:** `MethodError` for an estimate that cannot be read off at any data; `SimulatorError`.
    """
    if not isinstance(estimate, LearnedPosterior) or estimate.data is not None:
        raise MethodError("only a posterior that holds at any data can be calibrated so: fit NeuralPosterior(rounds=1)")
    prior, simulate, look = jr.split(key, 3)
    truths = problem.space.sample(prior, datasets)
    with display(progress) as shown:
        ticker = Ticker(shown, "calibration of credible sets", datasets)
        data = problem.simulate(truths, jr.split(simulate, datasets), ticker)
    used = ~data.excluded
    real = np.asarray(problem.space.to_real(truths), np.float64)[used]
    own = estimate.depths(problem.space, data.moments[used][:, problem.target.fitted], real, look)
    return Depths(own, {name: np.asarray(value)[used] for name, value in truths.items()})


def credible_set(
    problem: Problem,
    estimate: LearnedPosterior,
    key: Key,
    *,
    probability: float = 0.9,
    datasets: int = 500,
    progress: bool | Progress | None = None,
) -> CredibleSet:
    """The credible set at a problem's data, whose promise is kept by calibration.

    **Arguments:** `estimate`: of `NeuralPosterior(rounds=1)`; `probability`: promised; `datasets`: runs with known
    parameters that calibrate it. With 500 of them the sets hold 90 +- 1.3 % (one standard error of what is left to
    chance).

    **Raises:** `MethodError` for another estimate, for too few data sets, or where no level keeps the promise;
    `SimulatorError`.
    """
    if not 0.0 < probability < 1.0:
        raise MethodError(f"probability={probability}: promise a share between 0 and 1")
    calibrate, look, judge = jr.split(key, 3)
    found = depths(problem, estimate, calibrate, datasets=datasets, progress=progress)
    level = found.level(probability)
    rows = estimate.draws(problem, look, _SHOWN)
    within = _depths(problem, estimate, rows, judge) <= level
    held = int((found.own <= probability).sum())
    return CredibleSet(problem, estimate, probability, level, held, found.own.size, rows, within, judge)


def _depths(problem: Problem, estimate: LearnedPosterior, real: np.ndarray, key: Key) -> np.ndarray:
    data = _data(problem)
    return estimate.depths(problem.space, np.broadcast_to(data, (len(real), data.size)), real, key)


def _data(problem: Problem) -> np.ndarray:
    return problem.target.values[problem.target.fitted]
