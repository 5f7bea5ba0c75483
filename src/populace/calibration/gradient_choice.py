"""Which gradients a descent takes: the audit as the first round of its loop."""

from dataclasses import dataclass

import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Float

from .._results import Code
from .._types import Key
from ..core.executor import Ticker
from ..core.rounds import Ask
from ..gradients.audit import Effort, audit_cases
from ..gradients.cases import Case, weighed
from ..gradients.differences import Differences, RandomDirections
from ..gradients.directions import RANDOM, guiding_runs
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
_FEW = 8
"""Parameters up to which an audit looks at one after another."""
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

    With many parameters it looks along their pathwise gradients and random directions (see `gradients/directions.py`).
    """

    v: Float[Array, "points d"]
    key: Key
    through: Unscaled
    keys: int

    def calls(self) -> int:
        d = self.v.shape[1]
        own, at = candidates(d), {"v": jnp.zeros(d)}
        guiding = 0.0 if d <= _FEW else guiding_runs(own, at)
        looked = d if d <= _FEW else RANDOM + len(own)
        truths = 2.0 * RUNGS * looked + 4.0 * _SECOND + 1.0
        each = sum(one.runs(at) for one in own)
        return int(np.ceil(self.v.shape[0] * self.keys * (each + truths + guiding)))

    def answer(self, task: Problem, ticker: Ticker) -> Choice:
        cases = [self._case(task, i) for i in range(self.v.shape[0])]
        own = candidates(self.v.shape[1])
        audit = audit_cases(cases, own, self.key, Effort(self.keys, _STEP, _FEW, timed=False), Ticker(None, "", 1))
        ticker.advance(self.calls())
        verdicts = list(audit.verdicts.values())
        directed = [i for i, one in enumerate(own) if one.differentiates and verdicts[i].code is Code.DIRECTION_ONLY]
        believed = any(verdict.code is Code.BELIEVE for verdict in verdicts)
        # With few parameters noise costs less than bias: differences, if nothing can be believed.
        if directed and not believed and self.v.shape[1] > _FEW:
            index = min(directed, key=lambda i: verdicts[i].numbers["bias"])
        else:
            index = 0 if audit.recommended is None else list(audit.verdicts).index(audit.recommended)
        return Choice(index, verdicts[index].sentence)

    def _case(self, task: Problem, i: int) -> Case:
        loss = weighed(task, self.through({"v": self.v[i]}), jr.fold_in(self.key, i), self.keys)
        return Case(f"point {i + 1}", ExpectedLoss(native(task), loss, self.through), {"v": self.v[i]})
