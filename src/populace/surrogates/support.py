"""Where a surrogate may be believed: the support guard.

Three questions to a point. Is it near the design, in the surrogate's own metric? (Its distance to the nearest run,
against the same distance of each run to the others.) Do the surrogate's parts agree there? (Its epistemic variance,
against that at runs it was tested on, and against the spread of the response.) And do runs there count?
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.spatial import KDTree

from .._results import Code, Result, Section, Table, Verdict

_USUAL, _UNUSUAL = 0.95, 0.995
"""Up to the first quantile of what the design shows of itself a point is inside; beyond the second, with a margin,
outside.
"""
_MARGIN = 1.5
_KNOWS_NOTHING = 0.5
"""With this share of the response's variance left as epistemic, the surrogate knows too little to be read."""
_FAILS = 0.5
_SHOWN = 10


@dataclass(frozen=True)
class Guard:
    """What the design shows of itself.

    `tree`: its distinct points in the metric; `metric` (d,): the relevance of each number; `distances`: each point's to
    the nearest other, in rising order; `doubts`: epistemic over the response's standard deviation at tested runs, the
    largest over moments, in rising order; `spread` (k,): the standard deviation of the response.
    """

    tree: KDTree
    metric: np.ndarray
    distances: np.ndarray
    doubts: np.ndarray
    spread: np.ndarray

    @staticmethod
    def of(inputs: np.ndarray, metric: np.ndarray, epistemic: np.ndarray, spread: np.ndarray) -> "Guard":
        """From valid runs' inputs (n, d), and the epistemic variance (m, k) at tested runs."""
        tree = KDTree(np.unique(inputs, axis=0) * metric)
        distances = np.sort(tree.query(tree.data, 2)[0][:, 1])
        return Guard(tree, metric, distances, np.sort(_doubt(epistemic, spread)), spread)

    def distance(self, inputs: np.ndarray) -> np.ndarray:
        """To the nearest run, (m,)."""
        return self.tree.query(inputs * self.metric, 1)[0]

    def judge(self, inputs: np.ndarray, epistemic: np.ndarray, valid: np.ndarray, within: np.ndarray) -> "Support":
        """Points (m, d): their epistemic variance (m, k), probability of a valid run (m,), and whether they lie within
        the priors' support (m,).
        """
        distance, doubt = self.distance(inputs), _doubt(epistemic, self.spread)
        return Support(
            distance=np.where(within, distance, np.inf),
            rank=1.0 - np.searchsorted(self.distances, distance) / self.distances.size,
            usual=float(np.quantile(self.distances, _USUAL)),
            far=_MARGIN * float(np.quantile(self.distances, _UNUSUAL)),
            doubt=doubt,
            usual_doubt=float(np.quantile(self.doubts, _USUAL)),
            great_doubt=min(np.sqrt(_KNOWS_NOTHING), _MARGIN * max(float(self.doubts[-1]), 0.1)),
            valid=valid,
            within=within,
        )


@dataclass(frozen=True)
class Support(Result):
    """The guard's verdict on m points.

    `distance` (m,): to the nearest run, infinite outside the priors; `rank` (m,): the share of the design's own points
    that lie as far from their nearest; `doubt` (m,): epistemic standard deviation over that of the response, the worst
    moment; `valid` (m,): the probability that a run counts; `within` (m,): whether the priors reach there; `usual`,
    `far`, `usual_doubt`, `great_doubt`: what they are held against.
    """

    distance: np.ndarray
    rank: np.ndarray
    usual: float
    far: float
    doubt: np.ndarray
    usual_doubt: float
    great_doubt: float
    valid: np.ndarray
    within: np.ndarray

    @property
    def extrapolating(self) -> np.ndarray:
        """(m,) bool: points at which the surrogate is not to be read."""
        return ~self.within | (self.distance > self.far) | (self.doubt > self.great_doubt) | (self.valid < _FAILS)

    @property
    def edge(self) -> np.ndarray:
        """(m,) bool: points between inside and outside."""
        near = (self.distance > self.usual) | (self.doubt > self.usual_doubt)
        return near & ~self.extrapolating

    @property
    def inside(self) -> np.ndarray:
        """(m,) bool."""
        return ~self.extrapolating & ~self.edge

    def verdict(self, point: int) -> Verdict:
        """What is said of one point, and why."""
        outside, edge = bool(self.extrapolating[point]), bool(self.edge[point])
        code = Code.EXTRAPOLATING if outside else Code.EDGE if edge else Code.INSIDE
        numbers = {
            "distance": float(self.distance[point]) if self.within[point] else -1.0,
            "distance of the design": self.usual,
            "doubt": float(self.doubt[point]),
            "valid": float(self.valid[point]),
        }
        return Verdict(f"point {point}", code, f"Point {point} is {code.value}: {self._why(point)}.", numbers)

    def _why(self, i: int) -> str:
        if not self.within[i]:
            return "it lies outside the support of its prior, where nothing was run"
        reasons = []
        if self.distance[i] > self.usual:
            ratio = self.distance[i] / self.usual
            reasons.append(
                f"its nearest run is {ratio:.1f} times as far away as that of all but 5 % of the design's points"
            )
        if self.doubt[i] > self.usual_doubt:
            reasons.append(f"the surrogate doubts its mean by {100 * self.doubt[i]:.0f} % of the response's spread")
        if self.valid[i] < _FAILS:
            reasons.append(f"a run there counts with probability {self.valid[i]:.2f} only")
        if reasons:
            return ", and ".join(reasons)
        return f"{100 * self.rank[i]:.0f} % of the design's points are as far from their nearest, and its parts agree"

    def sections(self) -> tuple[Section, ...]:
        m = self.distance.size
        counts = [("inside", self.inside), ("at the edge", self.edge), ("extrapolating", self.extrapolating)]
        rows = tuple((name, int(which.sum()), float(which.mean())) for name, which in counts)
        table = Table("Points", ("where", "points", "share"), rows)
        worst = np.argsort(-(2.0 * self.extrapolating + self.edge), kind="stable")[: min(m, _SHOWN)]
        verdicts = tuple(self.verdict(int(i)) for i in worst)
        return (Section("Support", (f"{m} points were held against the design.",), verdicts, (), (table,)),)

    def record(self) -> dict[str, Any]:
        return {
            "points": self.distance.size,
            "inside": int(self.inside.sum()),
            "edge": int(self.edge.sum()),
            "extrapolating": int(self.extrapolating.sum()),
            "verdicts": [self.verdict(i).record() for i in range(self.distance.size)],
        }


def _doubt(epistemic: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """Epistemic over the response's standard deviation, (m,): the worst moment."""
    return np.sqrt(epistemic / spread**2).max(1)
