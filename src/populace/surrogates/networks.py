"""Small neural networks: multilayer perceptrons, plain, and as a surrogate of runs sees its inputs.

A surrogate's network sees inputs three times, plainly and as the logarithms of the distances to both ends of the unit
interval, so that what changes fast near an end is learned as easily as what does not.
"""

import itertools
from dataclasses import dataclass
from typing import TypeAlias

import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float

from .._types import Key

_NEAR = 0.01
"""How near an end the logarithms resolve."""

Weights: TypeAlias = list[tuple[Array, Array]]


def features(inputs: Array) -> Float[Array, "n three_d"]:
    """What a network sees of inputs (n, d) in the unit cube."""
    held = jnp.clip(inputs, 0.0, 1.0)
    low, high = jnp.log(held + _NEAR) + 1.0, jnp.log(1.0 - held + _NEAR) + 1.0
    return jnp.concatenate([(held - 0.5) * jnp.sqrt(12.0), low, high], axis=-1)


def perceptron(weights: Weights, inputs: Array) -> Float[Array, "*rows heads"]:
    """What one network makes of inputs (..., d)."""
    hidden = inputs
    for matrix, shift in weights[:-1]:
        hidden = jax.nn.silu(hidden @ matrix + shift)
    matrix, shift = weights[-1]
    return hidden @ matrix + shift


def said(weights: Weights, inputs: Array) -> Float[Array, "n heads"]:
    """What one network says at inputs (n, d) in the unit cube."""
    return perceptron(weights, features(inputs))


@dataclass(frozen=True)
class First:
    """From a key to the first weights of a network with these layers, inputs and outputs among them: He's scale for the
    hidden ones, `last` times it for the last. Two that are alike are equal, so that what is compiled is found again.
    """

    sizes: tuple[int, ...]
    last: float = 0.1

    def __call__(self, key: Key) -> Weights:
        layers = []
        for i, (inward, outward) in enumerate(itertools.pairwise(self.sizes)):
            matrix, shift = jr.split(jr.fold_in(key, i))
            scale = jnp.sqrt(2.0 / inward) * (self.last if i == len(self.sizes) - 2 else 1.0)
            begun = 0.3 * jr.normal(shift, (outward,)) if i == 0 else jnp.zeros(outward)
            layers.append((scale * jr.normal(matrix, (inward, outward)), begun))
        return layers


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
