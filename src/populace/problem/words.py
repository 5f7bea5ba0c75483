"""A divergence between two series by the words that they are made of, whatever they measure.

Francesco Lamperti (2018), "An information theoretic criterion for empirical validation of simulation models",
Econometrics and Statistics 5, 83-106: the GSL-divergence. Each series is cut into symbols, the symbols are read as
words of each length, and the words' frequencies are compared by their entropies: long words see the order of things,
which no comparison of distributions does.
"""

import numpy as np

from .._errors import TargetError

_MOST = 1 << 62


def gsl_divergence(simulated: np.ndarray, observed: np.ndarray, *, symbols: int = 5, longest: int = 3) -> float:
    """The GSL-divergence of a simulated series from an observed one, less what it is where they are equal.

    Each series is cut into b symbols, equal parts of its own range, so that neither level nor unit counts. For each
    length l = 1, ..., L the n = times + 1 - l overlapping words of l symbols have shares q in the simulated and p in
    the observed series, and m = (p + q) / 2. Then

        sum_l w_l [2 H(m) - H(q) - H(p) + (B_m - B_q) / (2 n log b^l)],    w_l = 2 l / (L (L + 1)),

    H in units of log b^l (1 where all words are as frequent) and B the numbers of words that occur. The last term takes
    out what a finite series lacks of entropy, (B - 1) / (2 n) (Basharin 1959), of 2 H(m) - H(q). The paper has no H(p):
    it is the same for all parameters, and taking it out makes the divergence 0 for equal series and never negative.

    **Arguments:** (times,) or (times, d) each, of equal length, in the order of time; with several series it is the
    mean over them. `symbols`: b; `longest`: L. In a fit: `BetweenSamples(gsl_divergence, ("level(returns)",))`, or a
    `functools.partial` of it.

    **Raises:** `TargetError` for series of different lengths, or too short for such words.
    """
    one, other = _columns(simulated), _columns(observed)
    if one.shape != other.shape:
        raise TargetError(f"words of series of shapes {one.shape} and {other.shape} are not compared: make them equal")
    if symbols < 2 or not 1 <= longest < len(one) or symbols**longest >= _MOST:
        raise TargetError(
            f"{symbols} symbols in words of up to {longest} for {len(one)} times: take 2 symbols or more, and words "
            "shorter than the series"
        )
    pairs = zip(one.T, other.T, strict=True)
    return float(
        np.mean([_diverges(symbolised(x, symbols), symbolised(y, symbols), symbols, longest) for x, y in pairs])
    )


def symbolised(series: np.ndarray, symbols: int) -> np.ndarray:
    """The symbol 0, ..., b - 1 of each time (times,): b equal parts of the series' own range; 0 for a constant one."""
    low, high = series.min(), series.max()
    if not high > low:
        return np.zeros(series.size, np.int64)
    return np.minimum((symbols * ((series - low) / (high - low))).astype(np.int64), symbols - 1)


def words(symbolic: np.ndarray, symbols: int, length: int) -> np.ndarray:
    """The overlapping words (times + 1 - length,) of symbols (times,), each as a number to the base of the symbols."""
    count = symbolic.size + 1 - length
    return sum(symbolic[i : i + count] * symbols ** (length - 1 - i) for i in range(length))  # pyright: ignore


def _diverges(simulated: np.ndarray, observed: np.ndarray, symbols: int, longest: int) -> float:
    total = 0.0
    for length in range(1, longest + 1):
        read = [words(one, symbols, length) for one in (simulated, observed)]
        _, which = np.unique(np.concatenate(read), return_inverse=True)
        n = read[0].size
        q, p = (np.bincount(part, minlength=which.max() + 1) / n for part in (which[:n], which[n:]))
        mixed = (p + q) / 2.0
        lacking = (np.count_nonzero(mixed) - np.count_nonzero(q)) / (2.0 * n)
        gap = 2.0 * _entropy(mixed) - _entropy(q) - _entropy(p) + lacking
        total += 2.0 * length / (longest * (longest + 1)) * gap / (length * np.log(symbols))
    return max(total, 0.0)


def _entropy(shares: np.ndarray) -> float:
    """In natural units."""
    some = shares[shares > 0.0]
    return float(-(some * np.log(some)).sum())


def _columns(series: np.ndarray) -> np.ndarray:
    series = np.asarray(series, np.float64)
    return series[:, None] if series.ndim == 1 else series
