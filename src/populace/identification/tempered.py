"""The evidence by tempered sequential Monte Carlo: populations that cool from the prior to the posterior.

A population of draws passes through prior x likelihood^t as t goes from 0 to 1. At each t it is weighed for the next,
the largest at which half of it still counts, drawn anew by its weights, and moved by steps of a random walk that leave
its law as it is: a step is as far as two others of the population lie apart, so that it fits hills that are narrower
than what is between them (Cajo ter Braak 2006, Statistics and Computing 16:239). The mean weights multiply to the
evidence (Pierre Del Moral, Arnaud Doucet and Ajay Jasra 2006, JRSS B 68:411; with steps that adapt, Ajay Jasra and
others 2011, Scandinavian Journal of Statistics 38:1). No proposal has to be found first, so that hills which a proposal
misses are not missed here.

Several populations that know nothing of each other are cooled side by side; their spread is the error.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import logsumexp

from .._errors import MethodError
from .._types import Key
from ..calibration.population import Levels
from ..core.noise import host_generator

_POPULATIONS = 8
_SIZE = 200
_MOVES = 8
_ENOUGH = 0.5
"""The share of a population that still counts at the next temperature."""
_STEPS = 200
_REACH = 2.38
"""Over the root of d: the best length of a random walk's steps in a Gaussian, in its standard deviations (Andrew
Gelman, Gareth Roberts and Walter Gilks 1996). Steps are between a third of it and all of it, for what is no Gaussian.
"""


@dataclass(frozen=True)
class Tempered:
    """`log`: the logarithm of the mean of the populations' evidences, and its standard error `error`; `each`
    (populations,): their logarithms; `steps`: how many temperatures the slowest took; `moved`: the share of a random
    walk's steps that were taken.
    """

    log: float
    error: float
    each: np.ndarray
    steps: int
    moved: float

    @staticmethod
    def of(each: np.ndarray, steps: int, moved: float) -> "Tempered":
        """From the populations' log-evidences. The error is as much larger as Student's law is wider for so few."""
        m, total = len(each), float(np.asarray(logsumexp(each)))
        spread = max(float((m * np.exp(each - total)).std(ddof=1)), float(each.std(ddof=1)))
        return Tempered(total - float(np.log(m)), spread * float(np.sqrt((m - 1) / (m - 3) / m)), each, steps, moved)


@dataclass
class _Cooling:
    """Populations side by side: points (m, n, d), log-likelihoods `levels` and log-priors `before` there (m, n), their
    temperatures `heat` (m,) and the logarithms of the evidences up to there (m,).
    """

    points: np.ndarray
    levels: np.ndarray
    before: np.ndarray
    heat: np.ndarray
    logs: np.ndarray


def tempered(likelihood: Levels, prior: Levels, first: Callable[[int], np.ndarray], key: Key) -> Tempered:
    """The evidence of a likelihood under the prior that `first(n)` draws from, (n, d).

    **Raises:** `MethodError` where no draw of a population has a likelihood, or the posterior is so much narrower than
    the prior that it is not reached.
    """
    rng, m, n = host_generator(key), _POPULATIONS, _SIZE
    flat = first(m * n)
    d = flat.shape[1]
    now = _Cooling(flat.reshape(m, n, d), likelihood(flat).reshape(m, n), prior(flat).reshape(m, n), *np.zeros((2, m)))
    steps, taken, walked = 0, 0.0, 0
    while (now.heat < 1.0).any():
        if steps == _STEPS:
            raise MethodError(
                f"after {_STEPS} temperatures the likelihood is raised to the power {now.heat.min():.2g}: the "
                "posterior is too narrow for its prior; narrow the prior, or fit fewer or rougher moments"
            )
        _cool(now, rng)
        others = now.points
        for _ in range(_MOVES):
            taken += _walk(now, others, likelihood, prior, rng)
        steps, walked = steps + 1, walked + _MOVES
    return Tempered.of(now.logs, steps, taken / max(walked, 1))


def _cool(now: _Cooling, rng: np.random.Generator) -> None:
    """Weigh each population for its next temperature, and draw it anew."""
    m, n = now.levels.shape
    chosen = np.empty((m, n), int)
    for i, levels in enumerate(now.levels):
        step = _step(levels, 1.0 - now.heat[i])
        logs = step * levels if step > 0 else np.zeros(n)
        total = float(np.asarray(logsumexp(logs)))
        if not np.isfinite(total):
            raise MethodError("no draw of the prior has a likelihood: the model does not reach these data")
        now.logs[i] += total - np.log(n)
        now.heat[i] = min(now.heat[i] + step, 1.0)
        edges = np.cumsum(np.exp(logs - total))
        chosen[i] = np.searchsorted(edges / edges[-1], (np.arange(n) + rng.uniform()) / n, side="right")
    chosen = np.minimum(chosen, n - 1)
    now.points = np.take_along_axis(now.points, chosen[..., None], 1)
    now.levels, now.before = (np.take_along_axis(part, chosen, 1) for part in (now.levels, now.before))


def _step(levels: np.ndarray, left: float) -> float:
    """By how much the power of the likelihood may grow, up to what is `left`."""

    def share(step: float) -> float:
        logs = step * levels
        weights = np.exp(logs - logs.max())
        return float(weights.sum() ** 2 / (weights**2).sum() / len(weights))

    least = _ENOUGH * float(np.isfinite(levels).mean())
    if left <= 0.0 or least == 0.0 or share(left) >= least:
        return left
    low, high = 0.0, left
    for _ in range(40):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if share(middle) >= least else (low, middle)
    return max(low, 1e-12)


def _walk(now: _Cooling, others: np.ndarray, likelihood: Levels, prior: Levels, rng: np.random.Generator) -> float:
    """A step of every draw's random walk, as far as two of `others` (m, n, d) lie apart; the share that was taken."""
    m, n, d = now.points.shape
    one, two = (np.take_along_axis(others, rng.integers(n, size=(m, n, 1)), 1) for _ in range(2))
    length = _REACH / np.sqrt(2.0 * d) * 10.0 ** -rng.uniform(0.0, 0.5, size=(m, n, 1))
    moved = now.points + length * (one - two)
    flat = moved.reshape(m * n, d)
    before, levels = prior(flat).reshape(m, n), likelihood(flat).reshape(m, n)
    heat = now.heat[:, None]
    with np.errstate(invalid="ignore"):  # minus infinity less itself, outside of the prior: not taken
        rise = before + heat * levels - now.before - heat * now.levels
    yes = np.log(rng.uniform(size=(m, n))) < np.where(np.isnan(rise), -np.inf, rise)
    now.points = np.where(yes[..., None], moved, now.points)
    now.levels, now.before = np.where(yes, levels, now.levels), np.where(yes, before, now.before)
    return float(yes.mean())
