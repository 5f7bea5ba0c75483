"""A simulator on a store: each run is looked up before it is made, and stored when it has ended."""

import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import equinox as eqx
import numpy as np

from .._errors import SimulatorError, StoreError
from .._types import Key, Parameters
from ..core.executor import Ticker
from ..core.model import Parameter
from ..problem.rows import attempt, raised, split
from ..problem.simulators import Batch, Observed, Simulator, assemble
from ..problem.simulators import Callable as CallableSimulator
from .arrays import blank, described, layout_of
from .identity import Identified, identified, simulator_digest
from .outside import OutOfProcess, jobs, put_together
from .store import FinishedRun, Store, StoredRun
from .worker import Outcome

TOGETHER = 128
"""Runs of a vectorised simulator that are made, and stored, together: JAX makes those in groups of 16, whatever their
number, so that sums of floats are rounded alike in all of them.
"""
_FLUSH = 0.5
"""Seconds for which finished runs may wait to be stored together."""


class Stored(Simulator):
    """A simulator whose runs are kept in a store, and taken from there when they are asked for again.

    It gives the numbers of the simulator inside and describes itself as that, so that a fit does not know the
    difference; but a fit that was killed finds all runs that had ended, and so does any other method on this simulator.
    A run that failed is stored with its reason and not made again. Where a simulator is vectorised, sums of floats may
    differ in their last bit from those of other numbers of runs at a time.

    **Arguments:** `simulator`: any, or a Python callable `(parameters, key) -> observations`; `store`: where runs are
    kept; `together`: runs that are handed to the simulator at a time, and stored when they have ended; one by one for a
    Python callable and 128 for a vectorised simulator unless said otherwise. Runs in processes, on Ray and of commands
    are stored as each ends.

    **Raises:** `StoreError` where the store cannot be used.
    """

    simulator: Simulator
    store: Store = eqx.field(static=True)
    together: int | None = eqx.field(static=True, default=None)

    def __init__(self, simulator: Any, store: Store, together: int | None = None):
        self.simulator = simulator if isinstance(simulator, Simulator) else CallableSimulator(simulator)
        self.store = store
        self.together = checked(together)

    def parameters(self) -> Mapping[str, Parameter]:
        return self.simulator.parameters()

    def describe(self) -> dict[str, Any]:
        return self.simulator.describe()

    def simulate(self, parameters: Parameters, keys: Key, ticker: Ticker) -> Batch:
        maker = Maker.of(self.simulator, self.store, self.together)
        asked = identified(maker.digest, parameters, keys)
        found: dict[str, StoredRun] = self.store.get(asked.ids)
        rows: dict[str, int] = {}
        for row, one in enumerate(asked.ids):
            if one not in found:
                rows.setdefault(one, row)
        ticker.advance(len(asked.ids) - len(rows))
        found |= {run.id: run for run in maker.make(asked, list(rows.values()), ticker)}
        return assembled([found[one] for one in asked.ids])


def checked(together: int | None) -> int | None:
    """**Raises:** `SimulatorError` when it is no number of runs."""
    if together is not None and together < 1:
        raise SimulatorError(f"together={together}: one run at least is made at a time")
    return together


