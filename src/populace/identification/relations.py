"""Curves that tie a parameter to others, where no product, power or sum does.

On the prior's normal scale the parameter is regressed on a quadratic of the others, with their cubes, over the
posterior's draws, and what is left is measured on draws that the regression did not see (leave-one-out).
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from .combinations import Draws

_LEFT = 0.4
"""A curve is one that leaves no more than this part of the spread."""
_MOST = 4


@dataclass(frozen=True)
class Relation:
    """`others`: to what the parameter is tied, in words; `left`: the part of its spread that the curve leaves;
    `value`: from draws to how far each is off the curve.
    """

    label: str
    names: tuple[str, ...]
    left: float
    coefficients: np.ndarray
    prior: Draws

    @property
    def others(self) -> str:
        return " and ".join(self.names)

    def value(self, draws: Draws) -> np.ndarray:
        """How far draws (n,) are off the curve, on the normal scale."""
        return _normal(self.label, draws, self.prior) - _design(self.names, draws, self.prior) @ self.coefficients


def relation(label: str, loose: list[str], posterior: Draws, prior: Draws) -> Relation | None:
    """The curve through the draws, with the fewest others that make one; None where none does."""
    y = _normal(label, posterior, prior)
    others = [n for n in loose if n != label]
    names: list[str] = []
    best = None
    while others and len(names) < _MOST:
        tried = []
        for one in others:
            design = _design((*names, one), posterior, prior)
            if len(y) < 3 * design.shape[1]:
                continue
            gram = design.T @ design + 1e-8 * len(y) * np.eye(design.shape[1])
            solved = np.linalg.solve(gram, design.T)
            lever = np.einsum("ij,ji->i", design, solved)
            left = (y - design @ (solved @ y)) / np.maximum(1.0 - lever, 1e-6)
            tried.append((float(np.sqrt((left**2).mean()) / max(y.std(), 1e-12)), one, solved @ y))
        if not tried:
            break
        left, one, found = min(tried, key=lambda each: each[0])
        names.append(one)
        others.remove(one)
        if left <= _LEFT:
            best = Relation(label, tuple(names), left, found, prior)
            break
    return best


def _normal(label: str, draws: Draws, prior: Draws) -> np.ndarray:
    among = np.sort(prior[label])
    ranks = (np.searchsorted(among, draws[label], side="right") + 0.5) / (among.size + 1.0)
    return ndtri(np.clip(ranks, 1e-4, 1.0 - 1e-4))


def _design(names: tuple[str, ...], draws: Draws, prior: Draws) -> np.ndarray:
    columns = np.stack([_normal(n, draws, prior) for n in names], axis=1)
    i, j = np.triu_indices(len(names))
    return np.concatenate([np.ones((len(columns), 1)), columns, columns[:, i] * columns[:, j], columns**3], axis=1)
