"""What every conditional density must do: the laws of `populace.ConditionalDensity`, for those who write their own."""

import jax.random as jr
import numpy as np

from .._errors import MethodError
from .._types import Key
from ..core.noise import host_generator
from ..surrogates.conditional import LEAST, ConditionalDensity, Density

ROWS, DRAWS = 400, 4_000
AT = np.array([0.5, -1.0])
WIDE = 2.5
"""The spread of the Gaussian that densities are summed up with."""


def check_density(density: ConditionalDensity, key: Key) -> None:
    """Check every law that `ConditionalDensity` and `Density` state; return if all hold.

    It learns two numbers, of which one is seen through noise and one not at all, from 400 rows, three times.

    **Raises:** `AssertionError` that names the law and what was found.
    """
    data, learn, draw = jr.split(key, 3)
    rng = host_generator(data)
    values = rng.standard_normal((ROWS, 2))
    given = np.stack([values[:, 0] + 0.5 * rng.standard_normal(ROWS), rng.standard_normal(ROWS)], axis=1)
    plain = np.ones(ROWS)
    learned = density.fit(values, given, plain, learn)
    draws = learned.sample(AT, draw, DRAWS)
    _shapes(density, learned, draws, draw)
    _learns(density, draws)
    _sums_to_one(density, learned, rng)
    _draws_as_it_says(density, learned, draws)
    _typical(density, learned, draws, draw)
    again = density.fit(values, given, plain, learn)
    _require(np.array_equal(again.sample(AT, draw, DRAWS), draws), density, "the same key learns something else")
    other = density.fit(values, 50.0 - 1000.0 * given, plain, learn).sample(50.0 - 1000.0 * AT, draw, DRAWS)
    near = bool(np.abs(other.mean(0) - draws.mean(0)).max() < 0.1)
    _require(near, density, "what it says hangs on the units of what is given")
    _refuses(density, values, given)


def _shapes(density: ConditionalDensity, learned: Density, draws: np.ndarray, key: Key) -> None:
    _require(draws.shape == (DRAWS, 2), density, f"draws have shape {draws.shape}, not (count, values)")
    _require(bool(np.isfinite(draws).all()), density, "a draw is not finite")
    _require(np.array_equal(draws, learned.sample(AT, key, DRAWS)), density, "the same key draws something else")
    logs = learned.log_prob(draws[:7], np.tile(AT, (7, 1)))
    _require(logs.shape == (7,) and bool(np.isfinite(logs).all()), density, "log_prob is not a finite number a row")
    alone = learned.log_prob(draws[3:5], np.tile(AT, (2, 1)))
    _require(bool(np.abs(alone - logs[3:5]).max() < 1e-3), density, "log_prob of a row hangs on the other rows")


def _learns(density: ConditionalDensity, draws: np.ndarray) -> None:
    """The first is N(.4, .2) there, the second still N(0, 1)."""
    mean, spread = draws.mean(0), draws.std(0)
    known = abs(mean[0] - 0.4) < 0.2 and abs(spread[0] - np.sqrt(0.2)) < 0.15
    _require(bool(known), density, "it does not learn what is seen through noise")
    unknown = abs(mean[1]) < 0.35 and abs(spread[1] - 1.0) < 0.25
    _require(bool(unknown), density, "it does not return what nothing is known of")


def _sums_to_one(density: ConditionalDensity, learned: Density, rng: np.random.Generator) -> None:
    """By importance sampling from a wide Gaussian."""
    points = WIDE * rng.standard_normal((DRAWS, 2))
    wide = -0.5 * ((points / WIDE) ** 2).sum(1) - 2.0 * np.log(WIDE) - np.log(2.0 * np.pi)
    ratio = np.exp(learned.log_prob(points, np.tile(AT, (DRAWS, 1))) - wide)
    error = ratio.std() / np.sqrt(DRAWS)
    _require(bool(abs(ratio.mean() - 1.0) < 5.0 * error + 0.02), density, f"it sums to {ratio.mean():.3g}, not 1")


def _draws_as_it_says(density: ConditionalDensity, learned: Density, draws: np.ndarray) -> None:
    """A Gaussian half as wide as the draws, over the density, is 1 in their mean if they follow it."""
    centred = draws - draws.mean(0)
    covariance = np.cov(draws.T) / 4.0
    square = (centred @ np.linalg.inv(covariance) * centred).sum(1)
    narrow = -0.5 * square - 0.5 * np.linalg.slogdet(2.0 * np.pi * covariance)[1]
    ratio = np.exp(narrow - learned.log_prob(draws, np.tile(AT, (DRAWS, 1))))
    error = ratio.std() / np.sqrt(DRAWS)
    _require(bool(abs(ratio.mean() - 1.0) < 4.0 * error + 0.02), density, "draws do not follow log_prob")


def _typical(density: ConditionalDensity, learned: Density, draws: np.ndarray, key: Key) -> None:
    """Against the density of draws: log-densities are of draws, and their expectation is the mean of many."""
    logs, expected = learned.typical(np.tile(AT, (50, 1)), key, 8)
    shapes = logs.shape == (50, 8) and expected.shape == (50,)
    _require(shapes, density, f"typical gives {logs.shape} and {expected.shape}, not (rows, draws) and (rows,)")
    known = learned.log_prob(draws, np.tile(AT, (DRAWS, 1)))
    for what, found in (("log-densities", logs.ravel()), ("expectations", expected)):
        error = np.hypot(known.std() / np.sqrt(DRAWS), found.std() / np.sqrt(found.size))
        apart = abs(float(found.mean() - known.mean()))
        _require(apart < 5.0 * error + 0.02, density, f"typical {what} are {apart:.2g} off those of draws")


def _refuses(density: ConditionalDensity, values: np.ndarray, given: np.ndarray) -> None:
    few = LEAST - 1
    try:
        density.fit(values[:few], given[:few], np.ones(few), jr.key(0))
    except MethodError as error:
        _require(str(LEAST) in str(error), density, "the error does not say how many rows it takes")
        return
    _require(False, density, f"{few} rows are learned from")


def _require(holds: bool, density: ConditionalDensity, what: str) -> None:
    if not holds:
        raise AssertionError(f"{type(density).__name__}: {what}")
