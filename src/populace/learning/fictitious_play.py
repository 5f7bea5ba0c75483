"""Fictitious play: each takes what is best against how the others have played on average so far.

G. W. Brown (1951), "Iterative solution of games by fictitious play", in Activity Analysis of Production and Allocation;
that averages come near an equilibrium where the pay of two sums to nothing: J. Robinson (1951), "An iterative method of
solving a game", Annals of Mathematics 54, 296-301.
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


class Played(eqx.Module):
    """`mean`: the shares of all play so far, of `count` updates; `now`: what is played now, 1 for one option."""

    mean: Float[Array, "types options"]
    now: Float[Array, "types options"]
    count: Float[Array, ""]


class FictitiousPlay(Algorithm):
    """Each type takes the option that earns most against the averages of all others' play, and moves its own average
    there by 1 / (t + 1).

    Learned are the averages; the history shows play itself, one option at a time. Policies look at nothing.

    **Arguments:** as of `MultiplicativeWeights`.
    """

    worlds: int = eqx.field(static=True, default=48)
    points: int = eqx.field(static=True, default=21)
    first: Float[Array, "..."] | None = eqx.field(
        default=None, converter=lambda x: None if x is None else jnp.asarray(x, jnp.float32)
    )

    def __check_init__(self) -> None:
        if self.worlds < 1 or self.points < 2:
            raise MethodError("FictitiousPlay: one world and two points are the least")

    @property
    def runs(self) -> int:
        return self.worlds

    def begin(self, watched: Watched, key: Key) -> Played:
        mixed = mixing(watched, self.points)
        chances = first_chances(self.first, (mixed.groups, mixed.count), key)
        return Played(chances, chances, jnp.float32(1.0))

    def update(
        self, watched: Watched, learned: Played, key: Key, progress: Float[Array, ""], frozen: tuple[Plug, ...]
    ) -> tuple[Played, News]:
        mixed = mixing(watched, self.points)
        table, news = payoffs(watched, mixed, learned.mean, key, self.worlds, frozen)
        best = jax.nn.one_hot(jnp.argmax(table, axis=1), mixed.count)
        count = learned.count + 1.0
        return Played(learned.mean + (best - learned.mean) / count, best, count), news

    def playing(self, watched: Watched, learned: Played) -> Policies:
        return mixing(watched, self.points).policies(learned.now)

    def policies(self, watched: Watched, learned: Played) -> Policies:
        return mixing(watched, self.points).policies(learned.mean)
