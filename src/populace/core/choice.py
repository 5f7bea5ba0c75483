"""One option out of several, an agent: one-hot at heart."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int


class Choice(eqx.Module):
    """What `draw.categorical` returns.

    `one_hot` (..., options) float32 carries whatever derivative a relaxation gives; a masked agent's row is 0.
    `index` (...,) int32 is the option, and the number of options where nothing was chosen (scatters drop it).
    """

    one_hot: Float[Array, "*agents options"]
    index: Int[Array, "*agents"]

    def take(self, values: Array) -> Array:
        """`values` (options, ...) at the chosen option: (agents..., ...); 0 where nothing was chosen.

        Evaluated as a gather; differentiated as the product with `one_hot`.
        """
        return _take(self.one_hot, self.index, jnp.asarray(values))

    def pick(self, values: Array) -> Array:
        """Each agent's own `values` (agents..., options) at its option: (agents...,)."""
        return _pick(self.one_hot, self.index, jnp.asarray(values))


def chosen(index: Int[Array, "..."], options: int) -> Choice:
    """The choice with the given indices."""
    return Choice(jax.nn.one_hot(index, options, dtype=jnp.float32), index.astype(jnp.int32))


@jax.custom_jvp
def _take(one_hot: Array, index: Array, values: Array) -> Array:
    made = index < one_hot.shape[-1]
    got = values[jnp.minimum(index, one_hot.shape[-1] - 1)]
    return jnp.where(made.reshape(made.shape + (1,) * (got.ndim - made.ndim)), got, jnp.zeros_like(got))


@_take.defjvp
def _take_jvp(primals: tuple[Array, Array, Array], tangents: tuple[Array, Array, Array]) -> tuple[Array, Any]:
    one_hot, index, values = primals
    d_one_hot, _, d_values = tangents
    out = _take(one_hot, index, values)
    if not jnp.issubdtype(out.dtype, jnp.floating):
        return out, np.zeros(out.shape, jax.dtypes.float0)
    return out, jnp.tensordot(d_one_hot, values, axes=1) + _take(one_hot, index, d_values)


@jax.custom_jvp
def _pick(one_hot: Array, index: Array, values: Array) -> Array:
    options = one_hot.shape[-1]
    got = jnp.take_along_axis(values, jnp.minimum(index, options - 1)[..., None], axis=-1)[..., 0]
    return jnp.where(index < options, got, jnp.zeros_like(got))


@_pick.defjvp
def _pick_jvp(primals: tuple[Array, Array, Array], tangents: tuple[Array, Array, Array]) -> tuple[Array, Any]:
    one_hot, index, values = primals
    d_one_hot, _, d_values = tangents
    out = _pick(one_hot, index, values)
    if not jnp.issubdtype(out.dtype, jnp.floating):
        return out, np.zeros(out.shape, jax.dtypes.float0)
    return out, (d_one_hot * values).sum(-1) + _pick(one_hot, index, d_values)
