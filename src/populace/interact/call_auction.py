"""A call auction: all orders of a period clear at one price."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from .orders import LARGEST_PRICE, Orders
from .trades import Exchange


class Cleared(Exchange):
    """What a call auction did: the one `price` in ticks, 0 where nothing was traded; `volume` in lots; and of each
    order what was `filled` (orders,), positive for lots bought, negative for lots sold. `owner` (orders,): whose.
    """

    price: Int[Array, ""]
    volume: Int[Array, ""]
    owner: Int[Array, " orders"]
    filled: Int[Array, " orders"]

    def goods(self, agents: int) -> Int[Array, " agents"]:
        return jnp.zeros(agents, jnp.int32).at[self.owner].add(self.filled, mode="drop")

    def money(self, agents: int) -> Int[Array, " agents"]:
        return jnp.zeros(agents, jnp.int32).at[self.owner].add(-self.filled * self.price, mode="drop")


def call_auction(orders: Orders) -> Cleared:
    """Clear orders at one price: the one with the largest volume.

    D(p) is what is bid for at p or more, S(p) what is offered at p or less. Of the limits p of all orders those with
    the largest volume min(D, S) are kept; of these those with the least imbalance |D - S|; and the price is half-way
    between the lowest and the highest that are left, rounded down. The volume there is the same, because D falls and S
    rises.

    Then better limits are filled before worse ones, and of one limit the order that comes first: send orders by time,
    or `shuffled` for lots. The last to be filled may be filled in part. What is not filled is gone: send it again.
    Market orders count as the largest and the smallest limit, and set no price; `rests`, `until` and `cancels` are
    not read. Two sorts of the orders.

    Sums of sizes must stay below 2^31.
    """
    orders = jax.lax.stop_gradient(orders)
    buys, sells = jnp.maximum(orders.size, 0), jnp.maximum(-orders.size, 0)
    order = jnp.argsort(orders.price, stable=True)
    prices = orders.price[order]
    bought, sold = _before(buys[order]), _before(sells[order])
    demand = bought[-1] - bought[jnp.searchsorted(prices, prices, side="left")]
    supply = sold[jnp.searchsorted(prices, prices, side="right")]

    volumes = jnp.where(_sets_price(orders)[order], jnp.minimum(demand, supply), -1)
    volume = jnp.maximum(volumes.max(), 0)
    imbalance = jnp.where(volumes == volume, jnp.abs(demand - supply), _MOST)
    kept = imbalance == imbalance.min()
    low, high = jnp.where(kept, prices, _MOST).min(), jnp.where(kept, prices, -_MOST).max()
    price = jnp.where(volume > 0, low + (high - low) // 2, 0)

    eager = jnp.argsort(-orders.price, stable=True)
    filled = _served(buys, eager, price <= orders.price, volume) - _served(sells, order, orders.price <= price, volume)
    return Cleared(price, volume, orders.owner, filled)


_MOST = 2**31 - 1


def _sets_price(orders: Orders) -> Array:
    """Which orders' limits are looked at as prices: those of limit orders that are there."""
    return (orders.size != 0) & (jnp.abs(orders.price) < LARGEST_PRICE)


def _before(values: Int[Array, " orders"]) -> Int[Array, " places"]:
    """Sums of the values before each place and before the end, (orders + 1,)."""
    return jnp.concatenate([jnp.zeros(1, values.dtype), jnp.cumsum(values)])


def _served(
    wanted: Int[Array, " orders"], order: Int[Array, " orders"], able: Array, volume: Int[Array, ""]
) -> Int[Array, " orders"]:
    """What each gets of `volume` lots, who are able served in `order`."""
    queue = jnp.where(able, wanted, 0)[order]
    got = jnp.clip(volume - _before(queue)[:-1], 0, queue)
    return jnp.zeros_like(wanted).at[order].set(got, unique_indices=True)
