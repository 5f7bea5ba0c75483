"""What agents did and what came of it, kept in a ring of fixed size inside a compiled loop.

L.-J. Lin (1992), "Self-improving reactive agents based on reinforcement learning, planning and teaching", Machine
Learning 8, 293-321.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float, Int

from .._types import Key


class Transitions(eqx.Module):
    """Decisions, rows of all agents of a site, (rows, agents, ...): what each saw and did, the `reward` until it
    decides again, what it sees then, and what that counts (`weight`, 0 where nothing follows); `learns`: 1 where there
    is something to learn from.
    """

    view: Any
    action: Int[Array, "rows agents"]
    reward: Float[Array, "rows agents"]
    later: Any
    weight: Float[Array, "rows agents"]
    learns: Float[Array, "rows agents"]


class Ring(eqx.Module):
    """The last so many rows: a new one takes the place of the oldest. `count`: of rows taken in so far."""

    rows: Transitions
    count: Int[Array, ""]

    @property
    def size(self) -> int:
        """How many rows it holds."""
        return self.rows.learns.shape[0]

    def with_(self, new: Transitions) -> "Ring":
        """With new rows, no more than it holds."""
        number = new.learns.shape[0]
        at = (self.count + jnp.arange(number)) % self.size
        # Counted on past the ring's size, so that a full ring is told from one that has just begun again.
        return Ring(
            jax.tree.map(lambda kept, more: kept.at[at].set(more), self.rows, new),
            (self.count + number) % self.size + jnp.where(self.count + number >= self.size, self.size, 0),
        )

    def drawn(self, key: Key, number: int) -> Transitions:
        """Some of the rows that it holds, each alike, with replacement."""
        which = jr.randint(key, (number,), 0, jnp.clip(self.count, 1, self.size))
        return jax.tree.map(lambda leaf: leaf[which], self.rows)


def empty_ring(size: int, agents: int, view: Any) -> Ring:
    """Before anything was done. `view`: one agent's, or its shapes."""
    views = jax.tree.map(lambda leaf: jnp.zeros((size, agents, *leaf.shape), leaf.dtype), view)
    none = jnp.zeros((size, agents))
    return Ring(Transitions(views, none.astype(jnp.int32), none, views, none, none), jnp.int32(0))


def transitions(
    view: Any,
    action: Int[Array, "steps_and_one agents"],
    reward: Float[Array, "steps agents"],
    asked: Float[Array, "steps_and_one agents"],
    acting: Float[Array, "steps_and_one agents"],
    goes_on: Float[Array, "steps agents"],
    discount: float,
) -> Transitions:
    """The decisions of one run, with all that each was paid until the same agent decided again: R = sum g^k r_k, and
    the weight g^n of the view n steps later, at which it did. Where the run ends before that there is nothing to learn
    from, unless the agent's life ended first (`goes_on` 0).
    """
    steps = reward.shape[0]
    last = jax.tree.map(lambda leaf: leaf[-1], view)
    none = jnp.zeros_like(reward[0])

    def back(after: Any, now: Any) -> tuple[Any, Any]:
        """`after`: of what is done at a step: pay from the next step on, the weight of the next view, that view, and
        whether it is known.
        """
        seen, pay, here, on = now
        paid, weight, later, known = after
        following = (pay + discount * on * paid, discount * on * weight, later, jnp.where(on > 0, known, 1.0))
        again = here > 0
        pick = lambda mine, theirs: jnp.where(again.reshape(-1, *(1 for _ in mine.shape[1:])), mine, theirs)  # noqa: E731
        before = (
            jnp.where(again, 0.0, following[0]),
            jnp.where(again, 1.0, following[1]),
            jax.tree.map(pick, seen, later),
            jnp.where(again, 1.0, following[3]),
        )
        return before, following

    start = (none, (asked[-1] > 0).astype(none.dtype), last, (asked[-1] > 0).astype(none.dtype))
    rows = (jax.tree.map(lambda leaf: leaf[:-1], view), reward, asked[:-1], goes_on)
    _, (paid, weight, later, known) = jax.lax.scan(back, start, rows, reverse=True)
    seen = jax.tree.map(lambda leaf: leaf[:steps], view)
    return Transitions(seen, action[:steps], paid, later, weight, acting[:steps] * known)
