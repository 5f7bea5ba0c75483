"""Whether draws lie around points, chosen where the data point, as the truth does: accuracy by random reference points.

Pablo Lemos, Adam Coogan, Yashar Hezaveh and Laurence Perreault-Levasseur (2023), Proceedings of the 40th International
Conference on Machine Learning, arXiv:2302.03026. For a point r that may hang on the data in any way but not on their
truth, the share of draws that lie nearer to r than the truth does is uniform if the draws are of the posterior; and if
it is so for all ways to choose r, they are. Points that do not know the data let the prior pass. Ours do: each is a
draw of what a linear regression, learned from the data sets before it and from no other, expects of the parameters at
these data; and distance is measured in that regression's own residual spread, so that parameters of which the data say
much count as those of which they say little. No data set's point hangs on a later truth: the shares of a right method
are independent, exactly.
"""

import numpy as np

from .._types import Key
from ..core.noise import host_generator
from ..surrogates.basis import Basis
from ..surrogates.conditional import Line, Squashed
from .regions import Scale

FIRST = 20
"""Data sets before which there is nothing to learn from: points of the prior."""
_ROWS = 5
"""Data sets a coefficient."""


def distances(scale: Scale, moments: np.ndarray, truths: np.ndarray, draws: np.ndarray, key: Key) -> np.ndarray:
    """Distances (N, 1 + L) from N reference points, of the truth first and then of the draws.

    **Arguments:** `moments` (N, k): of each data set; `truths` (N, d), `draws` (N, L, d): rows on the scale of `Scale`.
    """
    rng = host_generator(key)
    both = np.concatenate([truths[:, None], draws], axis=1)
    found = np.sqrt(((both - scale.sample(rng, len(both))[:, None]) ** 2).sum(-1))
    start = FIRST
    while start < len(both):
        stop = min(2 * start, len(both))
        line, near = _learned(truths[:start], moments[:start], moments[start:stop])
        points = rng.standard_normal((stop - start, 1, truths.shape[1]))
        flat, shape = both[start:stop].reshape(-1, truths.shape[1]), both[start:stop].shape
        white = line.off(flat, np.repeat(near, shape[1], axis=0)).reshape(shape)
        found[start:stop] = np.sqrt(((white - points) ** 2).sum(-1))
        start = stop
    return found


def _learned(truths: np.ndarray, before: np.ndarray, now: np.ndarray) -> tuple[Line, np.ndarray]:
    """The regression of truths (n, d) on the moments (n, k) of their data sets, and what it reads of others' (m, k):
    the first shapes that moments vary by, as many as so few data sets bear.
    """
    squashed = Squashed.of(before)
    seen = squashed(before)
    basis, count = Basis.of(seen, few=0), max(1, len(before) // _ROWS)
    given = basis.weights(seen)[:, :count]
    return Line.of(truths, given, np.ones(len(given))), basis.weights(squashed(now))[:, :count]
