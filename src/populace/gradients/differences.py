"""Differences with common random numbers: the same keys on both sides, so that they show the parameter and not luck.

For few parameters this is the estimator to beat: two runs a parameter, no bias but that of the step, and it knows no
model, no site and no relaxation.
"""

from collections.abc import Mapping
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from .._types import Key
from .estimator import PerKey
from .loss import ExpectedLoss

_AT_ONCE = 8


class Differences(PerKey):
    """Central differences, parameter by parameter.

    The bias is O(step^2), O(step^4) with `richardson`, which takes the step and half of it and twice the runs:
    (4 D(h/2) - D(h)) / 3.

    **Arguments:** `step`: h, as a share of each parameter's value (or of `scale`, name to number, where it is given;
    of 1 where the value is 0). A point that would leave the parameter's domain is drawn in to its end.
    """

    unbiased: ClassVar[bool] = True
    differentiates: ClassVar[bool] = False
    step: Float[Array, ""] = eqx.field(converter=lambda x: jnp.asarray(x, jnp.float32), default=0.1)
    richardson: bool = eqx.field(static=True, default=False)
    scale: dict[str, Array] | None = None

    def one(self, expected: ExpectedLoss, at: dict[str, Array], key: Key) -> tuple[Array, dict[str, Array]]:
        flat, unravel = ravel_pytree(at)
        low, high = bounds(expected, at)
        widths = self.step * scales(at, self.scale)

        def between(i: Array, width: Array) -> tuple[Array, Array]:
            ends = jnp.stack([jnp.minimum(flat + width * (jnp.arange(flat.size) == i), high)[i]] * 2)
            ends = ends.at[1].set(jnp.maximum(flat[i] - width[i], low[i]))
            losses = jax.vmap(lambda end: expected.one(unravel(flat.at[i].set(end)), key))(ends)
            return losses.mean(), (losses[0] - losses[1]) / (ends[0] - ends[1])

        def slope(i: Array) -> tuple[Array, Array]:
            value, wide = between(i, widths)
            if not self.richardson:
                return value, wide
            return value, (4.0 * between(i, widths / 2.0)[1] - wide) / 3.0

        values, slopes = jax.lax.map(slope, jnp.arange(flat.size), batch_size=min(_AT_ONCE, flat.size))
        return values.mean(), unravel(slopes)

    def runs(self, at: Mapping[str, Array]) -> float:
        return (4.0 if self.richardson else 2.0) * count(at)

    @property
    def name(self) -> str:
        return "Differences(Richardson)" if self.richardson else "Differences"


class RandomDirections(PerKey):
    """Central differences along random directions of signs: SPSA (Spall 1992).

    Two runs a direction whatever the number d of parameters; unbiased up to O(step^2), and its variance grows with d.

    **Arguments:** `step`, `scale`: as for `Differences`; `directions`: how many a key.
    """

    unbiased: ClassVar[bool] = True
    differentiates: ClassVar[bool] = False
    step: Float[Array, ""] = eqx.field(converter=lambda x: jnp.asarray(x, jnp.float32), default=0.05)
    directions: int = eqx.field(static=True, default=1)
    scale: dict[str, Array] | None = None

    def one(self, expected: ExpectedLoss, at: dict[str, Array], key: Key) -> tuple[Array, dict[str, Array]]:
        flat, unravel = ravel_pytree(at)
        widths = self.step * scales(at, self.scale)
        signs = jr.rademacher(jr.fold_in(key, _TAG), (self.directions, flat.size), jnp.float32)

        def slope(sign: Array) -> tuple[Array, Array]:
            value, change, _ = across(expected, at, key, sign * widths)
            return value, change / 2.0 * sign / widths

        values, slopes = jax.lax.map(slope, signs, batch_size=min(_AT_ONCE, self.directions))
        return values.mean(), unravel(slopes.mean(0))

    def runs(self, at: Mapping[str, Array]) -> float:
        return 2.0 * self.directions


_TAG = 0x5B5A
"""Folded into a run's key for the numbers of the estimator itself."""


def across(
    expected: ExpectedLoss, at: dict[str, Array], key: Key, half: Float[Array, " d"]
) -> tuple[Array, Array, Array]:
    """Mean loss and difference between `at` + `half` and `at` - `half`, drawn in to the domain; and the two ends."""
    flat, unravel = ravel_pytree(at)
    low, high = bounds(expected, at)
    ends = jnp.clip(jnp.stack([flat + half, flat - half]), low, high)
    losses = jax.vmap(lambda end: expected.one(unravel(end), key))(ends)
    return losses.mean(), losses[0] - losses[1], ends


def count(at: Mapping[str, Array]) -> int:
    """How many numbers the parameters hold together."""
    return sum(int(np.prod(value.shape)) for value in at.values())


def scales(at: Mapping[str, Array], given: Mapping[str, Array] | None) -> Float[Array, " d"]:
    """What a step is a share of: (d,), in the order of `ravel_pytree`."""
    own = {name: jnp.where(value == 0, 1.0, jnp.abs(value)) for name, value in at.items()}
    for name in given or {}:
        if name in own:
            own[name] = jnp.broadcast_to(jnp.asarray((given or {})[name], jnp.float32), own[name].shape)
    return ravel_pytree(own)[0]


def bounds(expected: ExpectedLoss, at: Mapping[str, Array]) -> tuple[Array, Array]:
    """The ends of the parameters' domains, (d,) each; open ends drawn in by a millionth part."""
    if expected.through is not None:
        free = jnp.full(count(at), jnp.inf)
        return -free, free
    known = expected.simulation.parameters()
    low = {k: jnp.full(v.shape, _inside(known[k].domain.low, known[k].domain.low_open, 1.0)) for k, v in at.items()}
    high = {k: jnp.full(v.shape, _inside(known[k].domain.high, known[k].domain.high_open, -1.0)) for k, v in at.items()}
    return ravel_pytree(low)[0], ravel_pytree(high)[0]


def _inside(end: float, is_open: bool, towards: float) -> float:
    return float(end + towards * 1e-6 * max(1.0, abs(end))) if is_open and np.isfinite(end) else float(end)
