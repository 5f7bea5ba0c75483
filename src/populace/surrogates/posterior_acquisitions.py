"""Where to run next to learn a posterior: which of its weighted draws, given what a surrogate says at them."""

import abc
from collections.abc import Callable
from dataclasses import dataclass

import equinox as eqx
import numpy as np

from .acquisitions import Acquisition

_TINY = 1e-300


@dataclass(frozen=True)
class WeighedDraws:
    """Weighted draws of a posterior, and what a surrogate says of k fitted moments there.

    `weights` (m,), summing to 1; `levels`, `prior` (m,): logarithms of posterior (up to a constant) and prior density;
    `gaps` (m, k): expected moments less data; `noise`, `epistemic` (m, k): variances; `functions(rows, draws)`: what
    the expected moments may be at some of the draws, (draws, rows, k), jointly.
    """

    weights: np.ndarray
    levels: np.ndarray
    prior: np.ndarray
    gaps: np.ndarray
    noise: np.ndarray
    epistemic: np.ndarray
    functions: Callable[[np.ndarray, int], np.ndarray]

    @property
    def doubt(self) -> np.ndarray:
        """The surrogate's doubt as a share of the variance, (m,), the mean over moments."""
        return (self.epistemic / (self.epistemic + self.noise)).mean(1)


class PosteriorAcquisition(Acquisition[WeighedDraws]):
    """A choice of where a run would sharpen a posterior. A draw may be chosen more than once: it is then run at points
    very near to each other.
    """

    @abc.abstractmethod
    def choose(self, said: WeighedDraws, count: int, generator: np.random.Generator) -> np.ndarray: ...


class ShareOfDoubt(PosteriorAcquisition):
    """Draws of the posterior by chance, more where the surrogate's own doubt is the larger part of the variance."""

    def choose(self, said: WeighedDraws, count: int, generator: np.random.Generator) -> np.ndarray:
        share = said.weights * said.doubt
        return generator.choice(len(share), count, p=share / share.sum())


class Truncated(PosteriorAcquisition):
    """The prior by chance, cut to where the posterior has all but a little of its mass (Michael Deistler, Pedro
    Goncalves and Jakob Macke 2022, NeurIPS 35: truncated proposals).

    **Arguments:** `mass`: of the posterior, that the region of highest density holds.
    """

    mass: float = eqx.field(static=True, default=0.99)

    def choose(self, said: WeighedDraws, count: int, generator: np.random.Generator) -> np.ndarray:
        order = np.argsort(-said.levels, kind="stable")
        last = int(np.searchsorted(np.cumsum(said.weights[order]), self.mass))
        inside = order[: last + 1]
        with np.errstate(divide="ignore"):
            logs = np.log(said.weights[inside]) + said.prior[inside] - said.levels[inside]
        share = np.exp(logs - logs.max())
        return generator.choice(inside, count, p=share / share.sum())


class ExpectedIntegratedVariance(PosteriorAcquisition):
    """The run after which the least variance of the likelihood is expected to be left, over the prior (Marko
    Järvenpää, Michael Gutmann, Aki Vehtari and Pekka Marttinen 2019, Bayesian Analysis 14:595).

    With a moment's gap g, noise variance s and doubt e, the expected likelihood is N(g; s + e), and a run at c takes
    t = cov(x, c)^2 / (e(c) + s(c)) from the doubt at x. The expected square of the mean likelihood is then

        E N(g + sqrt(t) z; s + e - t)^2 = N(g; (s + e + t) / 2) / (2 sqrt(pi (s + e - t))),

    a product over moments; what it gains on t = 0 the variance loses. Covariances are those of joint draws, so that
    any regressor serves; moments' noise is taken as independent. A chosen run counts as made for the next.

    **Arguments:** `points`: draws of the posterior over which it is integrated, and among which it is chosen;
    `functions`: draws of the expected moments there.
    """

    points: int = eqx.field(static=True, default=200)
    functions: int = eqx.field(static=True, default=400)

    def choose(self, said: WeighedDraws, count: int, generator: np.random.Generator) -> np.ndarray:
        rows = _even(said.weights, self.points, generator)
        drawn = said.functions(rows, self.functions)
        away = drawn - drawn.mean(0)
        spread = np.einsum("smk,snk->kmn", away, away, optimize=True) / max(len(away) - 1, 1)
        noise, gaps = said.noise[rows].T, said.gaps[rows].T
        width = noise + np.einsum("kmm->km", spread)
        # A draw stands for the prior by its likelihood's inverse: what is summed is the square over the likelihood.
        height, chosen = _log_normal(gaps, width), np.zeros(count, int)
        for i in range(count):
            doubt = np.einsum("kmm->km", spread)
            steps = spread / np.sqrt(np.maximum(doubt + noise, _TINY))[:, None, :]  # (k, x, c)
            gone = width - noise - doubt
            after = _log_square(gaps[:, :, None], width[:, :, None], steps**2 + gone[:, :, None]) - height[:, None]
            at = int(np.exp(after - after.max()).sum(0).argmax())
            chosen[i], step = at, steps[:, :, at]
            spread = spread - step[:, :, None] * step[:, None, :]
        return rows[chosen]


def _even(weights: np.ndarray, count: int, generator: np.random.Generator) -> np.ndarray:
    """Rows (count,) in proportion to weights, by one uniform number."""
    edges = np.cumsum(weights)
    places = (np.arange(count) + generator.uniform()) / count
    return np.minimum(np.searchsorted(edges / edges[-1], places, side="right"), len(weights) - 1)


def _log_normal(gaps: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """Logarithms of products of Gaussian densities over the first axis, less a constant."""
    return -0.5 * (gaps**2 / np.maximum(variance, _TINY) + np.log(np.maximum(variance, _TINY))).sum(0)


def _log_square(gaps: np.ndarray, width: np.ndarray, gone: np.ndarray) -> np.ndarray:
    """Logarithms of the expected squared mean likelihood once `gone` of the doubt is, less a constant; width: noise and
    doubt before, moments on the first axis.
    """
    wide, narrow = width + gone, np.maximum(width - gone, _TINY)
    return -(gaps**2 / np.maximum(wide, _TINY)).sum(0) - 0.5 * np.log(np.maximum(wide * narrow, _TINY)).sum(0)
