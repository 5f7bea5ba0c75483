"""The tables of a store, on SQLite or PostgreSQL, and every statement that is put to them.

All writing is in short transactions that may be repeated without harm, so that a lost connection is waited out. On
SQLite a transaction takes the lock for writing when it begins, for one that asks for it later is refused at once, and
each is flushed to the disk before it counts; readers never wait (write-ahead log).
"""

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from .._errors import StoreError
from . import connections
from .connections import DBAPIError, cause, crossed, engine_of, lost, postgresql, sa, sqlite

SCHEMA = 1
_AT_ONCE = 500
"""Identities in one question."""
_LOCK = 7094
"""Of PostgreSQL: the advisory locks under which tables are made, and (the next) runs are claimed."""

T = TypeVar("T")

_meta = sa.MetaData()
ABOUT = sa.Table("populace_about", _meta, sa.Column("name", sa.String, primary_key=True), sa.Column("value", sa.String))
SIMULATORS = sa.Table(
    "populace_simulators",
    _meta,
    sa.Column("digest", sa.String(64), primary_key=True),
    sa.Column("description", sa.Text, nullable=False),
    sa.Column("made", sa.Double, nullable=False),
)
RUNS = sa.Table(
    "populace_runs",
    _meta,
    sa.Column("number", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
    sa.Column("id", sa.String(64), nullable=False, unique=True),
    sa.Column("simulator", sa.String(64), nullable=False, index=True),
    sa.Column("parameters", sa.Text, nullable=False),
    sa.Column("key", sa.Text, nullable=False),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("reason", sa.Text),
    sa.Column("layout", sa.Text),
    sa.Column("observations", sa.LargeBinary),
    sa.Column("file", sa.String(64)),
    sa.Column("checksum", sa.String(64)),
    sa.Column("seconds", sa.Double, nullable=False),
    sa.Column("host", sa.Text, nullable=False),
    sa.Column("finished", sa.Double, nullable=False),
)
CLAIMS = sa.Table(
    "populace_claims",
    _meta,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("owner", sa.Text, nullable=False, index=True),
    sa.Column("until", sa.Double, nullable=False),
)
NOTES = sa.Table(
    "populace_notes",
    _meta,
    sa.Column("number", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
    sa.Column("id", sa.String(64), nullable=False, index=True),
    sa.Column("time", sa.Double, nullable=False),
    sa.Column("text", sa.Text, nullable=False),
)


class Database:
    """The tables behind one address.

    **Arguments:** `url`: as SQLAlchemy writes addresses; `path`: of SQLite, its file.

    **Raises:** `StoreError` when it cannot be reached, or holds tables of a newer populace; `MissingExtraError`.
    """

    def __init__(self, url: str, path: Path | None):
        self.path = path
        self.engine = engine_of(url, path)
        self.name = f"'{path}'" if path is not None else self.engine.url.render_as_string(hide_password=True)
        self._insert = sqlite.insert if path is not None else postgresql.insert
        try:
            self._make()
        except BaseException:
            self.engine.dispose()
            raise

    def _make(self) -> None:
        """Make the tables where there are none."""

        def work() -> str:
            with self._writing() as c:
                self._alone(c, _LOCK)
                if not sa.inspect(c).has_table(ABOUT.name):
                    _meta.create_all(c, checkfirst=False)
                    c.execute(sa.insert(ABOUT).values(name="schema", value=str(SCHEMA)))
                return str(c.scalar(sa.select(ABOUT.c.value).where(ABOUT.c.name == "schema")))

        held = self._trying(work)
        if held != str(SCHEMA):
            raise StoreError(
                f"{self.name} was written by a newer populace (its schema is {held}, this one knows {SCHEMA}): upgrade "
                "populace, or choose another store"
            )

    # --- runs

    def insert(self, rows: Sequence[dict[str, Any]], owner: str | None = None) -> None:
        """Write finished runs, but for those that are there, and drop their claims, all or nothing."""

        ordered = sorted(rows, key=lambda row: row["id"])  # who writes the same runs waits, and does not cross

        def work() -> None:
            with self._writing() as c:
                c.execute(self._insert(RUNS).on_conflict_do_nothing(index_elements=["id"]), ordered)
                if owner is not None:
                    for some in _parts([row["id"] for row in ordered]):
                        c.execute(sa.delete(CLAIMS).where(CLAIMS.c.owner == owner, CLAIMS.c.id.in_(some)))

        if rows:
            self._trying(work)

    def runs(self, ids: Sequence[str], *columns: str) -> list[Any]:
        """The named columns, behind `id`, of those of the runs that are there."""
        wanted = [RUNS.c.id, *(RUNS.c[name] for name in columns)]

        def work() -> list[Any]:
            with self._reading() as c:
                return [row for some in _parts(ids) for row in c.execute(sa.select(*wanted).where(RUNS.c.id.in_(some)))]

        return self._trying(work)

    def every(self, *columns: str) -> list[Any]:
        """The named columns of all runs, in the order in which they were stored."""

        def work() -> list[Any]:
            with self._reading() as c:
                return list(c.execute(sa.select(*(RUNS.c[name] for name in columns)).order_by(RUNS.c.number)))

        return self._trying(work)

    def forget(self, ids: Sequence[str], note: str) -> None:
        """Delete runs, and leave a note of each."""

        def work() -> None:
            with self._writing() as c:
                for some in _parts(ids):
                    held = list(c.scalars(sa.select(RUNS.c.id).where(RUNS.c.id.in_(some))))
                    if held:
                        c.execute(sa.insert(NOTES), [{"id": one, "time": time.time(), "text": note} for one in held])
                        c.execute(sa.delete(RUNS).where(RUNS.c.id.in_(held)))

        self._trying(work)

    def notes(self, ids: Sequence[str]) -> list[Any]:
        """Identity and text of the notes on some runs."""

        def work() -> list[Any]:
            asked = sa.select(NOTES.c.id, NOTES.c.text)
            with self._reading() as c:
                return [row for some in _parts(ids) for row in c.execute(asked.where(NOTES.c.id.in_(some)))]

        return self._trying(work)

    def simulator(self, digest: str, description: str) -> None:
        """Write down what a digest stands for, unless it is known."""

        def work() -> None:
            row = {"digest": digest, "description": description, "made": time.time()}
            with self._reading() as c:
                known = c.scalar(sa.select(SIMULATORS.c.digest).where(SIMULATORS.c.digest == digest))
            if known is None:
                with self._writing() as c:
                    c.execute(self._insert(SIMULATORS).values(row).on_conflict_do_nothing(index_elements=["digest"]))

        self._trying(work)

    # --- claims

    def claim(
        self, ids: Sequence[str], most: int, owner: str, lease: float, dead: Callable[[str], bool]
    ) -> tuple[list[str], list[str]]:
        """Take on the first `most` runs that nobody has made and nobody is making.

        **Arguments:** `lease`: seconds after which a claim lapses; `dead`: whether an owner is known to be gone.

        **Returns:** those of `ids` that are now the owner's to make; and those that were found to be made.
        """

        def work() -> tuple[list[str], list[str]]:
            with self._writing() as c:
                self._alone(c, _LOCK + 1)
                now = self._now(c)
                owners = [one for one in c.scalars(sa.select(CLAIMS.c.owner).distinct()) if one != owner and dead(one)]
                c.execute(sa.delete(CLAIMS).where((CLAIMS.c.until < now) | CLAIMS.c.owner.in_(owners)))
                free, made = _free(c, ids, most)
                if free:
                    c.execute(sa.insert(CLAIMS), [{"id": one, "owner": owner, "until": now + lease} for one in free])
                return free, made

        return self._trying(work)

    def renew(self, owner: str, lease: float) -> None:
        """Put off the end of all of an owner's claims."""

        def work() -> None:
            with self._writing() as c:
                c.execute(sa.update(CLAIMS).where(CLAIMS.c.owner == owner).values(until=self._now(c) + lease))

        self._trying(work)

    def release(self, owner: str) -> None:
        """Give back what an owner has not made."""

        def work() -> None:
            with self._writing() as c:
                c.execute(sa.delete(CLAIMS).where(CLAIMS.c.owner == owner))

        self._trying(work)

    def claimed(self, ids: Sequence[str]) -> int:
        """How many of the runs somebody is making."""

        def work() -> int:
            counted = sa.select(sa.func.count()).select_from(CLAIMS)
            with self._reading() as c:
                live = counted.where(CLAIMS.c.until >= self._now(c))
                return sum(int(c.scalar(live.where(CLAIMS.c.id.in_(some))) or 0) for some in _parts(ids))

        return self._trying(work)

    def _now(self, connection: "sa.Connection") -> float:
        """The time by the one clock that all who claim share."""
        if self.path is not None:
            return time.time()
        return float(connection.scalar(sa.text("SELECT extract(epoch FROM clock_timestamp())")) or 0.0)

    def _alone(self, connection: "sa.Connection", lock: int) -> None:
        """Wait until no other is in such a transaction; on SQLite none is while one writes."""
        if self.path is None:
            connection.execute(sa.text(f"SELECT pg_advisory_xact_lock({lock})"))

    # --- transactions

    @contextlib.contextmanager
    def _writing(self) -> "Iterator[sa.Connection]":
        with self.engine.connect().execution_options(populace_writes=True) as connection, connection.begin():
            yield connection

    @contextlib.contextmanager
    def _reading(self) -> "Iterator[sa.Connection]":
        with self.engine.connect() as connection:
            yield connection

    def _trying(self, work: Callable[[], T]) -> T:
        """Do it; where the connection was lost or another was in the way, again for a while, and then say why it could
        not be done.
        """
        last = time.monotonic() + connections.PATIENCE
        while True:
            try:
                return work()
            except DBAPIError as error:
                again = crossed(error) or (lost(error) and self.path is None)
                if not again or time.monotonic() > last:
                    raise StoreError(f"{self.name}: {cause(error)}. What was stored before is safe") from error
                time.sleep(0.05 if crossed(error) else 0.5)

    def close(self) -> None:
        """Let go of all connections."""
        self.engine.dispose()


def _free(connection: "sa.Connection", ids: Sequence[str], most: int) -> tuple[list[str], list[str]]:
    """The first `most` runs that are neither claimed nor made, and those made among the ones looked at. Claims are
    looked at first: who has made a run drops its claim in the same transaction.
    """
    free: list[str] = []
    made: list[str] = []
    for some in _parts(ids):
        taken = set(connection.scalars(sa.select(CLAIMS.c.id).where(CLAIMS.c.id.in_(some))))
        there = set(connection.scalars(sa.select(RUNS.c.id).where(RUNS.c.id.in_(some))))
        made += [one for one in some if one in there]
        free += [one for one in some if one not in there and one not in taken]
        if len(free) >= most:
            break
    return free[:most], made


def _parts(ids: Sequence[str]) -> Iterator[list[str]]:
    for start in range(0, len(ids), _AT_ONCE):
        yield list(ids[start : start + _AT_ONCE])
