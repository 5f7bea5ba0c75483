"""A relaxation that changes with the rounds of an optimisation."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from ..core.site import Site
from .relaxation import Relaxation


class Annealed(Relaxation):
    """`make(schedule(round))`: a relaxation whose temperature, or width, follows a schedule.

    `pop.Annealed(pop.GumbelSoftmax, optax.exponential_decay(1.0, transition_steps=50, decay_rate=0.5))`

    The round is an array, so that the next one compiles nothing anew; `at_round` sets it.

    **Arguments:** `make`: a relaxation's class, or a function from a number to a relaxation, for all sites (for one
    site: `RelaxedAt("name", Annealed(...))`); `schedule`: from the round (int32) to that number.
    """

    make: Callable[[Array], Relaxation] = eqx.field(static=True)
    schedule: Callable[[Any], Any] = eqx.field(static=True)
    round: Int[Array, ""] = eqx.field(converter=lambda x: jnp.asarray(x, jnp.int32), default=0)

    def sites(self) -> tuple[str, ...]:
        return ()

    def soft(self, site: Site, value: Array) -> Array | None:
        return self.make(jnp.asarray(self.schedule(self.round), jnp.float32)).soft(site, value)


def at_round(tree: Any, round: int | Int[Array, ""]) -> Any:
    """The same tree (a relaxation, a tuple of plugs, an estimator) with each `Annealed` in it at the given round."""

    def one(node: Any) -> Any:
        return Annealed(node.make, node.schedule, round) if isinstance(node, Annealed) else node

    return jax.tree.map(one, tree, is_leaf=lambda node: isinstance(node, Annealed))
