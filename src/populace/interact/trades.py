"""What changed hands: who bought what from whom, and what that does to everybody's money and goods."""

import abc

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int, Num


class Exchange(eqx.Module):
    """What changed hands in a market, as each agent's account sees it.

    Money is in ticks times lots. With whole numbers both methods sum to 0 over all agents exactly, and so does whatever
    is kept by adding them; an account, and price times quantity of one trade, must stay below 2^31.
    """

    @abc.abstractmethod
    def goods(self, agents: int) -> Num[Array, " agents"]:
        """How many lots each of `agents` agents got, negative for those who gave."""

    @abc.abstractmethod
    def money(self, agents: int) -> Num[Array, " agents"]:
        """How much money each of `agents` agents got, negative for those who paid."""


class Trades(Exchange):
    """Trades between two agents each, in the order in which they were made; `quantity` is 0 in entries without one.

    `buyer`, `seller`, `price` (ticks a lot), `quantity` (lots): (trades,).
    """

    buyer: Int[Array, " trades"]
    seller: Int[Array, " trades"]
    price: Num[Array, " trades"]
    quantity: Int[Array, " trades"]

    @property
    def present(self) -> Bool[Array, " trades"]:
        """Which entries are trades."""
        return self.quantity > 0

    def goods(self, agents: int) -> Num[Array, " agents"]:
        return self._moved(self.quantity, agents)

    def money(self, agents: int) -> Num[Array, " agents"]:
        return self._moved(-self.quantity * self.price, agents)

    def volume(self) -> Int[Array, ""]:
        """Lots traded."""
        return self.quantity.sum()

    def last_price(self, otherwise: Num[Array, ""]) -> Num[Array, ""]:
        """The price of the last trade, or `otherwise` where there was none."""
        last = jnp.where(self.present, jnp.arange(self.quantity.shape[0]), -1).max(initial=-1)
        return jnp.where(last >= 0, self.price.at[last].get(mode="clip"), otherwise)

    def _moved(self, values: Num[Array, " trades"], agents: int) -> Num[Array, " agents"]:
        """`values` to buyers and from sellers."""
        zero = jnp.zeros(agents, values.dtype)
        return zero.at[self.buyer].add(values, mode="drop").at[self.seller].add(-values, mode="drop")
