"""The guard: all that is asked of an answer before it is read, in one place.

Can the simulator show the data at all; does the answer lean on an end of the prior; does it lie where the surrogate was
taught; do fresh runs at its best point show what the surrogate says there, and the data?
"""

from dataclasses import dataclass, replace
from typing import Any

import jax.numpy as jnp
import numpy as np
from rich.progress import Progress

from .._errors import MethodError
from .._results import Code, Result, Section, Verdict
from .._types import Key, Parameters
from ..problem.problem import Problem
from ..problem.target import Target
from .confirm import Confirmation, confirm
from .reach import Reach, at_bounds, reach
from .surrogate import Surrogate

_PART, _MOST = 0.1, 0.5
"""Shares of an answer outside the support from which on it is at the edge, and extrapolating."""
_QUIET = {Code.WITHIN_REACH, Code.INSIDE, Code.EDGE, Code.CONFIRMED, Code.MATCHED}


@dataclass(frozen=True)
class Guarded(Result):
    """What the guard says of an answer. `outside`: the share of it at which the surrogate is not to be read."""

    reach: Reach
    bounds: tuple[Verdict, ...]
    outside: float
    confirmation: Confirmation

    @property
    def sound(self) -> bool:
        """Whether nothing speaks against the answer."""
        return not self.objections()

    def objections(self) -> tuple[Verdict, ...]:
        """The verdicts that speak against it."""
        return tuple(verdict for verdict in self.verdicts() if verdict.code not in _QUIET)

    def verdicts(self) -> tuple[Verdict, ...]:
        """All that was asked, in order: reach, bounds (those leant on), support, simulation, data."""
        return (
            self.reach.verdict(),
            *self.bounds,
            self.support_verdict(),
            self.confirmation.verdict(),
            self.confirmation.data_verdict(),
        )

    def support_verdict(self) -> Verdict:
        """How much of the answer lies where the surrogate was taught."""
        code = Code.EXTRAPOLATING if self.outside > _MOST else Code.EDGE if self.outside > _PART else Code.INSIDE
        text = f"{100 * self.outside:.0f} % of the answer lie where the surrogate is not to be read"
        text += ": far from every run, in great doubt, or where runs fail." if self.outside > _PART else "."
        return Verdict("the answer", code, text, {"outside": self.outside})

    def sections(self) -> tuple[Section, ...]:
        parts = (*self.reach.sections(), *self.confirmation.sections())  # their verdicts stand at the head already
        return (Section("Guard", (), self.verdicts()), *(replace(part, verdicts=()) for part in parts))

    def record(self) -> dict[str, Any]:
        return {
            "sound": self.sound,
            "verdicts": [verdict.record() for verdict in self.verdicts()],
            "confirmation": self.confirmation.record(),
        }


def guard(
    problem: Problem,
    surrogate: Surrogate,
    draws: Parameters,
    key: Key,
    *,
    weights: np.ndarray | None = None,
    best: int | None = None,
    runs: int = 20,
    progress: bool | Progress | None = None,
) -> Guarded:
    """Ask all that is to be asked of an answer.

    **Arguments:** `draws`: of the posterior, or of whatever stands for the answer, name to (n, ...), with `weights`
    (n,); `best`: which of them to simulate at, the heaviest if None; `runs`: how many there.

    **Raises:** `MethodError` for weights that are none, and as `reach` and `confirm` do.
    """
    n = jnp.asarray(draws[problem.space.names[0]]).shape[0]
    share = np.full(n, 1.0 / n) if weights is None else np.asarray(weights, np.float64)
    if share.shape != (n,) or not np.isfinite(share).all() or (share < 0).any() or share.sum() <= 0:
        raise MethodError(f"{n} draws need as many weights, none negative, not {share.shape}")
    share = share / share.sum()
    at = int(share.argmax()) if best is None else best
    point = {name: jnp.asarray(draws[name])[at] for name in problem.space.names}
    held = confirm(problem, surrogate, point, key, runs=runs, progress=progress)
    return guarded(problem.target, surrogate, draws, share, held)


def guarded(
    target: Target, surrogate: Surrogate, draws: Parameters, weights: np.ndarray, confirmation: Confirmation
) -> Guarded:
    """`guard` with runs that were made already; weights (n,) sum to 1."""
    space = surrogate.space
    return Guarded(
        reach=reach(surrogate.runs, target),
        bounds=at_bounds(space, np.asarray(space.cdf(draws), np.float64), weights),
        outside=float(weights @ surrogate.support(draws).extrapolating),
        confirmation=confirmation,
    )
