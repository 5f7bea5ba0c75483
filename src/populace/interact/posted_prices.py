"""Posted prices: sellers say theirs, buyers come one by one, look at a few and buy where it is cheapest."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from .._errors import ModelError
from ..core.draw import Draw
from .lots import shuffled
from .trades import Trades


def offers_seen(draw: Draw, name: str, buyers: int, sellers: int, sees: int) -> Int[Array, "buyers sees"]:
    """For each buyer `sees` different sellers, all sets alike.

    **Raises:** `ModelError` for more than there are.
    """
    if not 1 <= sees <= sellers:
        raise ModelError(f"a buyer sees 1 to {sellers} sellers of {sellers}, not {sees}")
    share = jax.lax.stop_gradient(draw.uniform(name, size=(buyers, sees)))
    return _distinct(share, sellers)


def _distinct(share: Array, sellers: int) -> Int[Array, "buyers sees"]:
    """Different numbers below `sellers`, in the sampling of Floyd (Bentley and Floyd 1987, Communications of the ACM
    30:754): the j-th is one of sellers - sees + j + 1, and the last of these if it was taken before.
    """
    buyers, sees = share.shape
    chosen = jnp.full((buyers, sees), -1, jnp.int32)
    for j in range(sees):
        last = sellers - sees + j
        one = jnp.minimum((share[:, j] * (last + 1)).astype(jnp.int32), last)
        taken = (chosen == one[:, None]).any(axis=1)
        chosen = chosen.at[:, j].set(jnp.where(taken, last, one))
    return chosen


def posted_prices(
    draw: Draw,
    name: str,
    *,
    price: Int[Array, " sellers"],
    stock: Int[Array, " sellers"],
    seen: Int[Array, "buyers sees"],
    wanted: Int[Array, " buyers"],
    limit: Int[Array, " buyers"],
    budget: Int[Array, " buyers"] | None = None,
) -> Trades:
    """Buyers come in random order, and each buys at the cheapest of the sellers whom it sees who has stock left.

    What the cheapest cannot give is bought of the next one, up to the buyer's limit and money. Of equal prices the one
    that a buyer sees first. Those who come late find less: nobody is rationed but by the queue.

    **Arguments:** `draw`, `name`: where the order of the queue is asked; `price` (sellers,): ticks a lot, 0 or more;
    `stock` (sellers,): lots; `seen` (buyers, sees): whom each sees (`offers_seen`, or neighbours on a network), a
    number below 0 for nobody; none twice; `wanted` (buyers,): lots; `limit` (buyers,): the highest price that each
    pays; `budget` (buyers,): the money that each has; None: the limit is all that counts.

    **Returns:** trades, (buyers x sees,) entries in the order of the queue, `buyer` and `seller` by their own
    numbers; where the two are one population, add to them.

    **Raises:** `ModelError` for shapes that do not fit.
    """
    buyers, sees = seen.shape
    money = jnp.full(buyers, 2**31 - 1, jnp.int32) if budget is None else jnp.asarray(budget, jnp.int32)
    shapes = {"wanted": jnp.shape(wanted), "limit": jnp.shape(limit), "budget": money.shape}
    if any(shape != (buyers,) for shape in shapes.values()) or jnp.shape(price) != jnp.shape(stock):
        said = ", ".join(f"{what} {shape}" for what, shape in shapes.items())
        raise ModelError(
            f"posted prices of {jnp.shape(price)} with stock {jnp.shape(stock)}, and {buyers} buyers with {said}: "
            "one price and stock a seller, and one of the others a buyer"
        )
    price, stock, wanted, limit, money = (
        jax.lax.stop_gradient(jnp.asarray(x, jnp.int32)) for x in (price, stock, wanted, limit, money)
    )
    queue = shuffled(draw, name, buyers)
    cost = jnp.where(seen >= 0, price.at[seen].get(mode="clip"), 2**31 - 1)
    cheapest = jnp.take_along_axis(seen, jnp.argsort(cost, axis=1, stable=True), axis=1)

    def visit(left: Array, buyer: Array) -> tuple[Array, tuple[Array, ...]]:
        wants, has, got = wanted[buyer], money[buyer], []
        for place in range(sees):
            seller = cheapest[buyer, place]
            asked = price.at[seller].get(mode="clip")
            able = jnp.where(asked > 0, has // jnp.maximum(asked, 1), wants)
            there = (seller >= 0) & (asked <= limit[buyer])
            lots = jnp.where(there, jnp.clip(jnp.minimum(wants, able), 0, left.at[seller].get(mode="clip")), 0)
            left = left.at[jnp.where(there, seller, left.shape[0])].add(-lots, mode="drop")
            wants, has = wants - lots, has - lots * asked
            got.append((seller, asked, lots))
        return left, tuple(jnp.stack(each) for each in zip(*got, strict=True))

    _, (seller, asked, lots) = jax.lax.scan(visit, stock, queue)
    return Trades(jnp.repeat(queue, sees), jnp.maximum(seller, 0).ravel(), asked.ravel(), lots.ravel())
