"""Writing a file whole or not at all."""

import contextlib
import errno
import json
import os
import secrets
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from populace._errors import OutputError

_MENDS: dict[int, str] = {
    errno.ENOSPC: "the disk is full; free some space, or choose another disk",
    errno.EDQUOT: "the disk quota is used up; free some space, or choose another disk",
    errno.EFBIG: "the file is larger than the file system or a limit allows; choose another disk",
    errno.EACCES: "the folder is not writable; choose another folder, or change its permissions",
    errno.EPERM: "the folder is not writable; choose another folder, or change its permissions",
    errno.EROFS: "the folder is not writable (its file system is read-only); choose another folder",
    errno.ENOTDIR: "a part of the path is a file and not a folder; choose another path",
    errno.EEXIST: "a part of the path is a file and not a folder; choose another path",
    errno.EISDIR: "it is a folder; give the name of a file",
    errno.ENAMETOOLONG: "the name is too long for the file system; choose a shorter one",
    errno.ELOOP: "its symbolic links lead in a circle; mend the link, or choose another path",
}


def atomic_write(path: Path, data: bytes) -> Path:
    """Writes `data` to `path` so that a reader, or a crash at any moment, sees the old file or the new one.

    The bytes go to a temporary file in the same folder, are flushed to the disk, and take the name in one step.
    Missing folders are made. A symbolic link is followed, and an old file's permissions are kept.

    **Arguments:** `path`: where the file shall stand; `data`: all of it.

    **Returns:** `path`.

    **Raises:** `OutputError` that says what is in the way (a full disk, a folder that is not writable, a file
    where a folder should be) and what mends it. The old file is then as it was.
    """
    path = Path(path)
    try:
        target = Path(os.path.realpath(path)) if path.is_symlink() else path
        target.parent.mkdir(parents=True, exist_ok=True)
        _replace(target, data, _old_mode(target))
    except OSError as error:
        raise OutputError(f"cannot write '{path}': {_reason(error)}") from error
    return path


def write_manifest(path: Path, manifest: Mapping[str, Any]) -> Path:
    """Writes what made the file `path`, whose kind has no room for it, beside it: `runs.csv.manifest.json`.

    **Returns:** where it is. **Raises:** `OutputError` as `atomic_write`.
    """
    text = json.dumps(manifest, indent=2, sort_keys=True) + "\n"
    return atomic_write(path.with_name(f"{path.name}.manifest.json"), text.encode())


def _reason(error: OSError) -> str:
    if error.errno in _MENDS:
        return _MENDS[error.errno]
    return f"{error.strerror or error}; choose another path"


def _old_mode(target: Path) -> int | None:
    """Permission bits of the file that stands at `target`; None when there is none."""
    try:
        found = target.stat()
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(target))
    if not stat.S_ISREG(found.st_mode):
        raise OutputError(f"cannot write '{target}': it is a device or a pipe; give the name of a file")
    return stat.S_IMODE(found.st_mode)


def _replace(target: Path, data: bytes, mode: int | None) -> None:
    part = target.parent / f".populace-{os.getpid()}-{secrets.token_hex(8)}.part"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
    handle = os.open(part, flags, 0o666)
    try:
        try:
            _write_all(handle, data)
            if mode is not None:
                os.chmod(part, mode)
            os.fsync(handle)
        finally:
            os.close(handle)
        os.replace(part, target)
    except BaseException:
        with contextlib.suppress(OSError):  # the first error is the one to report
            os.unlink(part)
        raise
    _sync_folder(target.parent)


def _write_all(handle: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(handle, left) :]


def _sync_folder(folder: Path) -> None:
    """Makes the new name itself survive a power cut, where the system can."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network file systems cannot sync a folder
            raise
    finally:
        os.close(handle)
