"""Between the host and the device without a compiler: JAX compiles anew for each shape that it copies, slices, splits
or gathers, and the sizes of rounds, designs and samples are as many as they like.
"""

import operator
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float

from .._types import Key

_LEAST, _AT_ONCE = 32, 1_024


def room(count: int, least: int = _LEAST) -> int:
    """The next power of two, so that few shapes are compiled; `least`, itself one, at the least."""
    return max(least, 1 << int(count - 1).bit_length())


def traced(tree: Any) -> bool:
    """Whether a leaf belongs to a program that is being made, and has no numbers."""
    return any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(tree))


def placed(value: Any) -> Float[Array, "..."]:
    """A strong float32 array on the device, a copy of what is on the host."""
    if isinstance(value, jax.Array):
        return jnp.asarray(value, jnp.float32)
    return jax.device_put(np.array(value, np.float32))


def taken(tree: Any, rows: Any) -> Any:
    """Some rows, by a slice or by indices, of arrays and keys with rows leading."""
    pick = operator.itemgetter(rows)

    def one(leaf: Any) -> Any:
        if isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            return _keys(pick(np.asarray(jr.key_data(leaf))), leaf)
        return jax.device_put(np.array(pick(np.asarray(leaf))))

    return jax.tree.map(one, tree)


def joined(parts: Sequence[Any], axis: int = 0) -> Any:
    """Trees of arrays of the same kind, their leaves side by side along an axis."""

    def one(*leaves: Any) -> Any:
        if isinstance(leaves[0], jax.Array) and jnp.issubdtype(leaves[0].dtype, jax.dtypes.prng_key):
            return _keys(np.concatenate([np.asarray(jr.key_data(leaf)) for leaf in leaves], axis), leaves[0])
        return jax.device_put(np.concatenate([np.asarray(leaf) for leaf in leaves], axis))

    return jax.tree.map(one, *parts)


def split(key: Key, count: int) -> Key:
    """`jax.random.split(key, count)`, by programs of few sizes: more keys begin with the fewer."""
    whole = jr.split(key, room(count))
    return _keys(np.asarray(jr.key_data(whole))[:count], key)


def by_rooms(function: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """A function of a thing and a tree of float32 arrays with rows leading, compiled for few numbers of rows: it is
    given rows that repeat the last one, and what it makes of them is dropped. Inside another program it is itself.
    """
    compiled = jax.jit(function)

    def call(thing: Any, rows: Any) -> Any:
        if traced(rows):
            return compiled(thing, rows)
        count = len(jax.tree.leaves(rows)[0])
        more = room(count) - count
        out = compiled(thing, jax.tree.map(lambda leaf: _padded(np.asarray(leaf, np.float32), more), rows))
        return jax.tree.map(lambda leaf: jax.device_put(np.asarray(leaf)[:count]), out)

    return call


def by_groups(function: Callable[[Any], Any], many: Any) -> Iterator[Any]:
    """What a compiled function makes of arrays and keys with rows leading, as host arrays, so many rows at a time; the
    last are filled up to one of few sizes.
    """
    count = jax.tree.leaves(many)[0].shape[0]
    for start in range(0, count, _AT_ONCE):
        kept = min(_AT_ONCE, count - start)
        rows = np.minimum(np.arange(start, start + room(kept)), count - 1)
        yield jax.tree.map(lambda leaf, kept=kept: np.asarray(leaf)[:kept], function(taken(many, rows)))


def shape_of_one(many: Any) -> Any:
    """The shapes of a single row of arrays and keys with rows leading."""
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), many)


def _padded(rows: np.ndarray, more: int) -> Array:
    return jax.device_put(np.concatenate([rows, np.repeat(rows[-1:], more, axis=0)]))


def _keys(data: np.ndarray, like: Key) -> Key:
    return jr.wrap_key_data(jax.device_put(data), impl=str(jr.key_impl(like)))
