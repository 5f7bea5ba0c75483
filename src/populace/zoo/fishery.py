"""A fish war: harvesters who share a stock that regrows from what they leave.

D. Levhari and L. J. Mirman (1980), "The great fish war: an example using a dynamic Cournot-Nash solution", Bell Journal
of Economics 11, 322-334; one harvester is the growth model of W. A. Brock and L. J. Mirman (1972), Journal of Economic
Theory 4, 479-513. Of a stock x the harvesters take c_i, and x' = (x - sum c)^a. With utility log c and discount b the
answers are shares of the stock (`nash_share`, `cooperative_share`), shocks to growth or not.

What they ask for may exceed the stock; then it is rationed, in proportion to what they ask, to `most` of it. The paper
has no such rule, and it makes an equilibrium of its own: where all others ask for everything, so does the best reply.

Facts it must reproduce (tests/zoo): the steady stock of constant shares, S^(a / (1 - a)) of what is left S = 1 - sum s;
for two harvesters, a = .36 and b = .96 that is .4144 under the Nash shares and .5501 under the cooperative ones.
"""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from .._errors import ModelError
from ..core.domain import nonnegative, positive, unit
from ..core.draw import Draw
from ..core.model import Model, parameter


class Waters(eqx.Module):
    """The stock of fish, and what each harvester caught in the last step."""

    stock: Float[Array, ""]
    catch: Float[Array, " agents"]


class Fishery(Model):
    """Site `harvest`: each sees the stock, (agents,), and says which share of it he asks for, (agents,) from 0 to 1.

    The rule is the manager's: the largest sustainable yield, in equal parts, a share (1 - a) / n each.
    """

    harvesters: int = eqx.field(static=True, default=2)
    elasticity: Float[Array, ""] = parameter(default=0.36, domain=unit, doc="a: the exponent of growth")
    shock: Float[Array, ""] = parameter(default=0.1, domain=nonnegative, doc="standard deviation of log growth")
    first: Float[Array, ""] = parameter(default=0.5, domain=positive, doc="the stock at the start")
    most: Float[Array, ""] = parameter(default=0.98, domain=unit, doc="the share of the stock that can be caught")

    def __check_init__(self) -> None:
        if self.harvesters < 1:
            raise ModelError(f"a fishery has one harvester or more, not {self.harvesters}")

    def init(self, draw: Draw) -> Waters:
        spread = jnp.exp(draw.normal("first", 0.0, self.shock, size=()))
        return Waters(self.first * spread, jnp.zeros(self.harvesters))

    def step(self, draw: Draw, waters: Waters) -> Waters:
        seen = jnp.broadcast_to(waters.stock, (self.harvesters,))
        asked = draw.decide("harvest", seen, self.sustainable)
        catch = waters.stock * asked * self.ration(asked)
        growth = jnp.exp(draw.normal("growth", 0.0, self.shock, size=()))
        return Waters(growth * (waters.stock - catch.sum()) ** self.elasticity, catch)

    def observe(self, waters: Waters) -> dict[str, Array]:
        return {"stock": waters.stock, "caught": waters.catch.sum()}

    def sustainable(self, stock: Float[Array, " agents"], draw: Draw) -> Float[Array, " agents"]:
        """Equal parts of the largest catch that the stock can bear for ever."""
        return jnp.full(stock.shape, (1.0 - self.elasticity) / self.harvesters)

    def ration(self, asked: Float[Array, " agents"]) -> Float[Array, ""]:
        """The part of what is asked for that each gets: 1 unless all together ask for more than `most`."""
        total = asked.sum()
        return jnp.where(total > self.most, self.most / jnp.where(total > 0, total, 1.0), 1.0)


def nash_share(harvesters: int, elasticity: float = 0.36, discount: float = 0.96) -> float:
    """The share of the stock that each takes in the Nash equilibrium in such shares: (1 - ab) / (n (1 - ab) + ab)."""
    kept = elasticity * discount
    return (1 - kept) / (harvesters * (1 - kept) + kept)


def cooperative_share(harvesters: int, elasticity: float = 0.36, discount: float = 0.96) -> float:
    """The share that each takes where the sum of utilities is largest: (1 - ab) / n."""
    return (1 - elasticity * discount) / harvesters
