"""A PostgreSQL server for as long as it is needed, in a folder of its own, reached through a socket in it."""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

_SETTINGS = {"listen_addresses": "", "max_connections": "40", "shared_buffers": "32MB"}


def available() -> str:
    """Why no server can be started here; nothing where one can."""
    absent = [name for name in ("initdb", "postgres") if shutil.which(name) is None]
    if absent:
        return f"there is no program '{absent[0]}'"
    if os.geteuid() == 0 and (shutil.which("runuser") is None or not _user()):
        return "PostgreSQL does not run as root, and there is no other user to run it as"
    return ""


def _user() -> str:
    import pwd

    known = {entry.pw_name for entry in pwd.getpwall()}
    return next((name for name in ("postgres", "nobody") if name in known), "")


@dataclass
class Server:
    """A server that can be stopped and started again; `url`: its address for SQLAlchemy."""

    folder: Path
    fsync: bool
    _process: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"postgresql+psycopg://populace@/postgres?host={self.folder}"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        settings = {**_SETTINGS, "unix_socket_directories": str(self.folder), "fsync": "on" if self.fsync else "off"}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        log = (self.folder / "log").open("ab")
        command = _as_user(["postgres", "-D", str(self.folder / "data"), *options])
        self._process.append(subprocess.Popen(command, stdout=log, stderr=log, cwd=self.folder, process_group=0))
        log.close()
        last = time.monotonic() + 60.0
        while not self._ready():
            if time.monotonic() > last or self._process[-1].poll() is not None:
                raise RuntimeError((self.folder / "log").read_text()[-2000:])
            time.sleep(0.05)

    def _ready(self) -> bool:
        held = self.folder / "data" / "postmaster.pid"
        return held.exists() and held.read_text().rstrip().endswith("ready")

    def stop(self) -> None:
        """Stop it at once, as a machine that fails does."""
        if self._process:
            process = self._process.pop()
            pid = self.folder / "data" / "postmaster.pid"
            with contextlib.suppress(ProcessLookupError, FileNotFoundError):
                os.kill(int(pid.read_text().split()[0]), signal.SIGQUIT)
            process.wait(30.0)


def _as_user(command: list[str]) -> list[str]:
    if os.geteuid() != 0:
        return command
    environment = ["env", f"PATH={os.environ['PATH']}"]
    return ["runuser", "-u", _user(), "--", *environment, *command]


@contextlib.contextmanager
def server(*, fsync: bool, inside: Path | None = None) -> Iterator[Server]:
    """A server with an empty database. `fsync`: whether what it says it has written is on the disk; `inside`: where it
    makes its folder, among temporary files unless a place is given.
    """
    folder = Path(tempfile.mkdtemp(prefix="populace-pg-", dir=inside))
    running = Server(folder, fsync)
    try:
        if os.geteuid() == 0:
            shutil.chown(folder, _user())
        command = ["initdb", "-N", "-A", "trust", "-U", "populace", "--locale=C", "-E", "UTF8"]
        command += ["--wal-segsize=1", "-D"] if inside else ["-D"]  # where there is little room
        subprocess.run(_as_user([*command, str(folder / "data")]), check=True, capture_output=True, cwd=folder)
        running.start()
        yield running
    finally:
        running.stop()
        shutil.rmtree(folder, ignore_errors=True)
