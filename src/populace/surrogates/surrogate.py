"""A surrogate: what stands in for a simulator, and knows where it may."""

from dataclasses import dataclass, replace
from typing import Any

import jax.random as jr
import numpy as np

from .._errors import ProblemError
from .._results import Band, BandPanel, Figure, Points, Result, Section, Table
from .._types import Key, Parameters
from ..core.noise import host_generator
from ..problem.space import Space
from .basis import Basis
from .conformal import Conformal
from .mixture import Mixture
from .regressor import Prediction
from .runs import Runs
from .support import Guard, Support
from .validity import Validity

_LEVELS = (0.5, 0.8, 0.9, 0.95)


@dataclass(frozen=True)
class Emulated(Prediction):
    """What a surrogate says at m points of k moments: `mean`, `noise` and `epistemic` (variances), (m, k) each, of runs
    that count; `valid` (m,): the probability that a run there counts.
    """

    valid: np.ndarray


@dataclass(frozen=True)
class Tried:
    """A regressor in the cross-validation: its `name`, `share` of the surrogate, `squared` error as a share of the
    moments' variance, and `log` loss.
    """

    name: str
    share: float
    squared: float
    log: float


@dataclass(frozen=True)
class Surrogate(Result):
    """Moments as a function of parameters, learned from runs.

    `runs`: what it learned from; `basis`: how moments are made of what is learned; `fitted`: that; `inflation` (k,): by
    which variances were multiplied so that left-out runs are as far away as they say; `correlation` (k, k): of one
    run's moments about their mean; `validity`; `conformal`; `guard`; `tried`: the cross-validation, whose `score`
    decided; `checked`: left-out predictions and runs, for a picture.

    Points are batches, name to (m, ...). Whatever is asked of a point beyond the priors is answered for the nearest
    point within, and `support` says so.
    """

    runs: Runs
    basis: Basis
    fitted: Mixture
    inflation: np.ndarray
    correlation: np.ndarray
    validity: Validity
    conformal: Conformal
    guard: Guard
    score: str
    tried: tuple[Tried, ...]
    checked: tuple[Prediction, np.ndarray]

    @property
    def space(self) -> Space:
        """The parameters."""
        return self.runs.space

    @property
    def labels(self) -> tuple[str, ...]:
        """The moments' names, (k,)."""
        return self.runs.labels

    def predict(self, points: Parameters) -> Emulated:
        """Mean, noise variance, epistemic variance and the probability that a run counts."""
        return self.predict_unit(np.asarray(self.space.cdf(points), np.float64))

    def predict_unit(self, unit: np.ndarray) -> Emulated:
        """`predict` at points (m, d) on the priors' probability scale."""
        said = inflated(self.basis.back(self.fitted.predict(unit)), self.inflation)
        return Emulated(said.mean, said.noise, said.epistemic, self.validity(unit))

    def functions(self, points: Parameters, key: Key, draws: int) -> np.ndarray:
        """What the mean may be, (draws, m, k), jointly over the points of a draw."""
        return self.functions_unit(np.asarray(self.space.cdf(points), np.float64), key, draws)

    def functions_unit(self, unit: np.ndarray, key: Key, draws: int) -> np.ndarray:
        """`functions` at points (m, d) on the priors' probability scale."""
        centre = self.basis.back(self.fitted.predict(unit)).mean
        drawn = self.basis.moments(self.fitted.sample(unit, key, draws))
        return centre + np.sqrt(self.inflation) * (drawn - centre)

    def sample(self, points: Parameters, key: Key, draws: int) -> np.ndarray:
        """What a run that counts may show, (draws, m, k): a draw of the mean, and noise that is correlated between
        moments as left-out runs are.
        """
        of_function, of_noise = jr.split(key)
        drawn = self.functions(points, of_function, draws)
        noise = self.predict(points).noise
        lower = np.linalg.cholesky(self.correlation)
        normal = host_generator(of_noise).standard_normal(drawn.shape)
        return drawn + np.sqrt(noise) * (normal @ lower.T)

    def interval(self, points: Parameters, probability: float = 0.9) -> tuple[np.ndarray, np.ndarray]:
        """Low and high ends (m, k) between which a run falls with this probability, whatever the variances are worth
        (split-conformal).

        **Raises:** `MethodError` where too few left-out runs are there to promise it.
        """
        return self.conformal.interval(self.predict(points), probability)

    def conformed(self, runs: Runs) -> "Surrogate":
        """The same with intervals corrected by further runs, which must not be among those that were learned."""
        if runs.labels != self.labels:
            raise ProblemError("the runs are of other moments than the surrogate")
        used = runs.taken(runs.valid)
        said = self.predict_unit(used.unit)
        return replace(self, conformal=Conformal.of(said, used.moments, f"{used.size} runs kept for this"))

    def support(self, points: Parameters) -> Support:
        """Whether the surrogate may be believed at each of the points."""
        within = np.isfinite(np.asarray(self.space.log_prob(points)))
        unit = np.asarray(self.space.cdf(points), np.float64)
        return self.support_unit(unit, within)

    def support_unit(self, unit: np.ndarray, within: np.ndarray | None = None) -> Support:
        """`support` of points (m, d) on the priors' probability scale."""
        said = self.predict_unit(unit)
        inside = np.ones(unit.shape[0], bool) if within is None else within
        return self.guard.judge(unit, said.epistemic, said.valid, inside)

    def sections(self) -> tuple[Section, ...]:
        used, best = int(self.runs.valid.sum()), [one for one in self.tried if one.share > 0]
        listed = ", ".join(f"{one.name} ({100 * one.share:.0f} %)" for one in best)
        text = [
            f"Learned from {used} runs of {len(self.labels)} moments in {self.space.size} numbers: {listed}, "
            f"by the {self.score} of left-out runs.",
            f"Variances were multiplied by {self.inflation.min():.2g} to {self.inflation.max():.2g}; intervals are "
            f"corrected by {self.conformal.source}.",
        ]
        if used < self.runs.size:
            text.append(f"{self.runs.size - used} of {self.runs.size} runs failed; where runs fail was learned apart.")
        rows = tuple((one.name, one.share, one.squared, one.log) for one in self.tried)
        columns = ("regressor", "share", "squared error / variance", "minus log density")
        table = Table("Cross-validation", columns, rows, "Both columns: less is better.")
        figures = (Figure("left_out", _CAPTION, tuple(self._panel(i) for i in range(min(4, len(self.labels))))),)
        return (Section("Surrogate", tuple(text), (), figures, (table, self._metric())),)

    def _panel(self, i: int) -> BandPanel:
        """Left-out runs of a moment in the order of their prediction, with its interval."""
        said, seen = self.checked
        order = np.argsort(said.mean[:, i], kind="stable")
        x, mean, sd = np.arange(order.size, dtype=float), said.mean[order, i], np.sqrt(said.variance[order, i])
        reach = self.conformal.reach(0.9)[i] if self.conformal.runs >= 9 else 1.645
        band = Band("prediction", x, mean, {0.9: (mean - reach * sd, mean + reach * sd)}, "mean")
        return BandPanel(
            self.labels[i],
            "left-out runs, by prediction",
            self.labels[i],
            (band,),
            (Points("runs", x, seen[order, i]),),
        )

    def _metric(self) -> Table:
        rows = tuple((label, float(weight)) for label, weight in zip(self.space.labels, self.guard.metric, strict=True))
        return Table("Relevance", ("parameter", "relevance"), rows, "How fast moments change along it; mean square 1.")

    def record(self) -> dict[str, Any]:
        return {
            "runs": self.runs.record(),
            "regressors": [
                {"name": one.name, "share": one.share, "squared error": one.squared, "log loss": one.log}
                for one in self.tried
            ],
            "decided by": self.score,
            "inflation": self.inflation.tolist(),
            "relevance": dict(zip(self.space.labels, self.guard.metric.tolist(), strict=True)),
            "reach": {
                f"{level:g}": self.conformal.reach(level).tolist()
                for level in _LEVELS
                if np.ceil((self.conformal.runs + 1) * level) <= self.conformal.runs
            },
        }


_CAPTION = "Runs that were left out, against what the surrogate said of them, with its 90 % interval."


def inflated(said: Prediction, factor: np.ndarray) -> Prediction:
    """A prediction with both variances multiplied, factor (k,)."""
    return Prediction(said.mean, said.noise * factor, said.epistemic * factor)
