"""Equivalent fits: parameter sets as far apart as the data allow, made again by simulation, and where they disagree.

A posterior says how wide each parameter is. This shows what that width means: a few of its draws, each the farthest
from those taken before (on the prior's probability scale, so that no parameter's unit counts), each simulated anew.
Those that fit about as well as the best are equivalent. Where they agree on what was not fitted, the question is
answered although the parameters are not; where they disagree, the answer hangs on the draw, and nobody should read one
of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
import scipy.linalg
from rich.progress import Progress
from scipy.stats import chi2

from .._errors import MethodError
from .._results import Cell, Code, Figure, IntervalPanel, Result, Section, Table, Verdict
from .._types import Key
from ..calibration.fit import Fit
from ..core.executor import Ticker
from ..core.host import split
from ..core.progress import display
from ..problem.covariance import factor
from ..problem.problem import Problem
from ..problem.simulators import Simulator
from .reached import typical

_LEVEL = 0.01
_DISAGREE = 3.0
"""Standard errors of their difference by which two members' predictions must differ at the least."""
_MATTERS = 1.0
"""And in standard deviations of a single run."""
_FEWEST = 10
_LISTED, _DRAWN = 3, 4
"""Verdicts of one kind that are listed one by one, and predictions that are drawn: those of which sets differ most."""


@dataclass(frozen=True)
class Equivalents(Result):
    """M parameter sets that fit alike.

    `parameters`: label to (m,); `loss` (m,): g' (V + S / R)^-1 g of the mean of R runs, g its gap to the data;
    `left_out`: how many others were simulated and fit worse; `predictions`: what was asked besides, named `moment` or
    `moment, elsewhere`, to mean and standard error of the mean (m, 2); `scatter`: the standard deviation of a run.
    """

    parameters: dict[str, np.ndarray]
    loss: np.ndarray
    freedom: int
    left_out: int
    replicates: int
    predictions: dict[str, np.ndarray]
    scatter: dict[str, float]

    def disagreement(self, name: str) -> float:
        """The largest difference of a prediction between members, in standard deviations of a run."""
        means = self.predictions[name][:, 0]
        return float(np.ptp(means) / max(self.scatter[name], 1e-300))

    def verdicts(self) -> tuple[Verdict, ...]:
        """One for each prediction: whether all members say the same."""
        return tuple(self._judged(name) for name in self.predictions)

    def _judged(self, name: str) -> Verdict:
        means, errors = self.predictions[name].T
        low, high = int(means.argmin()), int(means.argmax())
        sure = (means[high] - means[low]) / max(float(np.hypot(errors[low], errors[high])), 1e-300)
        apart = self.disagreement(name)
        numbers = {"low": float(means[low]), "high": float(means[high]), "apart": apart, "standard errors": float(sure)}
        shown = f"from {means[low]:.4g} to {means[high]:.4g}, {apart:.2g} standard deviations of a run apart"
        if sure > _DISAGREE and apart > _MATTERS:
            return Verdict(name, Code.DISAGREE, f"{name}: fits that the data cannot tell apart say {shown}.", numbers)
        return Verdict(name, Code.AGREE, f"{name}: all say about the same, {shown}.", numbers)

    def sentence(self) -> str:
        """How far apart they are, in words."""
        spans = [f"{label} from {v.min():.3g} to {v.max():.3g}" for label, v in self.parameters.items()]
        return f"{len(self.loss)} parameter sets fit alike: {'; '.join(spans)}."

    def sections(self) -> tuple[Section, ...]:
        columns = ("set", *self.parameters, "distance to the data", "p")
        rows: list[tuple[Cell, ...]] = [
            (i + 1, *(float(v[i]) for v in self.parameters.values()), float(loss), float(chi2.sf(loss, self.freedom)))
            for i, loss in enumerate(self.loss)
        ]
        note = (
            f"Distance: g' (V + S / R)^-1 g of the mean of {self.replicates} runs, about chi-squared on "
            f"{self.freedom} moments or less. {self.left_out} further sets were tried and fit worse."
        )
        hardest = sorted(self.predictions, key=lambda name: -self.disagreement(name))
        figures = tuple(
            Figure(f"equivalents-{i}", f"What the equivalent fits say of {name}.", (self._panel(name),))
            for i, name in enumerate(hardest[:_DRAWN])
        )
        table = Table("Equivalent fits", columns, tuple(rows), note)
        return (Section("Equivalent fits", (self.sentence(),), self._told(), figures, (table,)),)

    def _told(self) -> tuple[Verdict, ...]:
        """The verdicts, those that agree as one where they are many: what matters is where they disagree."""
        found = self.verdicts()
        same = [v for v in found if v.code is Code.AGREE]
        if len(same) <= _LISTED:
            return found
        most = max(same, key=lambda v: v.numbers["apart"])
        text = (
            f"{len(same)} predictions, all say about the same; the farthest apart, {most.subject}, by "
            f"{most.numbers['apart']:.2g} standard deviations of a run."
        )
        rest = tuple(v for v in found if v.code is not Code.AGREE)
        return (*rest, Verdict(f"{len(same)} predictions", Code.AGREE, text, {"apart": most.numbers["apart"]}))

    def _panel(self, name: str) -> IntervalPanel:
        means, errors = self.predictions[name].T
        names = tuple(f"set {i + 1}" for i in range(len(means)))
        return IntervalPanel(
            name,
            name,
            names,
            means,
            means - 2.0 * errors,
            means + 2.0 * errors,
            note="Two standard errors of the mean.",
        )

    def record(self) -> dict[str, Any]:
        return {
            "parameters": {label: v.tolist() for label, v in self.parameters.items()},
            "distance": self.loss.tolist(),
            "left_out": self.left_out,
            "verdicts": {v.subject: v.record() for v in self.verdicts()},
        }


