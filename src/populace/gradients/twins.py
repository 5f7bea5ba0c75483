"""Copies of a run that differ from it by one flipped draw each, and go on with the same numbers.

Of all flips so far one is kept a copy, in proportion to its size: with S the sum of all sizes, keeping a flip of size s
with probability s / S and counting it S / s times stands for the sum over all (a reservoir, filled step by step).
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Float

from .._types import Key
from ..core.plug import Forced
from .flips import Flips
from .loss import ExpectedLoss
from .one_flip import one_flip
from .walk import Place, first, following, observed


class Twins(eqx.Module):
    """`place`: where each copy is; `total`: S; `worth`: of each copy's flip, its number in `worth` (see `stepped`);
    `since`: the time of its flip. Copies stand on the leading axis.
    """

    place: Place
    total: Float[Array, ""]
    worth: Float[Array, " copies"]
    since: Float[Array, " copies"]


class Course(eqx.Module):
    """What run and copies share: the loss, parameters, key of the run, and a key a copy for its choices."""

    expected: ExpectedLoss
    at: dict[str, Array]
    key: Key
    picks: Key

    def stepped(
        self,
        time: Array,
        here: Place | None,
        twins: Twins | None,
        sizes: dict[str, Flips],
        worth: dict[str, Float[Array, "ways *population"]],
    ) -> tuple[Twins, Any]:
        """The copies a step on, and their rows: each goes on, or starts anew from `here` with a flip of this step.

        **Arguments:** `here`: the run before the step (None before `init`); `sizes`: of every site its flips, with
        weights in proportion to which they are picked; `worth`: a number for each, kept with it.
        """
        size = sum((jnp.abs(way.weight).sum() for way in sizes.values()), jnp.float32(0))
        total = size if twins is None else twins.total + size

        def one(pick: Key, before: Place | None, old: Array, since: Array) -> tuple[Place, Any, Array, Array]:
            choose, replace = jr.split(jr.fold_in(pick, time))
            anew = jr.uniform(replace) * total < size
            flip = one_flip(sizes, choose, anew)
            start = None if here is None else jax.tree.map(lambda a, b: jnp.where(anew, a, b), here, before)
            place, row = self._forced(time, start, flip.given)
            return place, row, jnp.where(anew, flip.of(worth), old), jnp.where(anew, time, since)

        if twins is None:
            none = jnp.zeros(self.picks.shape[0])
            places, rows, kept, since = jax.vmap(lambda p, s, t: one(p, None, s, t))(self.picks, none, none)
        else:
            places, rows, kept, since = jax.vmap(one)(self.picks, twins.place, twins.worth, twins.since)
        return Twins(places, total, kept, since), rows

    def _forced(self, time: Array, start: Place | None, given: dict[str, Any]) -> tuple[Place, Any]:
        run = self.expected.bound(self.at)
        if start is None:
            return first(run, self.key, (Forced(),), given)[0], None
        place, row, _ = following(run, self.key, time, start, (Forced(),), given)
        return place, row

    def loss(self, place: Place, rows: Any) -> Array:
        """The loss of a whole run."""
        return self.expected.terms(observed(self.expected.simulation.one(), place, rows)).sum()

    def gaps(self, twins: Twins, seen: Any, rows: Any, value: Array) -> Float[Array, " copies"]:
        """S times what the loss of each copy is above the run's: a copy's rows count from its flip on."""
        times = jnp.arange(1, self.expected.simulation.steps + 1)

        def other(place: Place, mine: Any, since: Array) -> Array:
            later = times >= since
            mixed = jax.tree.map(lambda a, b: jnp.where(later.reshape((-1,) + (1,) * (a.ndim - 1)), a, b), mine, rows)
            return self.loss(place, mixed)

        others = jax.vmap(other, in_axes=(0, 1, 0))(twins.place, seen, twins.since)
        return jnp.where(twins.total > 0, twins.total * (others - value), 0.0)


def ahead(expected: ExpectedLoss, power: Array) -> Float[Array, " times"]:
    """How much what is flipped at times 0, 1, ... may matter: the rows still to come, to a power; never 0."""
    rows = np.asarray(expected.rows())
    left = (rows[None, :] >= np.arange(expected.simulation.steps + 1)[:, None]).sum(1)
    return jnp.maximum(jnp.asarray(left, jnp.float32), 1.0) ** power
