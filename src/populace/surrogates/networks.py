"""Small neural networks trained together: members of an ensemble side by side in one compiled function.

A member is a multilayer perceptron on inputs that are seen three times, plainly and as the logarithms of the distances
to both ends of the unit interval, so that what changes fast near an end is learned as easily as what does not. Each
member leaves other rows out, and ends with the weights that did best on these.
"""

import functools
import itertools
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
from jaxtyping import Array, Float, Int

from .._types import Key

_NEAR = 0.01
"""How near an end the logarithms resolve."""
_LOOKS = 20
"""How often a member looks at the rows that it left out."""
_WARM = 0.1
"""The share of the steps in which the rate rises."""
_CLIP = 10.0
"""The largest norm of a gradient."""

Weights: TypeAlias = list[tuple[Array, Array]]
Loss: TypeAlias = Callable[[Array, Array], Array]
"""From what a network says (n, heads) and outputs (n, k) to (n,) losses: what is minimised, or what is looked at."""


class Plan(NamedTuple):
    """Shapes and schedule: static, so that what is compiled is found again."""

    sizes: tuple[int, ...]
    steps: int
    batch: int
    rate: float


class Rows(NamedTuple):
    """Which rows a member learns and which it leaves out: the first `learn_count` (`hold_count`) entries count."""

    learn: Int[Array, " n"]
    learn_count: Int[Array, ""]
    hold: Int[Array, " n"]
    hold_count: Int[Array, ""]


def features(inputs: Array) -> Float[Array, "n three_d"]:
    """What a network sees of inputs (n, d) in the unit cube."""
    held = jnp.clip(inputs, 0.0, 1.0)
    low, high = jnp.log(held + _NEAR) + 1.0, jnp.log(1.0 - held + _NEAR) + 1.0
    return jnp.concatenate([(held - 0.5) * jnp.sqrt(12.0), low, high], axis=-1)


def said(weights: Weights, inputs: Array) -> Float[Array, "n heads"]:
    """What one network says at inputs (n, d)."""
    hidden = features(inputs)
    for matrix, shift in weights[:-1]:
        hidden = jax.nn.silu(hidden @ matrix + shift)
    matrix, shift = weights[-1]
    return hidden @ matrix + shift


def _start(key: Key, sizes: tuple[int, ...]) -> Weights:
    """He's scale for the hidden layers, a tenth of it for the last."""
    layers = []
    for i, (inward, outward) in enumerate(itertools.pairwise(sizes)):
        matrix, shift = jr.split(jr.fold_in(key, i))
        scale = jnp.sqrt(2.0 / inward) * (0.1 if i == len(sizes) - 2 else 1.0)
        first = 0.3 * jr.normal(shift, (outward,)) if i == 0 else jnp.zeros(outward)
        layers.append((scale * jr.normal(matrix, (inward, outward)), first))
    return layers


