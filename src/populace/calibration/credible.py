"""Credible sets that hold what they promise: a learned posterior's sets, repaired by runs whose parameters are known.

The score of parameters at some data is their log-density less that of draws in expectation: how typical they are. The
parameters with a score of s or more are a set of highest density, the smallest that holds so much of the posterior; and
if this is right, as much as it holds is the share of data sets in which it holds the truth. It hardly ever is. So s is
calibrated: runs are made at parameters from the prior, the posterior is read off at each, and s is taken such that the
true parameters reach it in as many of them as are promised (split-conformal prediction; Vovk, Gammerman and Shafer
2005; for posteriors Patel, McNamara, Loper, Regier and Tewari 2023, arXiv:2305.14275). Over prior and data together the
promise then holds whatever the posterior is worth. It is not made for every data set alike.
"""

from dataclasses import dataclass
from typing import Any

import jax.random as jr
import numpy as np
from rich.progress import Progress
from scipy.stats import binomtest

from .._errors import MethodError
from .._results import Code, Result, Section, Table, Verdict
from .._types import Key, Parameters
from ..core.executor import Ticker
from ..core.noise import host_generator
from ..core.progress import display
from ..problem.problem import Problem
from .neural_posterior import LearnedPosterior

_SIZE = 0.05
_SHOWN = 2_000
_DRAWS = 8
"""Of the posterior at each data set: what is expected of draws takes few, and ranks among them are fair."""


@dataclass(frozen=True)
class CredibleSet(Result):
    """The parameters that a posterior does not exclude at these data, at a promised probability.

    `probability`: promised; `held`: the share of `datasets` truths that lay in the posterior's own sets at that
    probability; `threshold`: the log-density from which on a point lies in the set; `draws` (n, d): of the posterior,
    on the real scale, and which of them lie `within` (n,).
    """

    problem: Problem
    estimate: LearnedPosterior
    probability: float
    held: float
    datasets: int
    threshold: float
    draws: np.ndarray
    within: np.ndarray

    @property
    def level(self) -> float:
        """The share of the posterior that the set holds, which is what it takes to keep the promise."""
        return float(self.within.mean())

    def holds(self, parameters: Parameters) -> np.ndarray:
        """Which points, name to (m, ...), lie in the set: (m,) bool; none outside the prior."""
        allowed = np.isfinite(np.asarray(self.problem.space.log_prob(parameters)))
        real = np.asarray(self.problem.space.to_real(parameters), np.float64)
        rows = np.where(allowed[:, None], real, self.draws[:1])
        return allowed & (_logs(self.problem, self.estimate, rows) >= self.threshold)

    def log_volume(self) -> float:
        """The logarithm of its volume, on the scale of `LearnedPosterior.log_densities`: of E[1 in the set / density]
        over the draws.
        """
        logs = _logs(self.problem, self.estimate, self.draws[self.within])
        lowest = float(logs.min())
        return float(np.log(np.exp(lowest - logs).sum() / len(self.draws)) - lowest)

    def verdict(self) -> Verdict:
        """Whether the posterior's own sets held what they promise."""
        held = round(self.held * self.datasets)
        p = binomtest(held, self.datasets, self.probability).pvalue
        numbers = {"held": self.held, "promised": self.probability, "level": self.level, "p": float(p)}
        promise = f"{100 * self.probability:.0f} %"
        found = f"the posterior's own {promise} sets held the truth in {held} of {self.datasets} data sets"
        mended = f"this one holds {100 * self.level:.0f} % of it, and keeps the promise"
        if p >= _SIZE:
            return Verdict("the posterior", Code.CALIBRATED, f"Calibrated: {found}; {mended}.", numbers)
        code, what = (
            (Code.OVER_CONFIDENT, "Over-confident") if self.held < self.probability else (Code.TOO_WIDE, "Too wide")
        )
        return Verdict("the posterior", code, f"{what}, and repaired: {found}; {mended}.", numbers)

    def sections(self) -> tuple[Section, ...]:
        flat = np.asarray(self.problem.space.flat(self.problem.space.from_real(self.draws)), np.float64)
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
class Scores:
    """Of the truths of N simulated data sets, in the posterior that is read off at each.

    `own` (N,): how typical they are, the log-density less that of draws in expectation; `places` (N,): the share of the
    posterior that is likelier, uniform on [0, 1] for a right one.
    """

    own: np.ndarray
    places: np.ndarray

    def least(self, probability: float) -> float:
        """The score that a promised share of truths reaches: that of rank ceil((N + 1) p) from above.

        **Raises:** `MethodError` for too few of them to promise it.
        """
        rank = int(np.ceil((self.own.size + 1) * probability))
        if rank > self.own.size:
            needed = int(np.ceil(probability / (1.0 - probability)))
            raise MethodError(
                f"{self.own.size} data sets cannot promise {100 * probability:g} %: give {needed} or more that count"
            )
        return float(np.sort(self.own)[::-1][rank - 1])


def scores(
    problem: Problem,
    estimate: LearnedPosterior,
    key: Key,
    *,
    datasets: int,
    progress: bool | Progress | None = None,
) -> Scores:
    """How typical the true parameters of simulated data sets are of the posterior that is read off at them.

    **Arguments:** `datasets`: runs at parameters from the prior; those that fail are left out.

    **Raises:** `MethodError` for an estimate that cannot be read off at any data; `SimulatorError`.
    """
    if not isinstance(estimate, LearnedPosterior) or estimate.data is not None:
        raise MethodError("only a posterior that holds at any data can be calibrated so: fit NeuralPosterior(rounds=1)")
    prior, simulate, look, ties = jr.split(key, 4)
    truths = problem.space.sample(prior, datasets)
    with display(progress) as shown:
        ticker = Ticker(shown, "calibration of credible sets", datasets)
        data = problem.simulate(truths, jr.split(simulate, datasets), ticker)
    used = ~data.excluded
    moments = data.moments[used][:, problem.target.fitted]
    real = np.asarray(problem.space.to_real(truths), np.float64)[used]
    logs = estimate.log_densities(problem.space, moments, real)
    drawn, expected = estimate.density.typical(moments, look, _DRAWS)
    likelier = (drawn > logs[:, None]).sum(1) + host_generator(ties).random(logs.size)
    return Scores(logs - expected, likelier / (_DRAWS + 1))


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

    **Raises:** `MethodError` for another estimate, or for too few data sets; `SimulatorError`.
    """
    if not 0.0 < probability < 1.0:
        raise MethodError(f"probability={probability}: promise a share between 0 and 1")
    calibrate, look, judge = jr.split(key, 3)
    found = scores(problem, estimate, calibrate, datasets=datasets, progress=progress)
    least = found.least(probability)
    _, expected = estimate.density.typical(np.repeat(_data(problem)[None], _SHOWN // 10, axis=0), judge, _DRAWS)
    threshold = float(expected.mean()) + least
    rows = estimate.draws(problem, look, _SHOWN)
    within = _logs(problem, estimate, rows) >= threshold
    if not within.any():
        raise MethodError("the set holds none of 2,000 draws: the posterior is of no use at these data")
    held = float((found.places <= probability).mean())
    return CredibleSet(problem, estimate, probability, held, found.own.size, threshold, rows, within)


def _logs(problem: Problem, estimate: LearnedPosterior, real: np.ndarray) -> np.ndarray:
    data = _data(problem)
    return estimate.log_densities(problem.space, np.broadcast_to(data, (len(real), data.size)), real)


def _data(problem: Problem) -> np.ndarray:
    return problem.target.values[problem.target.fitted]
