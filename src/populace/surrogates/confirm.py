"""A held-out simulation at the answer: does the simulator show there what the surrogate says, and the data?"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import jax.random as jr
import numpy as np
from rich.progress import Progress
from scipy.stats import f as fisher
from scipy.stats import norm
from scipy.stats import t as student

from .._errors import MethodError
from .._results import Code, Result, Section, Table, Verdict
from .._types import Key, Parameters
from ..core.executor import Ticker
from ..core.progress import display
from ..problem.problem import Problem, Simulated
from ..problem.target import Target
from .surrogate import Surrogate

_SIZE = 0.02
"""The chance that a right surrogate is refuted, over all moments together."""
_FEWEST = 5
_STILL = 1e-3
"""Of the surrogate's noise: runs that differ by less are taken to differ by it."""
_PER_MOMENT = 4
"""Runs a moment from which on the correlation of moments is asked, too."""


@dataclass(frozen=True)
class Confirmation(Result):
    """Runs at one point against the surrogate's word; k moments.

    `point`: name to value; `said`, `error` (k,): the surrogate's mean and the standard error of the comparison; `seen`
    (k,): the mean of the runs; `valid`: how many of `runs` counted; `data` (k,): the target's, and how far off in
    standard deviations of a run, `off` (k,), 0 for moments held out; `p_data`: the chance of a run at the point that is
    as far off (Hotelling's T-squared; with few runs for the moments, the farthest of them by Bonferroni).
    """

    point: dict[str, Any]
    labels: tuple[str, ...]
    said: np.ndarray
    seen: np.ndarray
    error: np.ndarray
    data: np.ndarray
    off: np.ndarray
    p_data: float
    runs: int
    valid: int

    @property
    def gaps(self) -> np.ndarray:
        """Runs less surrogate in standard errors, (k,)."""
        return (self.seen - self.said) / self.error

    @property
    def p(self) -> float:
        """Of the largest gap among k (Bonferroni)."""
        return float(min(1.0, self.gaps.size * 2.0 * norm.sf(np.abs(self.gaps).max())))

    def verdict(self) -> Verdict:
        """Confirmed, or refuted and by which moment."""
        worst = int(np.abs(self.gaps).argmax())
        numbers = {"p": self.p, "largest gap": float(self.gaps[worst]), "valid": self.valid / self.runs}
        count = f"{self.valid} runs at the answer"
        if self.valid < self.runs / 2:
            text = f"{self.runs - self.valid} of {self.runs} runs at the answer failed: it is no answer."
            return Verdict("the answer", Code.REFUTED, text, numbers)
        if self.p < _SIZE:
            text = (
                f"{count} give {self.labels[worst]} = {self.seen[worst]:.4g}, the surrogate said "
                f"{self.said[worst]:.4g}: "
                f"{abs(self.gaps[worst]):.1f} standard errors apart (p = {self.p:.2g})."
            )
            return Verdict("the answer", Code.REFUTED, text, numbers)
        text = f"{count} agree with the surrogate in {self.gaps.size} moments (p = {self.p:.2g})."
        return Verdict("the answer", Code.CONFIRMED, text, numbers)

    def data_verdict(self) -> Verdict:
        """Whether the data could be a run at the point."""
        worst = int(np.abs(self.off).argmax())
        numbers = {"p": self.p_data, "farthest": float(self.off[worst])}
        if self.p_data < _SIZE:
            text = (
                f"The simulator does not show the data at the answer (p = {self.p_data:.2g}): "
                f"{self.labels[worst]} = {self.data[worst]:.4g} is {abs(self.off[worst]):.1f} standard deviations of a "
                "run away, farther than any other moment."
            )
            return Verdict("the data", Code.CONTRADICTED, text, numbers)
        text = f"A run at the answer is as far from the others as the data are (p = {self.p_data:.2g})."
        return Verdict("the data", Code.MATCHED, text, numbers)

    def sections(self) -> tuple[Section, ...]:
        columns = ("moment", "runs", "surrogate", "standard error", "gap in standard errors", "data", "off by")
        numbers = np.stack([self.seen, self.said, self.error, self.gaps, self.data, self.off], axis=1)
        rows = tuple((name, *map(float, row)) for name, row in zip(self.labels, numbers, strict=True))
        where = ", ".join(f"{name} = {np.asarray(value).tolist()}" for name, value in self.point.items())
        table = Table("Moments", columns, rows, note="off by: data less runs, in standard deviations of a run")
        return (Section("Confirmation", (f"At {where}.",), (self.verdict(), self.data_verdict()), (), (table,)),)

    def record(self) -> dict[str, Any]:
        return {
            **self.verdict().record(),
            "data": self.data_verdict().record(),
            "point": {name: np.asarray(value).tolist() for name, value in self.point.items()},
            "moments": {
                name: {"runs": float(a), "surrogate": float(b), "error": float(c)}
                for name, a, b, c in zip(self.labels, self.seen, self.said, self.error, strict=True)
            },
        }


