"""Derivatives along the path of a run: cheap for any number of parameters, and biased wherever the model jumps."""

from collections.abc import Mapping
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array

from .._types import Key
from ..core.plug import Plug
from ..core.simulate import Recompute
from .estimator import PerKey
from .loss import ExpectedLoss
from .straight_through import StraightThrough


class Pathwise(PerKey):
    """Reverse mode through a run whose sites are relaxed: one backward pass for all parameters.

    Without relaxations it is the derivative of the reparameterised continuous draws alone, exact for a model that has
    no others and no jumps. What a relaxation adds is biased (see each): the audit says by how much here.

    **Arguments:** `relaxations`: plugs that keep each value and give it a derivative; `recompute`: keep the states of
    a run only and compute the rest of each step again on the way back (the default), or less (see `Recompute`), or
    None to keep everything, which pays for small models. `plan_gradient` chooses by memory.
    """

    unbiased: ClassVar[bool] = False
    differentiates: ClassVar[bool] = True
    relaxations: tuple[Plug, ...] = (StraightThrough(),)
    recompute: Recompute | None = Recompute()

    def one(self, expected: ExpectedLoss, at: dict[str, Array], key: Key) -> tuple[Array, dict[str, Array]]:
        return jax.value_and_grad(lambda values: expected.one(values, key, self.relaxations, self.recompute))(at)

    def runs(self, at: Mapping[str, Array]) -> float:
        return 4.0

    @property
    def name(self) -> str:
        return f"Pathwise({_named(self.relaxations)})"


class ForwardMode(PerKey):
    """The same derivative by forward mode: a tangent a parameter, and no history kept.

    **Arguments:** `relaxations`: as for `Pathwise`; `at_once`: how many tangents travel together.
    """

    unbiased: ClassVar[bool] = False
    differentiates: ClassVar[bool] = True
    relaxations: tuple[Plug, ...] = (StraightThrough(),)
    at_once: int = eqx.field(static=True, default=16)

    def one(self, expected: ExpectedLoss, at: dict[str, Array], key: Key) -> tuple[Array, dict[str, Array]]:
        flat, unravel = ravel_pytree(at)

        def along(tangent: Array) -> tuple[Array, Array]:
            return jax.jvp(lambda v: expected.one(unravel(v), key, self.relaxations), (flat,), (tangent,))

        values, slopes = jax.lax.map(along, jnp.eye(flat.size), batch_size=min(self.at_once, flat.size))
        return values[0], unravel(slopes)

    def runs(self, at: Mapping[str, Array]) -> float:
        return 1.0 + sum(value.size for value in at.values())

    @property
    def name(self) -> str:
        return f"ForwardMode({_named(self.relaxations)})"


def _named(relaxations: tuple[Plug, ...]) -> str:
    return ", ".join(type(plug).__name__ for plug in relaxations) or "no relaxation"
