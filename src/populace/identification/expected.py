"""The distance of expected moments to the data, anywhere in the prior, learned from noisy runs.

With m(v) the expected gap of the fitted moments at parameters v, in independent units (whitened by the data's own
covariance V), the distance is D(v) = g' V^-1 g = |m(v)|^2. A run sees m with the model's own luck, which would add its
variance to D. Here m is learned from all runs by local quadratics (`local_regression.py`) around some nodes, blended
between them, and what is left of the luck, k times the squared standard error of m, is taken out of D. So D may be
compared with the chi-squared law of the data's error alone, however noisy the model is.

Parameters are rows v on the scale of `regions.Scale`: a bounded prior is uniform on it, with its bounds at +-3^1/2; any
other is N(0, 1), and its ends are put at +-3.5, beyond which lies 2e-4 of it.
"""

import functools
from dataclasses import dataclass, replace
from typing import NamedTuple

import jax.numpy as jnp
import jax.random as jr
import numpy as np
from scipy.spatial import KDTree

from .._errors import MethodError
from .._types import Key
from ..calibration.ensemble_smoother import gaps_of
from ..calibration.fit import Fit
from ..calibration.judgement import whitened
from ..calibration.local_regression import Expansion, LocalRegression
from ..calibration.regions import Scale
from ..calibration.searches import EDGE
from ..core.executor import Ticker
from ..core.host import split
from ..core.noise import host_generator
from ..problem.problem import Problem
from ..problem.space import Space
from ..surrogates.samplers import Sobol

_BLENDED = 8
"""Nodes that a point asks."""
_COVER, _BEST = 80, 80
"""Nodes all over the prior, and nodes at the runs nearest to the data."""
_AT_ONCE = 512
_LUCK, _NEAREST = 4.0, 0.3
_NEIGHBOURS, _MOST = (5, 20, 80, 320), 1_500
"""Runs a coefficient of a local quadratic that are tried, and runs at one in all."""
_JUDGES = 100
_TRIMMED, _VALLEY = 0.9, 6.0
_PADDED = 1_024


def box(scale: Scale) -> np.ndarray:
    """The ends (2, d) of every parameter on the scale."""
    high = np.where(scale.bounded, scale.held(np.full(scale.bounded.size, 9.0)), EDGE)
    return np.stack([-high, high])


