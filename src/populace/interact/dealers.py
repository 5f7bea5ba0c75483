"""Prices that a dealer moves with excess demand, and the price that clears it."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.core import Tracer
from jaxtyping import Array, Bool, Float

from .._errors import ModelError


class Dealer(eqx.Module):
    """A dealer who takes the other side of every trade at one price, and then moves it.

    `price`; `stock`: what it holds of the good, below 0 if it owes; `money`. Numbers, float32.
    """

    price: Float[Array, ""]
    stock: Float[Array, ""]
    money: Float[Array, ""]

    @classmethod
    def opening(cls, price: float | Array, *, stock: float | Array = 0.0, money: float | Array = 0.0) -> "Dealer":
        """A dealer at the start."""
        return cls(*(jnp.asarray(value, jnp.float32) for value in (price, stock, money)))

    def serve(
        self, demand: Float[Array, " agents"], impact: float | Array, *, pull: float | Array = 0.0
    ) -> tuple["Dealer", Float[Array, " agents"]]:
        """Trade with everybody at the price, and set the next one.

            price' = price exp(impact x excess - pull x stock'),    excess = sum of demand,  stock' = stock - excess:

        price (1 + impact x excess) for a small impact, and positive for any. Excess demand moves the price (Beja and
        Goldman 1980, Journal of Finance 35:235; in logarithms Farmer and Joshi 2002, Journal of Economic Behavior and
        Organization 49:149); a pull brings a dealer's stock back to 0 (Amihud and Mendelson 1980, Journal of Financial
        Economics 8:31).

        **Arguments:** `demand` (agents,): units bought, negative where sold; `impact`: of one unit on the logarithm of
        the price, 0 or more; `pull`: of one unit of stock, 0 or more.

        **Returns:** the dealer afterwards, and what each agent pays (agents,), negative for who is paid. Goods and
        money are conserved to the rounding of float32.
        """
        excess = demand.sum()
        stock = self.stock - excess
        price = self.price * jnp.exp(impact * excess - pull * stock)
        return Dealer(price, stock, self.money + self.price * excess), self.price * demand


class ClearingPrice(eqx.Module):
    """What a search for a clearing price found: the `price`; the `excess` demand there; and whether it was `found`:
    excess demand changes its sign between the ends, and is within tolerance at the price.
    """

    price: Float[Array, ""]
    excess: Float[Array, ""]
    found: Bool[Array, ""]


_HALVINGS = 60


def clearing_price(
    excess: Callable[[Float[Array, ""]], Float[Array, ""]],
    low: float | Array,
    high: float | Array,
    *,
    tolerance: float | Array = 1e-4,
) -> ClearingPrice:
    """The price at which excess demand is 0, by bisection: Walras' auctioneer, who trades nothing before.

    **Arguments:** `excess`: price to demand less supply, of numbers; it falls from 0 or more at `low` to 0 or less at
    `high`; `tolerance`: how much excess may be left, in its own units.

    Halves the interval until excess is within the tolerance, or the interval is as short as float32 tells apart (which
    is where excess jumps over 0). Where excess has the same sign at both ends the nearer end is returned, not `found`.

    A gradient passes to whatever `excess` hangs on, by the implicit function theorem: dp = - (dE / dtheta) / (dE / dp).

    **Raises:** `ModelError` if the ends are not in order.
    """
    if not any(isinstance(end, Tracer) for end in (low, high)) and not float(low) < float(high):
        raise ModelError(f"a price is looked for between two ends, the lower first, not {low} and {high}")
    left, right = (jax.lax.stop_gradient(jnp.asarray(end, jnp.float32)) for end in (low, high))
    hoisted, closed_over = jax.closure_convert(excess, left)
    fixed = jax.lax.stop_gradient(closed_over)

    def frozen(price: Array) -> Array:
        """Excess demand without a gradient to what it hangs on, which no loop lets pass backwards."""
        return hoisted(price, *fixed)

    at_left, at_right = frozen(left), frozen(right)

    def halve(state: tuple[Array, Array, Array, Array]) -> tuple[Array, Array, Array, Array]:
        left, right, middle, turns = state
        above = frozen(middle) > 0
        left, right = jnp.where(above, middle, left), jnp.where(above, right, middle)
        return left, right, 0.5 * (left + right), turns + 1

    def searching(state: tuple[Array, Array, Array, Array]) -> Array:
        left, right, middle, turns = state
        apart = (left < middle) & (middle < right)
        return (jnp.abs(frozen(middle)) > tolerance) & apart & (turns < _HALVINGS)

    bracketed = (at_left >= 0) & (at_right <= 0)
    inside = jax.lax.while_loop(searching, halve, (left, right, 0.5 * (left + right), jnp.int32(0)))[2]
    nearer = jnp.where(jnp.abs(at_left) <= jnp.abs(at_right), left, right)
    price = jax.lax.stop_gradient(jnp.where(bracketed, inside, nearer))
    slope = jax.lax.stop_gradient(jax.grad(lambda p: excess(p).sum())(price))
    usable = bracketed & (slope < 0)
    residual = excess(price)
    moved = (residual - jax.lax.stop_gradient(residual)) / jnp.where(usable, slope, 1.0)
    price = price - jnp.where(usable, moved, 0.0)
    left_over = jax.lax.stop_gradient(residual)
    return ClearingPrice(price, left_over, bracketed & (jnp.abs(left_over) <= tolerance))
