"""Gauss-Newton steps within a trust region, on differences averaged over replicates with the same random numbers.

The length of a step is limited; the limit widens while steps lessen the loss and narrows where one does not (Andrew
Conn, Nicholas Gould and Philippe Toint 2000, Trust-Region Methods, SIAM). As the random numbers stay the loss is one
function, the same in every round.
"""

import equinox as eqx
import numpy as np
import scipy.linalg

from .descent import FEWEST, REACH
from .sandwich import Linearised, linearised

_FIRST, _WIDEST = 0.5, 4.0
"""The first radius, in prior spreads, and the largest."""
_CALM = 0.02
"""A step that promises to lessen the loss by less, or by less than twice what luck promises, is not worth a round."""


class TrustRegion(eqx.Module):
    """Where it stands, in prior spreads: `centre` (d,), the best so far, with its `level` and what is `kept` (R, k,
    d + 1) of its replicates, derivatives and gaps (none before the first round); `tried` (d,): where the next round
    runs; `radius`; `rounds`.
    """

    centre: np.ndarray
    tried: np.ndarray
    level: np.ndarray
    kept: np.ndarray
    radius: np.ndarray
    rounds: np.ndarray

    @staticmethod
    def none(k: int, d: int) -> "TrustRegion":
        """Before there is a point to begin at."""
        nowhere = np.zeros(d)
        return TrustRegion(nowhere, nowhere, np.array(np.inf), np.zeros((0, k, d + 1)), np.array(_FIRST), np.array(0))

    def at(self, point: np.ndarray) -> "TrustRegion":
        """About to begin at a point (d,)."""
        point = np.clip(point, -REACH, REACH)
        return TrustRegion(point, point, np.array(np.inf), self.kept[:0], np.array(_FIRST), np.array(0))

    def told(self, found: np.ndarray) -> "TrustRegion":
        """After a round at `tried`: its replicates (R, k, d + 1). Too few of them count as no better."""
        level = linearised(found).products.value[-1, -1] if len(found) >= FEWEST else np.inf
        better = bool(level < self.level)
        centre, kept = (self.tried, found) if better else (self.centre, self.kept)
        first = not np.isfinite(self.level)
        radius = float(self.radius) * (1.0 if first else 2.0 if better else 0.25)
        if not better:
            radius = min(radius, 0.5 * float(np.abs(self.tried - self.centre).max()))
        radius = min(radius, _WIDEST)
        step = within(linearised(kept)) if len(kept) else np.zeros_like(centre)
        longest = float(np.abs(step).max())
        tried = np.clip(centre + step * min(1.0, radius / max(longest, 1e-300)), -REACH, REACH)
        level = np.array(min(float(level), float(self.level)))
        return TrustRegion(centre, tried, level, kept, np.array(radius), np.array(int(self.rounds) + 1))

    @property
    def settled(self) -> bool:
        """Whether the next step would change next to nothing."""
        if not len(self.kept):
            return False
        gain = promised(linearised(self.kept), self.tried - self.centre)
        return gain < max(_CALM, 2.0 * self.centre.size / len(self.kept))


def promised(near: Linearised, step: np.ndarray) -> float:
    """By how much a Gauss-Newton step (d,) lessens the loss, by the linear model: its square in the data's errors."""
    return float(step @ near.products.value[:-1, :-1] @ step)


def within(near: Linearised) -> np.ndarray:
    """The Gauss-Newton step (d,) along the directions that moments react to, 0 along the others."""
    d, along = near.squares.size, near.directions[:, : near.rank]
    if not near.rank:
        return np.zeros(d)
    gram = along.T @ near.products.value[:-1, :-1] @ along
    return -along @ scipy.linalg.solve(gram, along.T @ near.products.value[:-1, -1], assume_a="pos")
