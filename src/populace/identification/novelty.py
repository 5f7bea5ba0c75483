"""A search for what a model can do: novelty in the space of its moments, rather than likeness to data.

Pattern Space Exploration (Guillaume Cherel, Clementine Cottineau and Romain Reuillon 2015, PLoS ONE 10:e0138212):
moment space is cut into cells, parents are taken from cells that were hit seldom, and their offspring, by mutation and
crossover of prior ranks, are kept whatever they do. Here a first design of Sobol points sets the scale of the cells;
as many further points of the same sequence as the search had runs follow it, so that it can be seen whether it paid;
and some of the cells that it found are run again under other keys, so that it can be seen which were luck.

A pattern is the median of a parameter set's replicates, moment by moment: with one run each, chance alone would fill
the cells around a parameter, and a search that keeps what is rare would collect it. For the same reason no cell is
narrower than three standard errors of a median. A tenth of the offspring has the patterns nearest to the data for its
parents, so that what is said to be out of the model's reach was looked for.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from .._errors import MethodError
from .._results import Code
from .._types import Key
from ..calibration.tally import Tally
from ..core.executor import Ticker
from ..core.host import split
from ..core.noise import host_generator
from ..core.rounds import Ask, Done, Method
from ..problem.problem import Problem, Simulate, Simulated
from ..surrogates.samplers import Sobol
from .cells import Cells, cells_over, distances, hits

START, SEARCH, PLAIN, AGAIN = 0, 1, 2, 3
"""Where a pattern comes from: the first design, the search, further points of the design, cells run again."""

_AGAIN_SHARE, _AGAIN_MOST = 0.1, 200
_START_SHARE = 0.2
_GENERATIONS = 40
_FEWEST = 20
"""Points of the first design, at the least."""
_FRESH, _CROSSED, _TOWARDS = 0.05, 0.3, 0.1
"""Shares of offspring that are drawn from the prior, that have two parents, and that have parents next to the data."""
_NEXT = 5
_STEPS = (0.01, 0.3)
"""Mutations are Gaussian in prior ranks, with a standard deviation between these, all sizes alike on the log scale."""
_SELDOM = 2.0
"""A cell's chance to have a parent taken from it falls with this power of its hits."""
_WIDE, _LOUD = 3.0, 0.75
"""Standard errors of a median that a cell is wide at least; of those of all parameters this quantile is taken."""
_EDGE = 1e-6


class Explored(eqx.Module):
    """The state: patterns at `unit` (n, d), prior ranks; their `runs` (n, R, k), NaN where one does not count; `origin`
    (n,); `of` (n,): which pattern one of `AGAIN` repeats, -1 for others; `low`, `width` (axes,) of the cells; `plan`
    (4,): patterns of each origin.
    """

    unit: np.ndarray
    runs: np.ndarray
    origin: np.ndarray
    of: np.ndarray
    low: np.ndarray
    width: np.ndarray
    plan: np.ndarray
    tally: Tally

    @property
    def patterns(self) -> np.ndarray:
        """Medians of the replicates (n, k), NaN where fewer than half count."""
        return medians(self.runs)

    @property
    def cells(self) -> Cells:
        """The cells."""
        return Cells(self.low, self.width)


class Spread(Ask):
    """Replicates at points `unit` (n, d), of origin `origin`, repeating patterns `of` (n,)."""

    work: Simulate
    unit: np.ndarray
    of: np.ndarray
    origin: int = eqx.field(static=True)

    def calls(self) -> int:
        return self.work.calls()

    def answer(self, task: Problem, ticker: Ticker) -> Simulated:
        return self.work.answer(task, ticker)