def confirm(
    problem: Problem,
    surrogate: Surrogate,
    point: Mapping[str, Any],
    key: Key,
    *,
    runs: int = 20,
    progress: bool | Progress | None = None,
) -> Confirmation:
    """Simulate at one point, with keys that the surrogate has not seen, and hold it against what it said; and the data
    against the runs.

    The comparison's error is that of the runs' mean, by the larger of their own and the surrogate's noise variance,
    with the surrogate's epistemic variance.

    **Arguments:** `point`: name to value; `runs`: how many.

    **Raises:** `MethodError` for fewer than 5 runs; `SimulatorError` when every run fails.
    """
    if runs < _FEWEST:
        raise MethodError(f"{runs} runs confirm nothing: make {_FEWEST} at the least")
    one = {name: jnp.asarray(point[name], jnp.float32)[None] for name in surrogate.space.names}
    many = {name: jnp.repeat(value, runs, axis=0) for name, value in one.items()}
    with display(progress) as shown:
        seen = problem.simulate(many, jr.split(key, runs), Ticker(shown, "confirmation", runs))
    return confirmed(problem.target, surrogate, one, seen)


def confirmed(target: Target, surrogate: Surrogate, point: Parameters, seen: Simulated) -> Confirmation:
    """`confirm` with runs that were made already: `point` name to (1, ...)."""
    used = seen.moments[~seen.excluded & np.isfinite(seen.moments).all(1)]
    said = surrogate.predict(point)
    k = len(surrogate.labels)
    own = used.var(0, ddof=1) if used.shape[0] > 1 else np.zeros(k)
    noise = np.maximum(own, said.noise[0])
    off, p_data = _against(target.values, target.fitted, used, np.where(own > _STILL * noise, own, noise))
    return Confirmation(
        point={name: np.asarray(value[0]) for name, value in point.items()},
        labels=surrogate.labels,
        said=said.mean[0],
        seen=used.mean(0) if used.shape[0] else np.full(k, np.nan),
        error=np.sqrt(np.maximum(noise / max(used.shape[0], 1) + said.epistemic[0], 1e-300)),
        data=np.asarray(target.values),
        off=off,
        p_data=p_data,
        runs=seen.excluded.size,
        valid=used.shape[0],
    )


def _against(data: np.ndarray, fitted: np.ndarray, runs: np.ndarray, noise: np.ndarray) -> tuple[np.ndarray, float]:
    """How far the data (k,) are off runs (n, k) at one point, in their standard deviations, and the p-value of a run
    that is as far off in the fitted moments.
    """
    (n, k), off = (runs.shape[0], int(fitted.sum())), np.zeros(data.size)
    if n < _FEWEST:
        return off, 1.0
    scale = np.sqrt(np.maximum(noise, 1e-300))
    off[fitted] = ((data - runs.mean(0)) / scale)[fitted]
    if n < _PER_MOMENT * k:
        return off, float(min(1.0, k * 2.0 * student.sf(np.abs(off).max() / np.sqrt(1.0 + 1.0 / n), n - 1)))
    units = ((runs - runs.mean(0)) / scale)[:, fitted]
    spread = units.T @ units / (n - 1)
    np.fill_diagonal(spread, 1.0)  # also of a moment that stayed still, which has the surrogate's noise
    values, vectors = np.linalg.eigh(spread)
    far = ((vectors.T @ off[fitted]) ** 2 / np.maximum(values, 1e-3)).sum() / (1.0 + 1.0 / n)
    return off, float(fisher.sf(far * (n - k) / (k * (n - 1)), k, n - k))
