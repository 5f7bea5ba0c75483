"""Networks that say what something is worth, in the units of what they learn from.

Their outputs are rescaled as in H. van Hasselt et al. (2016), "Learning values across many orders of magnitude",
NeurIPS.
"""

import operator
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..surrogates.networks import Weights, perceptron
from .game import Learner
from .policies import Scale


class Critic(eqx.Module):
    """The value of what an agent sees, or of each action there: a perceptron in units of `spread` around `centre`."""

    weights: Weights
    scale: Scale
    centre: Float[Array, ""]
    spread: Float[Array, ""]
    count: Float[Array, ""]

    def __call__(self, vector: Float[Array, " d"]) -> Float[Array, ""]:
        """The value, in the reward's units: the first of its heads."""
        return self.heads(vector)[0]

    def heads(self, vector: Float[Array, " d"]) -> Float[Array, " heads"]:
        """All that it says, in the reward's units."""
        return self.centre + self.spread * perceptron(self.weights, self.scale(vector))

    def rescaled(self, targets: Array, mask: Array) -> "Critic":
        """With centre and spread moved towards those of the targets, and the last layer so that no value changes."""
        mass = jnp.maximum(mask.sum(), 1.0)
        mean = (mask * targets).sum() / mass
        deviation = jnp.sqrt((mask * (targets - mean) ** 2).sum() / mass)
        count = self.count + 1.0
        step = jnp.maximum(1.0 / count, 0.1)
        centre = self.centre + step * (mean - self.centre)
        spread = self.spread + step * (jnp.maximum(deviation, 1e-4) - self.spread)
        matrix, shift = self.weights[-1]
        ratio = self.spread / spread
        last = (matrix * ratio, shift * ratio + (self.centre - centre) / spread)
        return Critic([*self.weights[:-1], last], self.scale, centre, spread, count)


def at_scale(module: Any, vectors: Array, lived: Array, learner: Learner) -> Any:
    """A policy or critic that has seen these vectors too. All types share one scale."""
    scale = module.scale if learner.types is None else jax.tree.map(operator.itemgetter(0), module.scale)
    scale = scale.with_(vectors.reshape(-1, vectors.shape[-1]), lived.reshape(-1))
    return eqx.tree_at(lambda m: m.scale, module, learner.alike(scale))


def rescaled(critic: Critic, targets: Array, mask: Array, learner: Learner) -> Critic:
    """A critic, or one a type, in units of its own agents' targets. `targets`, `mask` (rows, agents)."""
    if learner.types is None:
        return critic.rescaled(targets, mask)
    masks = (learner.types == jnp.arange(learner.groups)[:, None])[:, None] * mask
    return jax.vmap(lambda c, m: c.rescaled(targets, m))(critic, masks)
