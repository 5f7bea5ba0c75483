"""Where to run: sequences of points in the unit cube, of which a design is a beginning."""

import abc
from collections.abc import Callable, Mapping
from typing import Any

import equinox as eqx
import jax.random as jr
import numpy as np
from scipy.stats import qmc

from .._errors import SpaceError
from .._types import Key
from ..core.noise import host_generator

Allowed = Callable[[Mapping[str, np.ndarray]], Any]
"""A constraint: from parameters, name to (n, ...), to (n,) bool."""


class Sampler(eqx.Module):
    """An endless sequence of points in the unit cube, by a key. One method."""

    @abc.abstractmethod
    def sequence(self, key: Key, size: int, start: int, count: int) -> np.ndarray:
        """Points number `start` to `start + count` - 1, (count, size) float64 in (0, 1).

        A point's place depends on the key, its number and `size` alone; for those that say so in their docstring, on
        where earlier calls began, too.
        """


class Sobol(Sampler):
    """The scrambled Sobol sequence: the most even of the samplers, best at powers of two (Owen 1998).

    Extending it gives the longer sequence exactly. For up to 21,201 numbers a point.
    """

    def sequence(self, key: Key, size: int, start: int, count: int) -> np.ndarray:
        if count == 0:
            return np.zeros((0, size))
        if size > qmc.Sobol.MAXDIM:
            raise SpaceError(f"a Sobol sequence has at most {qmc.Sobol.MAXDIM} numbers a point, not {size}")
        sobol = qmc.Sobol(size, scramble=True, bits=32, rng=host_generator(key))
        if start:
            sobol.fast_forward(start)
        # In one piece or in several: `random` warns of a first piece that is no power of two, `fast_forward` does not.
        points = np.concatenate([sobol.random(block) for block in _powers(count, start)])
        return np.clip(points, 2.0**-53, 1.0 - 2.0**-53)


class LatinHypercube(Sampler):
    """Latin hypercubes: each number of a point falls once into each of n equal slices (McKay, Beckman, Conover 1979).

    The n points asked for at once are one hypercube, and an extension is a further one of its own.
    """

    def sequence(self, key: Key, size: int, start: int, count: int) -> np.ndarray:
        own = host_generator(jr.fold_in(jr.fold_in(key, start), count))
        return np.clip(qmc.LatinHypercube(size, rng=own).random(count), 2.0**-53, 1.0 - 2.0**-53)


class RandomPoints(Sampler):
    """Independent uniform points. Extending it gives the longer sequence exactly."""

    def sequence(self, key: Key, size: int, start: int, count: int) -> np.ndarray:
        generator = host_generator(key)
        generator.bit_generator.advance(start * size)  # type: ignore[attr-defined]
        return np.clip(generator.random((count, size)), 2.0**-53, 1.0 - 2.0**-53)


class Replicated(Sampler):
    """Another sampler's points, a `share` of which are run once more, so that a surrogate sees what another seed does.

    A repetition stands right behind its point. `share` lies between 0 and 1/2.
    """

    of: Sampler
    share: float = eqx.field(static=True, default=0.2)

    def __check_init__(self) -> None:
        if not 0.0 <= self.share <= 0.5:
            raise SpaceError(f"share={self.share}: from none of the points (0) to every one of them (0.5) is repeated")

    def sequence(self, key: Key, size: int, start: int, count: int) -> np.ndarray:
        numbers = np.arange(start, start + count)
        places = numbers - np.floor((numbers + 1) * self.share + 1e-9).astype(int)
        if not count:
            return np.zeros((0, size))
        points = self.of.sequence(key, size, int(places[0]), int(places[-1] - places[0]) + 1)
        return points[places - places[0]]


def _powers(count: int, start: int) -> list[int]:
    """Pieces of a Sobol sequence that its generator takes without a warning: from the start only powers of two."""
    if start:
        return [count]
    first = 1 << (count.bit_length() - 1)
    return [first] if first == count else [first, count - first]