def equivalents(
    fit: Fit,
    key: Key,
    *,
    members: int = 6,
    replicates: int = 100,
    elsewhere: Mapping[str, Simulator] | None = None,
    progress: bool | Progress | None = None,
) -> Equivalents:
    """Parameter sets as far apart as the data allow, and where they disagree: on the moments that were held out, and on
    all moments elsewhere.

    **Arguments:** `members`: how many draws to take, the typical one among them; `replicates`: runs at each;
    `elsewhere`: by name, simulators of the same parameters and series in other circumstances: with an intervention, a
    larger town, a longer time.

    **Raises:** `MethodError` without a covariance, or with too few members or replicates.
    """
    target = fit.problem.target
    if target.covariance is None:
        raise MethodError("fits are compared in standard errors of the moments: give the target a covariance")
    if members < 2 or replicates < _FEWEST:
        raise MethodError(f"take 2 members and {_FEWEST} replicates at the least")
    rows = _apart(fit, members)
    problems = {"": fit.problem}
    for name, simulator in (elsewhere or {}).items():
        problems[name] = Problem(simulator, fit.problem.space, target, derived=fit.problem.derived)
    seen: dict[str, np.ndarray] = {}
    keys = split(key, replicates)
    with display(progress) as shown:
        ticker = Ticker(shown, "equivalent fits", len(rows) * replicates * len(problems))
        for name, problem in problems.items():
            points = {n: jnp.repeat(jnp.asarray(v)[rows], replicates, axis=0) for n, v in fit.draws.items()}
            found = problem.simulate(points, jnp.tile(keys, len(rows)), ticker)
            seen[name] = found.moments.reshape(len(rows), replicates, -1)
    use = np.flatnonzero(target.fitted)
    loss = np.array([_distance(fit, one[:, use], use) for one in seen[""]])
    best = float(loss.min())
    kept = np.asarray(loss <= best + chi2.ppf(1.0 - _LEVEL, use.size))
    flat = np.asarray(fit.problem.space.flat({n: jnp.asarray(v)[rows] for n, v in fit.draws.items()}), np.float64)
    parameters = {label: flat[kept, i] for i, label in enumerate(fit.problem.space.labels)}
    predictions, scatter = {}, {}
    for name, moments in seen.items():
        for i, label in enumerate(target.labels):
            if name or not target.fitted[i]:
                called = f"{label}, {name}" if name else label
                values = moments[kept][:, :, i]
                counts = np.maximum(np.isfinite(values).sum(1), 1)
                deviation = np.nanstd(values, axis=1)
                predictions[called] = np.stack([np.nanmean(values, axis=1), deviation / np.sqrt(counts)], axis=1)
                scatter[called] = float(np.sqrt(np.mean(deviation**2)))
    return Equivalents(parameters, loss[kept], use.size, int((~kept).sum()), replicates, predictions, scatter)


def _apart(fit: Fit, members: int) -> np.ndarray:
    """Rows of draws: the typical one, and then each time the one farthest from all taken."""
    unit = np.asarray(fit.problem.space.cdf({n: jnp.asarray(v) for n, v in fit.draws.items()}), np.float64)
    rows = [typical(fit)]
    far = ((unit - unit[rows[0]]) ** 2).sum(1)
    while len(rows) < min(members, len(unit)) and far.max() > 0.0:
        rows.append(int(far.argmax()))
        far = np.minimum(far, ((unit - unit[rows[-1]]) ** 2).sum(1))
    return np.array(rows)


def _distance(fit: Fit, runs: np.ndarray, use: np.ndarray) -> float:
    """Of the mean of runs (R, k) to the data; infinite where too few count."""
    target = fit.problem.target
    runs = runs[np.isfinite(runs).all(1)]
    if len(runs) < _FEWEST or target.covariance is None:
        return float("inf")
    scatter = np.atleast_2d(np.cov(runs.T)) / len(runs)
    lower = factor(target.covariance[np.ix_(use, use)] + scatter, [target.labels[i] for i in use])
    gap = runs.mean(0) - target.values[use]
    return float((scipy.linalg.solve_triangular(lower, gap, lower=True) ** 2).sum())
