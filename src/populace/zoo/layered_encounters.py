"""Encounters of the layered epidemic: everybody's partner for a round by a flip, without a list of pairs.

The partner of agent i of n is (c - i) mod n, c drawn for the round: who is whose partner is mutual, each agent's
partner is any agent with the same probability, and rounds are independent. An agent may be its own partner. The
partners' values are the array backwards, from another start: a copy in order, where a pairing at random costs a sort
and reads all over memory. Two agents' partners are as far apart as they are: let the order of the agents be random.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, Shaped


def flipped(values: Shaped[Array, " agents"]) -> Shaped[Array, " twice"]:
    """The values backwards, twice: what `partners` reads, made once for all rounds."""
    backwards = jnp.flip(values)
    return jnp.concatenate([backwards, backwards])


def partners(twice: Shaped[Array, " twice"], turn: Int[Array, ""]) -> Shaped[Array, " agents"]:
    """Each agent's partner's value, from `flipped(values)`; `turn`, 0 .. agents - 1, is drawn for the round: the
    partner of agent 0 is agent agents - 1 - turn.
    """
    return jax.lax.dynamic_slice(twice, (turn,), (twice.shape[0] // 2,))
