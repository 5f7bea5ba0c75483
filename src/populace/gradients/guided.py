"""Guided differences: cheap biased gradients say where to look, unbiased differences say what is there.

The space of parameters is split into the span of some pathwise gradients and the rest. In the span the directional
derivatives are measured one by one; the rest is looked at along random directions, and left out when `complement` is
0. Because the span comes from other runs than those that are differenced, the sum is unbiased however wrong the
pathwise gradients are; where they are right the rest is nearly flat and its noise small.

After Niru Maheswaranathan, Luke Metz, George Tucker, Dami Choi and Jascha Sohl-Dickstein (2019), ICML (guided
evolution strategies), with the span measured instead of sampled.
"""

from collections.abc import Mapping
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from .._errors import GradientError
from .._types import Key
from ..core.plug import Plug
from .differences import across, scales
from .estimator import Estimator, Sample
from .loss import ExpectedLoss
from .straight_through import StraightThrough

_TAG = 0x6D1D


class Guided(Estimator):
    """Differences along pathwise gradients, and along random directions in the rest.

    **Arguments:** `guides`: tuples of relaxations, a pathwise gradient each, which together span the subspace;
    `steering`: pathwise runs a guide, shared by a group; `complement`: random directions in the rest a key (0: none,
    and the estimate is the gradient's projection on the subspace: a descent direction, not the gradient); `step`,
    `scale`: as for `Differences`; `group`: keys that share a subspace.
    """

    unbiased: ClassVar[bool] = True
    differentiates: ClassVar[bool] = True
    guides: tuple[tuple[Plug, ...], ...] = ((StraightThrough(),),)
    step: Float[Array, ""] = eqx.field(converter=lambda x: jnp.asarray(x, jnp.float32), default=0.05)
    scale: dict[str, Array] | None = None
    steering: int = eqx.field(static=True, default=8)
    complement: int = eqx.field(static=True, default=1)
    group: int = eqx.field(static=True, default=16)

    def __check_init__(self) -> None:
        if not self.guides or self.steering < 1 or self.complement < 0:
            raise GradientError("a guided search takes a guide, a steering run and no negative number of directions")

    def least(self) -> int:
        return self.group

    def runs(self, at: Mapping[str, Array]) -> float:
        each = 2.0 * (min(len(self.guides), sum(v.size for v in at.values())) + self.complement)
        return each + 4.0 * self.steering * len(self.guides) / self.group

    def sample(self, expected: ExpectedLoss, at: dict[str, Array], keys: Key) -> Sample:
        flat, unravel = ravel_pytree(at)
        unit = scales(at, self.scale)
        span = jnp.linalg.qr(self._guides(expected, at, keys[0], unit), mode="reduced")[0]
        span = jnp.where(jnp.isfinite(span), span, 0.0)
        reach = jnp.sqrt(jnp.float32(flat.size))

        def one(key: Key) -> tuple[Array, Array]:
            signs = jr.rademacher(jr.fold_in(key, _TAG), (self.complement, flat.size), jnp.float32)
            rest = signs - signs @ span @ span.T
            directions = jnp.concatenate([span.T * reach, rest])

            def slope(direction: Array) -> tuple[Array, Array]:
                value, change, _ = across(expected, at, key, direction * self.step * unit)
                return value, change / (2.0 * self.step)

            values, slopes = jax.lax.map(slope, directions)
            along = jnp.concatenate([slopes[: span.shape[1]] / reach, slopes[span.shape[1] :]])
            parts = jnp.concatenate([span.T, rest / max(1, self.complement)])
            return values.mean(), (along @ parts) / unit

        values, gradients = jax.vmap(one)(keys)
        return Sample(values, jax.vmap(unravel)(gradients))

    def _guides(self, expected: ExpectedLoss, at: dict[str, Array], key: Key, unit: Array) -> Float[Array, "d guides"]:
        """The mean pathwise gradient of each guide, in units of the scale, from runs of their own."""
        steer = jr.split(jr.fold_in(key, _TAG), self.steering)

        def mean(relaxations: tuple[Plug, ...]) -> Array:
            def gradient(key: Key) -> Array:
                return ravel_pytree(jax.grad(lambda values: expected.one(values, key, relaxations))(at))[0]

            return jax.lax.map(gradient, steer).mean(0) * unit

        count = min(len(self.guides), unit.size)
        return jnp.stack([mean(relaxations) for relaxations in self.guides[:count]], axis=1)
