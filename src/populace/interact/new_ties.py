"""Which of many ties that are wanted at once may be: none that joins an agent to itself, none twice."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int

from .lots import winners

Ends = tuple[Int[Array, " ties"], Int[Array, " ties"]]


class _Round(NamedTuple):
    """Candidates that wait, and those that were let in."""

    waits: Bool[Array, " candidates"]
    let_in: Bool[Array, " candidates"]


def admitted(ties: Ends, wanted: Ends, where: Bool[Array, " candidates"], size: int) -> Bool[Array, " candidates"]:
    """Which candidates may form a tie: not of an agent with itself, not twice, an earlier candidate before a later one.

    **Arguments:** `ties`: the ends of the ties that there are, `size` in a free slot; `wanted`: the ends of the
    candidates; `where` (candidates,): which of them count; `size`: the number of agents.

    Each candidate is looked at from the end that fewer candidates have. In a round one candidate an agent is compared,
    in one pass, with all ties and with who was let in; there are as many rounds as candidates at one agent, a few where
    ties go to agents at random. Nothing is sorted and nothing hashed: the answer is exact.
    """
    one, other = wanted
    inside = (one >= 0) & (one < size) & (other >= 0) & (other < size)
    waits = where & inside & (one != other)
    count = jnp.zeros(size, jnp.int32)
    for end in wanted:
        count = count.at[jnp.where(waits, end, size)].add(1, mode="drop")
    crowd = [count.at[end].get(mode="clip") for end in wanted]
    from_one = (crowd[0] < crowd[1]) | ((crowd[0] == crowd[1]) & (one < other))
    here, there = jnp.where(from_one, one, other), jnp.where(from_one, other, one)
    turn = jnp.arange(one.shape[0], dtype=jnp.int32)

    def one_each(state: _Round) -> _Round:
        first = winners(here, turn, state.waits, size) > 0
        asked = jnp.full(size, -1, jnp.int32).at[jnp.where(first, here, size)].set(there, mode="drop")
        known = (jnp.where(state.let_in, one, size), jnp.where(state.let_in, other, size))
        taken = _found(asked, ties, size) | _found(asked, known, size)
        good = first & ~taken.at[here].get(mode="clip")
        return _Round(state.waits & ~first, state.let_in | good)

    return jax.lax.while_loop(lambda state: state.waits.any(), one_each, _Round(waits, jnp.zeros_like(waits))).let_in


def _found(asked: Int[Array, " agents"], ties: Ends, size: int) -> Bool[Array, " agents"]:
    """For whom there is a tie to the agent that it asks for."""
    found = jnp.zeros(size, bool)
    for mine, theirs in (ties, ties[::-1]):
        same = asked.at[mine].get(mode="fill", fill_value=-1) == theirs
        found = found.at[jnp.where(same, mine, size)].set(True, mode="drop")
    return found