class State(NamedTuple):
    """A member in training: its weights, Adam's moments, and how many steps it has made."""

    weights: Weights
    moments: Any
    steps: Int[Array, ""]


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def trained(
    plan: Plan, loss: Loss, look: Loss, inputs: Array, outputs: Array, rows: Rows, decay: Array, keys: Key
) -> tuple[Weights, Array]:
    """Members trained side by side; `rows`, `decay` and `keys` have members on the leading axis.

    **Returns:** weights with members leading, and each member's mean `look` on the rows it left out, (members,).
    """

    def member(rows: Rows, decay: Array, key: Key) -> tuple[Weights, Array]:
        first, order = jr.split(key)
        step = _stepper(plan, loss, inputs, outputs, rows, decay)

        def until_look(carry: tuple[State, Weights, Array], keys: Key) -> tuple[tuple[State, Weights, Array], None]:
            state, kept, least = carry
            state, _ = jax.lax.scan(step, state, keys)
            here = _looked(look, state.weights, inputs, outputs, rows)
            kept = jax.tree.map(lambda new, old: jnp.where(here < least, new, old), state.weights, kept)
            return (state, kept, jnp.minimum(here, least)), None

        weights = _start(first, plan.sizes)
        state = State(weights, _adam(plan).init(weights), jnp.int32(0))
        keys = jr.split(order, (_LOOKS, plan.steps // _LOOKS))
        (_, kept, least), _ = jax.lax.scan(until_look, (state, weights, jnp.float32(jnp.inf)), keys)
        return kept, least

    return jax.vmap(member)(rows, decay, keys)


def _schedule(plan: Plan) -> optax.Schedule:
    return optax.cosine_onecycle_schedule(plan.steps, plan.rate, pct_start=_WARM)


def _adam(plan: Plan) -> optax.GradientTransformation:
    return optax.chain(
        optax.clip_by_global_norm(_CLIP), optax.scale_by_adam(), optax.scale_by_learning_rate(_schedule(plan))
    )


def _stepper(
    plan: Plan, loss: Loss, inputs: Array, outputs: Array, rows: Rows, decay: Array
) -> Callable[[State, Key], tuple[State, None]]:
    """One step of Adam on a batch drawn from the rows that a member learns; weights, but no shifts, decay."""
    optimiser, schedule = _adam(plan), _schedule(plan)

    def step(state: State, key: Key) -> tuple[State, None]:
        place = (jr.uniform(key, (plan.batch,)) * rows.learn_count).astype(jnp.int32)
        chosen = rows.learn[jnp.minimum(place, rows.learn_count - 1)]
        slope = jax.grad(lambda w: loss(said(w, inputs[chosen]), outputs[chosen]).mean())(state.weights)
        update: Any = optimiser.update(slope, state.moments, state.weights)
        change, moments = update
        shrink = 1.0 - schedule(state.steps) * decay
        moved = [(m * shrink + dm, b + db) for (m, b), (dm, db) in zip(state.weights, change, strict=True)]
        return State(moved, moments, state.steps + 1), None

    return step


def _looked(look: Loss, weights: Weights, inputs: Array, outputs: Array, rows: Rows) -> Float[Array, ""]:
    """The mean `look` on the rows that a member leaves out."""
    each = look(said(weights, inputs[rows.hold]), outputs[rows.hold])
    counted = jnp.arange(each.shape[0]) < rows.hold_count
    return jnp.where(counted, each, 0.0).sum() / rows.hold_count


def folds(count: int, members: int, generator: np.random.Generator, room: int) -> Rows:
    """For each of `members` other rows of `count` to leave out, every row once in all; arrays with `room` entries."""
    shuffled = generator.permutation(count)
    parts = np.array_split(shuffled, members)
    learn, hold = np.zeros((members, room), np.int32), np.zeros((members, room), np.int32)
    for i, part in enumerate(parts):
        rest = np.setdiff1d(shuffled, part)
        learn[i, : rest.size], hold[i, : part.size] = rest, part
    learn_count = np.array([count - part.size for part in parts], np.int32)
    return Rows(*map(jnp.asarray, (learn, learn_count, hold, np.array([part.size for part in parts], np.int32))))


@jax.jit
def each_said(weights: Weights, inputs: Array) -> Float[Array, "members n heads"]:
    """What every member says at inputs (n, d)."""
    return jax.vmap(said, in_axes=(0, None))(weights, inputs)


@jax.jit
def slopes(weights: Weights, inputs: Array) -> Float[Array, "members n heads d"]:
    """The derivative of what every member says along each input."""

    def one(weights: Weights, point: Array) -> Array:
        return jax.jacfwd(lambda x: said(weights, x[None])[0])(point)

    return jax.vmap(jax.vmap(one, in_axes=(None, 0)), in_axes=(0, None))(weights, inputs)


def padded(inputs: np.ndarray) -> Array:
    """Inputs (n, d) float32 with rows added up to the next power of two, so that few shapes are compiled."""
    room = 1 << max(5, int(inputs.shape[0] - 1).bit_length())
    return jnp.asarray(np.concatenate([inputs, np.full((room - inputs.shape[0], inputs.shape[1]), 0.5)]), jnp.float32)
