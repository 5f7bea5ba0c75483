"""A plan: which runs a campaign is to make, each at one parameter set with one key."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.random as jr
import numpy as np

from .._errors import SpaceError
from .._types import Key
from ..core.host import room, taken
from ..surrogates.design import Design


@dataclass(frozen=True, eq=False)
class Plan:
    """Runs that are to be made: parameter sets, each with as many keys as there are replicates.

    `parameters`: name to (runs, ...), and `keys` (runs,): all replicates of the first parameter set, then those of the
    second; `point`, `replicate` (runs,): which is which.
    """

    parameters: dict[str, np.ndarray]
    keys: Key
    point: np.ndarray
    replicate: np.ndarray

    def __init__(self, points: Design | Mapping[str, Any], key: Key, *, replicates: int = 1, common: bool = True):
        """
        **Arguments:** `points`: a design, or parameters by name, each (n, ...); `replicates`: runs at each; `common`:
        whether the r-th replicates of all points share a key, so that a difference between points is none of chance
        (common random numbers), or each run has a key of its own. The keys are folded from `key` and the numbers of
        replicate and point: more replicates, or more points of a design, repeat the runs of fewer.

        **Raises:** `SpaceError` for parameters that differ in length or are no numbers.
        """
        if replicates < 1:
            raise SpaceError(f"replicates={replicates}: one run a point at least")
        table = _table(points.parameters if isinstance(points, Design) else points)
        n = len(next(iter(table.values())))
        point, replicate = np.repeat(np.arange(n), replicates), np.tile(np.arange(replicates), n)
        keys = taken(_folded(key[None], np.arange(replicates), np.zeros(replicates, int)), replicate)
        keys = keys if common else _folded(keys, point, np.arange(len(point)))
        object.__setattr__(self, "parameters", {name: value[point] for name, value in table.items()})
        object.__setattr__(self, "keys", keys)
        object.__setattr__(self, "point", point)
        object.__setattr__(self, "replicate", replicate)

    @property
    def size(self) -> int:
        """How many runs."""
        return len(self.point)


_fold = jax.jit(jax.vmap(jr.fold_in))


def _folded(keys: Key, numbers: np.ndarray, rows: np.ndarray) -> Key:
    """The keys in these rows, each with its number folded in; compiled for few sizes."""
    filled = np.minimum(np.arange(room(len(numbers))), len(numbers) - 1)
    return taken(_fold(taken(keys, rows[filled]), numbers[filled].astype(np.uint32)), slice(len(numbers)))


def _table(points: Mapping[str, Any]) -> dict[str, np.ndarray]:
    if not points:
        raise SpaceError("a plan has at least one parameter: Plan({'beta': [0.1, 0.2]}, key)")
    table = {}
    for name, values in points.items():
        value = np.asarray(values)
        if value.ndim == 0 or (not np.issubdtype(value.dtype, np.number) and value.dtype != bool):
            raise SpaceError(f"'{name}' is no table of numbers: give one value a point, (n, ...)")
        table[name] = value if np.issubdtype(value.dtype, np.floating) else value.astype(np.float64)
    lengths = {name: len(value) for name, value in table.items()}
    if len(set(lengths.values())) > 1 or not min(lengths.values()):
        raise SpaceError(f"the parameters differ in length, or have none: {lengths}")
    return table
