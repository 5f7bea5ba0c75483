"""Uniform numbers for sites: fine near zero, and the same for an agent whatever the capacity around it."""

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

    def bits(self, shape: tuple[int, ...]) -> Int[Array, "..."]:
        """Random uint32 of the given shape."""
        if self.follow is None or not shape:
            return jr.bits(self.key, shape, dtype=jnp.uint32)
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


def host_generator(key: Key) -> np.random.Generator:
    """A numpy generator seeded with the numbers of a JAX key: for bookkeeping on the host, where compiling a function
    for each new shape would cost more than the numbers.
    """
    return np.random.default_rng(np.asarray(jr.key_data(key)).ravel().tolist())


def as_float(value: Any) -> Float[Array, "..."]:
    """A strong float32 array."""
    return jnp.asarray(value, dtype=jnp.float32)
