"""Rewiring at random: ties that let go of one agent and take another, anybody or somebody of the same group."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from .._errors import ModelError
from ..core.draw import Draw
from .dynamic_network import Changed, DynamicNetwork
from .mixing import members_of, skipping
from .topology import Neighbour, sampled


def strangers(
    draw: Draw,
    name: str,
    who: Int[Array, " candidates"],
    agents: int,
    *,
    group: Int[Array, " agents"] | None = None,
    groups: int = 1,
) -> Neighbour:
    """For each candidate an agent at random that is not `who`: any alike, tied to it or not.

    **Arguments:** `draw`, `name`: where the chance event is asked, a number a candidate; `who` (candidates,): agents
    0 .. agents - 1; `group` (agents,): in 0 .. groups - 1, an agent of the same group is found, or -1 for an agent that
    finds nobody and is not found (dead, away); None: all with all. The members are sorted, once a call.

    **Returns:** the agents (candidates,); `present` is 0 for who is alone in its group.
    """
    who = jnp.asarray(who, jnp.int32)
    share = jax.lax.stop_gradient(draw.uniform(name, 0.0, 1.0, size=who.shape[0]))
    if group is None:
        others = jnp.full(who.shape, agents - 1, jnp.int32)
        index = skipping(sampled(share, others), who)
    else:
        if jnp.shape(group) != (agents,):
            raise ModelError(f"groups of shape {jnp.shape(group)} for {agents} agents: one each")
        members = members_of(group, groups)
        home = members.group.at[who].get(mode="clip")
        others = jnp.maximum(members.count.at[home].get(mode="fill", fill_value=0) - 1, 0)
        index = members.who(home, skipping(sampled(share, others), members.place.at[who].get(mode="clip")))
    present = others > 0
    return Neighbour(jnp.where(present, index, 0), present.astype(jnp.float32))


def rewire(
    draw: Draw,
    name: str,
    network: DynamicNetwork,
    probability: Float[Array, "..."] | float,
    *,
    group: Int[Array, " agents"] | None = None,
    groups: int = 1,
) -> Changed:
    """Each tie with `probability` keeps one end, either alike, and gets an agent at random for the other.

    No tie comes to join an agent to itself or to double another: it then stays, and `done` (ties,) is 0. The number of
    ties is kept. With all agents alike and often enough repeated, every network of as many ties comes up alike.

    **Arguments:** `draw`, `name`: where is asked `<name>/which` (bernoulli), `<name>/end` and `<name>/to`, a number a
    slot; `probability`: one for all or one a slot (ties,); `group`, `groups`: as in `strangers`, new ends are of the
    kept end's group.
    """
    inner, ties = draw.child(name), network.ties
    which = inner.bernoulli("which", probability, where=jax.lax.stop_gradient(ties.alive))
    keeps_one = inner.bernoulli("end", 0.5, where=which)
    keep = jnp.where(keeps_one > 0, ties.one, ties.other)
    to = strangers(inner, "to", keep, network.size, group=group, groups=groups)
    slots = jnp.arange(ties.capacity, dtype=jnp.int32)
    return network.redirected(slots, keep, to.index, which * to.present, inner.time)
