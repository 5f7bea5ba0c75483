"""Snapshots on disk: a run put down in one process and taken up in another, bit for bit."""

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from .._errors import CheckpointError
from .._files import atomic_write
from .model import Model, settled
from .plug import Plug
from .simulate import Snapshot, initial

_FORMAT = 1


def save_snapshot(snapshot: Snapshot, path: Path | str) -> Path:
    """Write a snapshot to a `.npz` file, whole or not at all.

    Arrays are kept as bytes, so that every dtype comes back as it was.

    **Returns:** the path. **Raises:** `OutputError` when the file cannot be written.
    """
    named = [(name, np.asarray(leaf)) for name, leaf in _named(snapshot)]
    head = {"format": _FORMAT, "leaves": [_described(name, leaf) for name, leaf in named]}
    parts = {f"leaf{i}": np.frombuffer(leaf.tobytes(), np.uint8) for i, (_, leaf) in enumerate(named)}
    buffer = io.BytesIO()
    np.savez(buffer, head=np.frombuffer(json.dumps(head).encode(), np.uint8), **parts)  # type: ignore[arg-type]
    return atomic_write(Path(path), buffer.getvalue())


def load_snapshot(path: Path | str, model: Model, plugs: tuple[Plug, ...] = ()) -> Snapshot:
    """Read the snapshot of a run of `model` with `plugs`; `simulate(..., start=...)` goes on from it.

    **Raises:** `CheckpointError` when the file cannot be read, or was written by a model or plugs whose state has
    other names, shapes or dtypes.
    """
    path = Path(path)
    like = eqx.filter_eval_shape(lambda m, key: initial(m, key, plugs)[0], settled(model), jr.key(0))
    wanted = [_described(name, leaf) for name, leaf in _named(like)]
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
            head = json.loads(file["head"].tobytes())
            parts = [file[f"leaf{i}"] for i in range(len(head["leaves"]))]
        written, number = head["leaves"], head["format"]
    except (ValueError, KeyError, TypeError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise CheckpointError(f"'{path}' cannot be read as a snapshot ({error}): save it again") from error
    if number != _FORMAT:
        raise CheckpointError(f"'{path}' has format {number}, this version reads {_FORMAT}: save it again")
    if written != wanted:
        raise CheckpointError(f"'{path}' is of another model, or of other plugs: {_difference(written, wanted)}")
    leaves = [_array(part, described) for part, described in zip(parts, written, strict=True)]
    return jax.tree.unflatten(jax.tree.structure(like), leaves)


def _named(tree: Any) -> list[tuple[str, Any]]:
    return [(jax.tree_util.keystr(path), leaf) for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]]


def _described(name: str, leaf: Any) -> list[Any]:
    return [name, str(leaf.dtype), list(leaf.shape)]


def _array(part: np.ndarray, described: list[Any]) -> jax.Array:
    _, dtype, shape = described
    return jnp.asarray(np.frombuffer(part.tobytes(), jnp.dtype(dtype)).reshape(shape))


def _difference(written: list[list[Any]], wanted: list[list[Any]]) -> str:
    one, other = ({name: f"{dtype}{shape}" for name, dtype, shape in leaves} for leaves in (written, wanted))
    for name in [*other, *one]:
        if one.get(name) != other.get(name):
            return f"it holds {one.get(name, 'no')} {name}, the model {other.get(name, 'none')}"
    return "the order of its parts differs"
