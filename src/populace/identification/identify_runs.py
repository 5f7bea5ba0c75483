"""What is identified by runs alone, such as a table of runs that somebody made elsewhere: `identify(runs, key)`."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from .._results import Result, Section, Verdict
from .._types import Key
from ..surrogates.runs import Runs
from .at_data import AtData, at_data
from .recoverable import Recoverability, recoverability


@dataclass(frozen=True)
class RunsIdentification(Result):
    """What runs say of identification: `average`, over the prior box, and `at`, at the data where there are any."""

    average: Recoverability
    at: AtData | None

    @property
    def verdicts(self) -> dict[str, Verdict]:
        """A verdict a parameter: at the data where there are any."""
        return self.average.verdicts if self.at is None else self.at.verdicts

    def given(self, data: np.ndarray) -> "RunsIdentification":
        """The same at other data (k,), with nothing learned anew.

        **Raises:** `ProblemError` for data that do not fit the runs.
        """
        return RunsIdentification(self.average, at_data(self.average, data))

    def sections(self) -> tuple[Section, ...]:
        return (*(() if self.at is None else self.at.sections()), *self.average.sections())

    def record(self) -> dict[str, Any]:
        own = {"average": self.average.record()}
        return own if self.at is None else {**own, "at the data": self.at.record()}


def by_runs(runs: Runs, key: Key, data: np.ndarray | None) -> RunsIdentification:
    """How well summaries tell parameters over the prior box, and what data (k,) decide.

    **Raises:** `MethodError` for too few runs; `ProblemError` for data that do not fit the runs.
    """
    found = RunsIdentification(recoverability(runs, key), None)
    return found if data is None else found.given(data)
