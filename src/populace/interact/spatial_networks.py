"""Networks of agents who have places: ties to all who are near, or ties that get rarer with distance."""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike
from scipy.spatial import KDTree

from .._errors import ModelError
from .._types import Key
from ..core.noise import host_generator
from .box import Box
from .network import Network

Decay = Callable[[np.ndarray], np.ndarray]
"""Distances (pairs,) to weights."""
_IN_PART = 4
"""Agents in a part of the box, about: the more, the more pairs are refused."""
_TRIES = 1_000_000
"""Pairs tried at a time, and in vain before there are said to be no more."""


def geometric_network(box: Box, position: ArrayLike, radius: float) -> Network:
    """A tie between all who are no farther apart than `radius`: the random geometric graph (Gilbert 1961).

    N agents spread evenly in a periodic box of area S have (N - 1) pi radius^2 / S neighbours in the mean.

    **Arguments:** `box`: the space, periodic or not; `position`: (agents, axes) in it; `radius`: a distance.

    **Raises:** `ModelError` if a position is not in the box, or the radius is not a distance (in a periodic box at most
    half of the shortest side).
    """
    here = _placed(box, position)
    if not 0.0 <= radius < np.inf or (box.periodic and 2 * radius > min(box.sides)):
        raise ModelError(f"the radius {radius} is 0 or more, and in a periodic box at most half of its shortest side")
    tree = KDTree(here, boxsize=box.sides if box.periodic else None)
    ties = tree.query_pairs(radius, output_type="ndarray")
    return Network.from_edges(ties[:, 0], ties[:, 1], len(here))


def spatial_network(key: Key, box: Box, position: ArrayLike, *, degree: float, decay: Decay) -> Network:
    """round(agents * degree / 2) ties, drawn one by one among pairs not yet tied, in proportion to `decay(distance)`.

    `decay=lambda d: np.exp(-d / 0.1)` is the law of Waxman (1988, IEEE Journal on Selected Areas in Communications
    6:1617); `lambda d: d < 0.1` ties some of those who are near; `lambda d: (d + 0.01) ** -2.0` has long ties. The
    number of ties is fixed, so that networks of other keys use the same compiled code.

    **Arguments:** `box`, `position` (agents, axes): where they are; `degree`: the mean number of neighbours; `decay`:
    of distances (pairs,) in numpy to weights that are not negative, finite, and never rise with distance.

    **Raises:** `ModelError` if an argument is not that, or if there are not so many pairs of positive weight.
    """
    here = _placed(box, position)
    size, ties = len(here), round(len(here) * degree / 2)
    if not 0 <= ties <= size * (size - 1) // 2:
        raise ModelError(f"{size} agents have {size * (size - 1) // 2} pairs, not {ties}: choose a smaller degree")
    rng, parts = host_generator(key), _Parts(box, here, decay)
    codes, yields, in_vain = np.zeros(0, np.int64), 0.5, 0
    while in_vain < _TRIES:
        if len(codes) == ties:
            return Network.from_edges(codes >> 32, codes & 0xFFFFFFFF, size)
        tries = min(int(1.1 * (ties - len(codes)) / yields) + 64, _TRIES)
        fresh = parts.drawn(rng, tries)
        fresh = fresh[~np.isin(fresh, codes)]
        fresh = fresh[np.sort(np.unique(fresh, return_index=True)[1])]
        yields, in_vain = max(len(fresh) / tries, 0.001), 0 if len(fresh) else in_vain + tries
        codes = np.concatenate([codes, fresh[: ties - len(codes)]])
    raise ModelError(
        f"{len(codes)} of {ties} ties are found, and in {in_vain} tries no other: too few pairs have a weight; "
        "let decay reach farther, or choose a smaller degree"
    )


class _Parts:
    """The agents by the part of the box that they are in, and how much agents so many parts apart weigh at most:
    `steps` (ways, axes), and `share` (ways,), added up.
    """

    def __init__(self, box: Box, here: np.ndarray, decay: Decay):
        self.box, self.here, self.decay = box, here, decay
        axes, sides = len(box.sides), np.asarray(box.sides)
        self.number = max(1, round((len(here) / _IN_PART) ** (1 / axes)))
        self.at = np.minimum((here / sides * self.number).astype(np.int64), self.number - 1)
        part = self._numbered(self.at)
        self.order = np.argsort(part, kind="stable")
        self.count = np.bincount(part, minlength=self.number**axes)
        self.start = np.cumsum(self.count) - self.count
        along = np.arange(0 if box.periodic else 1 - self.number, self.number)
        self.steps = np.stack([x.ravel() for x in np.meshgrid(*[along] * axes, indexing="ij")], axis=1)
        far = np.abs(self.steps)
        far = np.minimum(far, self.number - far) if box.periodic else far
        self.bound = _weights(decay, np.sqrt(((np.maximum(far - 1, 0) * sides / self.number) ** 2).sum(-1)))
        self.share = np.cumsum(self.bound)

    def drawn(self, rng: np.random.Generator, tries: int) -> np.ndarray:
        """Pairs of agents in proportion to their weights, with repeats, as drawn, as `lower << 32 | higher`: an agent,
        a way to another part, one of the agents there, and what was allowed too much is refused.
        """
        if not self.share[-1] > 0:
            raise ModelError("decay is 0 at every distance: let it reach farther")
        one = rng.integers(len(self.here), size=tries)
        way = np.searchsorted(self.share, rng.random(tries) * self.share[-1], side="right")
        way = np.minimum(way, len(self.steps) - 1)
        goal = self.at[one] + self.steps[way]
        goal = goal % self.number if self.box.periodic else goal
        inside = ((goal >= 0) & (goal < self.number)).all(axis=1)
        one, way, part = one[inside], way[inside], self._numbered(goal[inside])
        place = rng.integers(self.count.max(), size=len(one))
        there = place < self.count[part]
        one, way, other = one[there], way[there], self.order[(self.start[part] + place)[there]]
        apart = np.abs(self.here[one] - self.here[other])
        apart = np.minimum(apart, np.asarray(self.box.sides) - apart) if self.box.periodic else apart
        weight = _weights(self.decay, np.sqrt((apart**2).sum(-1)))
        if (weight > self.bound[way] * (1 + 1e-6)).any():
            raise ModelError("decay rises with distance: who is farther away must not weigh more")
        kept = (rng.random(len(one)) * self.bound[way] < weight) & (one != other)
        return (np.minimum(one, other)[kept] << 32) | np.maximum(one, other)[kept]

    def _numbered(self, at: np.ndarray) -> np.ndarray:
        """The number of each part from its place along each axis."""
        return np.asarray(np.ravel_multi_index(tuple(at.T), (self.number,) * at.shape[1]))


def _weights(decay: Decay, distance: np.ndarray) -> np.ndarray:
    weight = np.asarray(decay(distance), np.float64)
    if weight.shape != distance.shape or not (np.isfinite(weight) & (weight >= 0)).all():
        raise ModelError("decay makes a weight of each distance (pairs,), finite and not negative, at 0 as well")
    return weight


def _placed(box: Box, position: ArrayLike) -> np.ndarray:
    here = np.asarray(position, np.float64)
    sides = np.asarray(box.sides)
    if here.ndim != 2 or here.shape[1] != len(sides) or not len(here):
        raise ModelError(f"positions of shape {here.shape} in a box of {len(sides)} sides: (agents, axes)")
    if not ((here >= 0) & (here <= sides)).all():
        raise ModelError(f"a position lies outside the box of sides {box.sides}: bring it in with box.inside")
    return np.where(here >= sides, 0.0, here) if box.periodic else here
