"""Layers: several topologies over the same agents, each with a weight."""

from collections.abc import Mapping

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float, Shaped
from numpy.typing import ArrayLike

from .._errors import ModelError, did_you_mean
from ..core.draw import Draw
from .topology import Neighbour, Topology, below, per_agent


class Layered(Topology):
    """Several topologies over the same agents: A is the weighted sum of theirs (home, work, elsewhere).

    **Arguments:** `layers`: topologies by name; `weights`: a non-negative number a layer, 1 each if not said. They
    may be traced, and gradients pass to them: `Layered(self.layers, {"home": self.home, "work": self.work})` in a
    model's step makes its parameters the weights.

    **Raises:** `ModelError` if sizes or names do not fit, or a weight is negative.
    """

    size: int = eqx.field(static=True)
    layers: dict[str, Topology]
    weights: dict[str, Float[Array, ""]]

    def __init__(
        self, layers: Mapping[str, Topology], weights: Mapping[str, Float[Array, ""] | ArrayLike] | None = None
    ):
        weights = dict.fromkeys(layers, 1.0) if weights is None else weights
        self.layers = {name: layers[name] for name in sorted(layers)}
        if set(weights) != set(layers):
            raise ModelError(f"weights are given for {sorted(weights)}, and the layers are {sorted(layers)}: one each")
        sizes = {name: layer.size for name, layer in self.layers.items()}
        if len(set(sizes.values())) != 1:
            raise ModelError(f"layers lie over the same agents, and there is one at least; their sizes are {sizes}")
        self.size = next(iter(sizes.values()))
        self.weights = {name: _checked(name, weights[name]) for name in self.layers}

    def layer(self, name: str) -> Topology:
        """One of the layers, unweighted."""
        if name not in self.layers:
            raise ModelError(f"no layer '{name}': {did_you_mean(name, list(self.layers))}")
        return self.layers[name]

    def sum(self, values: Shaped[Array, "agents *features"]) -> Float[Array, "agents *features"]:
        values = per_agent(values, self.size)
        parts = [self.weights[name].astype(values.dtype) * layer.sum(values) for name, layer in self.layers.items()]
        return sum(parts[1:], start=parts[0])

    def degree(self) -> Float[Array, " agents"]:
        return self._cumulative()[-1]

    def neighbour(self, draw: Draw, name: str) -> Neighbour:
        """A layer by its share of the weight, then one of its neighbours; sites `name/layer` and `name/in LAYER`."""
        inner = draw.child(name)
        share = jax.lax.stop_gradient(inner.uniform("layer", 0.0, 1.0, size=self.size))
        cumulative = jax.lax.stop_gradient(self._cumulative())
        chosen = (cumulative <= below(cumulative[-1], share)).sum(axis=0)
        index = jnp.zeros(self.size, jnp.int32)
        for k, (label, layer) in enumerate(self.layers.items()):
            index = jnp.where(chosen == k, layer.neighbour(inner, f"in {label}").index, index)
        present = cumulative[-1] > 0
        return Neighbour(jnp.where(present, index, 0), present.astype(jnp.float32))

    def _cumulative(self) -> Float[Array, "layers agents"]:
        """The weight of each agent's neighbours in the first layers."""
        degrees = [self.weights[name] * layer.degree() for name, layer in self.layers.items()]
        return jnp.cumsum(jnp.stack(degrees), axis=0)


def _checked(name: str, weight: Float[Array, ""] | ArrayLike) -> Float[Array, ""]:
    value = jnp.asarray(weight, jnp.float32)
    if value.shape != ():
        raise ModelError(f"the weight of layer '{name}' has shape {value.shape}: it is one number")
    if not isinstance(value, Tracer) and not (np.isfinite(value) and value >= 0):
        raise ModelError(f"the weight of layer '{name}' is {value}: it is finite and not negative")
    return value
