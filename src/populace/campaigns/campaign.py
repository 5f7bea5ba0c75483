"""A campaign: a plan of runs made once each, whatever is killed meanwhile and however many programs work on it."""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.progress import Progress

from .._results import Code, Result, Section, Table, Verdict
from .._types import Key
from ..core.executor import Ticker
from ..core.progress import display
from ..problem.simulators import Callable as CallableSimulator
from ..problem.simulators import Simulator
from . import tabulate
from .identity import Identified, identified, simulator_digest
from .manifest import environment
from .plan import Plan
from .store import RETRIED, Claims, Store, StoredRun
from .stored import Maker, checked, judged, usual_layout

if TYPE_CHECKING:
    import xarray as xr

_BLOCK, _MOST = 10.0, 1024
"""A program takes on as many runs as will last it so many seconds, and so many at most."""
_WAIT = 0.5
"""Seconds between two looks at what others have not finished."""
_LAST, _PAUSE = 256, 60.0
"""Runs by whose ends the pace is told; and seconds, beyond what runs take, after which a campaign has stood still."""


@dataclass(frozen=True)
class CampaignStatus(Result):
    """How far a campaign is.

    `planned`: different runs of the plan; `done`, `excluded`: how many are stored, and of these how many failed;
    `reasons`: why, a sentence to its count; `claimed`: how many some program is making; `notes`: what was noted of
    runs that were made again, a sentence to its count; `made`: how many this call made; `seconds`: what a run took, the
    median, NaN where none is stored; `pace`: seconds between the ends of two runs, of the last ones, by all who make
    them.
    """

    planned: int
    done: int
    excluded: int
    reasons: Mapping[str, int]
    claimed: int
    notes: Mapping[str, int]
    made: int
    seconds: float
    pace: float

    @property
    def left(self) -> float:
        """Seconds that what is missing takes at the pace of the last runs; NaN where none is stored."""
        return self.missing * self.pace

    @property
    def missing(self) -> int:
        """How many runs are not stored."""
        return self.planned - self.done - self.excluded

    def sections(self) -> tuple[Section, ...]:
        text = [f"{self.done + self.excluded} of {self.planned} runs are stored, {self.missing} are missing."]
        if self.made:
            text.append(f"{self.made} of them were made now.")
        if self.claimed:
            text.append(f"{self.claimed} runs are being made.")
        if np.isfinite(self.seconds):
            left = f"; at the pace of the last ones, {_duration(self.left)} are left" if self.missing else ""
            text.append(f"A run takes {_duration(self.seconds)}{left}.")
        text += [f"{count} runs: {note}." for note, count in self.notes.items()]
        verdicts, tables = (), ()
        if self.excluded:
            sentence = f"{self.excluded} of {self.done + self.excluded} stored runs failed; they are not made again."
            share = {"excluded": self.excluded / (self.done + self.excluded)}
            verdicts = (Verdict("the runs", Code.EXCLUDED, sentence, share),)
            rows = tuple(sorted(self.reasons.items(), key=lambda pair: -pair[1]))
            tables = (Table("Why runs failed", ("reason", "runs"), rows),)
        return (Section("Campaign", tuple(text), verdicts, (), tables),)

    def record(self) -> dict[str, Any]:
        return {
            "planned": self.planned,
            "done": self.done,
            "excluded": self.excluded,
            "missing": self.missing,
            "claimed": self.claimed,
            "made": self.made,
            "seconds_a_run": self.seconds if np.isfinite(self.seconds) else None,
            "seconds_left": self.left if np.isfinite(self.left) else None,
            "reasons": dict(self.reasons),
            "notes": dict(self.notes),
        }


@dataclass(frozen=True, eq=False)
class Campaign:
    """The runs of a plan by one simulator, in a store.

    **Arguments:** `simulator`: any, or a Python callable `(parameters, key) -> observations`; `together`: runs that are
    handed to it, or taken on, at a time, as of `Stored`.

    **Raises:** `SimulatorError` for `together` below 1.
    """

    simulator: Simulator
    plan: Plan
    store: Store
    together: int | None = None

    def __init__(
        self,
        simulator: Simulator | Callable[[dict[str, Any], Key], Mapping[str, Any]],
        plan: Plan,
        store: Store,
        together: int | None = None,
    ):
        simulator = simulator if isinstance(simulator, Simulator) else CallableSimulator(simulator)
        fields = {"simulator": simulator, "plan": plan, "store": store, "together": checked(together)}
        for name, value in fields.items():
            object.__setattr__(self, name, value)

    def asked(self) -> Identified:
        """The plan's runs with their identities."""
        return identified(simulator_digest(self.simulator), self.plan.parameters, self.plan.keys)

    def status(self) -> CampaignStatus:
        """How far it is. No observation is read.

        **Raises:** `StoreError`.
        """
        return _status(self.store, self.asked().ids, 0)

    def table(self) -> dict[str, np.ndarray]:
        """The runs as columns: name to (runs, ...), in the order of the plan; what is not there is NaN.

        `point`, `replicate`, each parameter, `status` (done, excluded or missing), `reason`, `seconds`, each
        observation.

        **Raises:** `StoreError`; `ProblemError` where a parameter and an observation share a name.
        """
        return tabulate.columns(self.plan, self._stored())

    def dataset(self) -> "xr.Dataset":
        """The same as an xarray data set along `run`; its `to_dataframe` makes one of pandas."""
        return tabulate.dataset(self.plan, self._stored())

    def write(self, path: Path | str) -> Path:
        """Write the runs to a file, whole or not at all: `.parquet` (extra `parquet`), `.nc` or `.csv`. What made it,
        the simulator and the versions and machine that wrote, is an attribute `manifest` (JSON); of `runs.csv`, the
        file `runs.csv.manifest.json`.

        **Raises:** `OutputError` for another suffix, or where it cannot be written; `MissingExtraError`.
        """
        made_with = {"simulator": self.simulator.describe(), "written_with": environment()}
        return tabulate.write(Path(path), self.plan, self._stored, made_with)

    def _stored(self) -> list[StoredRun | None]:
        ids = self.asked().ids
        found = self.store.get(ids)
        return [found.get(one) for one in ids]


