"""Three measures of how much parameters move moments: Sobol's indices, Morris's effects, PAWN's distances.

The first two ask a surrogate for means at points of their own; their intervals hold both what the choice of points does
and what the surrogate does not know (the same measure of draws of its mean function, less that of its mean, at the same
points). What it takes for noise and is not, no interval holds: look at the share of the seeds, and repeat some points
in the design. The third reads the runs as they are, seeds and all.
"""

import abc
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import equinox as eqx
import jax.random as jr
import numpy as np

from .._errors import MethodError
from .._types import Key
from ..core.noise import host_generator
from ..surrogates.runs import Runs
from ..surrogates.samplers import Sobol
from ..surrogates.surrogate import Surrogate

_BOOTSTRAPS, _DRAWS = 200, 40
_JOINT = 1200
"""Points at which mean functions are drawn jointly, at the most: a Gaussian process needs their cube."""
_TAILS = (0.025, 0.975)
_RIM = 0.01
"""How far Morris's grid stays away from the ends of a prior, where some priors are infinite."""


@dataclass(frozen=True)
class Measured:
    """A measure of d parameters on k moments: `name`, `about` it in a sentence; `value`, `low`, `high` (k, d), the ends
    of a 95 % interval; `mark`: a parameter whose low end lies above is influential (None: it is not for that).
    """

    name: str
    about: str
    value: np.ndarray
    low: np.ndarray
    high: np.ndarray
    mark: float | None


class SensitivityMethod(eqx.Module):
    """A way to measure global sensitivity. Two methods."""

    @property
    @abc.abstractmethod
    def needs_surrogate(self) -> bool:
        """Whether it asks at points of its own; else runs are enough."""

    @abc.abstractmethod
    def measure(self, runs: Runs, surrogate: Surrogate | None, key: Key) -> tuple[Measured, ...]:
        """The measures. Constant moments have NaN."""


