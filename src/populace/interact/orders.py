"""Orders as agents send them to a market: limit orders, market orders and cancellations, as arrays."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int
from numpy.typing import ArrayLike

from .._errors import ModelError
from ..core.draw import Draw
from .lots import shuffled

LARGEST_PRICE = 2**30
"""In ticks: prices lie between this and its negative; what a market order bids."""
FOREVER = 2**31 - 1
"""The time until which an order stands that nobody limits."""
NONE, ALL = -1, -2
"""Instead of the number of an order that is to be cancelled: no order, and all of the owner's."""


class Orders(eqx.Module):
    """Orders, one an entry, in the order in which they arrive. Build them with `limit`, `market` and `cancel`.

    `owner` (orders,): whose; `size`: lots, positive to buy, negative to sell, 0 for no order; `price`: the limit in
    ticks a lot, whole and of either sign; `rests`: whether what is not filled at once waits in the book; `until`: the
    last time at which it stands (`OrderBook.at`); `cancels`: the number of a resting order of the same owner that
    it replaces (`OrderBook.trade`), `NONE`, or `ALL` of the owner's.
    """

    owner: Int[Array, " orders"]
    size: Int[Array, " orders"]
    price: Int[Array, " orders"]
    rests: Bool[Array, " orders"]
    until: Int[Array, " orders"]
    cancels: Int[Array, " orders"]

    @classmethod
    def limit(
        cls,
        owner: ArrayLike,
        size: ArrayLike,
        price: ArrayLike,
        *,
        rests: bool = True,
        until: ArrayLike = FOREVER,
        cancels: ArrayLike = NONE,
    ) -> "Orders":
        """To buy (`size` > 0) or sell (`size` < 0) at `price` or better; what is not filled at once waits, or is gone
        if it is not to rest (immediate or cancel).
        """
        return _made(owner, size, price, rests, until, cancels)

    @classmethod
    def market(cls, owner: ArrayLike, size: ArrayLike, *, cancels: ArrayLike = NONE) -> "Orders":
        """To buy or sell at the best prices that there are; what finds no partner is gone."""
        size = jnp.asarray(size)
        return _made(owner, size, jnp.where(size > 0, LARGEST_PRICE, -LARGEST_PRICE), False, FOREVER, cancels)

    @classmethod
    def cancel(cls, owner: ArrayLike, number: ArrayLike = ALL) -> "Orders":
        """To take back a resting order by its number, or all of the owner's."""
        return _made(owner, 0, 0, False, FOREVER, number)

    def __add__(self, later: "Orders") -> "Orders":
        """These orders, and then those."""
        return jax.tree.map(lambda one, other: jnp.concatenate([one, other]), self, later)

    def take(self, order: Int[Array, " orders"]) -> "Orders":
        """The orders at places, in that order."""
        return jax.tree.map(lambda leaf: leaf[order], self)

    def shuffled(self, draw: Draw, name: str) -> "Orders":
        """The same orders in random order, all orders alike (one or two sites, as `lots.shuffled`)."""
        return self.take(shuffled(draw, name, self.size.shape[0]))


def _made(
    owner: ArrayLike, size: ArrayLike, price: ArrayLike, rests: bool, until: ArrayLike, cancels: ArrayLike
) -> Orders:
    """Orders of one length, of arguments that have it or are one number for all."""
    given = {"owner": owner, "size": size, "price": price, "until": until, "cancels": cancels}
    arrays = {name: jnp.asarray(value) for name, value in given.items()}
    for name, value in arrays.items():
        if not jnp.issubdtype(value.dtype, jnp.integer) or value.ndim > 1:
            raise ModelError(
                f"orders: {name} is {value.dtype} of shape {value.shape}; whole numbers are wanted, one an order: "
                "count money in ticks and goods in lots, jnp.round(x / tick).astype(jnp.int32)"
            )
    shapes = {value.shape for value in arrays.values() if value.ndim}
    if len(shapes) > 1:
        said = ", ".join(f"{name} {value.shape}" for name, value in arrays.items() if value.ndim)
        raise ModelError(f"orders: shapes do not fit: {said}; each has an entry an order, or is one number for all")
    shape = shapes.pop() if shapes else (1,)
    whole = {name: jnp.broadcast_to(value, shape).astype(jnp.int32) for name, value in arrays.items()}
    return Orders(**whole, rests=jnp.full(shape, rests))
