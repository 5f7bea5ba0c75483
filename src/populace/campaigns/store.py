"""A store: runs by their identity, in a folder or on a database server, each written whole or not at all."""

import contextlib
import importlib
import os
import socket
import threading
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .._errors import OutputError, StoreError
from .._files import atomic_write
from .arrays import checksum, packed, unpacked

if TYPE_CHECKING:
    from .database import Database

FILE_FROM = {"sqlite": 256 * 1024, "server": 16 * 1024 * 1024}
"""Compressed bytes of a run from which they go to a file beside the database, and not into its row."""
LEASE = 60.0
"""Seconds after which a claim lapses, unless it is renewed."""
_LIGHT = ("status", "reason", "layout", "seconds", "host", "finished")
RETRIED = "it had failed, and was asked for again"
_AT_ONCE = 500
"""Runs whose observations are held at a time where all are read."""
TORN = "its stored observations were torn, and the run is made again"


def _machine() -> str:
    """This machine, and within it the container: where process numbers mean something."""
    try:
        return f"{socket.gethostname()} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return socket.gethostname()


HOST, PLACE = socket.gethostname(), _machine()


@dataclass(frozen=True)
class StoredRun:
    """One run as it is stored: `status` is `done` or `excluded`, the latter with its `reason`.

    `layout`: names, kinds and shapes of the observations, as JSON, or None where nothing came back; `observations`:
    these, empty for a run that is excluded or where they were not asked for; `seconds` it took; `host`, `finished`
    (seconds since 1970): where and when.
    """

    id: str
    status: str
    reason: str | None
    layout: str | None
    seconds: float
    host: str
    finished: float
    observations: Mapping[str, np.ndarray]


@dataclass(frozen=True)
class FinishedRun:
    """One run to be stored: `simulator`: its digest; `parameters`, `key` as text; `observations` None where it is
    excluded, with its `reason`.
    """

    id: str
    simulator: str
    parameters: str
    key: str
    reason: str | None
    layout: str | None
    observations: Mapping[str, np.ndarray] | None
    seconds: float
    finished: float


