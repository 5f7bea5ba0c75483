"""A held-out simulation at the answer: does the simulator show there what the surrogate says?"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import jax.random as jr
import numpy as np
from rich.progress import Progress
from scipy.stats import norm

from .._errors import MethodError
from .._results import Code, Result, Section, Table, Verdict
from .._types import Key
from ..core.executor import Ticker
from ..core.progress import display
from ..problem.problem import Problem
from .surrogate import Surrogate

_SIZE = 0.02
"""The chance that a right surrogate is refuted, over all moments together."""
_FEWEST = 5


@dataclass(frozen=True)
class Confirmation(Result):
    """Runs at one point against the surrogate's word; k moments.

    `point`: name to value; `said`, `error` (k,): the surrogate's mean and the standard error of the comparison; `seen`
    (k,): the mean of the runs; `valid`: how many of `runs` counted; `data` (k,): the target's.
    """

    point: dict[str, Any]
    labels: tuple[str, ...]
    said: np.ndarray
    seen: np.ndarray
    error: np.ndarray
    data: np.ndarray
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

    def sections(self) -> tuple[Section, ...]:
        columns = ("moment", "runs", "surrogate", "standard error", "gap in standard errors", "data")
        numbers = np.stack([self.seen, self.said, self.error, self.gaps, self.data], axis=1)
        rows = tuple((name, *map(float, row)) for name, row in zip(self.labels, numbers, strict=True))
        where = ", ".join(f"{name} = {np.asarray(value).tolist()}" for name, value in self.point.items())
        return (Section("Confirmation", (f"At {where}.",), (self.verdict(),), (), (Table("Moments", columns, rows),)),)

    def record(self) -> dict[str, Any]:
        return {
            **self.verdict().record(),
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
    """Simulate at one point, with keys that the surrogate has not seen, and hold it against what it said.

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
    used = seen.moments[~seen.excluded & np.isfinite(seen.moments).all(1)]
    said = surrogate.predict(one)
    k = len(surrogate.labels)
    own = used.var(0, ddof=1) if used.shape[0] > 1 else np.zeros(k)
    noise = np.maximum(own, said.noise[0])
    return Confirmation(
        point={name: np.asarray(value[0]) for name, value in one.items()},
        labels=surrogate.labels,
        said=said.mean[0],
        seen=used.mean(0) if used.shape[0] else np.full(k, np.nan),
        error=np.sqrt(np.maximum(noise / max(used.shape[0], 1) + said.epistemic[0], 1e-300)),
        data=np.asarray(problem.target.values),
        runs=runs,
        valid=used.shape[0],
    )
