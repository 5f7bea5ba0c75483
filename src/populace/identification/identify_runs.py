"""The verb `identify_runs`: what is identified, from a table of runs that somebody made elsewhere."""

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

    def sections(self) -> tuple[Section, ...]:
        return (*(() if self.at is None else self.at.sections()), *self.average.sections())

    def record(self) -> dict[str, Any]:
        own = {"average": self.average.record()}
        return own if self.at is None else {**own, "at the data": self.at.record()}


def identify_runs(runs: Runs, key: Key, *, data: np.ndarray | None = None) -> RunsIdentification:
    """What is identified, from runs alone: how well summaries tell parameters over the prior box; with data, what
    these decide.

    **Arguments:** `runs`: points that follow the priors, with their summaries (`read_runs` reads files); `data` (k,):
    the summaries of the data, in the order of `runs.labels`.

    **Returns:** a `RunsIdentification`, whose `verdicts` are a sentence a parameter.

    **Raises:** `MethodError` for too few runs; `ProblemError` for data that do not fit the runs.
    """
    average = recoverability(runs, key)
    return RunsIdentification(average, None if data is None else at_data(average, data))
