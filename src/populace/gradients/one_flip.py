"""One flip among all draws of a step: what estimators by twins keep of the many that could have come out otherwise."""

import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float, Int

from .._types import Key
from ..core.distributions import Mechanism
from ..core.plug import Plug, Proceed
from ..core.site import Site
from .flips import Flips
from .score import DISCRETE


class Noted(Plug):
    """Puts every discrete draw on the tape: value, mask, and the mechanism with a number an agent."""

    def sites(self) -> tuple[str, ...]:
        return ()

    def around(self, site: Site, proceed: Proceed) -> Any:
        value = proceed(site)
        if isinstance(site.mechanism, DISCRETE):
            wide = jax.tree.map(lambda leaf: _spread(site.mechanism, leaf, site.shape), site.mechanism)
            site.emit({"value": value, "where": site.mask(), "mechanism": wide})
        return value


def _spread(mechanism: Mechanism, leaf: Array, shape: tuple[int, ...]) -> Array:
    own = leaf.shape[len(mechanism.batch) :] if leaf.ndim > len(mechanism.batch) else ()
    return jnp.broadcast_to(leaf, (*shape, *own))


class Picked(eqx.Module):
    """A flip: what to force for it, a site's path to mask and value; `site`: the number of its site (-1: none, nothing
    is forced); `at`: of every site the flat index of the flip it would be.
    """

    given: dict[str, Any]
    site: Int[Array, ""]
    at: dict[str, Int[Array, ""]]

    def of(self, numbers: dict[str, Float[Array, "ways *population"]]) -> Float[Array, ""]:
        """The flip's own number among those of all flips; 0 where none was picked."""
        found = jnp.float32(0)
        for number, (path, index) in enumerate(self.at.items()):
            found = jnp.where(self.site == number, numbers[path].reshape(-1)[index], found)
        return found


def one_flip(options: dict[str, Flips], key: Key, wanted: Array) -> Picked:
    """A flip in proportion to the size of its weight, if `wanted`.

    The site first, then way and agent: a float32 cumulative sum over millions of numbers would be coarse.
    """
    if not options:
        return Picked({}, jnp.int32(-1), {})
    which, where = jr.split(key)
    sizes = jnp.stack([jnp.abs(ways.weight).sum() for ways in options.values()])
    site = jnp.where(wanted, picked(sizes, jr.uniform(which, (2,))), -1)
    given, indices = {}, {}
    for number, (path, ways) in enumerate(options.items()):
        at = picked(jnp.abs(ways.weight).reshape(-1), jr.uniform(jr.fold_in(where, number), (2,)))
        shape = ways.weight.shape[1:]
        agents = math.prod(shape)
        mask = (jnp.arange(agents) == at % agents).reshape(shape) & (site == number)
        given[path] = {"mask": mask, "value": ways.value(at // agents)}
        indices[path] = at
    return Picked(given, site, indices)


_COLUMNS = 1024


def picked(weights: Float[Array, " n"], uniform: Float[Array, " two"]) -> Array:
    """An index drawn in proportion to `weights`, by rows of a thousand and then within the row."""
    rows = -(-weights.size // _COLUMNS)
    if rows == 1:
        return _inverted(weights, uniform[0])
    table = jnp.pad(weights, (0, rows * _COLUMNS - weights.size)).reshape(rows, _COLUMNS)
    row = _inverted(table.sum(1), uniform[0])
    return row * _COLUMNS + _inverted(table[row], uniform[1])


def _inverted(weights: Float[Array, " n"], uniform: Array) -> Array:
    up_to = jnp.cumsum(weights)
    found = jnp.searchsorted(up_to, uniform * up_to[-1], side="right")
    return jnp.minimum(found, weights.size - 1).astype(jnp.int32)
