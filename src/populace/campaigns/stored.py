"""A simulator on a store: each run is looked up before it is made, and stored when it has ended."""

import json
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import equinox as eqx
import numpy as np

from .._errors import SimulatorError, StoreError
from .._types import Key, Parameters
from ..core.executor import Ticker
from ..core.model import Parameter
from ..problem.simulators import Batch, Observed, Simulator
from ..problem.simulators import Callable as CallableSimulator
from .arrays import blank, described, layout_of
from .identity import Identified, identified, simulator_digest
from .store import FinishedRun, Store, StoredRun

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
    Python callable and 128 for others unless said otherwise.

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
    """Makes runs and stores them: `digest` of the simulator; `together`: runs that it is handed at a time."""

    simulator: Simulator
    store: Store
    digest: str
    together: int
    owner: str | None = None
    _waiting: list[FinishedRun] = field(default_factory=list)
    _stored: float = field(default_factory=time.monotonic)

    @staticmethod
    def of(simulator: Simulator, store: Store, together: int | None) -> "Maker":
        """For a simulator, which the store then knows."""
        digest = simulator_digest(simulator)
        store.database.simulator(digest, json.dumps(simulator.describe(), sort_keys=True))
        if together is None:
            together = 1 if _one_by_one(simulator) else TOGETHER
        return Maker(simulator, store, digest, together)

    def make(self, asked: Identified, rows: Sequence[int], ticker: Ticker) -> list[StoredRun]:
        """Make the runs at these rows. When it is interrupted, those that had ended are stored first."""
        made: list[StoredRun] = []
        try:
            for start in range(0, len(rows), self.together):
                some = rows[start : start + self.together]
                runs = self._some(asked, some, ticker)
                made += [_as_stored(run) for run in runs]
                self._waiting += runs
                if time.monotonic() - self._stored > _FLUSH:
                    self.flush()
        finally:
            self.flush()
        return made

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
        parameters: dict[str, Any] = {name: value[index] for name, value in asked.parameters.items()}
        began, before = time.perf_counter(), ticker.done
        try:
            batch = self.simulator.simulate(parameters, asked.key(index), ticker)
            seen, reasons = batch.observations, _reasons(batch)
        except SimulatorError as error:  # none came back
            ticker.advance(before + len(rows) - ticker.done)
            seen, reasons = {}, [_first(str(error)) for _ in rows]
        seconds, now = (time.perf_counter() - began) / len(rows), time.time()
        out = []
        for place, row in enumerate(rows):
            one = {name: np.asarray(value[place]) for name, value in seen.items()}
            layout, why = layout_of(one) if one else None, reasons[place]
            kept = one if why is None else None
            out.append(FinishedRun(asked.ids[row], self.digest, *asked.told(row), why, layout, kept, seconds, now))
        return out


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


def _reasons(batch: Batch) -> list[str | None]:
    """Why each run is excluded; None where it is not. A batch counts reasons and does not say whose each is: where it
    has several, a run is told all that it may be.
    """
    whys = list(batch.reasons)
    why = "; or ".join(whys) if whys else "no reason was given"
    return [why if out else None for out in batch.excluded.tolist()]


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
    if usual is None:
        raise SimulatorError(f"all {len(runs)} runs failed; the first: {reasons[0]}")
    empty = blank(usual)
    rows = [empty if why is not None else run.observations for run, why in zip(runs, reasons, strict=True)]
    observations = {name: np.stack([row[name] for row in rows]) for name in empty}
    return Batch(observations, np.array([why is not None for why in reasons]), counts)
