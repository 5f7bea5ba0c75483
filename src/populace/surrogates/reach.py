"""Whether the data lie where the simulator can go, before anything is fitted; and whether a posterior leans on a bound.

The data are one point among the moments of the runs from the prior. Were they such a run, they would be as far from
their nearest neighbours as other runs are from theirs, and as far from the centre of all: two distances, whose
p-values are simulated by the runs themselves. Where there are many moments for the runs, a third of these tells the
scale and the others are compared with the data, so that the p-values stay what they say.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.spatial import KDTree
from scipy.stats import norm, rankdata

from .._errors import MethodError
from .._results import Code, Result, Section, Table, Verdict
from ..problem.space import Space
from ..problem.target import Target
from .runs import Runs

_NEIGHBOURS = 3
_SIZE = 0.02
"""The chance that data which the simulator can make are called out of reach."""
_FEWEST = 50
_PLENTY = 20
"""Runs a moment from which on the runs that tell the scale need not be kept apart from those compared."""
_RIM = 0.05
"""The outermost part of a prior, at each end, whose posterior mass is looked at."""
_LEANS = 3.0
"""A posterior leans on a bound when the rim holds so many times the mass that it has under the prior."""


@dataclass(frozen=True)
class Reach(Result):
    """Whether the simulator reaches the data.

    `p_near`, `p_centre`: the share of runs as far from their neighbours, and from the centre, as the data; `labels`,
    `rank` (k,): where each fitted moment of the data lies among the runs, from 0 to 1.
    """

    p_near: float
    p_centre: float
    labels: tuple[str, ...]
    rank: np.ndarray
    runs: int

    @property
    def p(self) -> float:
        """Of both distances together (Bonferroni)."""
        return min(1.0, 2.0 * min(self.p_near, self.p_centre))

    def verdict(self) -> Verdict:
        """Within reach, or out of it, and which moments no run came near."""
        numbers = {"p": self.p, "p near": self.p_near, "p centre": self.p_centre}
        if self.p >= _SIZE:
            text = (
                f"Runs from the prior come as near to the data as to each other (p = {self.p:.2g}, {self.runs} runs)."
            )
            return Verdict("the data", Code.WITHIN_REACH, text, numbers)
        beyond = [name for name, r in zip(self.labels, self.rank, strict=True) if r in (0.0, 1.0)]
        if beyond:
            why = f"no run reaches {', '.join(beyond[:3])}" + (
                f" and {len(beyond) - 3} more" if len(beyond) > 3 else ""
            )
        else:
            why = "each moment is reached by some run, but not these together"
        text = (
            f"The data lie where the simulator does not go: {why} (p = {self.p:.2g}, {self.runs} runs from the prior)."
        )
        return Verdict("the data", Code.OUT_OF_REACH, text, numbers)

    def sections(self) -> tuple[Section, ...]:
        rows = tuple((name, float(r)) for name, r in zip(self.labels, self.rank, strict=True))
        table = Table("Where the data lie among runs", ("moment", "share of runs below"), rows)
        return (Section("Reach", (), (self.verdict(),), (), (table,)),)

    def record(self) -> dict[str, Any]:
        return {
            **self.verdict().record(),
            "runs": self.runs,
            "rank": dict(zip(self.labels, self.rank.tolist(), strict=True)),
        }


def reach(runs: Runs, target: Target) -> Reach:
    """Whether runs over the prior come near to a target's data, in its fitted moments.

    Moments are put on the scale of their ranks among the runs first, continued outwards, so that neither units nor
    heavy tails decide.

    **Raises:** `MethodError` for fewer than 50 runs that count, or runs of other moments.
    """
    if runs.labels != target.labels:
        raise MethodError("the runs are of other moments than the target")
    moments = runs.moments[runs.valid][:, target.fitted]
    if moments.shape[0] < _FEWEST:
        raise MethodError(f"{moments.shape[0]} runs cannot tell what is out of reach: make {_FEWEST} or more")
    data = target.values[target.fitted]
    n, k = moments.shape
    # What is learned of few moments from all runs fits these no better than the data; of many it would.
    seen = moments if n >= _PLENTY * k else moments[: n // 3]
    held = np.concatenate([moments if seen is moments else moments[n // 3 :], data[None]])
    scores = np.stack([_score(seen[:, i], held[:, i]) for i in range(k)], axis=1)
    own, points = _whitened(np.stack([_score(column, column) for column in seen.T], axis=1), scores)
    return Reach(
        p_near=_p_near(own, points, among=seen is moments),
        p_centre=_rank_of_last((points**2).sum(1)),
        labels=tuple(np.array(target.labels)[target.fitted].tolist()),
        rank=(moments <= data).mean(0),
        runs=moments.shape[0],
    )


def _score(runs: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Normal scores (m,) of values among n runs: by ranks within, by the robust spread beyond the runs."""
    order = np.argsort(runs, kind="stable")
    own = norm.ppf((rankdata(runs) - 0.5) / runs.size)
    middle, spread = np.median(runs), np.quantile(runs, 0.84) - np.quantile(runs, 0.16)
    unit = spread / 2.0 if spread > 0 else max(float(np.ptp(runs)), abs(float(middle)), 1e-12)
    beyond = np.maximum(values - runs.max(), 0.0) - np.maximum(runs.min() - values, 0.0)
    return np.interp(values, runs[order], own[order]) + beyond / unit


