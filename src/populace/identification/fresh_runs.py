"""The distance at some points by fresh runs, which nothing was learned from: the check of what was learned."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from .._types import Key
from ..calibration.ensemble_smoother import gaps_of
from ..calibration.pairs import products
from ..core.executor import Ticker
from ..core.host import split
from .expected import Known, simulated


class Replicated(NamedTuple):
    """At n points, from fresh runs: `distance` (n,) without bias, and its standard `error` (n,); infinite and NaN where
    too few of the runs count; `rise` (n,) above the first point, with the `rise_error` (n,) of that difference; `calls`
    spent.
    """

    distance: np.ndarray
    error: np.ndarray
    rise: np.ndarray
    rise_error: np.ndarray
    calls: int


def replicated(known: Known, v: np.ndarray, count: int, key: Key, ticker: Ticker) -> Replicated:
    """The distance at rows v (n, d) from `count` fresh runs at each: products of the gaps of different runs, in which
    their luck cancels (`pairs.py`), with jackknife errors. All points have the same keys: what luck they share is not
    in the rise.
    """
    keys = jnp.tile(split(key, count), len(v))
    rows = np.repeat(v, count, axis=0)
    gaps = gaps_of(known.problem, simulated(known.problem, known.scale, rows, keys, ticker)).reshape(len(v), count, -1)
    sound = np.asarray(np.isfinite(gaps).all(2))
    made = [_product(one[ok]) if ok.sum() >= max(3, count // 2) else None for one, ok in zip(gaps, sound, strict=True)]
    value = np.array([np.inf if one is None else one[0] for one in made])
    error = np.array([np.nan if one is None else one[1] for one in made])
    rise, rise_error = value - value[0], np.hypot(error, error[0])
    for i, one in enumerate(gaps):
        both = sound[i] & sound[0]
        if both.sum() >= max(3, count // 2):
            rise[i], rise_error[i] = _product(one[both], gaps[0][both])
    return Replicated(value, error, rise, rise_error, len(rows))


def _product(gaps: np.ndarray, less: np.ndarray | None = None) -> tuple[float, float]:
    """The squared length of the mean of gaps (R, k), less that of others, without bias, and its standard error."""
    found = products(gaps[:, :, None])
    value, changes = found.value[0, 0], found.changes[:, 0, 0]
    if less is not None:
        other = products(less[:, :, None])
        value, changes = value - other.value[0, 0], changes - other.changes[:, 0, 0]
    return float(value), float(np.sqrt(found.variance(changes)))
