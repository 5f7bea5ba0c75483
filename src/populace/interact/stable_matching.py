"""Stable matching: proposals are made, held and refused until nobody would rather change (Gale & Shapley 1962)."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from .._errors import ModelError
from ..core.draw import Draw
from .topology import Neighbour


class _Round(NamedTuple):
    """Each proposer's place in its list; whether it is held where it stands; whether anybody still proposes."""

    place: Int[Array, " proposers"]
    held: Array
    going: Array


def stable_matching(
    draw: Draw,
    name: str,
    scores: Float[Array, "proposers receivers"],
    others: Float[Array, "receivers proposers"],
    *,
    room: Int[Array, " receivers"] | int = 1,
) -> Neighbour:
    """Deferred acceptance: proposers to receivers, one to one, or many to one where a receiver has more room.

    Gale and Shapley (1962, American Mathematical Monthly 69:9). In each round every proposer who is not held asks the
    next receiver of its list, and every receiver holds the best of those who ever asked, as many as it has room for.
    No proposer and receiver who are not matched would both rather be (the matching is stable), and no stable matching
    is better for any proposer. Both hold for strict preferences, which equal scores are made into by lot, each agent's
    for itself.

    **Arguments:** `draw`, `name`: where the lots for equal scores are asked, `<name>/ties` and `<name>/others/ties`;
    `scores`: what each receiver is worth to each proposer, minus infinity for one that it will not have; `others`: what
    each proposer is worth to each receiver, likewise; `room`: how many each receiver takes, 1: a marriage.

    Rounds as many as the longest chain of refusals, at most proposers x receivers; each a pass over the proposers, or a
    sort of them where there is more room than 1. No gradient passes. Scores that are NaN count as minus infinity.

    **Returns:** for each proposer its receiver; `present` is 0 for who has none.

    **Raises:** `ModelError` for shapes that do not fit.
    """
    scores, others = (jax.lax.stop_gradient(jnp.asarray(x, jnp.float32)) for x in (scores, others))
    if scores.ndim != 2 or others.shape != scores.shape[::-1]:
        raise ModelError(
            f"scores of shape {scores.shape} and {others.shape} do not match: (proposers, receivers) and its transpose"
        )
    proposers, receivers = scores.shape
    if (receivers + 1) * proposers > 2**31 - 1:
        raise ModelError(f"{proposers} x {receivers} pairs are too many to be ranked: divide them into groups")
    inner = draw.child(name)
    favourites = _ranked(scores, inner.uniform("ties", size=scores.shape))
    theirs = _ranked(others, inner.child("others").uniform("ties", size=others.shape))
    rows, places = jnp.arange(receivers)[:, None], jnp.arange(proposers, dtype=jnp.int32)
    rank = jnp.zeros((receivers, proposers), jnp.int32).at[rows, theirs].set(places, unique_indices=True)
    mutual = (scores > -jnp.inf) & (-jnp.inf < others.T)
    seats = jnp.broadcast_to(jnp.asarray(room, jnp.int32), (receivers,))

    agents = jnp.arange(proposers, dtype=jnp.int32)

    def one_round(state: _Round) -> _Round:
        """All who are not held ask the next; then each receiver keeps its best."""
        asked = favourites[agents, jnp.minimum(state.place, receivers - 1)]
        asks = (state.place < receivers) & mutual[agents, asked]
        ahead = _ahead(asked, rank[asked, agents], asks, receivers, single=isinstance(room, int) and room == 1)
        held = asks & (ahead < seats[asked])
        place = jnp.where(held, state.place, jnp.minimum(state.place + 1, receivers))
        return _Round(place, held, (~held & (place < receivers)).any())

    start = _Round(jnp.zeros(proposers, jnp.int32), jnp.zeros(proposers, bool), jnp.array(receivers > 0))
    done = jax.lax.while_loop(lambda state: state.going, one_round, start)
    partner = favourites[agents, jnp.minimum(done.place, receivers - 1)]
    return Neighbour(jnp.where(done.held, partner, 0), done.held.astype(jnp.float32))


def _ahead(asked: Array, rank: Array, asks: Array, receivers: int, *, single: bool) -> Int[Array, " proposers"]:
    """How many who ask the same receiver it likes better; where one seat is all that counts, 0 or 1: a minimum in place
    of a sort.
    """
    proposers = rank.shape[0]
    if single:
        best = jnp.full(receivers, proposers, jnp.int32).at[jnp.where(asks, asked, receivers)].min(rank, mode="drop")
        return (rank > best[asked]).astype(jnp.int32)
    key = jnp.where(asks, asked * proposers + rank, receivers * proposers + jnp.arange(proposers, dtype=jnp.int32))
    ordered = jnp.sort(key)
    return (jnp.searchsorted(ordered, key) - jnp.searchsorted(ordered, asked * proposers)).astype(jnp.int32)


def _ranked(scores: Float[Array, "ones others"], lot: Float[Array, "ones others"]) -> Int[Array, "ones others"]:
    """The others from the best to the worst, equal ones by lot."""
    places = jnp.broadcast_to(jnp.arange(scores.shape[1], dtype=jnp.int32), scores.shape)
    low = jnp.where(jnp.isnan(scores), jnp.inf, -scores)
    return jax.lax.sort((low, jax.lax.stop_gradient(lot), places), dimension=1, num_keys=2)[2]
