"""To how many combinations of parameters expected moments react: a test of the rank of their derivative.

Frank Kleibergen and Richard Paap (2006), Journal of Econometrics 133, 97-126. If E[A] (k, d) has rank q, the block of
its singular value decomposition that belongs to the d - q smallest values is 0. Its (k - q)(d - q) numbers are means
over replicates, whose covariance the replicates show: Hotelling's T^2, in place of the limit of many replicates.
"""

from dataclasses import dataclass

import numpy as np
from scipy.stats import f as fisher

_LEVEL = 0.05
_STILL = 1e-6
"""Directions to which no replicate reacts: their mean squared effect is below this part of the largest."""
_SINGULAR = 1e-10
_ROUNDING = 1e-5
"""Means below this part of the largest derivative are rounding."""


@dataclass(frozen=True)
class RankTest:
    """Of the hypotheses that the rank is 0, 1, .. d - 1: `statistics`, `freedom` and `p`, each as long as could be
    tested; `rank`: the first that is not rejected at 5 %, or d; `still`: directions to which no single replicate
    reacts, of which no test is needed.
    """

    size: int
    statistics: tuple[float, ...]
    freedom: tuple[int, ...]
    p: tuple[float, ...]
    rank: int | None
    still: int
    replicates: int

    def sentence(self) -> str:
        """In words."""
        if self.rank is None:
            return (
                f"Rank test (Kleibergen and Paap): {self.replicates} replicates are too few for it; the count rests on "
                "singular values beyond 3 of their errors."
            )
        none = f" No replicate reacts to {self.still} of the {self.size} directions at all." if self.still else ""
        if self.rank == self.size - self.still:
            last = f"that it is less is rejected (p = {self.p[-1]:.2g})" if self.p else "nothing reacts"
            return f"Rank test (Kleibergen and Paap): the rank is {self.rank}; {last}.{none}"
        below = f", less is (p = {self.p[self.rank - 1]:.2g})" if self.rank else ""
        return (
            f"Rank test (Kleibergen and Paap): rank {self.rank} is not rejected (p = {self.p[self.rank]:.2g}){below}: "
            f"of {self.size} directions, {self.size - self.rank} may have no effect.{none}"
        )


def rank_test(slopes: np.ndarray) -> RankTest:
    """The test on derivatives (R, k, d) of R replicates."""
    count, k, d = slopes.shape
    values, vectors = np.linalg.eigh(np.einsum("rki,rkj->ij", slopes, slopes))
    moving = vectors[:, values > _STILL * values[-1]] if values[-1] > 0.0 else vectors[:, :0]
    still = d - moving.shape[1]
    reduced = slopes @ moving
    left, _, right = np.linalg.svd(reduced.mean(0), full_matrices=True)
    statistics: list[float] = []
    freedom: list[int] = []
    chances: list[float] = []
    for q in range(min(k, moving.shape[1])):
        block = np.einsum("kc,rkd,ed->rce", left[:, q:], reduced, right[q:], optimize=True).reshape(count, -1)
        found = _hotelling(block, _ROUNDING * float(np.abs(reduced.mean(0)).max()))
        if found is None:
            if not q:
                return RankTest(d, (), (), (), None, still, count)
            break
        statistics.append(found[0])
        freedom.append(found[1])
        chances.append(found[2])
    accepted = [q for q, p in enumerate(chances) if p > _LEVEL]
    full = len(chances) == min(k, moving.shape[1])
    rank = accepted[0] if accepted else len(chances) if full else None
    return RankTest(d, tuple(statistics), tuple(freedom), tuple(chances), rank, still, count)


def _hotelling(rows: np.ndarray, floor: float) -> tuple[float, int, float] | None:
    """T^2 of the mean of rows (R, m), its degrees of freedom and the chance of more; None where R is too small.

    Combinations without noise decide by themselves: a mean above `floor` is not 0, and one below takes no part.
    """
    count = len(rows)
    mean, scale = rows.mean(0), rows.std(0)
    scale = np.where(scale > floor, scale, floor + 1e-300)
    if count < rows.shape[1] + 2 and (rows.std(0) > floor).any():
        return None
    values, vectors = np.linalg.eigh(np.atleast_2d(np.cov((rows / scale).T)))
    noisy = values > _SINGULAR * max(float(values[-1]), 1.0)
    if np.abs(scale * (vectors[:, ~noisy] @ (vectors[:, ~noisy].T @ (mean / scale)))).max(initial=0.0) > floor:
        return float("inf"), int((~noisy).sum()), 0.0
    m = int(noisy.sum())
    if not m:
        return 0.0, 0, 1.0
    z = vectors[:, noisy].T @ (mean / scale) / np.sqrt(values[noisy])
    statistic = float(count * (z @ z))
    return statistic, m, float(fisher.sf(statistic * (count - m) / (m * (count - 1)), m, count - m))
