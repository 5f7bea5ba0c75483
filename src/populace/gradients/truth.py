"""What an audit holds estimators against: differences on a ladder of steps, and whether a derivative exists at all.

D(h) = (E f(x + h) - E f(x - h)) / 2h with common random numbers. If the expected loss is smooth, (4 D(h/2) - D(h)) / 3
is the derivative up to O(h^4), and the values from neighbouring rungs of the ladder agree. If it is a staircase they
do not: between steps D is 0, and across one it grows as 1/h.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import jax.random as jr
import numpy as np
from jaxtyping import Array

from .._types import Key
from .differences import Differences
from .estimator import differentiate
from .loss import ExpectedLoss

RUNGS = 4
_AGREE = 4.0
_SMALL = 0.05


@final
@dataclass(frozen=True)
class Truth:
    """The derivative by differences.

    `value`, `error` (p,): the derivative, and its standard error with what the ladder leaves open; `exists` (p,): False
    where no derivative was found; `ladder` (rungs, p): D(h), D(h/2), ...; `steps` (rungs,): shares of each parameter;
    `runs`: model runs made.
    """

    value: np.ndarray
    error: np.ndarray
    exists: np.ndarray
    ladder: np.ndarray
    steps: np.ndarray
    runs: float


def measured(
    expected: ExpectedLoss, at: Mapping[str, Array], key: Key, *, keys: int, step: float, scale: Mapping[str, Array]
) -> Truth:
    """The derivative of an expected loss by differences, rung by rung with the same runs.

    **Arguments:** `step`: the widest step, as a share of `scale`; `keys`: runs on either side of each rung.
    """
    steps = step / 2.0 ** np.arange(RUNGS)
    samples = []
    for width in steps:
        found = differentiate(
            expected, Differences(step=width, scale=dict(scale)), key, at=at, keys=keys, progress=False
        )
        samples.append(flat(found.samples))
    rungs = np.stack(samples)
    joined = (4.0 * rungs[1:] - rungs[:-1]) / 3.0
    picks = [_picked(joined[:, :, i], rungs[:, :, i]) for i in range(rungs.shape[2])]
    value, error, exists = (np.array(column) for column in zip(*picks, strict=True))
    runs = 2.0 * RUNGS * keys * rungs.shape[2]
    return Truth(value, error, exists.astype(bool), rungs.mean(1), steps, runs)


def _picked(joined: np.ndarray, rungs: np.ndarray) -> tuple[float, float, bool]:
    """The widest extrapolated rung (rungs - 1, keys) that the next finer one does not contradict, with its error."""
    if not rungs[-1].any() and rungs.any():
        return 0.0, 0.0, False
    means, errors = joined.mean(1), _error(joined)
    for i in range(len(joined) - 1):
        gap, doubt = means[i] - means[i + 1], _error(joined[i] - joined[i + 1])
        if abs(gap) <= _AGREE * doubt or abs(gap) <= _SMALL * abs(means[i]):
            return float(means[i]), float(np.hypot(errors[i], min(abs(gap), 2.0 * doubt) / 15.0)), True
    return float(means[-1]), float(errors[-1]), False


def _error(samples: np.ndarray) -> np.ndarray:
    return samples.std(-1, ddof=1) / np.sqrt(samples.shape[-1])


def flat(by_name: Mapping[str, np.ndarray]) -> np.ndarray:
    """Name to (keys, ...) as one matrix (keys, p), in the order of `labels`."""
    return np.concatenate([np.asarray(v).reshape(v.shape[0], -1) for v in _ordered(by_name)], axis=1)


def labels(at: Mapping[str, Array]) -> tuple[str, ...]:
    """The name of each number of the parameters, (p,)."""
    found = []
    for name in sorted(at):
        size = int(np.prod(np.shape(at[name])))
        found += [name] if np.ndim(at[name]) == 0 else [f"{name}[{i}]" for i in range(size)]
    return tuple(found)


def _ordered(by_name: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    return [by_name[name] for name in sorted(by_name)]


def fresh(key: Key, number: int) -> Key:
    """A key of its own for one part of an audit."""
    return jr.fold_in(key, number)
