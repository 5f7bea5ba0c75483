"""Where to send bursts: well spread about a centre, more of them near it, the same number on either side."""

import numpy as np
from scipy import stats

from .._types import Key
from ..core.noise import host_generator


def spread(key: Key, count: int, inputs: int) -> np.ndarray:
    """`count` points (count, inputs) in the cube from -1 to 1: each coordinate takes evenly spaced values, which a
    Latin hypercube pairs.
    """
    generator = host_generator(key)
    if inputs == 1:
        return (2.0 * (np.arange(count) + 0.5) / count - 1.0)[:, None]
    return 2.0 * stats.qmc.LatinHypercube(inputs, scramble=False, rng=generator).random(count) - 1.0


def gathered(points: np.ndarray) -> np.ndarray:
    """The same points drawn in towards 0: what is asked is the value there, and less the slope."""
    return points * np.abs(points)
