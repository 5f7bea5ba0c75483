"""The observations of one run as bytes, and back: a layout in words, and compressed bytes with a checksum."""

import hashlib
import json
import zlib
from collections.abc import Mapping

import numpy as np

from .._errors import StoreError

_LEVEL = 1
"""Of zlib: of counts, level 6 takes six times as long and leaves four fifths as much."""


def layout_of(observations: Mapping[str, np.ndarray]) -> str:
    """Names, kinds and shapes of a run's observations, as JSON: what tells runs of another shape apart."""
    return json.dumps([[name, value.dtype.str, list(value.shape)] for name, value in observations.items()])


def packed(observations: Mapping[str, np.ndarray]) -> bytes:
    """A run's observations one behind the other, in the order of their layout, compressed."""
    return zlib.compress(b"".join(np.ascontiguousarray(value).tobytes() for value in observations.values()), _LEVEL)


def unpacked(data: bytes, layout: str) -> dict[str, np.ndarray]:
    """The observations that `packed` took. The bytes are known to be those: `checksum` was compared before.

    **Raises:** `StoreError` when layout and bytes do not fit each other.
    """
    raw, place, out = memoryview(zlib.decompress(data)), 0, {}
    for name, kind, shape in json.loads(layout):
        dtype = np.dtype(kind)
        count = int(np.prod(shape, dtype=np.int64))
        out[name] = np.frombuffer(raw, dtype, count, place).reshape(shape)
        place += count * dtype.itemsize
    if place != len(raw):
        raise StoreError(
            f"a stored run has {len(raw)} bytes where its layout says {place}: the store was changed by hand"
        )
    return out


def blank(layout: str) -> dict[str, np.ndarray]:
    """Observations of that layout that say nothing: NaN, or 0 where a kind has none."""
    out = {}
    for name, kind, shape in json.loads(layout):
        dtype = np.dtype(kind)
        out[name] = np.full(shape, np.nan if np.issubdtype(dtype, np.inexact) else 0, dtype)
    return out


def described(layout: str) -> str:
    """A layout in words: `infected (14,), cases (14,)`."""
    return ", ".join(f"{name} {tuple(shape)}" for name, _, shape in json.loads(layout))


def checksum(data: bytes) -> str:
    """The SHA-256 of bytes, hexadecimal: the name of the file that holds them, too."""
    return hashlib.sha256(data).hexdigest()
