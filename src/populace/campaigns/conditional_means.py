"""What is expected of outcomes once something else is known, for draws that the regression did not learn from too.

Each candidate says what it thinks of draws that it has not seen, a fifth in turn, and the one that is nearest to them
is taken. What it says of these is the held-out prediction; fitted to all draws, it says the fitted one, which knows
their luck.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import jax.random as jr
import numpy as np
from scipy.stats import rankdata

from .._errors import MethodError
from .._types import Key
from ..core.noise import host_generator
from ..surrogates.cross_validation import left_out
from ..surrogates.polynomial import Polynomial
from ..surrogates.regressor import Regressor

FOLDS = 5
LEAST = 50
"""Draws, at the least."""
USUAL: tuple[Regressor, ...] = (Polynomial(1), Polynomial(2), Polynomial(4))
_TINY = 1e-12


@dataclass(frozen=True)
class ConditionalMeans:
    """Of n draws and k outcomes: `held_out` and `fitted` (n, k); `fold` (n,): which fifth a draw was left out with;
    `by`: the regressor in words; `explained`: the share of the outcomes' variance that held-out predictions explain.
    """

    held_out: np.ndarray
    fitted: np.ndarray
    fold: np.ndarray
    by: str
    explained: float


def conditional_means(
    values: np.ndarray, features: np.ndarray, key: Key, regressors: Sequence[Regressor] = USUAL
) -> ConditionalMeans:
    """E[values | features], by the regressor that foretells draws best that it did not learn from.

    **Arguments:** `values` (n, k); `features` (n, p), on any scale: they are tried as they are and as ranks; one that
    never changes is left out.

    **Raises:** `MethodError` for too few draws, or numbers that are not finite.
    """
    n = len(values)
    if n < LEAST or len(features) != n or not (np.isfinite(values).all() and np.isfinite(features).all()):
        raise MethodError(f"{n} draws and {len(features)} of what is known: give {LEAST} or more of both, all finite")
    split, fit = jr.split(key)
    parts = np.array_split(host_generator(split).permutation(n), FOLDS)
    fold, back = np.zeros(n, int), np.argsort(np.concatenate(parts))
    for i, part in enumerate(parts):
        fold[part] = i
    features = features[:, np.ptp(features, axis=0) > 0]
    spread = np.where(values.std(0) > 0, values.std(0), 1.0)
    means = np.array([values[fold != i].mean(0) for i in range(FOLDS)])[fold]
    best = ConditionalMeans(means, np.tile(values.mean(0), (n, 1)), fold, "the mean", 0.0)
    least = (((values - means) / spread) ** 2).mean()
    plain = least
    ways = [] if not features.shape[1] else [_ranged(features), (rankdata(features, axis=0) - 0.5) / n]
    for number, one in enumerate(regressors):
        if one.least(features.shape[1]) > n * (FOLDS - 1) // FOLDS:
            continue
        for way, inputs in enumerate(ways):
            here = jr.fold_in(fit, 2 * number + way)
            said = left_out(one, inputs, values, parts, here).mean[back]
            missed = (((values - said) / spread) ** 2).mean()
            if missed < least * (1.0 - _TINY):
                least = missed
                whole = one.fit(inputs, values, here).predict(inputs).mean
                share = float(1.0 - missed / max(plain, _TINY))
                best = ConditionalMeans(said, whole, fold, f"{one.name} of {('values', 'ranks')[way]}", share)
    return best


def _ranged(features: np.ndarray) -> np.ndarray:
    return (features - features.min(0)) / np.ptp(features, axis=0)
