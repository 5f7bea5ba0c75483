"""A commons fished at a steady stock: the tragedy in one number, effort.

H. S. Gordon (1954), "The economic theory of a common-property resource: the fishery", Journal of Political Economy 62,
124-142, with the logistic growth of M. B. Schaefer (1954). A stock grows by r x (1 - x / K) and total effort E takes
q E x of it, so that it rests at x = K (1 - q E / r), or dies. A fish sells for p, a unit of effort costs w. With
e = (r / q) (1 - w / (p q K)), the effort at which nothing is earned: one owner works e / 2, n players in the Nash
equilibrium e n / (n + 1) together, open access e. A tax of t on each unit of effort stands beside the cost: n players
work (r / q) (1 - (w + t) / (p q K)) n / (n + 1), which is the owner's e / 2 at t = (p q K - w) (n - 1) / (2 n).

Facts it must reproduce (tests/zoo): with r = K = q = p = 1 and w = .2: .40, .5333 for two, .80 with a stock of .20. Two
players are brought to .40 by a tax of .20, five by .32.
"""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from .._errors import ModelError
from ..core.domain import nonnegative, positive
from ..core.draw import Draw
from ..core.model import Model, parameter


class Shore(eqx.Module):
    """The stock at rest, each player's effort, what it earned after the tax, and what the tax brought in."""

    stock: Float[Array, ""]
    effort: Float[Array, " agents"]
    profit: Float[Array, " agents"]
    revenue: Float[Array, ""]


class Commons(Model):
    """Site `effort`: each sees the stock and his own last effort, {"stock", "effort"} each (agents,), and says how much
    effort he puts in, (agents,) from 0. Site `planner/tax`: who governs the shore sees the stock and the effort of all,
    {"stock", "effort"} each (1,), and says what a unit of effort pays in this step, (1,): by the rule nothing.

    The players' rule is that of open access: more effort by as much as it earned, `entry` units a unit of profit per
    effort.
    """

    players: int = eqx.field(static=True, default=2)
    growth: Float[Array, ""] = parameter(default=1.0, domain=positive, doc="r")
    capacity: Float[Array, ""] = parameter(default=1.0, domain=positive, doc="K: the stock that nobody fishes")
    catchability: Float[Array, ""] = parameter(default=1.0, domain=positive, doc="q: catch a unit of effort and stock")
    price: Float[Array, ""] = parameter(default=1.0, domain=positive, doc="p")
    cost: Float[Array, ""] = parameter(default=0.2, domain=nonnegative, doc="w: of a unit of effort")
    entry: Float[Array, ""] = parameter(default=0.5, domain=nonnegative, doc="effort added a unit of profit per effort")

    def __check_init__(self) -> None:
        if self.players < 1:
            raise ModelError(f"a commons has one player or more, not {self.players}")

    def init(self, draw: Draw) -> Shore:
        effort = draw.uniform("first", size=self.players) * self.growth / (self.catchability * self.players)
        return self.settled(effort)

    def step(self, draw: Draw, shore: Shore) -> Shore:
        seen = {"stock": shore.stock[None], "effort": shore.effort.sum()[None]}
        tax = draw.child("planner").decide("tax", seen, untaxed)[0]
        view = {"stock": jnp.broadcast_to(shore.stock, (self.players,)), "effort": shore.effort}
        return self.settled(draw.decide("effort", view, lambda view, inner: self.enter(view, tax)), tax)

    def observe(self, shore: Shore) -> dict[str, Array]:
        return {"stock": shore.stock, "effort": shore.effort.sum(), "profit": shore.profit.sum()}

    def settled(self, effort: Float[Array, " agents"], tax: Float[Array, ""] | float = 0.0) -> Shore:
        """The shore at rest under these efforts, each unit of them taxed."""
        share = jnp.maximum(1.0 - self.catchability * effort.sum() / self.growth, 0.0)
        stock = self.capacity * share
        profit = (self.price * self.catchability * stock - self.cost - tax) * effort
        return Shore(stock, effort, profit, tax * effort.sum())

    def enter(self, view: dict[str, Array], tax: Float[Array, ""]) -> Float[Array, " agents"]:
        """A little more effort where effort pays, less where it does not."""
        pays = self.price * self.catchability * view["stock"] - self.cost - tax
        return jnp.maximum(view["effort"] + self.entry * pays / self.players, 0.0)


def untaxed(view: dict[str, Array], draw: Draw) -> Float[Array, " one"]:
    """No tax."""
    return jnp.zeros_like(view["stock"])
