"""A store on a disk of a few megabytes, filled and given room again: `full_disk.py FOLDER KIND`, for the tests.

`KIND`: `rows` or `files` for runs in SQLite's rows or in files beside it, `postgresql` for a server all of whose data
lies there. It prints what was said when the disk was full, and what was stored then and at the end. It loads no JAX.
"""

import contextlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import postgres

from populace._errors import StoreError
from populace.campaigns import connections
from populace.campaigns.store import FILE_FROM, FinishedRun, Store


def finished(number: int, size: int) -> FinishedRun:
    """A run of bytes that nothing compresses."""
    noise = {"x": np.random.default_rng(number).integers(0, 256, size, dtype=np.uint8)}
    layout = json.dumps([["x", "|u1", [size]]])
    return FinishedRun(f"{number:064x}", "d" * 64, '{"a": 0.1}', "fry 0 1", None, layout, noise, 0.5, 1e9)


@contextlib.contextmanager
def opened(folder: Path, kind: str) -> Iterator[Store]:
    if kind == "postgresql":
        connections.PATIENCE = 5.0
        with postgres.server(fsync=False, inside=folder) as server:
            yield Store(folder / "runs", database=server.url)
    else:
        yield Store(folder / "runs")


def main(folder: Path, kind: str) -> None:
    size = FILE_FROM["sqlite"] + 1 if kind == "files" else 100_000
    with opened(folder, kind) as store:
        store.put([finished(0, size)])
        ballast = folder / "ballast"
        ballast.write_bytes(bytes(1_000_000))
        kept, said = 1, ""
        while not said and kept < 1_000:
            try:
                store.put([finished(kept, size)])
                kept += 1
            except StoreError as error:
                said = str(error)
        then = store.check()
        ballast.unlink()
        store.put([finished(number, size) for number in range(kept, kept + 3)])
        print(json.dumps({"kept": kept, "said": said, "then": then, "end": store.check()}))
        store.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
