"""A problem: a simulator, a space of parameters, and a target to hit."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .._errors import SimulatorError
from .._types import Key, Parameters
from ..core.executor import Ticker
from ..core.rounds import Ask
from .simulators import Callable as CallableSimulator
from .simulators import Simulator, source_hash
from .space import Space
from .target import Target


@dataclass(frozen=True)
class Simulated:
    """Moments of runs: `moments` (runs, k) float64, `excluded` (runs,), why (a sentence to its count), and what was
    observed where it was kept.
    """

    moments: np.ndarray
    excluded: np.ndarray
    reasons: dict[str, int]
    observations: dict[str, np.ndarray] = field(default_factory=dict)


class Simulate(Ask):
    """Ask for the moments of a run at each of many parameter sets: name to (runs, ...), keys (runs,); `keep`: and for
    what was observed; `none`: bear that every run is excluded, as it may be among a few.
    """

    parameters: dict[str, Array]
    keys: Key
    keep: bool = eqx.field(static=True, default=False)
    none: bool = eqx.field(static=True, default=False)

    def calls(self) -> int:
        return self.keys.shape[0]

    def answer(self, task: "Problem", ticker: Ticker) -> Simulated:
        return task.simulate(self.parameters, self.keys, ticker, keep=self.keep, none=self.none)


class Problem(eqx.Module):
    """What is to be fitted, and to what.

    **Arguments:** `simulator`: a `Simulator`, or any Python callable `(parameters, key) -> observations`; `space`: the
    free parameters with their priors; `target`: data, moments and their covariance; `derived`: quantities of interest
    computed from the parameters of one draw, name to function of a dict (they are reported, never fitted).

    **Raises:** `SpaceError`, `DomainError` when space and simulator do not fit.
    """

    simulator: Simulator
    space: Space
    target: Target
    derived: dict[str, Callable[[Mapping[str, Array]], Array]] = eqx.field(static=True)

    def __init__(
        self,
        simulator: Simulator | Callable[[dict[str, Any], Key], Mapping[str, Any]],
        space: Space,
        target: Target,
        *,
        derived: Mapping[str, Callable[[Mapping[str, Array]], Array]] | None = None,
    ):
        self.simulator = simulator if isinstance(simulator, Simulator) else CallableSimulator(simulator)
        self.space = space
        self.target = target
        self.derived = dict(derived or {})
        self.space.check(self.simulator.parameters())

    def simulate(
        self, parameters: Parameters, keys: Key, ticker: Ticker, *, keep: bool = False, none: bool = False
    ) -> Simulated:
        """Run at many parameter sets and summarise.

        **Arguments:** `parameters`: name to (runs, ...); `keys` (runs,); `keep`: hand back the observations too;
        `none`: bear that every run is excluded, as it may be among a few.

        **Raises:** `SimulatorError` when every run is excluded.
        """
        batch = self.simulator.simulate(parameters, keys, ticker)
        if batch.excluded.all():
            if none:
                nothing = np.full((batch.excluded.size, len(self.target.labels)), np.nan)
                return Simulated(nothing, batch.excluded, dict(batch.reasons))
            raise SimulatorError(f"none of {batch.excluded.size} runs can be used: {_listed(batch.reasons)}")
        moments = np.array(self.target.summarise(batch.observations), np.float64)
        undefined, labels = self.target.undefined(moments)
        reasons = dict(batch.reasons)
        if (undefined & ~batch.excluded).any():
            which = ", ".join(list(labels)[:3])
            reasons[f"a moment is not defined ({which})"] = int((undefined & ~batch.excluded).sum())
        excluded = batch.excluded | undefined
        moments[excluded] = np.nan
        return Simulated(moments, excluded, reasons, batch.observations if keep else {})

    def derive(self, parameters: Parameters) -> dict[str, Float[np.ndarray, " runs"]]:
        """The derived quantities at each of many parameter sets."""
        batch = {k: jnp.asarray(v, jnp.float32) for k, v in parameters.items()}
        return {name: np.asarray(jax.vmap(f)(batch), np.float64) for name, f in self.derived.items()}

    def with_target(self, target: Target) -> "Problem":
        """The same problem with another target."""
        return Problem(self.simulator, self.space, target, derived=self.derived)

    def identity(self) -> dict[str, Any]:
        """What makes this problem this problem, as JSON values: for manifests and checkpoints."""
        return {
            "simulator": self.simulator.describe(),
            "space": self.space.describe(),
            "target": self.target.describe(),
            "derived": {name: source_hash(f) for name, f in self.derived.items()},
        }


def _listed(reasons: Mapping[str, int]) -> str:
    return "; ".join(f"{count} x {why}" for why, count in reasons.items()) or "no reason was given"
