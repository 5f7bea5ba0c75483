"""Networks that turn what was observed into a few numbers: along times, over neighbours in space, and of sets.

What is observed of a run decides which: a series has an order, a field has neighbours, and a set has neither, so that a
network of one must not see the order of its members (Manzil Zaheer and others 2017, Advances in Neural Information
Processing Systems 30, arXiv:1703.06114).
"""

import abc
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float

from .._errors import MethodError
from .._types import Key
from . import networks
from .networks import Weights


class Encoder(eqx.Module):
    """How observations become features. Two methods, and a name for people."""

    @property
    @abc.abstractmethod
    def name(self) -> str:
        """What people call it."""

    @abc.abstractmethod
    def arranged(self, series: Sequence[Array]) -> Array:
        """The series of one run (times, ...) as one array.

        **Raises:** `MethodError` for shapes that it cannot read.
        """

    @abc.abstractmethod
    def network(self, shape: tuple[int, ...], key: Key) -> Any:
        """A network with first weights: a module that makes features (width,) of one arranged array of this shape."""


def side_by_side(series: Sequence[Array]) -> Float[Array, "times m"]:
    """All series (times, ...) of one length as columns.

    **Raises:** `MethodError` where they are of several lengths.
    """
    lengths = {int(one.shape[0]) for one in series}
    if len(lengths) > 1:
        raise MethodError(f"one encoder reads series of one length, not of {sorted(lengths)}: take some of them out")
    return jnp.concatenate([one.reshape(one.shape[0], -1) for one in series], axis=1)


class Recurrent(Encoder):
    """A gated recurrent unit that walks along the times (Kyunghyun Cho and others 2014, arXiv:1406.1078); its features
    are what it holds at the end, and the mean of what it held.

    **Arguments:** `width`: numbers that it carries.
    """

    width: int = eqx.field(static=True, default=32)

    @property
    def name(self) -> str:
        return "a recurrent network"

    def arranged(self, series: Sequence[Array]) -> Array:
        return side_by_side(series)

    def network(self, shape: tuple[int, ...], key: Key) -> "Walk":
        return Walk(eqx.nn.GRUCell(shape[1], self.width, key=key))


class Walk(eqx.Module):
    """What `Recurrent` learns."""

    cell: eqx.nn.GRUCell

    def __call__(self, series: Float[Array, "times m"]) -> Float[Array, " features"]:
        def step(held: Array, now: Array) -> tuple[Array, Array]:
            held = self.cell(now, held)
            return held, held

        last, all_held = jax.lax.scan(step, jnp.zeros(self.cell.hidden_size), series)
        return jnp.concatenate([last, all_held.mean(0)])


class Convolutional(Encoder):
    """Convolutions along the times, each layer at half the resolution of the last; features are means over times.

    **Arguments:** `width`: channels; `kernel`: times that one sees, odd; `layers`: how many.
    """

    width: int = eqx.field(static=True, default=32)
    kernel: int = eqx.field(static=True, default=5)
    layers: int = eqx.field(static=True, default=2)

    @property
    def name(self) -> str:
        return "a convolutional network"

    def arranged(self, series: Sequence[Array]) -> Array:
        return side_by_side(series).T

    def network(self, shape: tuple[int, ...], key: Key) -> "Convolutions":
        return Convolutions.of(1, shape[0], self.width, self.kernel, self.layers, key)


class Spatial(Encoder):
    """Convolutions over a field (times, rows, columns), each time a channel; features are means over the field.

    **Arguments:** as of `Convolutional`.
    """

    width: int = eqx.field(static=True, default=16)
    kernel: int = eqx.field(static=True, default=3)
    layers: int = eqx.field(static=True, default=2)

    @property
    def name(self) -> str:
        return "a spatial network"

    def arranged(self, series: Sequence[Array]) -> Array:
        if {one.ndim for one in series} != {3} or len({one.shape[1:] for one in series}) > 1:
            shapes = ", ".join(str(tuple(one.shape)) for one in series)
            raise MethodError(f"a spatial network reads fields (times, rows, columns) of one size, not {shapes}")
        return jnp.concatenate(list(series))

    def network(self, shape: tuple[int, ...], key: Key) -> "Convolutions":
        return Convolutions.of(2, shape[0], self.width, self.kernel, self.layers, key)


class Convolutions(eqx.Module):
    """What `Convolutional` and `Spatial` learn."""

    layers: list[eqx.nn.Conv]

    @staticmethod
    def of(dimensions: int, channels: int, width: int, kernel: int, layers: int, key: Key) -> "Convolutions":
        """With first weights; an even kernel would move what it sees by half a place."""
        if kernel % 2 == 0 or layers < 1:
            raise MethodError(f"kernel={kernel}, layers={layers}: take an odd kernel and one layer or more")
        sizes = [channels, *([width] * layers)]
        made = [
            eqx.nn.Conv(dimensions, sizes[i], width, kernel, 1 if i == 0 else 2, kernel // 2, key=jr.fold_in(key, i))
            for i in range(layers)
        ]
        return Convolutions(made)

    def __call__(self, arranged: Array) -> Float[Array, " features"]:
        seen = arranged
        for layer in self.layers:
            seen = jax.nn.silu(layer(seen))
        flat = seen.reshape(seen.shape[0], -1)
        return jnp.concatenate([flat.mean(1), (flat**2).mean(1)])


class DeepSet(Encoder):
    """Features of each member of a set, averaged: they do not hang on the members' order, to the last bit.

    The leading axis of the data, elsewhere times, holds the members.

    **Arguments:** `width`, `depth`: of the network that sees each member.
    """

    width: int = eqx.field(static=True, default=32)
    depth: int = eqx.field(static=True, default=2)

    @property
    def name(self) -> str:
        return "a network of sets"

    def arranged(self, series: Sequence[Array]) -> Array:
        """The members in an order of their own: float32 sums hang on it."""
        members = side_by_side(series)
        return members[jnp.lexsort(tuple(members.T))]

    def network(self, shape: tuple[int, ...], key: Key) -> "Members":
        return Members(networks.First((shape[1], *([self.width] * self.depth), self.width), last=1.0)(key))


class Members(eqx.Module):
    """What `DeepSet` learns."""

    weights: Weights

    def __call__(self, members: Float[Array, "n m"]) -> Float[Array, " features"]:
        return jax.nn.silu(networks.perceptron(self.weights, members)).mean(0)


class Means(eqx.Module):
    """An encoder's network with a head: what it expects of values (d,), of one arranged array."""

    body: Any
    head: Weights

    def __call__(self, arranged: Array) -> Float[Array, " d"]:
        return networks.perceptron(self.head, self.body(arranged))


@dataclass(frozen=True)
class FirstMeans:
    """From a key to `Means` with first weights. Two that are alike are equal: what is compiled is found again."""

    encoder: Encoder
    shape: tuple[int, ...]
    values: int
    width: int = 32

    def __call__(self, key: Key) -> Means:
        first, second = jr.split(key)
        body = self.encoder.network(self.shape, first)
        features = jax.eval_shape(body, jax.ShapeDtypeStruct(self.shape, jnp.float32)).shape[0]
        return Means(body, networks.First((features, self.width, self.values), last=0.0)(second))
