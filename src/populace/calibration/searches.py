"""Many least-squares searches side by side, where expected moments are known by a local regression.

A search minimises, over parameters z on the prior's normal scale (z = Phi^-1 of the prior's distribution function, so
that the prior is N(0, I) and the box has no edge to fall off),

    |m(z) - e|^2 / T + |z - c|^2

with m the gap of expected moments to the data in independent units, e a gap that is wanted, T a temperature, and c a
draw of the prior. Steps are Levenberg and Marquardt's, not longer than the runs reach that the
regression rests on. Kenneth Levenberg (1944), Quarterly of Applied Mathematics 2, 164-168; Donald Marquardt (1963),
SIAM Journal 11, 431-441.
"""

from dataclasses import dataclass

import numpy as np

from .local_regression import LocalRegression, Near

EDGE = 3.5
"""Parameters stay within so many standard deviations on the prior's normal scale."""
_DAMPING = (1e-3, 1e8)
_GAIN = 0.01
_SINGULAR = 1e-10
_NOISES = 2.0


@dataclass(frozen=True)
class Searches:
    """N searches: `wanted` e (n, k), `centre` c (n, d)."""

    wanted: np.ndarray
    centre: np.ndarray

    def taken(self, rows: np.ndarray) -> "Searches":
        """Some of them."""
        return Searches(self.wanted[rows], self.centre[rows])

    def loss(self, z: np.ndarray, near: Near, heat: float) -> np.ndarray:
        """What is minimised, (n,)."""
        gap = ((near.mean - self.wanted) ** 2).sum(1) / heat
        return gap + ((z - self.centre) ** 2).sum(1)

    def begun(self, z: np.ndarray, near: Near, heat: float) -> np.ndarray:
        """Which point of z (m, d) each search (n,) begins at, by `near` there: its own, z[i], unless the loss at
        another is lower by more than what the regression's noise makes of it. (Were the least loss taken, all would
        meet where noise made a dip.)
        """
        gaps = (near.mean**2).sum(1) - 2.0 * self.wanted @ near.mean.T + (self.wanted**2).sum(1)[:, None]
        away = (z**2).sum(1) - 2.0 * self.centre @ z.T + (self.centre**2).sum(1)[:, None]
        losses = gaps / heat + away
        own = np.arange(len(self.wanted))
        noise = 2.0 * np.sqrt(gaps[own, own] * near.doubt) / heat + near.doubt * near.mean.shape[1] / heat
        best = losses.argmin(1)
        gain = losses[own, own] - losses[own, best]
        return np.where(gain > _NOISES * noise + _GAIN, best, own)

    def steps(self, z: np.ndarray, near: Near, heat: float, damping: np.ndarray) -> np.ndarray:
        """Where to go next, (n, d)."""
        d = z.shape[1]
        curvature = np.einsum("nki,nkj->nij", near.slope, near.slope) / heat
        gradient = np.einsum("nki,nk->ni", near.slope, near.mean - self.wanted) / heat
        gradient = gradient + z - self.centre
        matrix = curvature + (1.0 + damping)[:, None, None] * np.eye(d)
        unit = 1.0 / np.sqrt(np.einsum("nii->ni", matrix))  # slopes may differ by more than what a double holds
        scaled = matrix * unit[:, :, None] * unit[:, None, :] + _SINGULAR * np.eye(d)
        step = -unit * np.linalg.solve(scaled, (unit * gradient)[:, :, None])[:, :, 0]
        length = np.sqrt(np.einsum("ni,nij,nj->n", step, near.metric, step))
        step = step / np.maximum(1.0, length)[:, None]
        return np.clip(z + step, -EDGE, EDGE)


def searched(
    searches: Searches, known: LocalRegression, start: np.ndarray, heat: float, rounds: int
) -> tuple[np.ndarray, Near]:
    """Where searches end (n, d), each begun at its own of the points `start` (n, d) or a better, and what is known
    there.
    """
    near = known.near(start)
    first = searches.begun(start, near, heat)
    z, near = start[first], _of(near, first)
    loss = searches.loss(z, near, heat)
    damping, going = np.ones(len(z)), np.ones(len(z), bool)
    for _ in range(rounds):
        rows = np.flatnonzero(going)
        if not rows.size:
            break
        part = searches.taken(rows)
        tried = part.steps(z[rows], _of(near, rows), heat, damping[rows])
        there = known.near(tried)
        after = part.loss(tried, there, heat)
        gain = loss[rows] - after
        better = rows[gain > 0.0]
        z[better], loss[better] = tried[gain > 0.0], after[gain > 0.0]
        for mine, its in zip(near, there, strict=True):
            mine[better] = its[gain > 0.0]
        damping[rows] = np.clip(np.where(gain > 0.0, damping[rows] / 5.0, damping[rows] * 8.0), *_DAMPING)
        going[rows] = (gain > _GAIN) | ((gain <= 0.0) & (damping[rows] < 1e4))
    return z, near


def _of(near: Near, rows: np.ndarray) -> Near:
    return Near(*(each[rows] for each in near))