class NoveltySearch(Method[Problem, Explored, Explored]):
    """The search, its design, and the check of its cells.

    **Arguments:** `axes`: columns of the moments that span the cells; `cells`: along each axis at the most, over the
    middle 95 % of the first design; beyond it they go on; `replicates`: runs of a pattern; `design`: key of the Sobol
    points.
    """

    axes: tuple[int, ...] = eqx.field(static=True)
    cells: int = eqx.field(static=True)
    replicates: int = eqx.field(static=True)
    design: Key

    @property
    def needs_covariance(self) -> bool:
        return False

    def start(self, task: Problem, key: Key, budget: int) -> Explored:
        count = budget // self.replicates
        again = min(int(_AGAIN_SHARE * count), _AGAIN_MOST)
        first = int(_START_SHARE * (count - again) / (2.0 - _START_SHARE))
        search = (count - again - first) // 2
        if first < _FEWEST:
            least = self.replicates * int(np.ceil(_FEWEST * (2.0 - _START_SHARE) / _START_SHARE / (1.0 - _AGAIN_SHARE)))
            raise MethodError(f"a budget of {budget} runs is {count} patterns, too few: give {least + 30} or more")
        d, k = task.space.size, len(task.target.labels)
        return Explored(
            np.zeros((0, d)),
            np.zeros((0, self.replicates, k)),
            np.zeros(0, int),
            np.zeros(0, int),
            np.zeros(len(self.axes)),
            np.ones(len(self.axes)),
            np.array([first, search, search, again]),
            Tally.empty(),
        )

    def ask(self, task: Problem, state: Explored, key: Key) -> Spread:
        d, made = task.space.size, np.bincount(state.origin, minlength=4)
        origin = int(np.argmax(made < state.plan))
        left = int(state.plan[origin] - made[origin])
        placing, running = jr.split(key)
        of = np.full(left, -1)
        if origin in (START, PLAIN):
            taken = int(state.plan[START]) if origin == PLAIN else 0
            unit = Sobol().sequence(self.design, d, taken, left)
        elif origin == SEARCH:
            count = min(left, max(8, int(state.plan[SEARCH]) // _GENERATIONS))
            unit = self._offspring(state, count, task.target.values[list(self.axes)], placing)
        else:
            of = self._repeated(state, left, placing)
            unit = state.unit[of]
        keys = split(running, len(unit) * self.replicates)
        batch = task.space.from_unit(np.clip(unit, _EDGE, 1.0 - _EDGE))
        many = jax.tree.map(lambda leaf: jnp.repeat(leaf, self.replicates, axis=0), batch)
        return Spread(Simulate(many, keys, none=origin != START), unit, of[: len(unit)], origin)

    def tell(self, task: Problem, state: Explored, ask: Spread, answer: Simulated) -> Explored:
        runs = np.where(answer.excluded[:, None], np.nan, answer.moments)
        runs = runs.reshape(len(ask.unit), self.replicates, -1)
        low, width = state.low, state.width
        if ask.origin == START:
            seen, labels = runs[:, :, self.axes], [task.target.labels[i] for i in self.axes]
            scale = cells_over(medians(seen), labels, self.cells, _WIDE * errors(seen))
            low, width = scale.low, scale.width
        return Explored(
            np.concatenate([state.unit, ask.unit]),
            np.concatenate([state.runs, runs]),
            np.concatenate([state.origin, np.full(len(ask.unit), ask.origin)]),
            np.concatenate([state.of, ask.of]),
            low,
            width,
            state.plan,
            state.tally.with_(answer),
        )

    def done(self, task: Problem, state: Explored, left: int) -> Done | None:
        if (np.bincount(state.origin, minlength=4) < state.plan).any():
            return None
        return Done(Code.CONVERGED, f"{state.plan[SEARCH]} patterns were searched for, and as many placed evenly")

    def finish(self, task: Problem, state: Explored, key: Key) -> Explored:
        return state

    def _archive(self, state: Explored) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Rows of the search's patterns that count (n,), where they lie (n, axes), and which cell each is in."""
        rows = np.flatnonzero(state.origin <= SEARCH)
        placed = medians(state.runs[rows][:, :, self.axes])
        sound = np.isfinite(placed).all(1)
        return rows[sound], placed[sound], hits(state.cells.of(placed[sound]))[1]

    def _offspring(self, state: Explored, count: int, data: np.ndarray, key: Key) -> np.ndarray:
        rng = host_generator(key)
        rows, placed, member = self._archive(state)
        d = state.unit.shape[1]
        if not rows.size:
            return rng.random((count, d))
        weight = 1.0 / np.bincount(member)[member] ** (1.0 + _SELDOM)  # which the patterns of a cell share
        chosen = rng.choice(rows, (2, count), p=weight / weight.sum())
        nearest = rows[np.argsort(distances(state.cells, placed, data), kind="stable")[:_NEXT]]
        chosen = np.where(rng.random(count) < _TOWARDS, rng.choice(nearest, (2, count)), chosen)
        parents, others = state.unit[chosen]
        mixed = np.where(rng.random((count, d)) < 0.5, parents, others)
        child = np.where(rng.random((count, 1)) < _CROSSED, mixed, parents)
        size = np.exp(rng.uniform(np.log(_STEPS[0]), np.log(_STEPS[1]), (count, 1)))
        moved = child + size * rng.standard_normal((count, d))
        moved = np.abs(moved) % 2.0
        moved = np.where(moved > 1.0, 2.0 - moved, moved)
        return np.where(rng.random((count, 1)) < _FRESH, rng.random((count, d)), moved)

    def _repeated(self, state: Explored, count: int, key: Key) -> np.ndarray:
        """A pattern each of so many of the search's cells, by lot; cells again where they are fewer."""
        rng = host_generator(key)
        rows, _, member = self._archive(state)
        if not rows.size:
            raise MethodError(f"no run of {len(state.unit)} parameter sets can be used: {state.tally.sentence()}")
        order = rng.permutation(rows.size)
        first = order[np.unique(member[order], return_index=True)[1]]
        return rows[np.resize(rng.permutation(first), count)]


def errors(runs: np.ndarray) -> np.ndarray:
    """Standard errors of the medians of runs (n, R, axes), as large as among three quarters of the parameter sets,
    (axes,); 0 of single runs.
    """
    counted = runs[np.isfinite(runs).all((1, 2))]
    if runs.shape[1] == 1 or not len(counted):
        return np.zeros(runs.shape[2])
    return 1.2533 * np.quantile(counted.std(1, ddof=1), _LOUD, axis=0) / np.sqrt(runs.shape[1])


def medians(runs: np.ndarray) -> np.ndarray:
    """Of runs (n, R, k), (n, k); NaN where fewer than half count."""
    sound = np.isfinite(runs)
    enough = 2 * sound.sum(1) >= runs.shape[1]
    filled = np.where(enough[:, None], runs, 0.0)
    return np.where(enough, np.nanmedian(filled, axis=1), np.nan)
