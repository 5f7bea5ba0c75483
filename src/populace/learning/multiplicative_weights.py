"""Multiplicative weights: mixed policies that shift to what earns more.

Y. Freund and R. E. Schapire (1999), "Adaptive game playing using multiplicative weights", Games and Economic Behavior
29, 79-103. In games of two whose pay sums to nothing the average of play comes near an equilibrium, while play itself
goes round it, and outwards: J. P. Bailey and G. Piliouras (2018), "Multiplicative weights update in zero-sum games",
EC. With the last payoff counted twice play itself comes near: C. Daskalakis and I. Panageas (2019), "Last-iterate
convergence: zero-sum games and constrained min-max optimization", ITCS.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .._errors import MethodError
from .._types import Key
from ..core.plug import Plug
from .algorithm import Algorithm, News
from .game import Policies, Watched
from .mixing import first_chances, mixing, payoffs


class Weights(eqx.Module):
    """`logs`: of the weights; `last`: payoffs; `mean`: of the chances so far, of `count` updates; `scale`: how far
    apart the payoffs of a type's options have been at most.
    """

    logs: Float[Array, "types options"]
    last: Float[Array, "types options"]
    mean: Float[Array, "types options"]
    count: Float[Array, ""]
    scale: Float[Array, " types"]


class MultiplicativeWeights(Algorithm):
    """The weight of every option grows as exp(rate x what it earns), in units of how far apart earnings have been.

    For agents whose best action hangs little on what they see: policies look at nothing. Learned is the average of
    play; the history shows play itself, which may go round for ever.

    **Arguments:** `worlds`: runs an update learns from, at least one for each option of each type; `rate`; `points`:
    actions over an interval; `optimistic`: count the last payoff twice and the one before not, so that play slows down
    on its way round; `first`: chances of all at first, (options,) or (types, options); by default each training has its
    own, near to all alike.
    """

    worlds: int = eqx.field(static=True, default=48)
    rate: float = eqx.field(static=True, default=0.1)
    points: int = eqx.field(static=True, default=21)
    optimistic: bool = eqx.field(static=True, default=False)
    first: Float[Array, "..."] | None = eqx.field(
        default=None, converter=lambda x: None if x is None else jnp.asarray(x, jnp.float32)
    )

    def __check_init__(self) -> None:
        if self.worlds < 1 or self.points < 2 or self.rate <= 0:
            raise MethodError("MultiplicativeWeights: one world, two points and a rate above 0 are the least")

    @property
    def runs(self) -> int:
        return self.worlds

    def begin(self, watched: Watched, key: Key) -> Weights:
        mixed = mixing(watched, self.points)
        chances = first_chances(self.first, (mixed.groups, mixed.count), key)
        return Weights(jnp.log(chances), 0.0 * chances, chances, jnp.float32(1.0), jnp.zeros(mixed.groups))

    def update(
        self, watched: Watched, learned: Weights, key: Key, progress: Float[Array, ""], frozen: tuple[Plug, ...]
    ) -> tuple[Weights, News]:
        mixed = mixing(watched, self.points)
        table, news = payoffs(watched, mixed, jax.nn.softmax(learned.logs), key, self.worlds, frozen)
        table = table - table.max(1, keepdims=True)
        scale = jnp.maximum(learned.scale, -table.min(1))
        steps = 2.0 * table - learned.last if self.optimistic else table
        logs = learned.logs + self.rate * steps / jnp.maximum(scale, 1e-30)[:, None]
        count = learned.count + 1.0
        mean = learned.mean + (jax.nn.softmax(logs) - learned.mean) / count
        return Weights(jax.nn.log_softmax(logs), table, mean, count, scale), news

    def playing(self, watched: Watched, learned: Weights) -> Policies:
        return mixing(watched, self.points).policies(jax.nn.softmax(learned.logs))

    def policies(self, watched: Watched, learned: Weights) -> Policies:
        return mixing(watched, self.points).policies(learned.mean)
