"""What a decision loses, over draws of the posterior: the same draws and keys for every decision that is tried."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import jax.random as jr
import numpy as np

from .._errors import MethodError
from .._types import Key
from ..calibration.fit import Fit
from ..core.executor import Ticker
from ..core.host import placed, split
from ..core.plug import Plug
from ..problem.space import Space
from .effects import Aim
from .interventions import Intervention, OfRuns, a_number_a_run, prepared

Measure: TypeAlias = Callable[[dict[str, Any]], Intervention | tuple[Plug, ...]]
"""From the value of each decision to what is then done."""
EDGE = 1e-6


@dataclass(frozen=True)
class Trying:
    """Decisions of a `space`, each a number between two ends, on one set of draws: `real` (n, p), `batch`, `keys` (n,).

    `measure`: from decisions to an intervention; `of`: the outcome of runs; `aim`: what is to be small.
    """

    fit: Fit
    space: Space
    measure: Measure
    of: OfRuns
    aim: Aim
    real: np.ndarray
    batch: dict[str, Any]
    keys: Key

    @staticmethod
    def on(fit: Fit, space: Space, measure: Measure, of: OfRuns, aim: Aim, key: Key, draws: int) -> "Trying":
        """On fresh draws of the posterior, with fresh keys.

        **Raises:** `MethodError` for decisions that are no numbers, or have no ends.
        """
        low, high = space.bounds()
        if any(shape != () for shape in space.shapes.values()) or not np.isfinite(np.append(low, high)).all():
            raise MethodError("each decision is a number between two ends: Space(dose=dist.Uniform(0.0, 1.0))")
        pick, run = jr.split(key)
        real = np.asarray(fit.estimate.draws(fit.problem, pick, draws), np.float64)
        return Trying(fit, space, measure, of, aim, real, fit.problem.space.from_real(real), split(run, draws))

    def again(self, key: Key, draws: int) -> "Trying":
        """The same on other draws, with other keys."""
        return Trying.on(self.fit, self.space, self.measure, self.of, self.aim, key, draws)

    @property
    def draws(self) -> int:
        """How many, n."""
        return len(self.real)

    def values(self, unit: np.ndarray) -> np.ndarray:
        """The decisions (m, d) at points (m, d) of the unit cube."""
        return np.asarray(self.space.flat(self.space.from_unit(np.clip(unit, EDGE, 1.0 - EDGE))), np.float64)

    def units(self, decision: Mapping[str, float]) -> np.ndarray:
        """The point (d,) of decisions by name.

        **Raises:** `MethodError` for a decision that is not in the space, or one that is missing.
        """
        if set(decision) != set(self.space.names):
            raise MethodError(f"decisions are {list(self.space.names)}, each with a number, not {list(decision)}")
        row = {name: placed([decision[name]]) for name in self.space.names}
        unit = np.asarray(self.space.cdf(row), np.float64)[0]
        if not np.isfinite(np.asarray(self.space.log_prob(row))).all() and not np.isin(unit, (0.0, 1.0)).any():
            raise MethodError(f"{dict(decision)} lies outside the decisions' space: widen it")
        return unit

    def at(self, unit: np.ndarray, ticker: Ticker) -> np.ndarray:
        """The losses (m, n) of decisions at points (m, d) of the unit cube; NaN where a run cannot be used."""
        rows = [dict(zip(self.space.names, row, strict=True)) for row in self.values(unit).tolist()]
        return np.stack([self.losses(self.measure(row), f"decision {row}", ticker) for row in rows])

    def nothing(self, ticker: Ticker) -> np.ndarray:
        """The losses (n,) of doing nothing."""
        return self.losses((), "doing nothing", ticker)

    def losses(self, done: Intervention | tuple[Plug, ...], name: str, ticker: Ticker) -> np.ndarray:
        """The losses (n,) of what is done.

        **Raises:** as `prepared`; `ProblemError` for an outcome that is not a number a run.
        """
        ready = prepared(name, done, self.fit, self.batch, self.keys)
        seen = ready.simulator.simulate(ready.batch, self.keys, ticker)
        outcome = a_number_a_run("the outcome", name, self.of(seen.observations), self.draws)
        cost = np.asarray(ready.cost(seen.observations) if callable(ready.cost) else ready.cost, np.float64)
        cost = np.full(self.draws, cost) if cost.shape == () else a_number_a_run("the cost", name, cost, self.draws)
        lost = self.aim.losses(outcome, cost)
        return np.where(seen.excluded | ~np.isfinite(lost), np.nan, lost)
