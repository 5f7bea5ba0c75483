"""A fit: what is known of the parameters, what the model then predicts, and how that was found."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from .._errors import ProblemError
from .._results import (
    Band,
    BandPanel,
    Code,
    DensityPanel,
    Figure,
    Points,
    Result,
    Section,
    Table,
    Verdict,
    quantiles,
)
from ..core.rounds import Done, Method
from ..problem.problem import Problem
from .estimates import Estimate


@dataclass(frozen=True)
class Fit(Result):
    """The answer to a problem, with its checks.

    `problem`: with the covariance of its moments, where the fit took one; `by`: the method; `draws`: parameter name to
    (n, ...), equally weighted draws of the estimate; `derived`: the same for derived quantities (n,); `prior`,
    `prior_derived`: draws of the prior; `moments` (n, k) and `observations` (name to (n, times, ...)): one fresh run at
    each draw, the predictive sample, whose `excluded` (n,) runs do not count; `reasons`: why, counted; `done`: why the
    method stopped; `calls`: simulator calls spent.
    """

    problem: Problem
    by: Method[Any, Any, Any]
    estimate: Estimate
    draws: dict[str, np.ndarray]
    derived: dict[str, np.ndarray]
    prior: dict[str, np.ndarray]
    prior_derived: dict[str, np.ndarray]
    moments: np.ndarray
    observations: dict[str, np.ndarray]
    excluded: np.ndarray
    reasons: dict[str, int]
    done: Done
    rounds: int
    calls: int

    @property
    def method(self) -> str:
        """The method's name."""
        return type(self.by).__name__

    def check(self, problem: Problem) -> None:
        """Whether this is a fit of a problem, by the names of its parameters and moments.

        **Raises:** `ProblemError`.
        """
        mine = self.problem
        if mine.space.labels != problem.space.labels or mine.target.labels != problem.target.labels:
            raise ProblemError("this fit is of another problem: its parameters or moments differ")

    def interval(self, name: str, probability: float = 0.95) -> tuple[float, float, float]:
        """Low end, median and high end of the central interval of a parameter or derived quantity."""
        values = self.derived[name] if name in self.derived else self.draws[name]
        tail = (1.0 - probability) / 2
        low, middle, high = np.quantile(np.asarray(values, np.float64), [tail, 0.5, 1 - tail], axis=0)
        return float(low), float(middle), float(high)

    def sections(self) -> tuple[Section, ...]:
        return (self._found(), self._predicted())

    def _found(self) -> Section:
        rows = []
        panels = []
        known = self.problem.simulator.parameters()
        for name, prior in {**self.prior, **self.prior_derived}.items():
            posterior = self.derived[name] if name in self.derived else self.draws[name]
            if posterior.ndim > 1:
                continue
            unit = known[name].unit if name in known else ""
            q = quantiles(posterior, np.array([0.025, 0.5, 0.975]))
            p = quantiles(prior, np.array([0.025, 0.975]))
            rows.append((name, float(q[1]), float(q[0]), float(q[2]), float(p[0]), float(p[1]), unit))
            panels.append(
                DensityPanel(name, unit or name, {"prior": prior, "posterior": posterior}, log_x=_spans(prior))
            )
        columns = ("parameter", "median", "2.5 %", "97.5 %", "prior 2.5 %", "prior 97.5 %", "unit")
        stop = Verdict("the method", self.done.code, self.done.sentence)
        text = (
            f"{self.method}, {self.calls} runs in {self.rounds} round{'s' if self.rounds != 1 else ''}.",
            self.problem.target.sentence(),
            *self.estimate.notes(),
        )
        figure = Figure("parameters", "Prior and posterior of each parameter and derived quantity.", tuple(panels))
        return Section("Parameters", text, (stop,), (figure,), (Table("Parameters", columns, tuple(rows)),))

    def _predicted(self) -> Section:
        panels = []
        for name, series in self.problem.target.data.items():
            if series.at_end or name not in self.observations or self.observations[name].ndim != 2:
                continue
            panels.append(self.band(name))
        if not panels:
            return Section("Predictions")
        figure = Figure("predictive", "One fresh run at each posterior draw, against the data.", tuple(panels))
        return Section("Predictions", figures=(figure,))

    def band(self, name: str) -> BandPanel:
        """The predictive band of an observed series with its data."""
        series = self.problem.target.data[name]
        sims = self.observations[name][~self.excluded]
        x = _axis(series.times)
        q = quantiles(sims, np.array([0.025, 0.25, 0.5, 0.75, 0.975]))
        band = Band("model", x, q[2], {0.95: (q[0], q[4]), 0.5: (q[1], q[3])})
        present = np.asarray(series.present, bool)
        points = Points("data", x[present], np.asarray(series.values, np.float64)[present])
        return BandPanel(
            name.replace("_", " "), self.problem.target.time_unit, name.replace("_", " "), (band,), (points,)
        )

    def record(self) -> dict[str, Any]:
        names = [n for n, v in {**self.draws, **self.derived}.items() if np.ndim(v) == 1]
        return {
            "method": self.method,
            "stopped": {"class": self.done.code.value, "sentence": self.done.sentence},
            "rounds": self.rounds,
            "calls": self.calls,
            "excluded": self.reasons,
            "parameters": {n: dict(zip(("low", "median", "high"), self.interval(n), strict=True)) for n in names},
        }

    @property
    def trusted(self) -> bool:
        """Whether the method stopped by its own rule."""
        return self.done.code is Code.CONVERGED


def _axis(times: tuple[str, ...]) -> np.ndarray:
    try:
        return np.array([float(t) for t in times])
    except ValueError:
        return np.arange(1, len(times) + 1, dtype=float)


def _spans(prior: np.ndarray) -> bool:
    """Whether a prior is positive over more than a factor of 30, most of it at its low end: then it is drawn on a
    logarithmic axis.
    """
    low, middle, high = np.quantile(prior, [0.005, 0.5, 0.995])
    return bool(low > 0 and high / low > 30 and middle < (low + high) / 4)
