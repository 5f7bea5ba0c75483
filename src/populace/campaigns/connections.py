"""How a database is reached, and what its errors mean: wait and try again, or say the cause and the mend."""

import sqlite3
import time
from pathlib import Path
from typing import Any

from .._errors import MissingExtraError, StoreError

try:
    import sqlalchemy as sa
    import sqlalchemy.event as events
    from sqlalchemy.dialects import postgresql, sqlite
    from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError
except ImportError as error:
    raise MissingExtraError("sqlalchemy", "database") from error

__all__ = ["PATIENCE", "DBAPIError", "cause", "crossed", "engine_of", "lost", "postgresql", "sa", "sqlite"]

_BUSY = 60.0
"""Seconds that a writer waits for others before it gives up."""
PATIENCE = 30.0
"""Seconds that a database which has gone is waited for."""


def engine_of(url: str, path: Path | None) -> "sa.Engine":
    """Connections to a server, or to SQLite's file at `path`."""
    try:
        if path is None:
            return sa.create_engine(url, pool_pre_ping=True)
        engine = sa.create_engine(f"sqlite:///{path}", connect_args={"timeout": _BUSY})
    except (NoSuchModuleError, ArgumentError) as error:
        raise StoreError(
            f"no database has such an address ({error}): write postgresql+psycopg://user@host/name"
        ) from error
    except ModuleNotFoundError as error:
        raise MissingExtraError(error.name or "psycopg", "database") from error
    events.listen(engine, "connect", _connected)
    events.listen(engine, "begin", _begun)
    return engine


def _connected(connection: Any, _: Any) -> None:
    """Of SQLite: transactions begin where `_begun` says, the log is written ahead, and what is told is on the disk."""
    connection.isolation_level = None
    connection.execute("PRAGMA synchronous = FULL")
    if connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        _to_wal(connection)


def _to_wal(connection: Any) -> None:
    """Two who make a store at the same moment stand in each other's way here, whatever they are ready to wait."""
    last = time.monotonic() + _BUSY
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > last:
                raise
            time.sleep(0.01)
        else:
            return


def _begun(connection: "sa.Connection") -> None:
    writes = connection.get_execution_options().get("populace_writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


_GONE = ("connection", "server closed", "starting up", "shutting down", "terminating", "recovery mode")


def lost(error: "DBAPIError") -> bool:
    """Whether the server went away, and may come back."""
    text = str(error.orig).lower()
    refused = "authentication" in text or "does not exist" in text
    return not refused and (error.connection_invalidated or any(sign in text for sign in _GONE))


_CROSSED = {"40P01", "40001"}
"""Of SQL: two transactions waited for each other, or could not be put one behind the other; one was given up."""


def crossed(error: "DBAPIError") -> bool:
    """Whether the transaction was given up for another's sake, and does when it is repeated."""
    return getattr(error.orig, "sqlstate", None) in _CROSSED


_DISK_FULL = "53100"
"""Of SQL: the state of a server whose disk is full."""
_CAUSES = {
    "is locked": f"another program has held it for {_BUSY:.0f} s; end that program, or wait for it",
    "disk is full": "its disk is full; free some space, and start again",
    "no space left": "its disk is full; free some space, and start again",
    "disk i/o error": "its disk cannot be read or written; look at the disk, and start again",
    "readonly": "it may not be written; change its permissions, or choose another folder",
    "read-only": "it may not be written; change its permissions, or choose another folder",
    "unable to open": "it cannot be opened; look whether the folder is there and may be written",
    "malformed": "the file is damaged; restore it from a copy, or start another store",
    "not a database": "the file is no SQLite database; choose another folder",
    "authentication": "the server does not accept user and password; mend the address",
    "does not exist": "there is no such database or user; make it, or mend the address",
    "no such table": "its tables are not those of a store; choose another database",
}


def cause(error: "DBAPIError") -> str:
    """Why it could not be done, and the mend."""
    text = str(error.orig).strip()
    if getattr(error.orig, "sqlstate", None) == _DISK_FULL:  # whatever PostgreSQL says of it
        text = "disk is full"
    for sign, cause in _CAUSES.items():
        if sign in text.lower():
            return cause
    if lost(error):
        return f"the server has not answered for {PATIENCE:.0f} s ({text.splitlines()[0]}); start it, and then again"
    return f"{text.splitlines()[0] if text else type(error.orig).__name__}; look at the database, and start again"
