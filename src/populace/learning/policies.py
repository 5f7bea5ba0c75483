"""Policies: networks that learn, and the fixed and random ones they are held against."""

import math
from typing import Any, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float

from .._types import Key
from ..core.policy import Act, Policy
from ..surrogates.networks import First, Weights, perceptron
from .actions import Actions

_FAR = 10.0
"""Standardised views are held within this many standard deviations."""


class Scale(eqx.Module):
    """Running mean and spread of vectors, by the numbers seen so far."""

    count: Float[Array, ""]
    mean: Float[Array, " d"]
    square: Float[Array, " d"]

    def __call__(self, vector: Float[Array, " d"]) -> Float[Array, " d"]:
        """The vector standardised; what never varied is only centred."""
        spread = jnp.sqrt(self.square)
        return jnp.clip((vector - self.mean) / jnp.where(spread > 1e-6, spread, 1.0), -_FAR, _FAR)

    def with_(self, vectors: Float[Array, "n d"], weights: Float[Array, " n"]) -> "Scale":
        """With more vectors seen (the pooled mean and variance)."""
        more = weights.sum()
        safe = jnp.maximum(more, 1.0)
        mean = (weights[:, None] * vectors).sum(0) / safe
        square = (weights[:, None] * (vectors - mean) ** 2).sum(0) / safe
        count = self.count + more
        share = more / jnp.maximum(count, 1.0)
        gap = mean - self.mean
        return Scale(
            count,
            self.mean + share * gap,
            (1.0 - share) * self.square + share * square + share * (1.0 - share) * gap**2,
        )


def no_scale(size: int) -> Scale:
    """Before anything is seen."""
    return Scale(jnp.float32(0.0), jnp.zeros(size), jnp.zeros(size))


def as_vector(view: Any) -> Float[Array, " d"]:
    """One agent's view as one vector."""
    return jnp.concatenate([jnp.ravel(jnp.asarray(leaf, jnp.float32)) for leaf in jax.tree.leaves(view)])


def leaf_name(where: Any) -> str:
    """What a part of a view is called, of its place in the tree: "price", "rivals.price", "view" for all of it."""
    return jax.tree_util.keystr(where, simple=True, separator=".") or "view"


def leaf_names(view: Any) -> tuple[str, ...]:
    """Of all parts of a view, in the order of its leaves."""
    return tuple(leaf_name(where) for where, _ in jax.tree_util.tree_flatten_with_path(view)[0])


class NetworkPolicy(Policy):
    """A perceptron from one agent's view to the law of its actions. It draws while it `explores`; else it takes the
    law's middle.
    """

    weights: Weights
    scale: Scale
    actions: Actions
    explores: bool = eqx.field(static=True, default=True)

    def memory(self) -> Any:
        return ()

    def act(self, view: Any, memory: Any, key: Key) -> Act:
        law = self.law(view)
        raw = self.actions.sample(law, view, key) if self.explores else self.actions.mode(law, view)
        return Act(self.actions.action(raw), (), {"raw": raw})

    def law(self, view: Any) -> Float[Array, " width"]:
        """The law's parameters on one agent's view."""
        return perceptron(self.weights, self.scale(as_vector(view)))

    def laws(self, views: Any, lived: Float[Array, " steps"]) -> Float[Array, "steps width"]:
        """The same on all views of one agent's run, steps on the leading axis."""
        return jax.vmap(self.law)(views)

    def settled(self) -> "NetworkPolicy":
        """The same policy, no longer exploring."""
        return NetworkPolicy(self.weights, self.scale, self.actions, explores=False)


