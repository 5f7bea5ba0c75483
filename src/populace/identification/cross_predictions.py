"""What runs that were left out would be taken for: each run's parameters predicted from its summaries.

Summaries are put on the scale of their ranks, so that neither units nor heavy tails decide; runs at one point of the
parameters are never parted, because a replicate would give the answer away.
"""

from dataclasses import dataclass

import jax.random as jr
import numpy as np

from .._errors import MethodError
from .._types import Key
from ..core.noise import host_generator
from ..surrogates.runs import Runs
from .kernel_ridge import KernelRidge, chosen, learned

_PARTS = 5
_FEWEST, _EACH = 50, 10
"""Runs that count, in all and a parameter, at the least."""


@dataclass(frozen=True)
class Ranks:
    """The scale of ranks: `sorted` (n, k), each summary in order."""

    sorted: np.ndarray

    def __call__(self, moments: np.ndarray) -> np.ndarray:
        """Moments (m, k) on it, in [0, 1]; equal ones share a rank, what lies beyond the runs is at an end."""
        sides = [
            [np.searchsorted(own, column, side) for own, column in zip(self.sorted.T, moments.T, strict=True)]
            for side in ("left", "right")
        ]
        return np.mean(sides, axis=0).T / self.sorted.shape[0]


@dataclass(frozen=True)
class CrossPredictions:
    """Outputs of runs, and what is said of them.

    `outputs`, `said` (n, q): the truth, and the prediction by those of `models` that had not seen the run; `centre`
    (n, q): the mean of what they had seen; `points` (n,): runs of one number share their parameters.
    """

    outputs: np.ndarray
    said: np.ndarray
    centre: np.ndarray
    points: np.ndarray
    scale: Ranks
    models: tuple[KernelRidge, ...]

    def at(self, moments: np.ndarray) -> np.ndarray:
        """The mean over the models of what they say of moments (m, k): (m, q)."""
        inputs = self.scale(moments)
        return np.clip(np.mean([model(inputs) for model in self.models], axis=0), 0.0, 1.0)

    def performance(self) -> np.ndarray:
        """1 - RMSE / RMSE of the prior's mean, (q,)."""
        return 1.0 - np.sqrt(((self.said - self.outputs) ** 2).mean(0) / ((self.centre - self.outputs) ** 2).mean(0))

    def bootstrap(self, key: Key, times: int = 400) -> np.ndarray:
        """The same over points drawn with replacement, (times, q): how much it hangs on which runs there are."""
        missed, prior = (
            np.stack([np.bincount(self.points, column) for column in ((said - self.outputs) ** 2).T], axis=1)
            for said in (self.said, self.centre)
        )
        n, generator, found = missed.shape[0], host_generator(key), []
        for _ in range(times):
            weights = np.bincount(generator.integers(0, n, n), minlength=n).astype(np.float64)
            found.append(1.0 - np.sqrt((weights @ missed) / np.maximum(weights @ prior, 1e-300)))
        return np.stack(found)


def cross_predictions(runs: Runs, outputs: np.ndarray, leading: int, key: Key) -> CrossPredictions:
    """Predict outputs (n, q), in [0, 1], of the runs that count, n of them, each fifth by what the others teach.

    **Arguments:** `leading`: so many of the outputs, the first, choose the kernel.

    **Raises:** `MethodError` for too few runs.
    """
    used = runs.taken(runs.valid)
    check_runs(used)
    scale = Ranks(np.sort(used.moments, axis=0))
    inputs = scale(used.moments)
    _, first, points = np.unique(used.unit, axis=0, return_index=True, return_inverse=True)
    points = points.ravel()
    of_kernel, of_parts, of_rows = jr.split(key, 3)
    kernel = chosen(inputs[first], outputs[first, :leading], of_kernel)
    part = host_generator(of_parts).permutation(int(points.max()) + 1)[points] % _PARTS
    said, centre, models = np.empty_like(outputs), np.empty_like(outputs), []
    for i in range(_PARTS):
        out = part == i
        models.append(learned(kernel, inputs[~out], outputs[~out], jr.fold_in(of_rows, i)))
        said[out], centre[out] = np.clip(models[-1](inputs[out]), 0.0, 1.0), outputs[~out].mean(0)
    return CrossPredictions(outputs, said, centre, points, scale, tuple(models))


def check_runs(used: Runs) -> None:
    """Refuse too few runs.

    **Raises:** `MethodError`, which says how many are needed.
    """
    d = used.space.size
    least = max(_FEWEST, _EACH * d)
    points = np.unique(used.unit, axis=0).shape[0]
    if points < least:
        raise MethodError(
            f"{points} points with runs that count cannot tell what is identified of {d} parameters: make {least} or "
            "more"
        )
