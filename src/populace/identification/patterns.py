"""The verb `pattern_space`: what a model can do at all, whatever the data, and where the data lie in that."""

from collections.abc import Sequence
from pathlib import Path

import jax.random as jr
import numpy as np
from rich.progress import Progress
from scipy.stats import chi2

from .._errors import MethodError, did_you_mean
from .._types import Key
from ..core.executor import Ticker
from ..core.progress import display
from ..core.rounds import rounds
from ..problem.problem import Problem
from ..surrogates.reach import Reach, reach
from ..surrogates.runs import Runs
from .attainable import attainable
from .cells import distances, growth, hits, unseen
from .novelty import AGAIN, PLAIN, SEARCH, START, Explored, NoveltySearch
from .pattern_map import LAST, Confirmed, PatternSpace, Place

_REACHED_FROM = 50
"""Runs of the prior from which on `pop.reach` is asked."""
_NEARER = 0.25
"""Widths of a cell by which the last part of the search comes nearer to the data, where it is not at its end."""
_NEAR = 2.0
"""Standard deviations of a run by which the data may lie beside a reached cell."""


def pattern_space(
    problem: Problem,
    key: Key,
    *,
    budget: int,
    axes: Sequence[str] | None = None,
    cells: int = 20,
    replicates: int = 5,
    folder: Path | str | None = None,
    progress: bool | Progress | None = None,
) -> PatternSpace:
    """Look for all that a model can do, in the space of some of its moments, and say where the data lie in it.

    About half the budget goes to a search for new cells (`novelty.py`), as much, less the first design that both share,
    to Sobol points beside it, and a tenth to running some of the found cells again.

    **Arguments:** `budget`: runs in all; `axes`: labels of the moments that span the space, two or more, fitted or held
    out, by default the first two; `cells`: along each axis, over the middle 95 % of the first design, and going on
    beyond; fewer where they would be narrower than three standard errors of a pattern; `replicates`: runs of a
    parameter set, whose medians are its pattern; 1 for a model without chance;
    `folder`, `progress`: as `pop.calibrate`.

    **Raises:** `MethodError` for unknown axes, a moment that never changes, or too small a budget.
    """
    target = problem.target
    wanted = tuple(target.labels[:2] if axes is None else axes)
    for label in wanted:
        if label not in target.labels:
            raise MethodError(f"the target has no moment '{label}'; {did_you_mean(label, target.labels)}")
    if len(set(wanted)) < 2 or len(set(wanted)) < len(wanted):
        raise MethodError(f"a pattern space has two different axes or more, not {list(wanted)}")
    if cells < 2 or replicates < 1:
        raise MethodError(f"take 2 cells an axis and 1 replicate or more, not {cells} and {replicates}")
    design, searching = jr.split(key)
    method = NoveltySearch(tuple(target.labels.index(label) for label in wanted), cells, replicates, design)
    with display(progress) as shown:
        done = rounds(
            method,
            problem,
            searching,
            budget=budget,
            ticker=Ticker(shown, "patterns", budget),
            folder=None if folder is None else Path(folder),
            identity=problem.identity(),
        )
    return _told(problem, method, done.estimate, done.calls)


def _told(problem: Problem, method: NoveltySearch, seen: Explored, calls: int) -> PatternSpace:
    target, columns = problem.target, list(method.axes)
    patterns = seen.patterns
    sound = np.asarray(np.isfinite(patterns[:, columns]).all(1))
    grid = seen.cells
    placed = grid.of(np.where(sound[:, None], patterns[:, columns], 0.0))

    def of(*origins: int) -> np.ndarray:
        return np.flatnonzero(sound & np.isin(seen.origin, origins))

    searched, plain, all_ = of(START, SEARCH), of(START, PLAIN), of(START, SEARCH, PLAIN)
    found, member, often = hits(placed[all_])
    example = all_[np.unique(member, return_index=True)[1]]
    own, _, by_search = hits(placed[searched])
    even = hits(placed[plain])[0]
    both = len(own) + len(even) - len(hits(np.concatenate([own, even]))[0])
    scatter = _scatter(seen.runs[:, :, columns])
    return PatternSpace(
        axes=tuple(target.labels[i] for i in columns),
        grid=grid,
        cells=found,
        hits=often,
        examples={n: np.asarray(v) for n, v in problem.space.from_unit(seen.unit[example]).items()},
        by_search=len(own),
        by_design=len(even),
        by_both=both,
        growth={"search": growth(placed[searched]), "Sobol points": growth(placed[plain])},
        unseen=unseen(by_search),
        confirmed=_confirmed(seen, placed, sound),
        replicates=method.replicates,
        scatter=scatter / grid.width,
        data=_place(target.values[columns], seen, patterns[searched][:, columns], found, scatter),
        moments=attainable(target, seen.runs[seen.origin != AGAIN], patterns[seen.origin != AGAIN]),
        reach=_reach(problem, seen),
        failed=int((~sound).sum()),
        why=seen.tally.sentence(),
        calls=calls,
    )


def _scatter(runs: np.ndarray) -> np.ndarray:
    """The standard deviation of a run (axes,), in the middle over parameter sets; 0 of single runs. The median of
    sample variances lies below the variance, by as much as that of a chi-squared below its mean.
    """
    freedom = runs.shape[1] - 1
    counted = runs[np.isfinite(runs).all((1, 2))]
    if not freedom or not len(counted):
        return np.zeros(runs.shape[2])
    return np.sqrt(np.median(counted.var(1, ddof=1), axis=0) * freedom / chi2.median(freedom))


def _confirmed(seen: Explored, placed: np.ndarray, sound: np.ndarray) -> Confirmed:
    """How many of the cells run again were hit again: the same, or one that touches it."""
    again = np.flatnonzero(seen.origin == AGAIN)
    apart = np.abs(placed[again] - placed[seen.of[again]]).max(1)
    apart = np.where(sound[again], apart, np.iinfo(np.int64).max)
    return Confirmed(int(again.size), int((apart == 0).sum()), int((apart <= 1).sum()))


def _place(values: np.ndarray, seen: Explored, searched: np.ndarray, found: np.ndarray, scatter: np.ndarray) -> Place:
    """Where the data lie: their cell, and the nearest that was reached."""
    grid = seen.cells
    cell = grid.of(values[None])[0]
    away = np.abs(found - cell)
    nearest = int(away.max(1).argmin())
    reached = bool((away <= 1.0 + _NEAR * scatter / grid.width).all(1).any())
    apart = distances(grid, searched, values)
    nearing = apart[: int((1.0 - LAST) * len(apart))].min() - apart.min() > _NEARER
    return Place(values, cell, found[nearest], int(away[nearest].max()), reached, bool(nearing))


def _reach(problem: Problem, seen: Explored) -> Reach | None:
    """Whether single runs over the prior come near the data, in all fitted moments together."""
    rows = np.isin(seen.origin, (START, PLAIN))
    runs = Runs(
        problem.space,
        seen.unit[rows],
        seen.runs[rows][:, 0],
        np.asarray(np.isfinite(seen.runs[rows][:, 0]).all(1)),
        problem.target.labels,
        seen.tally.reasons,
    )
    return reach(runs, problem.target) if int(runs.valid.sum()) >= _REACHED_FROM else None
