"""Rounds of runs where profiles run: learn expected moments, trace the profiles, simulate near them, learn again."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import jax.random as jr
import numpy as np

from .._errors import MethodError
from .._results import Code, Verdict
from .._types import Key
from ..calibration.local_regression import LocalRegression
from ..core.executor import Ticker
from ..core.noise import host_generator
from .curves import Rule, Traced, traced
from .expected import Expected, Known, box, scattered
from .fresh_runs import Replicated

Rows = Callable[[Expected, Traced, int, Key], np.ndarray]
"""Where else runs are to be made: rows (count, d)."""

ROUNDS = 5
_POOL = 40
_NODES, _OTHERS = 160, 100
_HEAT = 2.0
_REACH = (0.4, 0.3, 0.25, 0.2, 0.15)
_APART, _OFTEN, _SHARE = 5.0, 3.0, 0.15
_MATTERS = 0.1
"""A gap between what was learned and what was seen that is so small a part of the threshold does not matter."""
FIRST, REPLICATES = 0.35, 0.2
"""The shares of a budget that the design over the prior takes, and fresh runs at the answers."""
_FEWEST = 20


@dataclass(frozen=True)
class Explored:
    """What is known after the last round, and the profiles by it."""

    known: Known
    expected: Expected
    traced: Traced
    ends: np.ndarray


def least_budget(d: int) -> int:
    """The smallest budget that d parameters can be looked at with."""
    return int(np.ceil(max((4 * LocalRegression.least(d) + 100) / FIRST, _FEWEST * (d + 1) / REPLICATES)))


def check_budget(budget: int, d: int) -> None:
    """Raises `MethodError` for a budget that is too small."""
    if budget < least_budget(d):
        raise MethodError(f"{budget} calls are too few for {d} parameters: give {least_budget(d)} or more")


def explored(
    known: Known,
    starts: np.ndarray,
    indices: Sequence[int],
    rule: Rule,
    calls: int,
    key: Key,
    ticker: Ticker,
    also: Rows | None = None,
) -> Explored:
    """`calls` further runs near the profiles of parameters `indices` (and half of them at rows of `also`).

    **Arguments:** `starts` (n, d): where searches begin besides the best runs so far.
    """
    ends = box(known.scale)
    paths = other = np.zeros((0, known.size))
    for i in range(ROUNDS):
        expected, found = _traced(known, paths, other, starts, indices, rule, ends)
        paths = found.paths(_NODES)
        count = calls // ROUNDS
        place, more, run = jr.split(jr.fold_in(key, i), 3)
        if also is not None:
            other = also(expected, found, count // 2, more)
        rows = _chosen(found, count - len(other), place)
        heat = _HEAT * max(rule.rise, 1.0)
        near = scattered(expected, ends, rows, heat, _REACH[i], jr.fold_in(place, 1))
        known = known.more(np.concatenate([near, other]), run, ticker)
    expected, found = _traced(known, paths, other, starts, indices, rule, ends)
    again = np.concatenate([found.paths(_NODES), paths[: _NODES // 2]])
    expected, found = _traced(known, again, other, starts, indices, rule, ends)
    return Explored(known, expected, found, ends)


def _traced(
    known: Known,
    paths: np.ndarray,
    other: np.ndarray,
    starts: np.ndarray,
    indices: Sequence[int],
    rule: Rule,
    ends: np.ndarray,
) -> tuple[Expected, Traced]:
    """Expected moments, with nodes on the last paths, and the profiles by them."""
    expected = known.expected(paths, other[:_OTHERS])
    return expected, traced(expected, ends, _pool(known, paths, starts), indices, rule)


def relearned(found: Explored, rows: np.ndarray) -> Explored:
    """The same with nodes at rows (n, d) besides: the looks to come are there."""
    return replace(found, expected=found.known.expected(found.traced.paths(_NODES), rows))


def _pool(known: Known, paths: np.ndarray, starts: np.ndarray) -> np.ndarray:
    return np.concatenate([paths[:1], starts, paths[1 :: max(len(paths) // _POOL, 1)], known.best(_POOL)])


def _chosen(found: Traced, count: int, key: Key) -> np.ndarray:
    """Points of profiles (count, d) to simulate near: those that are low, or near the threshold, more often."""
    rows = np.concatenate([curve.v for curve in found.curves])
    height = np.concatenate([curve.distance for curve in found.curves]) - found.threshold
    rise = max(found.threshold - found.least, 1.0)
    weight = 1.0 / (1.0 + (np.maximum(height, 0.0) / (3.0 * rise)) ** 2)
    weight *= np.where(np.abs(height) < rise, 2.0, 1.0)
    return rows[host_generator(key).choice(len(rows), count, p=weight / weight.sum())]


def replicates_each(budget: int, points: int) -> int:
    """How many fresh runs each of some points gets of a budget."""
    return int(REPLICATES * budget) // points


def points_each(budget: int, parts: int, most: int) -> int:
    """At how many points of each of some parts there are fresh runs, enough at each, and at one besides."""
    return int(np.clip((int(REPLICATES * budget) // _FEWEST - 1) // parts, 1, most))


def judged(subject: str, found: Explored, v: np.ndarray, fresh: Replicated, count: int, rise: float) -> Verdict:
    """Whether fresh runs at rows v (n, d) bear out what was learned there, to a tenth of `rise`."""
    said = found.expected.at(v)
    sound = np.isfinite(fresh.distance)
    gap = (fresh.distance - said.distance)[sound]
    z = np.abs(gap) / np.sqrt(fresh.error[sound] ** 2 + said.error[sound] ** 2 + (_MATTERS * rise) ** 2)
    worst, often = (float(z.max()), float((z > _OFTEN).mean())) if z.size else (np.inf, 1.0)
    numbers = {"points": float(z.size), "runs each": float(count), "worst": worst}
    text = f"What was learned of {subject} was looked at again by {count} fresh runs at {z.size} points"
    if worst > _APART or often > _SHARE:
        more = f"and is refuted: the worst lies {worst:.1f} standard errors off. Raise the budget."
        return Verdict(subject, Code.REFUTED, f"{text}, {more}", numbers)
    return Verdict(
        subject, Code.CONFIRMED, f"{text}, and holds: the worst lies {worst:.1f} standard errors off.", numbers
    )
