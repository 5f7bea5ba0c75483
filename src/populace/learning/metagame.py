"""The game whose moves are policies: who beats whom, what of it is a ranking and what goes round, and what lasts.

The split into ratings and what they leave: D. Balduzzi, K. Tuyls, J. Perolat and T. Graepel (2018), "Re-evaluating
evaluation", NeurIPS. Alpha-rank: S. Omidshafiei et al. (2019), "Alpha-rank: multi-agent evaluation by evolution",
Scientific Reports 9, 9937.
"""

from typing import NamedTuple

import numpy as np

_NEVER = 1e-15
"""What keeps a chain of moves that are never made in one piece."""


class Flow(NamedTuple):
    """An antisymmetric table K as ratings, K_ij = r_i - r_j + C_ij, where every row of C sums to nothing. `cyclic`: the
    part of the sum of squares that C holds, from 0 (a ranking) to 1 (all of it goes round).
    """

    ratings: np.ndarray
    rest: np.ndarray
    cyclic: float


def flow(table: np.ndarray) -> Flow:
    """Split what each gains on each, an antisymmetric (n, n) table, into a ranking and what goes round."""
    ratings = table.mean(1)
    rest = table - (ratings[:, None] - ratings)
    whole = float((table**2).sum())
    return Flow(ratings, rest, float((rest**2).sum()) / whole if whole > 0 else 0.0)


def alpha_rank(payoffs: np.ndarray, *, strength: float = 100.0, population: int = 50) -> np.ndarray:
    """How much of the time each of n policies is what a population plays, (n,), summing to 1.

    A population plays one policy; at times one member tries another, which then takes over with the chance that it has
    where the better earner is copied: (1 - e^-u) / (1 - e^-mu), with u = strength x (payoffs[new, old] - payoffs[old,
    new]) and m the `population`. A policy that no other can take over from keeps all; policies that beat each other in
    turn share.

    **Arguments:** `payoffs` (n, n): what the policy of the row earns against that of the column, in units in which 1 is
    much.
    """
    table = np.asarray(payoffs, np.float64)
    gain = strength * (table.T - table)  # [old, new]
    n = table.shape[0]
    if n == 1:
        return np.ones(1)
    with np.errstate(over="ignore", under="ignore"):
        size = np.abs(gain)
        wins = -np.expm1(-size) / np.where(size > 0, -np.expm1(-population * size), 1.0)
        loses = np.exp(-(population - 1) * size) * wins
    chance = np.where(size < 1e-12, 1.0 / population, np.where(gain > 0, wins, loses))
    moves = np.maximum(chance, _NEVER) / (n - 1)
    np.fill_diagonal(moves, 0.0)
    return _lasting(moves)


def _lasting(moves: np.ndarray) -> np.ndarray:
    """The lasting shares of a chain, without a subtraction, so that chances of any size keep their digits.

    W. K. Grassmann, M. I. Taksar and D. P. Heyman (1985), Operations Research 33, 1107-1116.
    """
    left, n = moves, len(moves)
    for last in range(n - 1, 0, -1):
        into = left[:last, last] / left[last, :last].sum()
        inner = left[:last, :last] + np.outer(into, left[last, :last])
        left = np.block([[inner, into[:, None], left[:last, last + 1 :]], [left[last:]]])
    mass = [1.0]
    for state in range(1, n):
        mass.append(float(np.array(mass) @ left[:state, state]))
    return np.array(mass) / np.sum(mass)


def find_cycle(beats: np.ndarray) -> tuple[int, ...]:
    """A shortest round in which each beats the next and the last beats the first; () where there is none.

    **Arguments:** `beats`: (n, n) booleans.
    """
    best: tuple[int, ...] = ()
    for start in range(beats.shape[0]):
        paths: dict[int, tuple[int, ...]] = {start: (start,)}
        waiting = [start]
        while waiting:
            here = waiting.pop(0)
            if beats[here, start] and here != start:
                found = paths[here]
                best = found if not best or len(found) < len(best) else best
                break
            for there in np.flatnonzero(beats[here]).tolist():
                if there not in paths:
                    paths[there] = (*paths[here], there)
                    waiting.append(there)
    return best
