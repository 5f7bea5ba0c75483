"""Cells of moment space, how often each was hit, and how many there may be besides."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .._errors import MethodError

_MIDDLE = 0.95
_HUGE = 2**40


@dataclass(frozen=True)
class Cells:
    """A grid without end: cell j of an axis goes from `low` + j `width` to `low` + (j + 1) `width`, (axes,) each."""

    low: np.ndarray
    width: np.ndarray

    def of(self, points: np.ndarray) -> np.ndarray:
        """The cells (n, axes), int, of points (n, axes)."""
        return np.floor(np.clip(self.steps(points), -_HUGE, _HUGE)).astype(np.int64)

    def steps(self, points: np.ndarray) -> np.ndarray:
        """Points (n, axes) in widths of a cell from `low`."""
        return (points - self.low) / self.width

    def centres(self, cells: np.ndarray) -> np.ndarray:
        """The middles (n, axes) of cells."""
        return self.low + (cells + 0.5) * self.width


def cells_over(points: np.ndarray, labels: Sequence[str], count: int, least: np.ndarray) -> Cells:
    """Cells of which `count` cover the middle 95 % of points (n, axes) along each axis; fewer where they would be
    narrower than `least` (axes,).

    **Raises:** `MethodError` for a moment that is the same everywhere.
    """
    sound = points[np.isfinite(points).all(1)]
    if len(sound) < 2:
        raise MethodError(f"{len(sound)} of {len(points)} points of the first design can be used: narrow the priors")
    low, high = np.quantile(sound, [(1.0 - _MIDDLE) / 2.0, (1.0 + _MIDDLE) / 2.0], axis=0)
    flat = np.flatnonzero(~(high - low > 1e-9 * np.maximum(np.abs(low), np.abs(high))))
    if flat.size:
        raise MethodError(
            f"'{labels[flat[0]]}' is the same in nearly every run of the first design: it makes no axis, take another"
        )
    return Cells(low, np.maximum((high - low) / count, least))


def hits(cells: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of cells (n, axes): the distinct ones (c, axes), which of them each is (n,), and how often each stands there."""
    distinct, member, count = np.unique(cells, axis=0, return_inverse=True, return_counts=True)
    return distinct, np.ravel(member), count


def distances(grid: Cells, points: np.ndarray, data: np.ndarray) -> np.ndarray:
    """How far points (n, axes) lie from the data (axes,): the largest gap of any axis, in widths of a cell."""
    return np.abs(grid.steps(points) - grid.steps(data)).max(1)


def growth(cells: np.ndarray) -> np.ndarray:
    """How many distinct cells the first 1, 2, ... n of cells (n, axes) hold."""
    if not len(cells):
        return np.zeros(0, int)
    first = np.zeros(len(cells), int)
    first[np.unique(cells, axis=0, return_index=True)[1]] = 1
    return np.cumsum(first)


@dataclass(frozen=True)
class Unseen:
    """How many cells were not hit, and the standard error of that."""

    count: float
    error: float


def unseen(count: np.ndarray) -> Unseen:
    """From how often each cell was hit, (c,): by Chao's lower bound f1 (f1 - 1) / (2 (f2 + 1)), f1 and f2 the numbers
    of cells hit once and twice (Anne Chao 1984, Scandinavian Journal of Statistics 11:265, bias-corrected; the
    variance in Chao 1987, Biometrics 43:783).

    It is a bound for independent hits of fixed chances; a search that goes to rare cells hits these more often, so that
    it is too low for what is beyond the search's steps.
    """
    f1, f2 = float((count == 1).sum()), float((count == 2).sum())
    bound = f1 * (f1 - 1.0) / (2.0 * (f2 + 1.0))
    first = bound + f1 * (2.0 * f1 - 1.0) ** 2 / (4.0 * (f2 + 1.0) ** 2)
    variance = first + f1**2 * f2 * (f1 - 1.0) ** 2 / (4.0 * (f2 + 1.0) ** 4)
    return Unseen(bound, float(np.sqrt(variance)))