def run_campaign(campaign: Campaign, *, retry: bool = False, progress: bool | Progress | None = None) -> CampaignStatus:
    """Make the runs of a campaign that are not stored yet, and store each when it has ended.

    A program that is killed loses the runs that had not ended (of a fast simulator, those of the last half second); the
    same call goes on from there. Several programs, on several machines where the store is a server, share the work. A
    stored run whose observations are torn is made again, and the status says so.

    **Arguments:** `retry`: make the runs that failed once more; `progress`: show it (True, False, None for where there
    is a terminal) or a running display.

    **Returns:** the status when all runs are stored.

    **Raises:** `StoreError`, with what was stored before safe.
    """
    maker = Maker.of(campaign.simulator, campaign.store, campaign.together)
    asked = identified(maker.digest, campaign.plan.parameters, campaign.plan.keys)
    store = campaign.store
    rows = {one: row for row, one in reversed(list(enumerate(asked.ids)))}
    ids = list(reversed(rows))
    stored = store.verified(ids)
    if retry:
        usual = usual_layout(stored.values())
        again = [one for one, run in stored.items() if judged(run, usual) is not None]
        store.forget(again, RETRIED)
        stored = {one: stored[one] for one in stored.keys() - set(again)}
    left = [one for one in ids if one not in stored]
    made = 0
    if left:
        with display(progress) as shown, store.claiming() as claims:
            ticker = Ticker(shown, f"campaign ({len(stored)} runs were stored)", len(left))
            maker.owner = claims.owner
            made = _work(maker, asked, rows, left, claims, ticker)
    return _status(store, ids, made)


def _work(
    maker: Maker, asked: Identified, rows: Mapping[str, int], left: list[str], claims: Claims, ticker: Ticker
) -> int:
    """Make what is left, a block at a time, and wait for what others have taken on; how many were made here.

    Of what is left a program takes half at most, so that several end at the same time (as in guided self-scheduling:
    Polychronopoulos and Kuck, 1987, IEEE Transactions on Computers).
    """
    made, block = 0, maker.together
    while left:
        half = max(1, len(left) // 2 // maker.together) * maker.together
        taken, elsewhere = claims.take(left, min(block, half))
        if taken:
            began = time.monotonic()
            made += len(maker.make(asked, [rows[one] for one in taken], ticker))
            block = _next_block(block, maker.together, (time.monotonic() - began) / len(taken))
        ticker.advance(len(elsewhere))
        gone = {*taken, *elsewhere}
        left = [one for one in left if one not in gone]
        if left and not gone:
            time.sleep(_WAIT)
    return made


def _next_block(block: int, together: int, seconds: float) -> int:
    """How many runs to take on next: eight times as many at most, in whole batches."""
    lasting = min(_BLOCK / max(seconds, 1e-6), 8 * block, max(_MOST, together))
    return max(1, int(lasting) // together) * together


def _status(store: Store, ids: Sequence[str], made: int) -> CampaignStatus:
    different = list(dict.fromkeys(ids))
    stored = store.look(different)
    usual = usual_layout(stored.values())
    reasons = Counter(why for run in stored.values() if (why := judged(run, usual)) is not None)
    seconds = [run.seconds for run in stored.values()]
    return CampaignStatus(
        planned=len(different),
        done=len(stored) - sum(reasons.values()),
        excluded=sum(reasons.values()),
        reasons=dict(reasons),
        claimed=store.database.claimed(different),
        notes=dict(Counter(str(row.text) for row in store.database.notes(different))),
        made=made,
        seconds=float(np.median(seconds)) if seconds else float("nan"),
        pace=_pace(list(stored.values())),
    )


def _pace(stored: list[StoredRun]) -> float:
    """Seconds from the end of a run to that of the next, the mean of the last ones; those in which nobody can have been
    at work are left out. Runs that were stored together end together.
    """
    if not stored:
        return float("nan")
    usual = float(np.median([run.seconds for run in stored]))
    ends, together = np.unique(np.sort([run.finished for run in stored])[-_LAST:], return_counts=True)
    gaps, after = np.diff(ends), together[1:]
    at_work = gaps <= _PAUSE + 3.0 * usual * after
    return float(gaps[at_work].sum() / after[at_work].sum()) if at_work.any() else usual


def _duration(seconds: float) -> str:
    if seconds < 1.0:
        return f"{seconds * 1e3:.2g} ms"
    for unit, size in (("days", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s"
