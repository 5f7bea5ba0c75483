import errno
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

import pytest

import populace
from populace._errors import OutputError
from populace._files import atomic_write


def _fails_with(code: int) -> Any:
    def fail(*arguments: Any, **named: Any) -> NoReturn:
        raise OSError(code, os.strerror(code))

    return fail


def test_it_writes_and_makes_folders(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "c.bin"
    assert atomic_write(path, b"\x00\xff" * 100_000) == path
    assert path.read_bytes() == b"\x00\xff" * 100_000
    assert atomic_write(path, b"") == path and path.read_bytes() == b""
    assert list(path.parent.iterdir()) == [path]


def test_short_writes_are_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    monkeypatch.setattr(os, "write", lambda handle, data: real(handle, bytes(data[:7])))
    assert atomic_write(tmp_path / "a", bytes(range(256))).read_bytes() == bytes(range(256))


@pytest.mark.parametrize("call", ["write", "fsync", "replace", "close"])
@pytest.mark.parametrize(("code", "words"), [(errno.ENOSPC, "the disk is full"), (errno.EIO, "error")])
def test_a_failure_keeps_the_old_file_and_leaves_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, code: int, words: str
) -> None:
    path = atomic_write(tmp_path / "a", b"old")
    if call == "close":
        real = os.close
        monkeypatch.setattr(os, "close", lambda handle: (real(handle), _fails_with(code)()))
    else:
        monkeypatch.setattr(os, call, _fails_with(code))
    with pytest.raises(OutputError, match=words):
        atomic_write(path, b"new and longer")
    monkeypatch.undo()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_an_interrupt_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*arguments: Any) -> NoReturn:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "write", interrupt)
    with pytest.raises(KeyboardInterrupt):
        atomic_write(tmp_path / "a", b"new")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (errno.EACCES, "not writable"),
        (errno.EPERM, "not writable"),
        (errno.EROFS, "not writable"),
        (errno.ENOSPC, "the disk is full"),
        (errno.EDQUOT, "quota"),
        (errno.ENAMETOOLONG, "name is too long"),
    ],
)
def test_the_message_says_what_is_in_the_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, words: str
) -> None:
    monkeypatch.setattr(os, "open", _fails_with(code))
    with pytest.raises(OutputError, match=f"cannot write '.*a.html': .*{words}"):
        atomic_write(tmp_path / "a.html", b"")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_is_not_writable(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="not writable"):
        atomic_write(tmp_path / "a", b"")
    tmp_path.chmod(0o700)


def test_paths_that_cannot_be(tmp_path: Path) -> None:
    file = atomic_write(tmp_path / "file", b"x")
    with pytest.raises(OutputError, match="is a file and not a folder"):
        atomic_write(file / "a", b"")
    with pytest.raises(OutputError, match="is a file and not a folder"):
        atomic_write(file / "deeper" / "a", b"")
    with pytest.raises(OutputError, match="it is a folder"):
        atomic_write(tmp_path, b"")
    with pytest.raises(OutputError, match="the name is too long"):
        atomic_write(tmp_path / ("n" * 300), b"")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(OutputError, match="circle"):
        atomic_write(tmp_path / "loop", b"")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OutputError, match="a device or a pipe"):
        atomic_write(tmp_path / "pipe", b"")
    assert file.read_bytes() == b"x"


def test_a_name_as_long_as_the_file_system_allows(tmp_path: Path) -> None:
    assert atomic_write(tmp_path / ("n" * 255), b"x").read_bytes() == b"x"


def test_links_are_followed_and_permissions_kept(tmp_path: Path) -> None:
    target = atomic_write(tmp_path / "deep" / "target", b"old")
    target.chmod(0o640)
    link = tmp_path / "link"
    link.symlink_to(target)
    atomic_write(link, b"new")
    assert link.is_symlink() and target.read_bytes() == b"new"
    assert stat.S_IMODE(target.stat().st_mode) == 0o640


def test_new_files_have_the_permissions_that_open_would_give(tmp_path: Path) -> None:
    (tmp_path / "plain").write_bytes(b"")
    atomic_write(tmp_path / "ours", b"")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "plain").stat().st_mode


_WRITER = """
import sys
from pathlib import Path
from populace._files import atomic_write
path, size = Path(sys.argv[1]), 2_000_000
atomic_write(path, b"a" * size)
print("ready", flush=True)
while True:
    atomic_write(path, b"b" * size)
    atomic_write(path, b"a" * size)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL here")
def test_a_killed_writer_leaves_a_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "state"
    source = str(Path(next(iter(populace.__path__))).parent)
    for attempt in range(5):
        command = [sys.executable, "-c", _WRITER, str(path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": source}) as process:
            assert process.stdout is not None and process.stdout.readline() == b"ready\n"
            time.sleep(0.003 * (attempt + 1))
            process.kill()
        data = path.read_bytes()
        assert len(data) == 2_000_000 and len(set(data)) == 1