def _whitened(seen: np.ndarray, held: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows (n, k) and others (m, k) about the centre of the former, in its directions of unit variance; directions that
    never vary keep a floor.
    """
    centre = seen.mean(0)
    values, vectors = np.linalg.eigh(np.cov(seen.T).reshape(seen.shape[1], seen.shape[1]))
    scale = np.sqrt(np.maximum(values, 1e-3 * values[-1] + 1e-12))
    return (seen - centre) @ vectors / scale, (held - centre) @ vectors / scale


def _p_near(seen: np.ndarray, held: np.ndarray, *, among: bool) -> float:
    """The share of runs whose mean distance to their nearest three is at least that of the data, the last of `held`;
    `among`: all before it are those seen, and none is its own neighbour.
    """
    tree = KDTree(seen)
    own = tree.query(held[:-1], _NEIGHBOURS + among)[0][:, int(among) :].mean(1)
    return _rank_of_last(np.append(own, tree.query(held[-1], _NEIGHBOURS)[0].mean()))


def _rank_of_last(levels: np.ndarray) -> float:
    """The share of all that are at least as large as the last, itself among them."""
    return float((levels >= levels[-1]).mean())


def at_bounds(space: Space, unit: np.ndarray, weights: np.ndarray | None = None) -> tuple[Verdict, ...]:
    """Which parameters' posterior leans on an end of a bounded prior: a verdict each that does.

    **Arguments:** `unit` (n, d): posterior draws on the priors' probability scale; `weights` (n,): theirs.
    """
    share = np.full(unit.shape[0], 1.0 / unit.shape[0]) if weights is None else weights / weights.sum()
    low, high = space.bounds()
    found = []
    for i, label in enumerate(space.labels):
        ends = (("lower", low[i], unit[:, i] < _RIM), ("upper", high[i], unit[:, i] > 1.0 - _RIM))
        for name, end, rim in ends:
            mass = float(share[rim].sum())
            if np.isfinite(end) and mass > _LEANS * _RIM:
                text = (
                    f"{label}: {100 * mass:.0f} % of the posterior lie in the outermost {100 * _RIM:.0f} % of the "
                    f"prior at its {name} bound {end:g}: the answer may lie beyond."
                )
                found.append(Verdict(label, Code.AT_BOUND, text, {"mass": mass, "bound": float(end)}))
    return tuple(found)