@dataclass
class Maker:
    """Makes runs and stores them: `digest` of the simulator; `together`: runs that it is handed at a time, or that are
    in hand where each ends for itself.
    """

    simulator: Simulator
    store: Store
    digest: str
    together: int
    outside: OutOfProcess | None = None
    owner: str | None = None
    _waiting: list[FinishedRun] = field(default_factory=list)
    _stored: float = field(default_factory=time.monotonic)

    @staticmethod
    def of(simulator: Simulator, store: Store, together: int | None) -> "Maker":
        """For a simulator, which the store then knows."""
        digest = simulator_digest(simulator)
        store.database.simulator(digest, json.dumps(simulator.describe(), sort_keys=True))
        outside = _out_of_process(simulator)
        if together is None:
            together = outside.in_hand() if outside else 1 if _one_by_one(simulator) else TOGETHER
        return Maker(simulator, store, digest, together, outside)

    def make(self, asked: Identified, rows: Sequence[int], ticker: Ticker) -> list[StoredRun]:
        """Make the runs at these rows. When it is interrupted, those that had ended are stored first."""
        made: list[StoredRun] = []
        try:
            if self.outside is None:
                for start in range(0, len(rows), self.together):
                    self._ended(self._some(asked, rows[start : start + self.together], ticker), made)
            elif rows:
                self._as_they_end(self.outside, asked, rows, ticker, made)
        finally:
            self.flush()
        return made

    def _as_they_end(
        self, outside: OutOfProcess, asked: Identified, rows: Sequence[int], ticker: Ticker, made: list[StoredRun]
    ) -> None:
        index = np.asarray(rows)
        own = _seen_by(self.simulator, asked.some(index))
        wanted = jobs(own, asked.key(index))

        def heard(place: int, out: Outcome) -> None:
            def batch() -> Batch:
                seen = put_together([wanted[place]], [out], outside.logs)
                if self.simulator is outside:
                    return seen
                one = index[place : place + 1]
                return _behind_observers(self.simulator, seen, asked.some(one), asked.key(one))

            self._ended(self._judged(asked, [rows[place]], batch, out.seconds), made)

        outside.outcomes(wanted, ticker, heard)

    def _ended(self, runs: list[FinishedRun], made: list[StoredRun]) -> None:
        made += [_as_stored(run) for run in runs]
        self._waiting += runs
        if time.monotonic() - self._stored > _FLUSH:
            self.flush()

    def flush(self) -> None:
        """Store what is waiting."""
        if self._waiting:
            try:
                self.store.put(self._waiting, self.owner)
            except StoreError:
                self._waiting = []  # it was waited for long enough
                raise
        self._waiting, self._stored = [], time.monotonic()

    def _some(self, asked: Identified, rows: Sequence[int], ticker: Ticker) -> list[FinishedRun]:
        index = np.asarray(rows)
        parameters = asked.some(index)
        before = ticker.done

        def batch() -> Batch:
            if len(rows) == 1 and isinstance(self.simulator, CallableSimulator):  # without making an array of keys
                row, error = attempt(self.simulator.function, split(parameters, 1)[0], asked.one_key(rows[0]))
                return assemble([row], ["" if error is None else raised(error)])
            return self.simulator.simulate(parameters, asked.key(index), ticker)

        runs = self._judged(asked, rows, batch)
        ticker.advance(before + len(rows) - ticker.done)  # where it was not told, as of a batch that has failed
        return runs

    def _judged(
        self, asked: Identified, rows: Sequence[int], batch: Callable[[], Batch], seconds: float | None = None
    ) -> list[FinishedRun]:
        """The runs of a batch, each with its own reason; `seconds` a run, or else those that it takes to come."""
        began = time.perf_counter()
        try:
            found = batch()
            seen, reasons = found.observations, found.why()
        except SimulatorError as error:  # none came back
            seen, reasons = {}, tuple(_first(str(error)) for _ in rows)
        took, now = (time.perf_counter() - began) / len(rows) if seconds is None else seconds, time.time()
        out = []
        for place, row in enumerate(rows):
            one = {name: np.asarray(value[place]) for name, value in seen.items()}
            layout, why = layout_of(one) if one else None, reasons[place] or None
            kept = one if why is None else None
            out.append(FinishedRun(asked.ids[row], self.digest, *asked.told(row), why, layout, kept, took, now))
        return out


def _out_of_process(simulator: Simulator) -> OutOfProcess | None:
    """What makes the runs where each ends for itself: the simulator, or what stands behind its observers."""
    if isinstance(simulator, Observed):
        return _out_of_process(simulator.simulator)
    return simulator if isinstance(simulator, OutOfProcess) else None


def _seen_by(simulator: Simulator, parameters: Parameters) -> Parameters:
    """The parameters that get through to what stands behind the observers."""
    if isinstance(simulator, Observed):
        return _seen_by(simulator.simulator, simulator.inner(parameters))
    return parameters


def _behind_observers(simulator: Simulator, seen: Batch, parameters: Parameters, keys: Key) -> Batch:
    """What the observers make of what stands behind them."""
    if isinstance(simulator, Observed):
        seen = _behind_observers(simulator.simulator, seen, simulator.inner(parameters), keys)
        return simulator.observed(seen, parameters, keys)
    return seen


def _one_by_one(simulator: Simulator) -> bool:
    if isinstance(simulator, Observed):
        return _one_by_one(simulator.simulator)
    return isinstance(simulator, CallableSimulator)


def _as_stored(run: FinishedRun) -> StoredRun:
    status = "done" if run.reason is None else "excluded"
    return StoredRun(run.id, status, run.reason, run.layout, run.seconds, "", run.finished, run.observations or {})


def _first(message: str) -> str:
    """Why a run failed, of the message of a batch of one that failed."""
    return message.removeprefix("all 1 runs failed; the first: ")


def usual_layout(runs: Iterable[StoredRun]) -> str | None:
    """The commonest layout of runs, of those that are done if there are any: the right one, as far as anyone knows."""
    counted: Counter[tuple[bool, str]] = Counter()
    for run in runs:
        if run.layout is not None:
            counted[run.status == "done", run.layout] += 1
    done = any(status for status, _ in counted)
    return next((layout for (status, layout), _ in counted.most_common() if status == done), None)


def judged(run: StoredRun, usual: str | None) -> str | None:
    """Why a run does not count; None where it does. One of another layout than the usual does not."""
    if run.status == "done" and usual is not None and run.layout is not None and run.layout != usual:
        return f"the simulator returned {described(run.layout)}, not {described(usual)}"
    return run.reason


def assembled(runs: Sequence[StoredRun]) -> Batch:
    """Runs as the batch that the simulator would have returned.

    **Raises:** `SimulatorError` where nothing is known of what it returns, as every run failed.
    """
    usual = usual_layout(runs)
    reasons = [judged(run, usual) for run in runs]
    counts = dict(Counter(why for why in reasons if why is not None))
    told = tuple(why or "" for why in reasons)
    if usual is None:
        raise SimulatorError(f"all {len(runs)} runs failed; the first: {reasons[0]}")
    empty = blank(usual)
    rows = [empty if why is not None else run.observations for run, why in zip(runs, reasons, strict=True)]
    observations = {name: np.stack([row[name] for row in rows]) for name in empty}
    return Batch(observations, np.array([why is not None for why in reasons]), counts, told)
