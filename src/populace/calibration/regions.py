"""Where runs are proposed: parts of the prior that close in on the data, and what a run there weighs.

Parameters are rows v on the scale of `Scale`: on it a bounded prior is uniform with mean 0 and variance 1, any other
N(0, 1). A region is an ellipsoid; those of later rounds are cut to lie in the earlier ones.
"""

import math
from typing import NamedTuple

import equinox as eqx
import numpy as np
from scipy.special import ndtr, ndtri

from .._errors import MethodError
from .._results import Code
from .._types import Key
from ..core.executor import Ticker
from ..core.host import split
from ..core.rounds import Ask, Done
from ..problem.problem import Problem, Simulate, Simulated
from ..problem.space import Space
from ..problem.target import Target
from ..surrogates.reach import at_bounds, reach
from ..surrogates.runs import Runs
from .estimates import root_of

_HALF = math.sqrt(3.0)
"""Half the width of a uniform law with variance 1."""
_TRIES = 200_000
_FEWEST = 100
"""Calls of a round, at the least."""
_ROOM = 1.2
"""How much wider an ellipsoid is than the draws that it holds."""


class Scale(NamedTuple):
    """Parameters as rows v; `bounded` (d,): whose prior has two finite ends."""

    space: Space
    bounded: np.ndarray

    @staticmethod
    def of(space: Space) -> "Scale":
        low, high = space.bounds()
        return Scale(space, np.isfinite(low) & np.isfinite(high))

    def unit(self, v: np.ndarray) -> np.ndarray:
        """On the priors' probability scale, (n, d)."""
        return np.where(self.bounded, 0.5 + v / (2.0 * _HALF), ndtr(v))

    def real(self, v: np.ndarray) -> np.ndarray:
        """On the real scale of the space, (n, d)."""
        held = np.clip(self.unit(v), 1e-7, 1.0 - 1e-7)
        return np.asarray(self.space.to_real(self.space.from_unit(held)), np.float64)

    def rows(self, unit: np.ndarray) -> np.ndarray:
        """From the priors' probability scale, (n, d)."""
        held = np.clip(unit, 1e-7, 1.0 - 1e-7)
        return np.where(self.bounded, (held - 0.5) * 2.0 * _HALF, ndtri(held))

    def inside(self, v: np.ndarray) -> np.ndarray:
        """Which rows the prior allows, (n,)."""
        return np.asarray(np.all(~self.bounded | (np.abs(v) < _HALF), axis=1))

    def held(self, v: np.ndarray) -> np.ndarray:
        """Rows that the prior allows, those outside at its nearest bound."""
        edge = _HALF * (1.0 - 1e-6)
        return np.where(self.bounded, np.clip(v, -edge, edge), v)

    def log_prior(self, v: np.ndarray) -> np.ndarray:
        """The logarithm of the prior's density at rows it allows, (n,)."""
        each = np.where(self.bounded, -np.log(2.0 * _HALF), -0.5 * v**2 - 0.5 * np.log(2.0 * np.pi))
        return each.sum(1)

    def sample(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Draws (count, d) of the prior."""
        shape = (count, self.bounded.size)
        return np.where(self.bounded, rng.uniform(-_HALF, _HALF, shape), rng.standard_normal(shape))


class Region(eqx.Module):
    """An ellipsoid around `centre` (d,): |root^-1 (v - centre)| <= 1; `root` (d, d) is lower triangular.

    `log_share`: the logarithm of the prior's mass in it (in earlier regions, too), where runs follow the prior cut to
    it; `log_size`: that of its volume, where they are spread evenly over it; the other is infinite.
    """

    centre: np.ndarray
    root: np.ndarray
    log_share: np.ndarray
    log_size: np.ndarray

    @staticmethod
    def around(draws: np.ndarray) -> "Region":
        """A little wider than the smallest ellipsoid of the draws' own covariance that holds them all, (n, d)."""
        centre = draws.mean(0)
        lower = root_of(np.atleast_2d(np.cov(draws, rowvar=False)))
        reach = np.sqrt((np.linalg.solve(lower, (draws - centre).T) ** 2).sum(0).max())
        never = np.array(np.inf)
        return Region(centre, lower * reach * _ROOM, never, never)

    def holds(self, v: np.ndarray) -> np.ndarray:
        """Which rows lie in it, (n,)."""
        return (np.linalg.solve(self.root, (v - self.centre).T) ** 2).sum(0) <= 1.0

    def log_density(self, scale: Scale, v: np.ndarray) -> np.ndarray:
        """Of the runs that were proposed in it, at rows it holds, (n,)."""
        if np.isfinite(self.log_size):
            return np.full(v.shape[0], -float(self.log_size))
        return scale.log_prior(v) - float(self.log_share)


def proposed(
    scale: Scale, regions: tuple[Region, ...], new: Region, rng: np.random.Generator, count: int
) -> tuple[Region, np.ndarray]:
    """Rows (count, d) of a new region, cut to the earlier ones, and the region with its mass or its volume.

    Draws of the prior that fall in it, where one in 200 does. Where fewer would, evenly spread rows, which weigh as
    the prior's density does: no sampler that waits for a draw that never comes.
    """
    tried = scale.sample(rng, _TRIES)
    good = tried[_allowed(scale, (*regions, new), tried)]
    if len(good) >= max(count, _TRIES // 200):
        share = np.array(np.log(len(good) / _TRIES))
        return eqx.tree_at(lambda r: r.log_share, new, share), good[:count]
    d = scale.bounded.size
    kept, made = [], 0
    while sum(map(len, kept)) < count and made < 100 * max(count, 1_000):
        step = rng.standard_normal((max(4 * count, 4_000), d))
        step *= rng.uniform(size=(len(step), 1)) ** (1.0 / d) / np.linalg.norm(step, axis=1, keepdims=True)
        rows = new.centre + step @ new.root.T
        kept.append(rows[_allowed(scale, (*regions, new), rows)])
        made += len(rows)
    rows = np.concatenate(kept)
    if len(rows) < count:  # hardly any of it is allowed: the prior as it is then
        return eqx.tree_at(lambda r: (r.root, r.log_share), new, (1e6 * np.eye(d), np.array(0.0))), tried[:count]
    ball = 0.5 * d * np.log(np.pi) - math.lgamma(0.5 * d + 1.0) + np.log(np.diag(new.root)).sum()
    return eqx.tree_at(lambda r: r.log_size, new, np.array(ball + np.log(len(rows) / made))), rows[:count]


def _allowed(scale: Scale, regions: tuple[Region, ...], v: np.ndarray) -> np.ndarray:
    found = scale.inside(v)
    for region in regions:
        found[found] = region.holds(v[found])
    return found


def weights(scale: Scale, regions: tuple[Region, ...], counts: np.ndarray, v: np.ndarray) -> np.ndarray:
    """What rows v (n, d) weigh so that they stand for the prior cut to the last region: (n,) with mean 1 among those
    in it, 0 elsewhere. `counts` (1 + regions,): how many rows were drawn from the prior, and in each region.
    """
    within = np.ones(len(v), bool)
    for region in regions:
        within &= region.holds(v)
    found = np.zeros(len(v))
    found[within] = 1.0 / pooled(scale, regions, counts, v[within])
    return found / found[within].mean()


def pooled(scale: Scale, regions: tuple[Region, ...], counts: np.ndarray, v: np.ndarray) -> np.ndarray:
    """How many times as dense as the prior all proposed rows are at rows v (n, d), (n,)."""
    log_prior = scale.log_prior(v)
    pool, within = counts[0] * np.ones(len(v)), np.ones(len(v), bool)
    for region, count in zip(regions, counts[1:], strict=True):
        within = within & region.holds(v)
        pool += count * np.where(within, np.exp(region.log_density(scale, v) - log_prior), 0.0)
    return pool


class Proposal(Ask):
    """Runs at rows v (n, d) of a region; None for the whole prior."""

    work: Simulate
    v: np.ndarray
    region: Region | None

    @staticmethod
    def at(space: Space, v: np.ndarray, key: Key, region: Region | None, *, keep: bool = False) -> "Proposal":
        """Rows of the scale of a space, each with a key of its own; `keep`: as of `Simulate`."""
        parameters = space.from_real(Scale.of(space).real(v))
        return Proposal(Simulate(parameters, split(key, len(v)), keep=keep), v, region)

    def calls(self) -> int:
        return self.work.calls()

    def answer(self, task: Problem, ticker: Ticker) -> Simulated:
        return self.work.answer(task, ticker)


def check_rounds(rounds: int, budget: int) -> None:
    """Whether there are rounds, with calls enough in each.

    **Raises:** `MethodError`.
    """
    if rounds < 1:
        raise MethodError("take one round or more")
    if budget < _FEWEST * rounds:
        raise MethodError(
            f"a budget of {budget} calls is too small for {rounds} rounds of {_FEWEST} or more: give "
            f"{_FEWEST * rounds} or take fewer rounds"
        )


def ended(counts: np.ndarray, rounds: int) -> Done | None:
    """Whether all rounds were run, by the runs of each that count (rounds so far,)."""
    if counts.size < rounds:
        return None
    ran = "its one round was run" if rounds == 1 else f"all {rounds} rounds were run"
    return Done(Code.CONVERGED, f"{ran}, {counts.sum()} runs that count")


def surroundings(
    scale: Scale, target: Target, v: np.ndarray, moments: np.ndarray, draws: np.ndarray
) -> tuple[str, ...]:
    """What is to be said of where data and posterior lie: whether runs from the prior, rows v (n, d) with moments
    (n, k), come near to the data, and which bounds draws (m, d) of the posterior lean on.
    """
    runs = Runs(scale.space, scale.unit(v), moments, np.ones(len(v), bool), target.labels, {})
    found = (reach(runs, target).verdict(), *at_bounds(scale.space, scale.unit(draws)))
    return tuple(verdict.sentence for verdict in found)