class Store:
    """Where runs are kept: a folder with `runs.db` (SQLite) and larger arrays in files beside it.

    A run is stored when it has ended, under its identity; a second one of that identity changes nothing. Several
    programs may use a store at once: on one machine in a folder, on several with `database`, a PostgreSQL server. The
    database and the files are made when the store is first used.

    **Arguments:** `folder`: made where it is not there; `database`: such as
    `postgresql+psycopg://user:password@host/name`, in place of `runs.db`. Runs of 16 MB and more, compressed, then
    still go to the folder, which all machines have to see.

    **Raises:** `MissingExtraError` without SQLAlchemy; when it is used, `StoreError` with the cause and the mend.
    """

    def __init__(self, folder: Path | str, *, database: str | None = None):
        self.folder = Path(folder)
        self.url = database
        self._open: tuple[int, Database] | None = None
        self._lock = threading.Lock()
        importlib.import_module("populace.campaigns.database")  # SQLAlchemy is there, or it is said now

    def __reduce__(self) -> tuple[Any, ...]:
        return _made, (self.folder, self.url)

    def __repr__(self) -> str:
        return f"Store({str(self.folder)!r})" if self.url is None else f"Store({str(self.folder)!r}, database=...)"

    @property
    def database(self) -> "Database":
        """Its database, opened once a process."""
        with self._lock:
            if self._open is None or self._open[0] != os.getpid():
                self._open = (os.getpid(), self._opened())
            return self._open[1]

    def _opened(self) -> "Database":
        from .database import Database

        if self.url is not None:
            return Database(_address(self.url), None)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"cannot make the folder '{self.folder}': {error.strerror}; choose another") from error
        return Database("", self.folder / "runs.db")

    def close(self) -> None:
        """Let go of the database; it is opened again where it is needed."""
        with self._lock:
            if self._open is not None and self._open[0] == os.getpid():
                self._open[1].close()
            self._open = None

    # --- runs

    def put(self, runs: Sequence[FinishedRun], owner: str | None = None) -> None:
        """Store runs, all or nothing; those that are there already stay as they are.

        **Raises:** `StoreError`; what was stored before is then as it was.
        """
        self.database.insert([self._row(run) for run in runs], owner)

    def _row(self, run: FinishedRun) -> dict[str, Any]:
        data = None if run.observations is None else packed(run.observations)
        proof = None if data is None else checksum(data)
        aside = data is not None and len(data) >= FILE_FROM["sqlite" if self.database.path else "server"]
        if aside and data is not None and proof is not None:
            self._keep(proof, data)
        return {
            "id": run.id,
            "simulator": run.simulator,
            "parameters": run.parameters,
            "key": run.key,
            "status": "done" if run.reason is None else "excluded",
            "reason": run.reason,
            "layout": run.layout,
            "observations": None if aside else data,
            "file": proof if aside else None,
            "checksum": proof,
            "seconds": run.seconds,
            "host": HOST,
            "finished": run.finished,
        }

    def _keep(self, name: str, data: bytes) -> None:
        path = self._path(name)
        if not path.exists() or path.stat().st_size != len(data):
            try:
                atomic_write(path, data)
            except OutputError as error:
                raise StoreError(f"{error}. What was stored before is safe") from error

    def _path(self, name: str) -> Path:
        return self.folder / "arrays" / name[:2] / f"{name}.z"

    def get(self, ids: Sequence[str]) -> dict[str, StoredRun]:
        """The runs that are stored, of those asked for, with their observations.

        A run whose observations do not have their checksum any more is not among them: it is dropped from the store
        with a note, so that it is made again.
        """
        found, torn = {}, []
        for row in self.database.runs(ids, *_LIGHT, "observations", "file", "checksum"):
            *light, inside, file, proof = row
            data = self._read(file) if file is not None else inside
            if proof is not None and (data is None or checksum(data) != proof):
                torn.append(row.id)
                continue  # its note is written below
            seen = {} if proof is None or data is None else unpacked(data, row.layout)
            found[row.id] = StoredRun(*light, observations=seen)
        if torn:
            self._drop(torn)
        return found

    def _drop(self, torn: Sequence[str]) -> None:
        for row in self.database.runs(torn, "file"):
            if row.file is not None:
                self._path(row.file).unlink(missing_ok=True)
        self.database.forget(torn, TORN)

    def _read(self, name: str) -> bytes | None:
        try:
            return self._path(name).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StoreError(f"'{self._path(name)}' cannot be read: {error.strerror}; look at the disk") from error

    def look(self, ids: Sequence[str]) -> dict[str, StoredRun]:
        """As `get`, without the observations, which are not read."""
        return {row.id: StoredRun(*row, observations={}) for row in self.database.runs(ids, *_LIGHT)}

    def verified(self, ids: Sequence[str]) -> dict[str, StoredRun]:
        """As `look`, of those whose observations have their checksum; the others are dropped, as by `get`. Few are held
        at a time.
        """
        found = {}
        for start in range(0, len(ids), _AT_ONCE):
            for one, run in self.get(ids[start : start + _AT_ONCE]).items():
                found[one] = replace(run, observations={})
        return found

    def forget_excluded(self) -> int:
        """Drop all runs that failed, so that they are made again when they are asked for; how many there were."""
        failed = [row.id for row in self.database.every("id", "status") if row.status == "excluded"]
        self.database.forget(failed, RETRIED)
        return len(failed)

    def forget(self, ids: Sequence[str], why: str) -> None:
        """Drop runs, with a note each."""
        self.database.forget(ids, why)

    def check(self) -> dict[str, int]:
        """Read all that is stored: how many `runs` there are, `excluded` among them, and `torn` (dropped, to be made
        again).
        """
        rows = self.database.every("id", "status")
        whole = len(self.verified([row.id for row in rows]))
        excluded = sum(row.status == "excluded" for row in rows)
        return {"runs": len(rows), "excluded": excluded, "torn": len(rows) - whole}

    # --- claims

    @contextlib.contextmanager
    def claiming(self) -> Iterator["Claims"]:
        """Take on runs, so that nobody else makes them meanwhile; what was not made is given back at the end."""
        claims = Claims(self)
        try:
            with claims.renewed():
                yield claims
        finally:
            self.database.release(claims.owner)


class Claims:
    """What one program has taken on. A claim lapses `LEASE` seconds after its program was last heard of, and at once
    where that program is known to be gone from this machine.
    """

    def __init__(self, store: Store):
        self._database = store.database
        self.owner = f"{PLACE}|{os.getpid()}|{uuid.uuid4().hex}"

    def take(self, ids: Sequence[str], most: int) -> tuple[list[str], list[str]]:
        """Take on `most` of the runs, the first that are not stored and that nobody has taken.

        **Returns:** those that are now taken; and those that were found to be stored on the way.
        """
        return self._database.claim(ids, most, self.owner, LEASE, gone)

    @contextlib.contextmanager
    def renewed(self) -> Iterator[None]:
        """Renew claims from a thread, while the work goes on. Where the database is gone for long, that is no harm:
        claims lapse, what two programs have made is stored once, and the next renewal tries again.
        """
        end = threading.Event()

        def renew() -> None:
            while not end.wait(LEASE / 3):
                with contextlib.suppress(StoreError):  # who stores the runs is told
                    self._database.renew(self.owner, LEASE)

        thread = threading.Thread(target=renew, daemon=True, name="populace-claims")
        thread.start()
        try:
            yield
        finally:
            end.set()
            thread.join(1.0)


def _made(folder: Path, url: str | None) -> Store:
    return Store(folder, database=url)


def _address(url: str) -> str:
    kind, colon, rest = url.partition("://")
    if not colon or kind.partition("+")[0] != "postgresql":
        raise StoreError(f"'{kind}' is no kind of database here: write postgresql+psycopg://user@host/name")
    return f"{kind if '+' in kind else 'postgresql+psycopg'}://{rest}"


def gone(owner: str) -> bool:
    """Whether a program that claimed runs is known to have ended."""
    place, pid, _ = owner.rsplit("|", 2)
    if place != PLACE:
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False
