"""Whether chains have mixed: split R-hat and the effective sample size.

Aki Vehtari, Andrew Gelman, Daniel Simpson, Bob Carpenter and Paul-Christian Buerkner (2021), Bayesian Analysis 16:667.
"""

import numpy as np


def split_r_hat(chains: np.ndarray) -> np.ndarray:
    """The split R-hat of each number, (d,), from chains (s, T, d): 1 where all halves of all chains have one law."""
    half = chains.shape[1] // 2
    if half < 2:
        return np.full(chains.shape[2], np.inf)
    parts = np.concatenate([chains[:, :half], chains[:, -half:]])
    within = parts.var(axis=1, ddof=1).mean(0)
    between = half * parts.mean(1).var(axis=0, ddof=1)
    total = (half - 1) / half * within + between / half
    return np.sqrt(total / np.maximum(within, 1e-300))


def effective_size(chains: np.ndarray) -> np.ndarray:
    """How many independent draws the chains (s, T, d) are worth, (d,).

    s T / (1 + 2 sum of autocorrelations), summed in pairs as long as these are positive and falling (Geyer 1992).
    """
    s, t, d = chains.shape
    centred = chains - chains.mean(1, keepdims=True)
    spectrum = np.fft.rfft(centred, n=2 * t, axis=1)
    covariance = np.fft.irfft(spectrum * spectrum.conj(), axis=1)[:, :t].mean(0) / t
    within = covariance[0] * t / (t - 1.0)
    total = within * (t - 1.0) / t + chains.mean(1).var(axis=0, ddof=1)
    correlation = 1.0 - (within - covariance) / np.maximum(total, 1e-300)
    pairs = correlation[: t // 2 * 2].reshape(-1, 2, d).sum(1)
    falling = np.minimum.accumulate(np.maximum(pairs, 0.0), axis=0)
    sums = np.where(np.logical_and.accumulate(pairs > 0, axis=0), falling, 0.0).sum(0)
    return s * t / np.maximum(2.0 * sums - 1.0, 1.0 / np.log10(s * t + 10.0))
