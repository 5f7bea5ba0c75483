"""Which gradients a descent takes: the audit as the first round of its loop."""

from dataclasses import dataclass

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Float

from .._results import Code
from .._types import Key
from ..core.executor import Ticker
from ..core.rounds import Ask
from ..gradients.audit import audit_cases
from ..gradients.cases import Case, weighed
from ..gradients.differences import Differences, RandomDirections
from ..gradients.estimator import Estimator
from ..gradients.loss import ExpectedLoss
from ..gradients.pathwise import Pathwise
from ..gradients.score import Score
from ..gradients.smoothed import Smoothed
from ..gradients.straight_through import StraightThrough
from ..gradients.truth import RUNGS
from ..problem.problem import Problem
from .gradients_asked import Unscaled, native

_STEP = 0.1
_DIRECTIONS = 4
"""Of many parameters, along how many directions an audit looks."""
_FEW = 8
_SECOND = 4


@dataclass(frozen=True)
class Choice:
    """The candidate that was chosen, and why."""

    index: int
    sentence: str


def candidates(d: int) -> tuple[Estimator, ...]:
    """Whom an audit may choose for d parameters: unbiased ones that cost 2 d runs only where d is small."""
    unit = {"v": jnp.ones(())}
    relaxed = (Pathwise((StraightThrough(),)), Pathwise((Smoothed(),)))
    if d <= _FEW:
        return (Differences(step=_STEP, scale=unit), *relaxed, Score())
    return (RandomDirections(step=_STEP, scale=unit), *relaxed, Score())


class AskAudit(Ask):
    """Ask for an audit of the candidates at points `v` (s, d).

    With many parameters it looks along a few random directions of them.
    """

    v: Float[Array, "points d"]
    key: Key
    through: Unscaled
    keys: int

    def calls(self) -> int:
        d = self.v.shape[1]
        looked = d if d <= _FEW else _DIRECTIONS
        each = sum(one.runs({"v": jnp.zeros(looked)}) for one in candidates(d))
        truths = 2.0 * RUNGS * looked + 4.0 * _SECOND + 1.0
        return int(np.ceil(self.v.shape[0] * self.keys * (each + truths)))

    def answer(self, task: Problem, ticker: Ticker) -> Choice:
        cases = [self._case(task, i) for i in range(self.v.shape[0])]
        own = candidates(self.v.shape[1])
        audit = audit_cases(cases, own, self.key, keys=self.keys, step=_STEP, ticker=Ticker(None, "", 1))
        ticker.advance(self.calls())
        verdicts = list(audit.verdicts.values())
        believed = [i for i, verdict in enumerate(verdicts) if verdict.code is Code.BELIEVE]
        steering = [i for i, one in enumerate(own) if one.differentiates]
        directed = [i for i in steering if verdicts[i].code is Code.DIRECTION_ONLY]
        if audit.recommended is not None and believed:
            index = list(audit.verdicts).index(audit.recommended)
        elif directed:
            index = min(directed, key=lambda i: verdicts[i].numbers["bias"])
        else:
            index = 0
        return Choice(index, verdicts[index].sentence)

    def _case(self, task: Problem, i: int) -> Case:
        point = self.through({"v": self.v[i]})
        loss = weighed(task, point, jr.fold_in(self.key, i), self.keys)
        d = self.v.shape[1]
        if d <= _FEW:
            expected = ExpectedLoss(native(task), loss, self.through)
            return Case(f"point {i + 1}", expected, {"v": self.v[i]})
        signs = jr.rademacher(jr.fold_in(self.key, 0xD1), (_DIRECTIONS, d), jnp.float32)
        along = Along(self.v[i], signs / jnp.sqrt(jnp.float32(d)), self.through)
        return Case(f"point {i + 1}", ExpectedLoss(native(task), loss, along), {"v": jnp.zeros(_DIRECTIONS)})


class Along(eqx.Module):
    """Directions (directions, d) from a point `start` (d,), in the prior's spreads: `{"v": (directions,)}`."""

    start: Float[Array, " d"]
    directions: Float[Array, "directions d"]
    through: Unscaled

    def __call__(self, at: dict[str, Array]) -> dict[str, Array]:
        return self.through({"v": self.start + at["v"] @ self.directions})
