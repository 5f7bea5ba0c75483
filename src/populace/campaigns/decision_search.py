"""How the best decision is looked for: a surrogate of the expected loss, on common random numbers.

As all decisions are tried on the same draws and keys, chance is the same for all of them and what is learned is a plain
function of the decisions. It is the expected loss of these draws: whether it is that of others, runs that are made
after the search say.
"""

import abc
from dataclasses import dataclass

import equinox as eqx
import jax.random as jr
import numpy as np

from .._errors import MethodError
from .._results import Code, Verdict
from .._types import Key
from ..core.executor import Ticker
from ..core.noise import host_generator
from ..surrogates.fitting import fit_surrogate
from ..surrogates.gaussian_process import GaussianProcess
from ..surrogates.optimum_acquisitions import ExpectedImprovement, Foreseen, Thompson
from ..surrogates.regressor import Regressor
from ..surrogates.runs import Runs
from ..surrogates.samplers import Sobol
from ..surrogates.surrogate import Surrogate
from .trying import EDGE, Trying

_EVERYWHERE, _NEAR, _FUNCTIONS = 512, 512, 100
_REACHES = (0.15, 0.03)
_LEAST = 10


@dataclass(frozen=True)
class Searched:
    """What a search found: `unit` (m, d) the points tried, with their `losses` (m, n); `best` (d,), with its expected
    loss as it was `said` to be; `notes`: sentences; `verdicts`: what speaks for or against it.
    """

    unit: np.ndarray
    losses: np.ndarray
    best: np.ndarray
    said: float
    notes: tuple[str, ...]
    verdicts: tuple[Verdict, ...]


class DecisionSearch(eqx.Module):
    """How to look for the best decision. Two methods."""

    @abc.abstractmethod
    def search(self, trying: Trying, key: Key, ticker: Ticker) -> Searched:
        """Try decisions, and say which is the best.

        **Raises:** `MethodError` where it cannot work here.
        """

    @abc.abstractmethod
    def tries(self, decisions: int) -> int:
        """How many decisions are tried, nominally: for the display of progress."""


class BySurrogate(DecisionSearch):
    """A design of the space, and then decisions where a surrogate of the expected loss says that a better one may be.

    **Arguments:** `first`: points of the Sobol design, by default ten for each decision and five more; `rounds`: in
    which a `batch` of decisions is tried each; `acquisition`: which, `ExpectedImprovement()` or `Thompson()`;
    `regressors`: of the surrogate.
    """

    first: int | None = eqx.field(static=True, default=None)
    rounds: int = eqx.field(static=True, default=4)
    batch: int = eqx.field(static=True, default=4)
    acquisition: ExpectedImprovement | Thompson = ExpectedImprovement()
    regressors: tuple[Regressor, ...] = (GaussianProcess(starts=2),)

    def __check_init__(self) -> None:
        if self.rounds < 1 or self.batch < 1 or (self.first is not None and self.first < _LEAST):
            raise MethodError(f"take a round or more of a decision or more, and first={_LEAST} or more")

    def tries(self, decisions: int) -> int:
        return self._first(decisions) + self.rounds * self.batch

    def _first(self, decisions: int) -> int:
        return 5 + 10 * decisions if self.first is None else self.first

    def search(self, trying: Trying, key: Key, ticker: Ticker) -> Searched:
        d, (start, choose) = trying.space.size, jr.split(key)
        unit = np.clip(Sobol().sequence(start, d, 0, self._first(d)), EDGE, 1.0 - EDGE)
        losses = trying.at(unit, ticker)
        generator = host_generator(choose)
        for i in range(self.rounds):
            learned = self._learned(trying, unit, losses)
            points, made = _candidates(learned, unit, losses, generator)
            said = _foreseen(learned, points, made, jr.fold_in(choose, i))
            fresh = points[np.unique(self.acquisition.choose(said, self.batch, generator))]
            unit, losses = np.concatenate([unit, fresh]), np.concatenate([losses, trying.at(fresh, ticker)])
        learned = self._learned(trying, unit, losses)
        points, _ = _candidates(learned, unit, losses, generator)
        expected = learned.predict_unit(points).mean[:, 0]
        best = points[int(expected.argmin())]
        outside = bool(learned.support_unit(best[None]).extrapolating[0])
        code, where = (Code.EXTRAPOLATING, "lies away from") if outside else (Code.INSIDE, "lies among")
        support = Verdict("the search", code, f"The best decision {where} the {len(unit)} that were tried.")
        note = f"{len(unit)} decisions were tried on {trying.draws} draws each, {self._first(d)} of them everywhere."
        return Searched(unit, losses, best, float(expected.min()), (note,), (support,))

    def _learned(self, trying: Trying, unit: np.ndarray, losses: np.ndarray) -> Surrogate:
        means = expected_losses(losses)
        valid = np.asarray(np.isfinite(means))
        runs = Runs(trying.space, unit, means[:, None], valid, ("expected loss",), {})
        return fit_surrogate(runs, jr.key(len(unit)), regressors=self.regressors)


def expected_losses(losses: np.ndarray) -> np.ndarray:
    """The means (m,) of losses (m, n) over the draws that all decisions but the hopeless have; NaN of those, which fail
    in more than half of the draws.
    """
    sound = np.isfinite(losses)
    alive = sound.mean(1) > 0.5
    if not alive.any():
        raise MethodError("no decision has runs that can be used in half of the draws: look at one with counterfactual")
    shared = sound[alive].all(0)
    if not shared.any():
        raise MethodError("there is no draw in which all decisions have a run that can be used: give more draws")
    return np.where(alive, losses[:, shared].mean(1), np.nan)


def _candidates(
    learned: Surrogate, unit: np.ndarray, losses: np.ndarray, generator: np.random.Generator
) -> tuple[np.ndarray, int]:
    """Points (m, d), first those tried; others all over the cube and near the best, up to its faces."""
    d, means = unit.shape[1], expected_losses(losses)
    valid = unit[np.isfinite(means)]
    best = valid[np.argsort(learned.predict_unit(valid).mean[:, 0], kind="stable")[:3]]
    parents = best[generator.integers(0, len(best), _NEAR)]
    reach = np.array(_REACHES)[generator.integers(0, len(_REACHES), (_NEAR, 1))]
    near = parents + reach * generator.standard_normal((_NEAR, d))
    pool = np.concatenate([valid, generator.random((_EVERYWHERE, d)), near])
    return np.clip(pool, EDGE, 1.0 - EDGE), len(valid)


def _foreseen(learned: Surrogate, points: np.ndarray, made: int, key: Key) -> Foreseen:
    """What may be lost at points, in the terms of an acquisition: sums of squares of gaps, the loss less a constant
    that changes no comparison. Another run of a decision would be the same one, so that none has noise.
    """
    drawn = learned.functions_unit(points, key, _FUNCTIONS)
    gaps = np.sqrt(drawn - drawn.min())
    return Foreseen(gaps, np.zeros((len(points), 1)), learned.predict_unit(points).valid, made)
