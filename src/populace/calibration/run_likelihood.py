"""Likelihoods that are worked out from runs at one point: what they cost, say, and take for granted."""

import abc
from dataclasses import dataclass, field

import equinox as eqx
import numpy as np

from .._types import Key
from ..core.executor import Ticker
from ..core.host import split
from ..core.rounds import Ask
from ..problem.problem import Problem, Simulate, Simulated


@dataclass(frozen=True)
class Weighed:
    """Likelihoods of n points.

    `levels` (n,): logarithms of the data's likelihood, minus infinity where it is 0 or where runs fail; `strange` (n,):
    p-values of what the likelihood takes for granted of the runs at each point, NaN where it takes nothing;
    `excluded` (runs,): which runs do not count, and why, a sentence to its count.
    """

    levels: np.ndarray
    strange: np.ndarray
    excluded: np.ndarray
    reasons: dict[str, int] = field(default_factory=dict)


class RunLikelihood(eqx.Module):
    """The likelihood of the data at parameters, estimated from a few runs there. Implement four methods."""

    @abc.abstractmethod
    def runs(self) -> int:
        """How many runs one point costs."""

    @abc.abstractmethod
    def check(self, task: Problem) -> None:
        """Whether it can be worked out for this problem. **Raises:** `MethodError`, `TargetError` with the mend."""

    @abc.abstractmethod
    def weigh(self, task: Problem, real: np.ndarray, key: Key, ticker: Ticker) -> Weighed:
        """Likelihoods at points (n, d) on the real scale of the space, each from fresh runs."""

    @abc.abstractmethod
    def assumes(self) -> str:
        """What it takes for granted, as the end of a sentence that begins with "it takes"."""


def replicated(
    task: Problem, real: np.ndarray, replicates: int, key: Key, ticker: Ticker, *, keep: bool = False
) -> tuple[Simulated, np.ndarray]:
    """Runs at points (n, d), `replicates` at each, point after point, and which of them count (n, replicates)."""
    parameters = task.space.from_real(np.repeat(real, replicates, axis=0))
    keys = split(key, len(real) * replicates)
    answer = Simulate(parameters, keys, keep=keep, none=True).answer(task, ticker)
    return answer, ~answer.excluded.reshape(len(real), replicates)


class Weigh(Ask):
    """Ask for likelihoods at points (n, d) on the real scale."""

    likelihood: RunLikelihood
    real: np.ndarray
    key: Key

    def calls(self) -> int:
        return len(self.real) * self.likelihood.runs()

    def answer(self, task: Problem, ticker: Ticker) -> Weighed:
        return self.likelihood.weigh(task, self.real, self.key, ticker)
