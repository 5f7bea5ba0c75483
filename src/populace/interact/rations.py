"""Whole units handed out: to a queue at each counter, in proportion, and summed by account."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from .lots import by_cell


def served(
    counter: Int[Array, " agents"],
    wanted: Int[Array, " agents"],
    queue: Int[Array, " agents"],
    stock: Int[Array, " counters"],
) -> Int[Array, " agents"]:
    """What each gets who goes to one counter and waits its turn there: what it wants, or what is left.

    **Arguments:** `counter` (agents,): where each goes, a number below 0 for nowhere; `wanted`: whole units, 0 or more;
    `queue`: the agents' numbers in the order in which they are served (`lots.shuffled`); `stock` (counters,): whole
    units. What is wanted at all counters together must stay below 2^31.
    """
    counters = stock.shape[0]
    there = jnp.where((counter >= 0) & (counter < counters), counter, counters)
    wanted = jnp.where(there < counters, wanted, 0)
    order = queue[by_cell(there[queue], counters + 1)]
    line, wants = there[order], wanted[order]
    ahead = jnp.cumsum(wants) - wants
    ahead = ahead - ahead[jnp.searchsorted(line, line, side="left")]
    got = jnp.clip(stock.at[line].get(mode="fill", fill_value=0) - ahead, 0, wants)
    return jnp.zeros_like(wanted).at[order].set(got, unique_indices=True)


def counted(account: Int[Array, " agents"], values: Int[Array, " agents"], accounts: int) -> Int[Array, " accounts"]:
    """The sum of `values` of those at each of 0 .. accounts - 1; a number below 0 is no account."""
    return jnp.zeros(accounts, jnp.int32).at[jnp.where(account >= 0, account, accounts)].add(values, mode="drop")


def in_proportion(total: Int[Array, ""], weights: Int[Array, " agents"]) -> Int[Array, " agents"]:
    """`total` in whole numbers that add up to it, in proportion to `weights` to the rounding of a float; all alike
    where nobody has any.
    """
    weights = jnp.where((weights > 0).any(), weights.astype(jnp.float32), 1.0)
    upto = jnp.cumsum(weights)
    ends = jnp.minimum(jnp.round(total * (upto / upto[-1])).astype(jnp.int32), total)
    ends = jax.lax.cummax(ends).at[-1].set(total)
    return jnp.diff(ends, prepend=0)