def placed(scale: Scale, v: np.ndarray) -> dict[str, np.ndarray]:
    """The batch at rows v (n, d)."""
    rows = np.resize(v, (-(-len(v) // _PADDED) * _PADDED, v.shape[1]))  # few shapes: each is compiled for
    found = scale.space.from_unit(scale.unit(rows))
    return {name: np.asarray(value)[: len(v)] for name, value in found.items()}


def valued(scale: Scale, v: np.ndarray) -> np.ndarray:
    """The parameters' own values at rows v (n, d); at the ends of the box the bounds themselves."""
    batch = placed(scale, v)
    parts = [batch[name].reshape(len(v), -1) for name in scale.space.names]
    found = np.concatenate(parts, axis=1).astype(np.float64)
    for side, end, bound in zip((-1.0, 1.0), box(scale), scale.space.bounds(), strict=True):
        found = np.where((side * (v - end) >= -1e-9) & np.isfinite(bound), bound, found)
    return found


def end_name(space: Space, i: int, upper: bool) -> str:
    """An end of a prior in words."""
    bound = space.bounds()[int(upper)][i]
    side = "upper" if upper else "lower"
    return (
        f"the {side} bound of {space.labels[i]}"
        if np.isfinite(bound)
        else f"the far {side} end of the prior of " + (space.labels[i])
    )


class Said(NamedTuple):
    """At n points: the expected gap `mean` (n, k), its `slope` (n, k, d), its squared standard error `doubt` (n,), and
    `luck` (n,): what of that is the model's luck, and no bend that was missed.
    """

    mean: np.ndarray
    slope: np.ndarray
    doubt: np.ndarray
    luck: np.ndarray

    @property
    def distance(self) -> np.ndarray:
        """D (n,), less what is left of the luck; near 0 it may be negative, by its error."""
        return (self.mean**2).sum(1) - self.mean.shape[1] * self.luck

    @property
    def error(self) -> np.ndarray:
        """The standard error of D, (n,)."""
        return np.sqrt(4.0 * (self.mean**2).sum(1) * self.doubt + 2.0 * self.mean.shape[1] * self.doubt**2)

    def of(self, rows: np.ndarray) -> "Said":
        """What is known at some of the points."""
        return Said(*(each[rows] for each in self))

    def mixed(self, other: "Said", where: np.ndarray) -> "Said":
        """The other's, `where` (n,) says so."""
        pairs = zip(self, other, strict=True)
        return Said(*(np.where(where.reshape((-1,) + (1,) * (a.ndim - 1)), b, a) for a, b in pairs))


@dataclass(frozen=True)
class Expected:
    """Expected gaps anywhere: quadratics `around` nodes (n, d), blended by how near these are."""

    nodes: np.ndarray
    around: Expansion

    @functools.cached_property
    def _tree(self) -> KDTree:
        return KDTree(self.nodes)

    def at(self, v: np.ndarray) -> Said:
        """What is known at rows v (n, d)."""
        parts = [self._at(v[i : i + _AT_ONCE]) for i in range(0, len(v), _AT_ONCE)]
        return Said(*(np.concatenate(each) for each in zip(*parts, strict=True)))

    def distances(self, v: np.ndarray) -> np.ndarray:
        """D at rows v, (n,)."""
        return self.at(v).distance

    def _at(self, v: np.ndarray) -> Said:
        count = min(_BLENDED, len(self.nodes))
        near = np.asarray(self._tree.query(v, count)[1]).reshape(len(v), count)
        step = v[:, None] - self.nodes[near]
        metric = self.around.metric[near]
        far = np.einsum("nqi,nij,nqj->nq", step, metric.mean(1), step)
        weight = 1.0 / (far + 1e-6) ** 2
        weight /= weight.sum(1, keepdims=True)
        slope, bend = self.around.slope[near], self.around.bend[near]
        turned = (bend @ step[:, :, None, :, None])[..., 0]
        mean = self.around.mean[near] + ((slope + turned) @ step[..., None])[..., 0]
        beyond = np.maximum(np.einsum("nqi,nqij,nqj->nq", step, metric, step) - 1.0, 0.0)
        doubt = (weight * self.around.doubt[near] * (1.0 + beyond) ** 2).sum(1)
        return Said(
            np.einsum("nq,nqk->nk", weight, mean),
            np.einsum("nq,nqkd->nkd", weight, slope + 2.0 * turned),
            doubt,
            np.minimum(doubt, self._luck),
        )

    @functools.cached_property
    def _luck(self) -> float:
        """What of a doubt is luck, at the most: a few times the doubt at the nodes nearest to the data. A larger one
        shows that the quadratics miss something, and to take it out of D would call near what is not known.
        """
        far = (self.around.mean**2).sum(1)
        return _LUCK * float(np.median(self.around.doubt[far <= np.quantile(far, _NEAREST)]))


@dataclass(frozen=True)
class Known:
    """All runs so far that count: rows `v` (n, d), gaps `gaps` (n, k); `calls`: simulator calls spent; `lost`: runs
    that did not count; `last`: how many of the runs came last.
    """

    problem: Problem
    scale: Scale
    v: np.ndarray
    gaps: np.ndarray
    calls: int = 0
    lost: int = 0
    last: int = 0

    @property
    def size(self) -> int:
        """D."""
        return self.v.shape[1]

    def more(self, v: np.ndarray, key: Key, ticker: Ticker) -> "Known":
        """With a run at each of rows v (n, d) besides."""
        found = gaps_of(self.problem, simulated(self.problem, self.scale, v, split(key, len(v)), ticker))
        sound = np.isfinite(found).all(1)
        return replace(
            self,
            v=np.concatenate([self.v, v[sound]]),
            gaps=np.concatenate([self.gaps, found[sound]]),
            calls=self.calls + len(v),
            lost=self.lost + int((~sound).sum()),
            last=int(sound.sum()),
        )

    def best(self, count: int) -> np.ndarray:
        """Rows of the runs nearest to the data, (count, d), those far apart from each other."""
        far = (self.gaps**2).sum(1)
        near = np.argsort(far, kind="stable")[: max(4 * count, len(far) // 20)]
        return spread(self.v[near], count)

    def expected(self, *paths: np.ndarray) -> Expected:
        """Expected gaps, with nodes on `paths` (n, d) besides."""
        if len(self.v) < LocalRegression.least(self.size):
            raise MethodError(
                f"{len(self.v)} runs count, too few for {self.size} parameters ({self.lost} did not count): raise the "
                "budget, or narrow the priors"
            )
        nodes = np.concatenate([self.v[:_COVER], self.best(_BEST), *paths])
        return Expected(nodes, LocalRegression(self.v, self.gaps, self._neighbours()).expanded(nodes))

    def _neighbours(self) -> int:
        """How many runs a coefficient: what foretells the last runs best from those before, where they are near to the
        data. Few follow the moments' bends, many average the model's luck.
        """
        d, old = self.size, len(self.v) - self.last
        if old < LocalRegression.least(d):
            return _NEIGHBOURS[0]
        chosen = old + np.linspace(0, self.last - 1, min(self.last, _JUDGES)).astype(int)
        far = (self.gaps[chosen] ** 2).mean(1)
        near = max(float(np.sort(far)[: max(len(far) // 2, 1)].mean()), 1e-12)
        weight = 1.0 / (1.0 + (far / (_VALLEY * near)) ** 2)
        missed = []
        for count in _NEIGHBOURS:
            if count > _NEIGHBOURS[0] and count * (1 + d + d * (d + 1) // 2) > min(len(self.v) / 2, _MOST):
                break
            known = LocalRegression(self.v[:old], self.gaps[:old], count)
            left = ((self.gaps[chosen] - known.near(self.v[chosen]).mean) ** 2).mean(1)
            missed.append(float((weight * np.minimum(left, np.quantile(left, _TRIMMED))).sum()))
        return _NEIGHBOURS[int(np.argmin(missed))]


def begun(problem: Problem, fit: Fit | None, key: Key, count: int, ticker: Ticker) -> Known:
    """A space-filling design of `count` runs over the prior, and behind it the runs that a fit has made at its draws.

    **Raises:** `MethodError` without a covariance.
    """
    whitened(problem, np.zeros((1, len(problem.target.labels))))
    scale, d = Scale.of(problem.space), problem.space.size
    place, run = jr.split(key)
    none = np.zeros((0, int(problem.target.fitted.sum())))
    ends = box(scale)
    design = np.clip(scale.rows(Sobol().sequence(place, d, 0, count)), *ends)
    known = Known(problem, scale, np.zeros((0, d)), none).more(design, run, ticker)
    if fit is None:
        return known
    gaps, rows = gaps_of(problem, fit.moments), drawn(fit)
    sound = np.isfinite(gaps).all(1) & ~fit.excluded
    return replace(known, v=np.concatenate([known.v, rows[sound]]), gaps=np.concatenate([known.gaps, gaps[sound]]))


def drawn(fit: Fit) -> np.ndarray:
    """A fit's draws as rows (n, d)."""
    scale = Scale.of(fit.problem.space)
    batch = {name: jnp.asarray(value) for name, value in fit.draws.items()}
    return np.clip(scale.rows(np.asarray(fit.problem.space.cdf(batch), np.float64)), *box(scale))


def spread(rows: np.ndarray, count: int) -> np.ndarray:
    """The first of rows (n, d), and then each time the one farthest from all taken, (count, d)."""
    taken = [0]
    far = ((rows - rows[0]) ** 2).sum(1)
    while len(taken) < min(count, len(rows)):
        taken.append(int(far.argmax()))
        far = np.minimum(far, ((rows - rows[taken[-1]]) ** 2).sum(1))
    return rows[taken]


def scattered(
    expected: Expected, ends: np.ndarray, rows: np.ndarray, heat: float, reach: float, key: Key
) -> np.ndarray:
    """Points near rows (n, d), one each, where a next run says most: as far across a valley as D rises by a few times
    `heat`, or by what is not known of it, and up to `reach` along it.
    """
    said, d = expected.at(rows), rows.shape[1]
    warm = heat + 4.0 * said.mean.shape[1] * said.doubt
    tight = np.einsum("nki,nkj->nij", said.slope, said.slope) / warm[:, None, None] + np.eye(d) / reach**2
    values, vectors = np.linalg.eigh(tight)
    noise = host_generator(key).standard_normal(rows.shape) / np.sqrt(np.maximum(values, 1e-12))
    moved = rows + (vectors @ noise[:, :, None])[:, :, 0]
    # Beyond an end as far inside of it: runs pile up at no bound.
    moved = np.where(moved > ends[1], 2.0 * ends[1] - moved, np.where(moved < ends[0], 2.0 * ends[0] - moved, moved))
    return np.clip(moved, *ends)


def simulated(problem: Problem, scale: Scale, v: np.ndarray, keys: Key, ticker: Ticker) -> np.ndarray:
    """All moments of a run at each of rows v (n, d), NaN where one does not count."""
    batch = {name: jnp.asarray(value) for name, value in placed(scale, v).items()}
    found = problem.simulate(batch, keys, ticker, none=True)
    return np.where(found.excluded[:, None], np.nan, found.moments)
