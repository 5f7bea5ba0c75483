"""A round of runs at chosen points, with who chose them: the ask of the methods that choose by a surrogate."""

import numpy as np

from .._types import Key
from ..core.executor import Ticker
from ..core.host import split
from ..core.rounds import Ask
from ..problem.problem import Problem, Simulate, Simulated
from ..surrogates.bandit import Credit


class Tries(Ask):
    """Runs at points `unit` (n, d) of the unit cube; `credit`: who chose them, and what runs before have yielded;
    `said` (n,): their probabilities of being acceptable, where they are a check.
    """

    work: Simulate
    unit: np.ndarray
    credit: Credit
    said: np.ndarray

    @staticmethod
    def at(task: Problem, unit: np.ndarray, key: Key, credit: Credit, *, first: bool, said: np.ndarray) -> "Tries":
        """At points of the unit cube; of the `first` not every run may fail."""
        parameters = task.space.from_unit(unit)
        return Tries(Simulate(parameters, split(key, len(unit)), none=not first), unit, credit, said)

    def calls(self) -> int:
        return self.work.calls()

    def answer(self, task: Problem, ticker: Ticker) -> Simulated:
        return self.work.answer(task, ticker)
