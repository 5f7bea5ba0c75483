"""Policies whose weights climb a slope, however it was found: their first state, a step, and what is handed out."""

import operator
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import optax
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from .._types import Key
from ..core.plug import Deciding
from .game import Learner, Policies, Watched
from .policies import Network, as_vector, first_policy, first_recurrent

_LATE = 0.6
"""From this part of the training on, weights are averaged."""
_EARLY = 0.2
"""Until this part of the training the scale of what is seen is learned: later it would move the policy by itself."""
_ROWS = 4096
"""Views of an update that set the scale of a policy's inputs at most."""


class Climber(eqx.Module):
    """What one type, or all, have learned at one site: the `policy`, Adam's `state`, and the `mean` of the weights over
    the later updates, `count` of them.
    """

    policy: Network
    state: Any
    mean: Any
    count: Float[Array, ""]


def first_climbers(watched: Watched, key: Key, hidden: tuple[int, ...], memory: int) -> dict[str, Climber]:
    """At each site policies that have learned nothing and take the middle of their law; types on the leading axis.
    `memory`: how many numbers they remember.
    """
    out = {}
    for number, (path, learner) in enumerate(watched.game.learners.items()):

        def one(k: Key, path: str = path, learner: Learner = learner) -> Climber:
            view, actions = watched.views[path], learner.actions
            if memory:
                policy: Network = first_recurrent(k, view, actions, hidden, memory)
            else:
                policy = first_policy(k, view, actions, hidden).settled()
            return Climber(policy, optax.scale_by_adam().init(policy.weights), policy.weights, jnp.float32(0.0))

        own = jr.fold_in(key, number)
        out[path] = one(own) if learner.types is None else jax.vmap(one)(jr.split(own, learner.groups))
    return out


def climbed(
    climber: Climber,
    slope: Float[Array, "types parameters"],
    note: Any,
    rate: float,
    progress: Float[Array, ""],
    learner: Learner,
) -> Climber:
    """A step of Adam up each type's slope; its length falls as the square of what is left, to a hundredth. `note`: of
    the runs, whose views set the scale.
    """
    length = rate * jnp.maximum((1.0 - progress) ** 2, 0.01)

    def one(climber: Climber, slope: Array) -> Climber:
        flat, back = ravel_pytree(climber.policy.weights)
        steps, state = optax.scale_by_adam().update(back(slope), climber.state)
        weights = back(flat + length * ravel_pytree(steps)[0])
        count = jnp.where(progress < _LATE, 0.0, climber.count) + 1.0
        mean = jax.tree.map(lambda m, w: m + (w - m) / count, climber.mean, weights)
        return Climber(eqx.tree_at(lambda p: p.weights, climber.policy, weights), state, mean, count)

    moved = one(climber, slope[0]) if learner.types is None else jax.vmap(one)(climber, slope)
    scale = moved.policy.scale
    scale = scale if learner.types is None else jax.tree.map(operator.itemgetter(0), scale)
    more = scale.with_(*_seen(note))
    scale = jax.tree.map(lambda new, old: jnp.where(progress < _EARLY, new, old), more, scale)
    return eqx.tree_at(lambda s: s.policy.scale, moved, learner.alike(scale))


def _seen(note: Any) -> tuple[Float[Array, "rows d"], Float[Array, " rows"]]:
    """Views of runs as vectors, and 1 for those of learners. `note`: on axes of runs (any), steps and agents."""
    acting = note["acting"]
    lead = acting.ndim
    views = jax.tree.map(lambda leaf: leaf.reshape(acting.size, *leaf.shape[lead:]), note["view"])
    every = -(-acting.size // _ROWS)
    vectors = jax.vmap(as_vector)(jax.tree.map(lambda leaf: leaf[::every], views))
    return vectors, acting.reshape(-1)[::every]


def at_play(climbers: dict[str, Climber]) -> Policies:
    """The policies as they are."""
    return {path: one.policy for path, one in climbers.items()}


def handed_out(climbers: dict[str, Climber]) -> Policies:
    """The policies with their weights in the mean over the later updates."""
    return {path: eqx.tree_at(lambda p: p.weights, one.policy, one.mean) for path, one in climbers.items()}


class Copies:
    """A site's policy as a copy an agent. `shape`: agents, and parameters of each."""

    def __init__(self, watched: Watched, path: str, policy: Network):
        learner, agents = watched.game.learners[path], watched.agents[path]
        self.path, self.learner, self.steps = path, learner, watched.game.steps
        self.groups = learner.groups
        self.types, self.learns = learner.types_of(agents), learner.learns(agents)
        alike = lambda leaf: jnp.broadcast_to(leaf, (agents, *leaf.shape))  # noqa: E731
        self.policy = jax.tree.map(alike, policy) if learner.types is None else learner.spread(policy)
        self.shape = (agents, sum(leaf[0].size for leaf in jax.tree.leaves(self.policy.weights)))

    def shifted(self, shift: Float[Array, "agents parameters"]) -> Deciding:
        """What decides where each agent has its own weights, so much changed."""

        def one(policy: Network, shift: Array) -> Network:
            flat, back = ravel_pytree(policy.weights)
            return eqx.tree_at(lambda p: p.weights, policy, back(flat + shift))

        return Deciding(self.path, jax.vmap(one)(self.policy, shift), self.learner.who, individual=True)

    def returns(self, rewards: Float[Array, "*runs steps agents"]) -> Float[Array, "*runs agents"]:
        """Discounted."""
        return jnp.einsum("...ta,t->...a", rewards, self.learner.discount ** jnp.arange(self.steps))
