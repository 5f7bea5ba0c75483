"""How much room a model's populations want: asked of pilot runs, before work starts."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.progress import Progress
from scipy import stats

from .._errors import CapacityError, ModelError
from .._results import Figure, IntervalPanel, Result, Section, Table
from .._types import Key
from . import executor
from .capacity import capacities, fitting, rooms, with_capacity
from .ensemble import OneRun, grid_of_runs, one_run, outcomes
from .growth import Growth
from .model import Model, settled
from .plug import Plug
from .progress import display
from .record import Last

_GRAIN = 16
"""Capacities are multiples of it: random numbers for such lengths are made in one piece."""
LIMIT = 100_000


@dataclass(frozen=True)
class CapacityPlan(Result):
    """Room for populations, from pilot runs.

    `model`: the model with the capacities planned; `capacity`: their names to slots, `before`: as they were; `slots`:
    population to slots; `peaks`: population to the most agents that wanted to live at once, (parameters, runs);
    `margin`: standard deviations of the peaks above their mean.
    """

    model: Model
    capacity: dict[str, int]
    before: dict[str, int]
    slots: dict[str, int]
    peaks: dict[str, np.ndarray]
    margin: float

    @property
    def chance(self) -> float:
        """The probability that a further run outgrows a population, were its peaks Gaussian."""
        return float(stats.t.sf(self.margin, next(iter(self.peaks.values())).shape[1] - 1))

    def sections(self) -> tuple[Section, ...]:
        runs = next(iter(self.peaks.values())).shape[1]
        text = (
            f"Room for the mean peak of {runs} pilot runs and {self.margin:g} of their standard deviations (of the "
            f"parameter set that wants most). Were peaks Gaussian, a further run would outgrow a population with "
            f"probability {self.chance:.1g}; of any law, it passes the largest peak seen with probability "
            f"{1.0 / (runs + 1):.2g}. Give runs that must not fail a growth as well.",
        )
        rows = tuple(
            (name, float(peaks.mean()), float(peaks.std(axis=1, ddof=1).max()), int(peaks.max()), self.slots[name])
            for name, peaks in self.peaks.items()
        )
        columns = ("population", "mean peak", "sd in a set", "largest peak", "room")
        fields = tuple((name, self.before[name], slots) for name, slots in self.capacity.items())
        tables = (
            Table("Peaks of the pilot runs", columns, rows),
            Table("Capacities", ("field", "before", "planned"), fields),
        )
        return (Section("Capacity", text=text, figures=self._figures(), tables=tables),)

    def _figures(self) -> tuple[Figure, ...]:
        shares = [peaks / self.slots[name] for name, peaks in self.peaks.items()]
        middle, low, high = (np.array([take(share) for share in shares]) for take in (np.mean, np.min, np.max))
        panel = IntervalPanel(
            "Peaks of the pilot runs, their mean and range",
            "share of the room planned",
            tuple(name.strip(".[]'") for name in self.peaks),
            middle,
            low,
            high,
            reference=1.0,
        )
        caption = "The most agents that wanted to live at once in a pilot run; at the line the planned room is full."
        return (Figure("capacity", caption, (panel,)),)

    def record(self) -> dict[str, Any]:
        peaks = {name: values.tolist() for name, values in self.peaks.items()}
        plan = {"capacity": self.capacity, "before": self.before, "slots": self.slots, "margin": self.margin}
        return {**plan, "chance": self.chance, "peaks": peaks}


def plan_capacity(
    model: Model,
    key: Key,
    *,
    steps: int,
    runs: int = 32,
    parameters: Mapping[str, Any] | None = None,
    plugs: tuple[Plug, ...] = (),
    margin: float = 4.0,
    limit: int = LIMIT,
    progress: bool | Progress | None = None,
) -> CapacityPlan:
    """Plan the capacities of a model from pilot runs, which grow where they begin with too little room.

    The room of a population is mean + margin sd sqrt(1 + 1 / runs) of its peaks over runs, Student's prediction bound,
    at the parameter set at which that is largest; never less than the largest peak, and a multiple of 16.

    **Arguments:** `steps`: of the runs that are planned for; `runs`: pilot runs at each parameter set; `parameters`:
    name to (sets, ...), draws of a prior; `plugs`: what will stand around sites; `margin`: standard deviations;
    `limit`: slots a population may have.

    **Raises:** `ModelError` for a model that declares no capacity; `CapacityError` if a pilot run wants more than
    `limit`.
    """
    if runs < 2 or steps < 1 or margin < 0:
        raise ModelError(f"a plan takes 2 pilot runs, a step and a margin from 0, not {runs}, {steps} and {margin}")
    model = settled(model)
    found = rooms(model)
    planned = [name for name, fields in found.fields.items() if fields]
    if not planned:
        raise ModelError(
            f"{type(model).__name__} declares no capacity: write capacity: int = pop.capacity(default=...)"
        )
    peaks = _peaks(OneRun(model, plugs, Last(), steps), key, runs, parameters, Growth(limit), progress)
    room = {name: room_for(peaks[name], margin, limit) for name in planned}
    capacity = fitting(model, room)
    wide = with_capacity(model, capacity)
    slots = {name: many for name, many in rooms(wide).slots.items() if name in planned}
    return CapacityPlan(wide, capacity, capacities(model), slots, {name: peaks[name] for name in planned}, margin)


def _peaks(
    shared: OneRun,
    key: Key,
    runs: int,
    parameters: Mapping[str, Any] | None,
    growth: Growth,
    progress: bool | Progress | None,
) -> dict[str, np.ndarray]:
    """Population to its peaks (sets, runs)."""
    rows, _, sets = grid_of_runs(shared, key, runs, parameters)
    with display(progress) as shown:
        ticker = executor.Ticker(shown, f"pilot runs of {type(shared.model).__name__}", sets * runs)
        size = executor.chunk_size(one_run, shared, rows)
        out = executor.stack_rows(list(outcomes(shared, rows, size, growth, ticker)))
    lost = int((out.needed > 0).sum())
    if lost:
        raise CapacityError(
            f"{lost} of {sets * runs} pilot runs wanted more than {growth.limit} agents: give a larger limit, or leave "
            "out the parameters at which the population explodes"
        )
    return {name: values.reshape(sets, runs) for name, values in out.peaks.items()}


def room_for(peaks: np.ndarray, margin: float, limit: int) -> int:
    """Slots for peaks (sets, runs): Student's prediction bound, the largest peak at the least, `limit` at the most."""
    runs = peaks.shape[1]
    bound = peaks.mean(axis=1) + margin * peaks.std(axis=1, ddof=1) * math.sqrt(1.0 + 1.0 / runs)
    wanted = max(1, math.ceil(float(bound.max())), int(peaks.max()))
    return max(int(peaks.max()), min(limit, -(-wanted // _GRAIN) * _GRAIN), 1)
