"""Where welfare is highest: a parabola through what many instruments brought.

G. E. P. Box and K. B. Wilson (1951), "On the experimental attainment of optimum conditions", Journal of the Royal
Statistical Society B 13, 1-45.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

_STEP = 1e-4


@dataclass(frozen=True)
class Peak:
    """The top `at` (d,) of a parabola with its standard `error` (d,), and the `centre`, `scale` and `numbers` of the
    parabola: of y at x it says numbers @ powers((x - centre) / scale), less each round's own level.
    """

    at: np.ndarray
    error: np.ndarray
    centre: np.ndarray
    scale: np.ndarray
    numbers: np.ndarray

    def below(self, x: Float[np.ndarray, "n d"]) -> Float[np.ndarray, " n"]:
        """How far below its top the parabola is at x."""
        top, at = (_powers((one - self.centre) / self.scale) @ self.numbers for one in (self.at[None], x))
        return at - top

    def bend(self) -> Float[np.ndarray, "d d"]:
        """The parabola's second derivative."""
        return _bend(self.numbers, self.at.size) / np.outer(self.scale, self.scale)


def peak(x: Float[np.ndarray, "rounds n d"], y: Float[np.ndarray, "rounds n"]) -> Peak | None:
    """The top of the parabola through points, each round on a level of its own; None where there are too few points for
    one, where it has no top, or where the top lies outside of what was tried.
    """
    count, d = x.shape[0], x.shape[2]
    centre, scale = x.mean((0, 1)), x.std((0, 1))
    wanted = d + d * (d + 1) // 2
    free = y.size - count - wanted
    if free < wanted or (scale <= 1e-9 * np.maximum(np.abs(centre), 1.0)).any():
        return None
    powers = _powers((x - centre) / scale)
    design = (powers - powers.mean(1, keepdims=True)).reshape(-1, wanted)
    left = (y - y.mean(1, keepdims=True)).ravel()
    numbers, _, rank, _ = np.linalg.lstsq(design, left, rcond=1e-10)
    top = _top(numbers, d)
    if rank < wanted or top is None:
        return None
    at = centre + scale * top
    if (at < x.min((0, 1))).any() or (at > x.max((0, 1))).any():
        return None
    noise = ((left - design @ numbers) ** 2).sum() / free
    _, root = np.linalg.qr(design)
    spread = np.sqrt(noise) * np.linalg.solve(root, np.eye(wanted))
    moves = [_top(numbers + _STEP * column, d) for column in spread.T]
    if any(move is None for move in moves):
        return None
    error = np.sqrt(sum((np.asarray(move) - top) ** 2 for move in moves)) / _STEP
    return Peak(at, scale * error, centre, scale, numbers)


def _powers(x: Float[np.ndarray, "*n d"]) -> Float[np.ndarray, "*n wanted"]:
    """x_i, then x_i x_j for i <= j."""
    rows, columns = np.triu_indices(x.shape[-1])
    return np.concatenate([x, x[..., rows] * x[..., columns]], axis=-1)


def _top(numbers: np.ndarray, d: int) -> np.ndarray | None:
    """Where a parabola is highest; None where it is not curved downwards in all directions."""
    bend = _bend(numbers, d)
    if np.linalg.eigvalsh(bend).max() >= -1e-9 * max(1.0, float(np.abs(numbers).max())):
        return None
    return np.linalg.solve(bend, -numbers[:d])


def _bend(numbers: np.ndarray, d: int) -> np.ndarray:
    rows, columns = np.triu_indices(d)
    bend = np.zeros((d, d))
    bend[rows, columns] += numbers[d:]
    bend[columns, rows] += numbers[d:]
    return bend
