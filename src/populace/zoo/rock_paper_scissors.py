"""Rock, paper, scissors: two players, and no way of playing that is best.

The game of J. von Neumann (1928), "Zur Theorie der Gesellschaftsspiele", Mathematische Annalen 100, 295-320: paper
beats rock, scissors beat paper, rock beats scissors. Its one equilibrium draws each with probability 1/3. Players who
learn from each other go round it: P. D. Taylor and L. B. Jonker (1978), "Evolutionary stable strategies and game
dynamics", Mathematical Biosciences 40, 145-156.

Facts it must reproduce (tests/zoo): pay sums to nothing in every round; whoever draws at random earns nothing on
average, and no fixed move earns more against it.
"""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from .._errors import ModelError
from ..core.draw import Draw
from ..core.model import Model

_BEATS = ((0.0, -1.0, 1.0), (1.0, 0.0, -1.0), (-1.0, 1.0, 0.0))


class Round(eqx.Module):
    """The last moves of both, and what they were paid."""

    move: Int[Array, " agents"]
    paid: Float[Array, " agents"]


class RockPaperScissors(Model):
    """Site `move`: each of two sees both last moves, {"own", "rival"} as numbers, and names the number of its next,
    (agents,) int32. `payoff[i, j]` is what move i earns against j: another square table is another game.

    The rule draws every move alike.
    """

    payoff: Float[Array, "moves moves"] = eqx.field(
        default=_BEATS, converter=lambda table: jnp.asarray(table, jnp.float32)
    )

    def __check_init__(self) -> None:
        shape = self.payoff.shape
        if len(shape) != 2 or shape[0] != shape[1] or shape[0] < 2:
            raise ModelError(f"a table of payoffs is square, with two moves or more, not of shape {shape}")

    def init(self, draw: Draw) -> Round:
        return Round(draw.categorical("first", jnp.zeros(self.payoff.shape[0]), size=2).index, jnp.zeros(2))

    def step(self, draw: Draw, last: Round) -> Round:
        view = {"own": last.move, "rival": last.move[::-1]}
        move = draw.decide("move", view, self.chance)
        return Round(move, self.payoff[move, move[::-1]])

    def observe(self, last: Round) -> dict[str, Array]:
        moves = jnp.arange(self.payoff.shape[0])
        return {"played": (last.move[:, None] == moves).mean(0), "paid": last.paid[0]}

    def chance(self, view: dict[str, Array], draw: Draw) -> Int[Array, " agents"]:
        """Every move alike."""
        return draw.categorical("move", jnp.zeros(self.payoff.shape[0]), size=2).index
