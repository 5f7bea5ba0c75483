"""Networks trained together: members of an ensemble side by side in one compiled function.

Each member leaves other rows out, and ends with the weights that did best on these, be it those it began with.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
from jaxtyping import Array, Float, Int

from .._types import Key
from ..core.host import room

_LOOKS = 20
"""How often a member looks at the rows that it left out."""
_WARM = 0.1
"""The share of the steps in which the rate rises."""
_CLIP = 10.0
"""The largest norm of a gradient."""

Losses: TypeAlias = Callable[[Any, Any, Key], Array]
"""From weights, rows (a tree of arrays with rows leading) and a key to a loss a row, (rows,)."""


class Plan(NamedTuple):
    """Schedule: static, so that what is compiled is found again."""

    steps: int
    batch: int
    rate: float


class Rows(NamedTuple):
    """Which rows a member learns and which it leaves out: the first `learn_count` (`hold_count`) entries count."""

    learn: Int[Array, " n"]
    learn_count: Int[Array, ""]
    hold: Int[Array, " n"]
    hold_count: Int[Array, ""]


class State(NamedTuple):
    """A member in training: its weights, Adam's moments, and how many steps it has made."""

    weights: Any
    moments: Any
    steps: Int[Array, ""]


def trained(
    plan: Plan,
    start: Callable[[Key], Any],
    loss: Losses,
    look: Losses,
    data: Any,
    rows: Rows,
    decay: Float[Array, " members"],
    keys: Key,
) -> tuple[Any, Float[Array, " members"]]:
    """Members trained side by side.

    **Arguments:** `start`: a member's first weights; `loss`: what is minimised; `look`: what is looked at on the rows
    left out, with the same key at each look; `data`: a tree of arrays with rows leading; `rows`, `decay` (of matrices,
    by their rate), `keys`: members leading.

    **Returns:** weights with members leading, and each member's mean `look` on the rows it left out.
    """
    # These keys compile in half the time that threefry's take, and batches and noise ask for no more.
    fast = jr.wrap_key_data(jnp.tile(jr.key_data(keys), 2), impl="unsafe_rbg")
    return _trained(plan, start, loss, look, data, rows, decay, fast)


@functools.partial(jax.jit, static_argnums=(0, 1, 2, 3))
def _trained(
    plan: Plan, start: Callable[[Key], Any], loss: Losses, look: Losses, data: Any, rows: Rows, decay: Array, keys: Key
) -> tuple[Any, Array]:
    def member(rows: Rows, decay: Array, key: Key) -> tuple[Any, Array]:
        first, order = jr.split(key)
        step = _stepper(plan, loss, data, rows, decay)

        def until_look(carry: tuple[State, Any, Array], keys: Key) -> tuple[tuple[State, Any, Array], None]:
            state, kept, least = carry
            state, _ = jax.lax.scan(step, state, keys)
            here = _looked(look, state.weights, data, rows, first)
            kept = jax.tree.map(lambda new, old: jnp.where(here < least, new, old), state.weights, kept)
            return (state, kept, jnp.minimum(here, least)), None

        weights = start(first)
        state = State(weights, _adam(plan).init(weights), jnp.int32(0))
        keys = jr.split(order, (_LOOKS, plan.steps // _LOOKS))
        before = _looked(look, weights, data, rows, first)
        (_, kept, least), _ = jax.lax.scan(until_look, (state, weights, before), keys)
        return kept, least

    return jax.vmap(member)(rows, decay, keys)


def _schedule(plan: Plan) -> optax.Schedule:
    return optax.cosine_onecycle_schedule(plan.steps, plan.rate, pct_start=_WARM)


def _adam(plan: Plan) -> optax.GradientTransformation:
    return optax.chain(
        optax.clip_by_global_norm(_CLIP), optax.scale_by_adam(), optax.scale_by_learning_rate(_schedule(plan))
    )


def _stepper(
    plan: Plan, loss: Losses, data: Any, rows: Rows, decay: Array
) -> Callable[[State, Key], tuple[State, None]]:
    """One step of Adam on a batch drawn from the rows that a member learns; matrices, but no shifts, decay."""
    optimiser, schedule = _adam(plan), _schedule(plan)

    def step(state: State, key: Key) -> tuple[State, None]:
        place = (jr.uniform(key, (plan.batch,)) * rows.learn_count).astype(jnp.int32)
        chosen = rows.learn[jnp.minimum(place, rows.learn_count - 1)]
        batch = jax.tree.map(lambda leaf: leaf[chosen], data)
        slope = jax.grad(lambda w: loss(w, batch, jr.fold_in(key, 1)).mean())(state.weights)
        update: Any = optimiser.update(slope, state.moments, state.weights)
        change, moments = update
        shrink = 1.0 - schedule(state.steps) * decay
        moved = jax.tree.map(lambda w, dw: (w * shrink if w.ndim > 1 else w) + dw, state.weights, change)
        return State(moved, moments, state.steps + 1), None

    return step


def _looked(look: Losses, weights: Any, data: Any, rows: Rows, key: Key) -> Float[Array, ""]:
    """The mean `look` on the rows that a member leaves out."""
    each = look(weights, jax.tree.map(lambda leaf: leaf[rows.hold], data), key)
    counted = jnp.arange(each.shape[0]) < rows.hold_count
    return jnp.where(counted, each, 0.0).sum() / rows.hold_count


def steps_for(rows: int, thousand: int) -> int:
    """Steps of training: so many for a thousand rows, and as their root for more; in a few sizes, so that few programs
    are compiled.
    """
    return round(thousand * np.sqrt(room(max(rows, 1_000)) / 1_024) / 20) * 20


def folds(count: int, members: int, generator: np.random.Generator, room: int) -> Rows:
    """For each of `members` other rows of `count` to leave out, every row once in all; arrays with `room` entries. One
    alone leaves out half.
    """
    shuffled = generator.permutation(count)
    parts = np.array_split(shuffled, max(members, 2))[:members]
    learn, hold = np.zeros((members, room), np.int32), np.zeros((members, room), np.int32)
    for i, part in enumerate(parts):
        rest = np.setdiff1d(shuffled, part)
        learn[i, : rest.size], hold[i, : part.size] = rest, part
    learn_count = np.array([count - part.size for part in parts], np.int32)
    return Rows(*map(jnp.asarray, (learn, learn_count, hold, np.array([part.size for part in parts], np.int32))))


def padded(rows: np.ndarray, filler: float = 0.0, least: int = 32) -> Array:
    """Rows (n, ...) float32 with others added up to `room`."""
    more = np.full((room(rows.shape[0], least) - rows.shape[0], *rows.shape[1:]), filler)
    return jnp.asarray(np.concatenate([rows, more]), jnp.float32)
