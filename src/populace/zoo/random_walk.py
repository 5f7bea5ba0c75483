"""Walkers on a line, up with probability p and else down: the smallest model whose derivative is known.

Facts it must reproduce (tests/zoo): after T steps E[x] = T (2 p - 1) and Var[x] = 4 T p (1 - p), so dE[x] / dp = 2 T,
which a straight-through gradient gets exactly.
"""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..core.domain import unit
from ..core.draw import Draw
from ..core.model import Model, parameter


class RandomWalk(Model):
    """`walkers` independent walks from 0. Site: `up`. Observed: `position`, their mean."""

    walkers: int = eqx.field(static=True, default=1)
    p: Float[Array, ""] = parameter(default=0.5, domain=unit, doc="probability of a step up")

    def init(self, draw: Draw) -> Float[Array, " walkers"]:
        return jnp.zeros(self.walkers)

    def step(self, draw: Draw, position: Float[Array, " walkers"]) -> Float[Array, " walkers"]:
        return position + 2.0 * draw.bernoulli("up", self.p, size=self.walkers) - 1.0

    def observe(self, position: Float[Array, " walkers"]) -> dict[str, Array]:
        return {"position": position.mean()}
