"""Uniform numbers for sites: fine near zero, and the same for an agent whatever the capacity around it."""

import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Float, Int

from .._types import Key

_BELOW_ONE = 1.0 - 2.0**-24
_STEP = 2.0**-31


class Noise(eqx.Module):
    """The numbers of one site.

    With `follow` (agents,), each agent's numbers come from its identity and not from its slot, so that births and
    deaths around it change nothing. Without it they are drawn as one block, and a longer block begins with the
    shorter one (the prefix property of counter-based keys), so that capacity changes no draw.
    """

    key: Key
    follow: Int[Array, " agents"] | None = None
    written: bool = eqx.field(static=True, default=False)

    def bits(self, shape: tuple[int, ...]) -> Int[Array, "..."]:
        """Random uint32 of the given shape."""
        if self.follow is None or not shape:
            return block(self.key, shape, written=self.written)
        keys = jax.vmap(lambda identity: jr.fold_in(self.key, identity))(self.follow)
        return jax.vmap(lambda key: jr.bits(key, shape[1:], dtype=jnp.uint32))(keys)

    def uniform(self, shape: tuple[int, ...]) -> Float[Array, "..."]:
        """Float32 in (0, 1): odd multiples of 2^-32 near 0, so that events of probability 1e-9 are drawn right;
        never 0, never 1, so that logarithms are finite and an event of probability 1 always happens.
        """
        return jnp.minimum((self._whole(shape).astype(jnp.float32) + 0.5) * _STEP, _BELOW_ONE)

    def exponential(self, shape: tuple[int, ...]) -> Float[Array, "..."]:
        """Standard exponential numbers, -log u, as fine near 0 as far out."""
        low, part = self._two_sided(shape)
        return jnp.where(low, -jnp.log(part), -jnp.log1p(-part))

    def normal(self, shape: tuple[int, ...]) -> Float[Array, "..."]:
        """Standard Gaussian numbers, the quantile of u: both tails reach 6.2."""
        low, part = self._two_sided(shape)
        return jax.scipy.special.ndtri(part) * jnp.where(low, 1.0, -1.0)

    def gumbel(self, shape: tuple[int, ...]) -> Float[Array, "..."]:
        """Standard Gumbel numbers, -log(-log(1 - u)): fine in the upper tail, by which an unlikely option wins."""
        return -jnp.log(-jnp.log1p(-self.uniform(shape)))

    def _whole(self, shape: tuple[int, ...]) -> Int[Array, "..."]:
        return (self.bits(shape) >> 1).astype(jnp.int32)

    def _two_sided(self, shape: tuple[int, ...]) -> tuple[Array, Float[Array, "..."]]:
        """Whether u is below one half, and its distance (0, 1/2] from the nearer end."""
        whole = self._whole(shape)
        low = whole < 2**30
        return low, (jnp.where(low, whole, (2**31 - 1) - whole).astype(jnp.float32) + 0.5) * _STEP


LARGE = 2**13
"""Numbers from which a block is made in one pass."""
MANY_TURNS = 64
"""Turns of a loop from which its keys and numbers are written out."""
_EVEN = 16
"""Blocks of other lengths are made longer, in four turns, and cut: unlike these, odd loops are not vectorised."""
_TURNS = ((13, 15, 26, 6), (17, 29, 16, 24))
_PARITY = 0x1BD11BDA


def block(key: Key, shape: tuple[int, ...], *, written: bool = False) -> Int[Array, "..."]:
    """`jax.random.bits(key, shape)`, the same numbers; large blocks of threefry at a third of the time, small ones too
    where they are to be `written` out.

    On a processor JAX keeps the rounds of threefry in a loop over whole arrays, which go through memory five times.
    Written out, the twenty rounds (Threefry-2x32; Salmon et al. 2011, Parallel random numbers: as easy as 1, 2, 3)
    fuse with what the numbers are for, in one pass (docs/design/large.md).
    """
    count = math.prod(shape)
    if not _threefry(key) or not (LARGE <= count < 2**32 or (written and count)):
        return jr.bits(key, shape, dtype=jnp.uint32)
    if count >= LARGE and count % _EVEN:
        rows = -(-count // (4 * _EVEN)) * _EVEN
        turns = jnp.arange(4, dtype=jnp.uint32) * rows
        return jax.lax.map(lambda first: _written(key, rows, first), turns).reshape(-1)[:count].reshape(shape)
    return _written(key, count).reshape(shape)


def fold(key: Key, number: Int[Array, ""] | int, *, written: bool) -> Key:
    """`jax.random.fold_in(key, number)`, the same key; `written` out where it is asked for.

    Written out it takes a quarter of the time, since a loop of five turns costs more than what they do, and longer to
    compile: for what is done thousands of times (docs/design/large.md).
    """
    if not (written and _threefry(key)):
        return jr.fold_in(key, number)
    data = _fold(jr.key_data(key), jnp.uint32(number) if isinstance(number, int) else number.astype(jnp.uint32))
    return jr.wrap_key_data(data, impl="threefry2x32")


@jax.jit
def _fold(key: Int[Array, "2"], number: Int[Array, ""]) -> Int[Array, "2"]:
    return jnp.stack(_rounds(key, jnp.uint32(0), number))


def _threefry(key: Key) -> bool:
    return str(jr.key_impl(key)) == "threefry2x32" and jax.config.jax_threefry_partitionable  # pyright: ignore


def _written(key: Key, count: int, first: Int[Array, ""] | int = 0) -> Int[Array, " count"]:
    """`jax.random.bits(key, (count,))`."""
    left, right = _rounds(jr.key_data(key), jnp.zeros(count, jnp.uint32), jax.lax.iota(jnp.uint32, count) + first)
    return left ^ right


def _rounds(key: Int[Array, "2"], left: Int[Array, "..."], right: Int[Array, "..."]) -> tuple[Array, Array]:
    """Threefry-2x32 of two counters."""
    one, two = key[0], key[1]
    keys = (one, two, one ^ two ^ jnp.uint32(_PARITY))
    left, right = left + one, right + two
    for turn in range(5):
        for by in _TURNS[turn % 2]:
            left = left + right
            right = left ^ ((right << by) | (right >> (32 - by)))
        left = left + keys[(turn + 1) % 3]
        right = right + keys[(turn + 2) % 3] + jnp.uint32(turn + 1)
    return left, right


def host_generator(key: Key) -> np.random.Generator:
    """A numpy generator seeded with the numbers of a JAX key: for bookkeeping on the host, where compiling a function
    for each new shape would cost more than the numbers.
    """
    return np.random.default_rng(np.asarray(jr.key_data(key)).ravel().tolist())


def as_float(value: Any) -> Float[Array, "..."]:
    """A strong float32 array."""
    return jnp.asarray(value, dtype=jnp.float32)
