"""Scores of probabilistic forecasts, each proper: what is expected to be least for whoever says what is believed.

Arrays have any leading axes: a forecast of each, and what then came, `truth` (...). Less is better.

Tilmann Gneiting and Adrian Raftery (2007), Journal of the American Statistical Association 102, 359-378; Johannes
Bracher, Evan Ray, Tilmann Gneiting and Nicholas Reich (2021), PLoS Computational Biology 17, e1008618.
"""

import numpy as np
from scipy.stats import norm

from .._errors import MethodError

HUB_LEVELS = (0.01, 0.025, *(round(0.05 * i, 2) for i in range(1, 20)), 0.975, 0.99)
"""The 23 quantile levels that forecast hubs ask for."""
_SAME = 1e-9


def crps(samples: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """The continuous ranked probability score of ensembles (..., s) of 2 samples or more.

        E|X - y| - E|X - X'| / 2

    in the unit of the data; of a point forecast it is the absolute error. The second mean is over pairs of different
    samples, so that the expectation does not hang on how many there are (Christopher Ferro 2014, Quarterly Journal of
    the Royal Meteorological Society 140, 1917-1923: the fair version).
    """
    count = samples.shape[-1]
    away = np.abs(samples - truth[..., None]).mean(-1)
    ranks = 2.0 * np.arange(1, count + 1) - count - 1
    return away - (np.sort(samples, axis=-1) @ ranks) / (count * (count - 1))


def interval_scores(quantiles: np.ndarray, levels: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """The weighted interval score in its three parts, (..., 3): spread, over-prediction, under-prediction.

    Of K central intervals (l, u) that miss with probability a, and the median m,

        WIS = [|y - m| / 2 + sum_K (a / 2) ((u - l) + (2 / a) (l - y)+ + (2 / a) (y - u)+)] / (K + 1/2)

    which is twice the mean quantile loss over the levels and, with many, the CRPS. Over-prediction is what is paid for
    truths below the intervals and the median, under-prediction for those above.

    **Arguments:** `quantiles` (..., q) at `levels` (q,), rising and in pairs p and 1 - p, with or without a median.
    """
    halves = levels.size // 2
    low, high = quantiles[..., :halves], quantiles[..., ::-1][..., :halves]
    y = truth[..., None]
    spread = (levels[:halves] * (high - low)).sum(-1)
    over, under = np.maximum(low - y, 0.0).sum(-1), np.maximum(y - high, 0.0).sum(-1)
    if levels.size % 2:
        off = quantiles[..., halves] - truth
        over, under = over + 0.5 * np.maximum(off, 0.0), under + 0.5 * np.maximum(-off, 0.0)
    return np.stack([spread, over, under], axis=-1) * (2.0 / levels.size)


def checked_levels(levels: np.ndarray) -> np.ndarray:
    """Quantile levels (q,) that make intervals.

    **Raises:** `MethodError` where they do not rise between 0 and 1, or one has no partner.
    """
    levels = np.asarray(levels, np.float64)
    if levels.ndim != 1 or levels.size < 2 or (np.diff(levels) <= 0).any() or levels[0] <= 0 or levels[-1] >= 1:
        raise MethodError(f"quantile levels rise between 0 and 1, and there are two or more, not {levels.tolist()}")
    if np.abs(levels + levels[::-1] - 1.0).max() > _SAME:
        raise MethodError(f"quantile levels come in pairs p and 1 - p, as 0.05 and 0.95 do, not {levels.tolist()}")
    return levels


def gaussian_log_score(samples: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Minus the log density of the Gaussian with an ensemble's mean and variance; NaN where all samples are alike.

    Proper for the two moments (A. Philip Dawid and Paola Sebastiani 1999, Annals of Statistics 27, 65-81). The density
    of an ensemble itself hangs on how it is smoothed, and its share at a count that no sample has is 0.
    """
    spread = samples.std(-1, ddof=1)
    sound = spread > 0
    safe = np.where(sound, spread, 1.0)
    return np.where(sound, -norm.logpdf(truth, samples.mean(-1), safe), np.nan)


def places(samples: np.ndarray, truth: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """The share of an ensemble below the truth, ties broken and ranks spread by chance: uniform on [0, 1], exactly,
    where the truth is to the samples as any of them is. Counts may tie.
    """
    less, equal = (samples < truth[..., None]).sum(-1), (samples == truth[..., None]).sum(-1)
    return (less + generator.random(truth.shape) * (equal + 1)) / (samples.shape[-1] + 1)


def places_between(
    quantiles: np.ndarray, levels: np.ndarray, truth: np.ndarray, generator: np.random.Generator
) -> np.ndarray:
    """The same of quantiles (..., q) at `levels`: a number drawn between the levels that the truth lies between."""
    edges = np.concatenate([[0.0], levels, [1.0]])
    low = edges[(quantiles < truth[..., None]).sum(-1)]
    high = edges[(quantiles <= truth[..., None]).sum(-1) + 1]
    return low + generator.random(truth.shape) * (high - low)