class RecurrentPolicy(Policy):
    """A network with a memory: a gated recurrent unit (K. Cho et al. 2014, "Learning phrase representations using RNN
    encoder-decoder", EMNLP) from an agent's view and memory to its next memory, and a perceptron from both to the law
    of its actions. It draws while it `explores`; else it takes the law's middle.

    `weights`: those of the gates, the candidate and the perceptron; `scale` of the views.
    """

    weights: dict[str, Any]
    scale: Scale
    actions: Actions
    size: int = eqx.field(static=True)
    explores: bool = eqx.field(static=True, default=False)

    def memory(self) -> Float[Array, " size"]:
        return jnp.zeros(self.size)

    def act(self, view: Any, memory: Any, key: Key) -> Act:
        after, law = self.recalled(view, memory)
        if not self.explores:
            return Act(self.actions.action(self.actions.mode(law, view)), after)
        raw = self.actions.sample(law, view, key)
        return Act(self.actions.action(raw), after, {"raw": raw, "memory": after})

    def recalled(self, view: Any, memory: Float[Array, " size"]) -> tuple[Array, Array]:
        """The next memory, and the law's parameters."""
        seen = self.scale(as_vector(view))
        both = jnp.concatenate([seen, memory])
        update, reset = jnp.split(jax.nn.sigmoid(perceptron(self.weights["gates"], both)), 2)
        candidate = jnp.tanh(perceptron(self.weights["candidate"], jnp.concatenate([seen, reset * memory])))
        after = (1.0 - update) * memory + update * candidate
        return after, perceptron(self.weights["law"], jnp.concatenate([seen, after]))

    def laws(self, views: Any, lived: Float[Array, " steps"]) -> Float[Array, "steps width"]:
        """The law's parameters along one agent's run, from its first step on. `lived`: 0 where the agent was masked,
        after which it begins afresh.
        """

        def step(memory: Array, at: tuple[Any, Array]) -> tuple[Array, Array]:
            view, lives = at
            after, law = self.recalled(view, memory)
            return jnp.where(lives > 0, after, self.memory()), law

        return jax.lax.scan(step, self.memory(), (views, lived))[1]

    def settled(self) -> "RecurrentPolicy":
        """The same policy, no longer exploring."""
        return RecurrentPolicy(self.weights, self.scale, self.actions, self.size)


Network: TypeAlias = NetworkPolicy | RecurrentPolicy
"""A policy with weights."""


def first_recurrent(
    key: Key, view: Any, actions: Actions, hidden: tuple[int, ...], size: int, *, explores: bool = False
) -> RecurrentPolicy:
    """One that has learned nothing. `view`: one agent's, or its shapes; `size`: of the memory."""
    seen = _length(view)
    layers = {
        "gates": First((seen + size, 2 * size), last=1.0),
        "candidate": First((seen + size, size), last=1.0),
        "law": First((seen + size, *hidden, actions.width), last=0.01),
    }
    weights = {name: first(jr.fold_in(key, number)) for number, (name, first) in enumerate(layers.items())}
    return RecurrentPolicy(weights, no_scale(seen), actions, size, explores)


def first_policy(key: Key, view: Any, actions: Actions, hidden: tuple[int, ...]) -> NetworkPolicy:
    """A policy that has learned nothing: nearly the same law whatever it sees. `view`: one agent's, or its shapes."""
    size = _length(view)
    weights = First((size, *hidden, actions.width), last=0.01)(key)
    return NetworkPolicy(weights, no_scale(size), actions)


def _length(view: Any) -> int:
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(view))


class FixedPolicy(Policy):
    """Always the same action, a tree of arrays."""

    action: Any = eqx.field(converter=lambda tree: jax.tree.map(jnp.asarray, tree))

    def memory(self) -> Any:
        return ()

    def act(self, view: Any, memory: Any, key: Key) -> Act:
        return Act(self.action)


class RandomPolicy(Policy):
    """The first law of some actions: all over an interval's range, every option alike, whatever is seen."""

    actions: Actions

    def memory(self) -> Any:
        return ()

    def act(self, view: Any, memory: Any, key: Key) -> Act:
        raw = self.actions.sample(jnp.zeros(self.actions.width), view, key)
        return Act(self.actions.action(raw))
