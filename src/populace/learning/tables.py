"""Agents with tables: what each action is worth in each state, and what is still to be learned from what was done."""

import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float, Int

from .._types import Key
from ..core.distributions import Decision
from ..core.plug import Plug, Proceed
from ..core.policy import Act, Policy
from ..core.shapes import masked
from ..core.site import Site
from .actions import Discrete
from .policies import as_vector


class Cells(eqx.Module):
    """Numbers the states of a view of whole numbers: `sizes`, how many values each has, from 0."""

    sizes: tuple[int, ...] = eqx.field(static=True)

    @property
    def count(self) -> int:
        """How many states there are."""
        return math.prod(self.sizes)

    def __call__(self, view: Any) -> Int[Array, ""]:
        """The number of the state that one agent sees; values beyond the ends count as the ends."""
        numbers = as_vector(view).astype(jnp.int32)
        return jnp.ravel_multi_index(tuple(numbers), self.sizes, mode="clip").astype(jnp.int32)


class TablePolicy(Policy):
    """Takes the action that is worth most in the state that the agent sees, of those that are allowed."""

    table: Float[Array, "states actions"]
    actions: Discrete
    cells: Cells

    def memory(self) -> Any:
        return ()

    def act(self, view: Any, memory: Any, key: Key) -> Act:
        return Act(self.actions.mode(self.table[self.cells(view)], view))


class Pending(eqx.Module):
    """What each agent did last, and has been paid for it since: it is learned from when the agent decides again.

    `may`: what was allowed; `weight`: what pay from now on counts; `on`: whether there is something to learn from;
    `ended`: whether the agent's life has ended with it.
    """

    state: Int[Array, " agents"]
    action: Int[Array, " agents"]
    may: Float[Array, "agents actions"]
    reward: Float[Array, " agents"]
    weight: Float[Array, " agents"]
    on: Float[Array, " agents"]
    ended: Float[Array, " agents"]

    def change(self, known: Float[Array, "agents actions"], future: Float[Array, " agents"]) -> Float[Array, " agents"]:
        """How far what each agent did is from what it is now seen to be worth. `known`: its table where it did it."""
        was = jnp.take_along_axis(known, self.action[:, None], axis=1)[:, 0]
        return self.reward + self.weight * future - was

    def best(self, rows: Float[Array, "agents actions"]) -> Int[Array, " agents"]:
        """The best that was allowed."""
        return jnp.argmax(jnp.where(self.may > 0, rows, -jnp.inf), axis=1)


class Trying(Plug):
    """Agents who take the best action of their tables, or any, and learn from what they did before."""

    site: str = eqx.field(static=True)
    table: Float[Array, "types states actions"]
    types: Int[Array, " agents"]
    pending: Pending
    actions: Discrete
    who: Float[Array, " agents"] | None
    ends: bool = eqx.field(static=True)
    rate: Float[Array, ""]
    tries: Float[Array, ""]
    cells: Cells

    def sites(self) -> tuple[str, ...]:
        return (self.site,)

    def around(self, site: Site, proceed: Proceed) -> Any:
        if site.path != self.site or not isinstance(site.mechanism, Decision):
            return proceed(site)
        view, asked = site.mechanism.view, site.mask()
        state = jax.vmap(self.cells)(view)
        actions, last = self.actions, self.pending
        rows, known = self.table[self.types, state], self.table[self.types, last.state]
        over = last.ended if self.ends else 1.0 - asked
        ripe = last.on * jnp.maximum(asked, over)
        future = (1.0 - over) * jax.vmap(lambda row, seen: row[actions.mode(row, seen)])(rows, view)
        change = self.rate * ripe * last.change(known, future)
        step = change[:, None] * (jnp.arange(actions.width) == last.action[:, None])
        changed = last.best(known) != last.best(known + step)
        # What is learned now counts now, if the agent is back where it was.
        rows = rows + jnp.where((state == last.state)[:, None], step, 0.0)
        keys = jax.vmap(lambda i: jr.fold_in(site.key, i))(
            jnp.arange(asked.size) if site.follow is None else site.follow
        )
        action = jax.vmap(self._tried)(rows, view, keys)
        acting = asked if self.who is None else asked * self.who
        done = action
        if self.who is not None:
            done = jnp.where(acting > 0, action, proceed(site))
        elif site.where is not None:
            done = masked(site.path, action, acting)
        # Last, so that no note of who decides for the others takes the place of ours.
        site.emit({"state": state, "may": jax.vmap(actions.may)(view), "change": change, "ripe": ripe})
        site.emit({"changed": changed, "acting": acting, "action": action})
        return done

    def _tried(self, row: Array, view: Any, key: Key) -> Array:
        whether, what = jr.uniform(key, (2,))
        return jnp.where(whether < self.tries, self.actions.any_of(what, view), self.actions.mode(row, view))


def nothing_pending(agents: int, actions: int) -> Pending:
    """Before anybody has done anything."""
    none, whole = jnp.zeros(agents), jnp.zeros(agents, jnp.int32)
    return Pending(whole, whole, jnp.ones((agents, actions)), none, none, none, none)
