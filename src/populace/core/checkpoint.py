"""A tree of arrays on disk, replaced as a whole or not at all."""

import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np

from .._errors import CheckpointError
from .._files import atomic_write

_FORMAT = 1


@dataclass(frozen=True)
class Saved:
    """What a checkpoint held: the method's state, rounds done and calls spent."""

    state: Any
    number: int
    calls: int


@dataclass(frozen=True)
class Checkpoint:
    """The last round of a loop, in one file `checkpoint.npz` of a folder.

    `digest` says of what work; the file of other work is refused rather than continued or overwritten.
    """

    folder: Path
    digest: str

    @property
    def path(self) -> Path:
        """The file."""
        return Path(self.folder) / "checkpoint.npz"

    def save(self, state: Any, number: int, calls: int) -> None:
        """Replace the file. A crash at any moment leaves the old file or the new one, whole."""
        head = {"format": _FORMAT, "digest": self.digest, "number": number, "calls": calls}
        arrays = {f"leaf{i}": np.asarray(leaf) for i, leaf in enumerate(jax.tree.leaves(state))}
        buffer = io.BytesIO()
        np.savez(buffer, head=np.frombuffer(json.dumps(head).encode(), np.uint8), **arrays)  # type: ignore[arg-type]
        atomic_write(self.path, buffer.getvalue())

    def load(self, like: Any) -> Saved | None:
        """What was saved, in the structure of `like`; None where there is no file.

        **Raises:** `CheckpointError` when the file is unreadable or of other work.
        """
        if not self.path.exists():
            return None
        try:
            with np.load(io.BytesIO(self.path.read_bytes()), allow_pickle=False) as file:
                head = json.loads(file["head"].tobytes())
                kind, number, calls = (head["format"], head["digest"]), int(head["number"]), int(head["calls"])
                leaves = [file[f"leaf{i}"] for i in range(len(file.files) - 1)]
        except Exception as error:  # a torn archive raises whatever the byte at the tear means to zipfile and numpy
            raise CheckpointError(f"{self.path} cannot be read ({error}): delete it to start afresh") from error
        if kind != (_FORMAT, self.digest):
            raise CheckpointError(
                f"{self.path} is the checkpoint of other work (another problem, data, method, seed or budget): "
                "use another folder, or delete it to start afresh"
            )
        structure = jax.tree.structure(like)
        if structure.num_leaves != len(leaves):
            raise CheckpointError(f"{self.path} holds {len(leaves)} arrays, not {structure.num_leaves}: delete it")
        return Saved(jax.tree.unflatten(structure, leaves), number, calls)
