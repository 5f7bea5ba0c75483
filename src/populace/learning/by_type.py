"""What is learned once for all agents, or once a type, written once."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float

from .._types import Key
from .game import Learner


def for_types(make: Any, learner: Learner, key: Key) -> Any:
    """`make(key)`, or one a type on the leading axis."""
    return make(key) if learner.types is None else jax.vmap(make)(jr.split(key, learner.groups))


def of_agents(learner: Learner, function: Any, module: Any) -> Any:
    """`function(module, *one agent's)` as a function of all agents': a module each where the learner has types."""
    of_module = None if learner.types is None else eqx.if_array(0)

    def all_agents(*arrays: Any) -> Any:
        return eqx.filter_vmap(function, in_axes=(of_module, *(0 for _ in arrays)))(module, *arrays)

    return all_agents


def over_axes(function: Any, axes: int) -> Any:
    """A function of one as a function of what has so many leading axes."""
    for _ in range(axes):
        function = jax.vmap(function)
    return function


def flat(leaf: Array) -> Array:
    """Its two leading axes as one."""
    return leaf.reshape(leaf.shape[0] * leaf.shape[1], *leaf.shape[2:])


def masked_mean(values: Array, mask: Array, learner: Learner) -> Array:
    """The masked mean over all; with types, over each agent's own rows, summed over agents."""
    if learner.types is None:
        return (values * mask).sum() / jnp.maximum(mask.sum(), 1.0)
    return ((values * mask).sum(0) / jnp.maximum(mask.sum(0), 1.0)).sum()


def mean_return(
    rewards: Float[Array, "runs steps agents"], acted: Float[Array, "runs steps agents"], discount: float
) -> Float[Array, ""]:
    """The mean discounted pay of a run, of those who decided in it."""
    returns = ((discount ** jnp.arange(rewards.shape[1]))[:, None] * rewards).sum(1)
    learns = acted.max(1)
    return (returns * learns).sum() / jnp.maximum(learns.sum(), 1.0)