class SobolIndices(SensitivityMethod):
    """Shares of a moment's variance over the prior, of its mean over seeds.

    First order: Var E(y | x_i) / Var y, what would go were x_i known, by the estimator of Andrea Saltelli and others
    (2010, Computer Physics Communications 181:259). Total: E Var(y | all but x_i) / Var y, what would stay were all
    else known, by that of Michiel Jansen (1999, Computer Physics Communications 117:35). They assume that parameters
    are independent, as the priors of a space are.

    **Arguments:** `points`: rows of each of the two designs, best a power of two; `repeats`: with so many scrambled
    Sobol sequences, whose spread is the error. In all `repeats` (d + 2) `points` means are asked.
    """

    points: int = eqx.field(static=True, default=128)
    repeats: int = eqx.field(static=True, default=8)

    def __check_init__(self) -> None:
        if self.points < 2 or self.repeats < 2:
            raise MethodError("Sobol's indices take two points and two repeats or more")

    @property
    def needs_surrogate(self) -> bool:
        return True

    def measure(self, runs: Runs, surrogate: Surrogate | None, key: Key) -> tuple[Measured, ...]:
        assert surrogate is not None
        d = runs.space.size
        of_points, of_errors, of_functions, of_pairs = jr.split(key, 4)
        found, unit = [], np.zeros((0, 0, 0))
        for i in range(self.repeats):
            unit = blocks(Sobol().sequence(jr.fold_in(of_points, i), 2 * d, 0, self.points))
            found.append(shares(surrogate.predict_unit(unit.reshape(-1, d)).mean.reshape(d + 2, self.points, -1)))
        each = np.asarray(found)
        value, error = each.mean(0), each.std(0, ddof=1) / np.sqrt(self.repeats)
        tails = host_generator(of_errors).standard_t(self.repeats - 1, (_BOOTSTRAPS, *value.shape))
        again = value + error * tails
        few = unit[:, : min(self.points, max(2, _JOINT // (d + 2)))]
        drawn = _deviations(surrogate, few, lambda y: np.stack(shares(y)), of_functions)
        names = ("Sobol, first order", "Sobol, total")
        texts = (
            "The share of the moment's variance that would go were the parameter known.",
            "The share of the moment's variance that would stay were all other parameters known.",
        )
        return _measured(names, texts, (None, 0.05), value, *_interval(value, again, drawn, of_pairs))


def blocks(points: np.ndarray) -> np.ndarray:
    """From points (n, 2 d) the designs A, B, and A with its column i out of B, for each i: (d + 2, n, d)."""
    first, second = np.split(points, 2, axis=1)
    out = [first, second]
    for i in range(first.shape[1]):
        mixed = first.copy()
        mixed[:, i] = second[:, i]
        out.append(mixed)
    return np.stack(out)


def shares(said: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First-order and total indices (k, d), from outputs (d + 2, n, k) at `blocks`; NaN where nothing varies."""
    said = said - said[:2].mean((0, 1))
    first, second, mixed = said[0], said[1], said[2:]
    variance = said[:2].reshape(-1, said.shape[-1]).var(0)
    variance = np.where(variance > 1e-12 * np.maximum(np.abs(said).max((0, 1)) ** 2, 1e-300), variance, np.nan)
    alone = (second * (mixed - first)).mean(1) / variance
    total = 0.5 * ((first - mixed) ** 2).mean(1) / variance
    return alone.T, total.T


class Morris(SensitivityMethod):
    """Elementary effects (Max Morris 1991, Technometrics 33:161): one parameter at a time is moved by a little more
    than half of its prior's probability, along random paths. mu* is the mean size of the effects, sigma their spread:
    an effect that depends on where the others stand, or on where it starts. In standard deviations of the moment.

    **Arguments:** `trajectories`: paths; `levels`: how many levels a parameter has, even.
    """

    trajectories: int = eqx.field(static=True, default=60)
    levels: int = eqx.field(static=True, default=4)

    def __check_init__(self) -> None:
        if self.levels < 2 or self.levels % 2 or self.trajectories < 2:
            raise MethodError("Morris takes an even number of levels, and two trajectories or more")

    @property
    def needs_surrogate(self) -> bool:
        return True

    def measure(self, runs: Runs, surrogate: Surrogate | None, key: Key) -> tuple[Measured, ...]:
        assert surrogate is not None
        d = runs.space.size
        of_paths, of_rows, of_functions, of_pairs = jr.split(key, 4)
        paths, order = trajectories(of_paths, d, self.trajectories, self.levels)
        said = surrogate.predict_unit(paths.reshape(-1, d)).mean.reshape(d + 1, self.trajectories, -1)
        spread = runs.moments[runs.valid].std(0)
        spread = np.where(spread > 0, spread, np.nan)

        def both(y: np.ndarray, order: np.ndarray) -> np.ndarray:
            effect = effects(y, order, stride(self.levels)) / spread
            return np.stack([np.abs(effect).mean(1).T, effect.std(1).T])

        value = both(said, order)
        again = np.stack([both(said[:, rows], order[:, rows]) for rows in _resampled(of_rows, self.trajectories)])
        count = min(self.trajectories, max(2, _JOINT // (d + 1)))
        drawn = _deviations(surrogate, paths[:, :count], lambda y: both(y, order[:, :count]), of_functions)
        names = ("Morris, mu*", "Morris, sigma")
        texts = (
            "The mean size of the slope along the parameter alone, in standard deviations of the moment a whole prior.",
            "The spread of these slopes: interaction, or a bent response.",
        )
        return _measured(names, texts, (0.25, None), value, *_interval(value, again, drawn, of_pairs))


def trajectories(key: Key, d: int, count: int, levels: int) -> tuple[np.ndarray, np.ndarray]:
    """Paths (d + 1, count, d) on a grid of `levels` from .01 to .99, each step moving one parameter by
    `stride(levels)`; and which one, and which way, (d, count): i + 1 upwards, -(i + 1) downwards.
    """
    rng = host_generator(key)
    half = levels // 2
    start = rng.integers(0, half, (count, d))
    up = rng.random((count, d)) < 0.5
    here = _RIM + (1.0 - 2.0 * _RIM) * np.where(up, start, start + half) / (levels - 1)
    order = np.argsort(rng.random((count, d)), axis=1)
    paths, moves, rows = [here], [], np.arange(count)
    for step in order.T:
        here = here.copy()
        sign = np.where(up[rows, step], 1, -1)
        here[rows, step] += stride(levels) * sign
        paths.append(here)
        moves.append(sign * (step + 1))
    return np.stack(paths), np.stack(moves)


def stride(levels: int) -> float:
    """How far a step goes: levels / (2 (levels - 1)) of the grid, so that from every level one way stays on it."""
    return (1.0 - 2.0 * _RIM) * levels / (2.0 * (levels - 1))


def effects(said: np.ndarray, moves: np.ndarray, step: float) -> np.ndarray:
    """Elementary effects (d, count, k), a whole prior's worth, from outputs (d + 1, count, k) along paths."""
    steps = np.diff(said, axis=0) / (step * np.sign(moves))[:, :, None]
    which = np.abs(moves) - 1
    return np.take_along_axis(steps, np.argsort(which, axis=0)[:, :, None], axis=0)


class Pawn(SensitivityMethod):
    """Distances of distributions (Francesca Pianosi and Thorsten Wagener 2015 and 2018, Environmental Modelling and
    Software 67:1 and 108:197): the median, over slices of a parameter, of the Kolmogorov-Smirnov distance between a
    moment's distribution in the slice and over all runs. It needs no surrogate and sees more than means.

    **Arguments:** `slices`: of equally many runs.
    """

    slices: int = eqx.field(static=True, default=10)

    @property
    def needs_surrogate(self) -> bool:
        return False

    def measure(self, runs: Runs, surrogate: Surrogate | None, key: Key) -> tuple[Measured, ...]:
        used = runs.taken(runs.valid)
        n = used.size
        if n < 5 * self.slices:
            raise MethodError(f"{n} runs that count are too few for {self.slices} slices: make {5 * self.slices}")
        of_chance, of_rows = jr.split(key)
        value = distances(used.unit, used.moments, self.slices)
        again = np.stack([distances(used.unit[r], used.moments[r], self.slices) for r in _resampled(of_rows, n, 20)])
        reach = 1.96 * again.std(0)
        rng = host_generator(of_chance)
        nothing = distances(rng.random((n, 100)), rng.random((n, 1)), self.slices)
        mark = float(np.quantile(nothing, 0.99))
        text = (
            "The median Kolmogorov-Smirnov distance between the moment's distribution where the parameter is known and "
            f"where it is not; a parameter that does nothing stays below {mark:.2f} in 99 cases of 100."
        )
        low, high = np.maximum(value - reach, 0.0), np.minimum(value + reach, 1.0)
        return (Measured("PAWN", text, value, low, high, mark),)


def distances(unit: np.ndarray, moments: np.ndarray, slices: int) -> np.ndarray:
    """PAWN's medians (k, d) of parameters (n, d) and moments (n, k)."""
    n, d = unit.shape
    places = np.empty((n, d), int)
    for i in range(d):
        places[np.argsort(unit[:, i], kind="stable"), i] = np.arange(n) * slices // n
    member = (places[:, :, None] == np.arange(slices)).astype(np.float64).reshape(n, -1)
    member /= member.sum(0)
    out = np.empty((moments.shape[1], d))
    for j, column in enumerate(moments.T):
        order = np.argsort(column, kind="stable")
        last = np.flatnonzero(np.append(np.diff(column[order]) > 0, True))  # of equal values the last one counts
        below = np.cumsum(member[order], axis=0)[last]
        apart = np.abs(below - ((last + 1) / n)[:, None]).max(0)
        out[j] = np.median(apart.reshape(d, slices), axis=1)
    return out


def _measured(
    names: Sequence[str],
    texts: Sequence[str],
    marks: Sequence[float | None],
    value: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
) -> tuple[Measured, ...]:
    return tuple(Measured(*each) for each in zip(names, texts, value, low, high, marks, strict=True))


def _resampled(key: Key, count: int, times: int = _BOOTSTRAPS) -> np.ndarray:
    return host_generator(key).integers(0, count, (times, count))


def _deviations(
    surrogate: Surrogate, unit: np.ndarray, measure: Callable[[np.ndarray], np.ndarray], key: Key
) -> np.ndarray:
    """The measure of draws of the mean function less that of the mean, at the same points (b, n, d): (draws, ...)."""
    b, n, d = unit.shape
    points = surrogate.space.from_unit(unit.reshape(-1, d))
    centre = measure(surrogate.predict(points).mean.reshape(b, n, -1))
    drawn = surrogate.functions(points, key, _DRAWS)
    return np.stack([measure(one.reshape(b, n, -1)) - centre for one in drawn])


def _interval(value: np.ndarray, again: np.ndarray, drawn: np.ndarray, key: Key) -> tuple[np.ndarray, np.ndarray]:
    """The ends of a 95 % interval: the measure with other points, and on each a draw of what the surrogate does not
    know.
    """
    which = host_generator(key).integers(0, len(drawn), len(again))
    low, high = np.quantile(again + drawn[which], _TAILS, axis=0)
    return np.minimum(low, value), np.maximum(high, value)
