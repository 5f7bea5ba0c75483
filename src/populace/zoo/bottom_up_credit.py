"""Credit in the bottom-up economy: to whom the bank lends, how debts end, and who pays for new firms."""

from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from ..core.draw import Draw
from ..interact.rations import in_proportion, served
from .bottom_up_accounts import Firms

STRETCHED = 10.0
"""The leverage from which on the rate of interest rises no more."""
MUCH = 2.0**30
"""Ticks: what nobody asks for."""


class Applications(eqx.Module):
    """What the bank sees, (firms,) in ticks: what each `asks` for and what it is `worth`, its own money; and `supply`,
    the most that is lent to all of them together, the same at each.
    """

    asks: Int[Array, " firms"]
    worth: Int[Array, " firms"]
    supply: Int[Array, " firms"]


def soundest_first(seen: Applications, draw: Draw) -> Int[Array, " firms"]:
    """All that is asked for, from the firm with the least leverage on, as long as the supply lasts."""
    queue = jnp.argsort(leverage(seen.asks, seen.worth), stable=True).astype(jnp.int32)
    return served(jnp.zeros_like(seen.asks), seen.asks, queue, seen.supply[:1])


def as_paid(paid: Int[Array, " firms"], draw: Draw) -> Int[Array, " firms"]:
    """The bank books the interest that firms have paid."""
    return paid


def leverage(debt: Int[Array, " firms"], worth: Int[Array, " firms"]) -> Float[Array, " firms"]:
    """Debt by what a firm is worth, STRETCHED at the most."""
    return jnp.minimum(debt / jnp.maximum(worth, 1), STRETCHED)


def applied(
    bill: Int[Array, " firms"], worth: Int[Array, " firms"], equity: Array, v: Array, limit: Array
) -> Applications:
    """Firms ask for what they lack of their `bill`, up to `limit` times their worth; the bank lends equity / `v`."""
    asks = jnp.minimum(jnp.maximum(bill - worth, 0), _whole(limit * worth))
    return Applications(asks, worth, jnp.full_like(asks, _whole(equity / v)))


class Settled(NamedTuple):
    """Of each firm (firms,), in ticks: interest and principal that it pays, principal that is written off, what it has
    left; and whether it is gone.
    """

    interest: Int[Array, " firms"]
    repaid: Int[Array, " firms"]
    lost: Int[Array, " firms"]
    left: Int[Array, " firms"]
    fails: Bool[Array, " firms"]


def settled(firms: Firms) -> Settled:
    """Firms pay what they owe. One that owes as much as it has or more hands over all of it, which counts for the
    principal first, and fails; so does one that made nothing and has less than the wage that it offers.
    """
    repaid = jnp.minimum(firms.debt, firms.money)
    interest = jnp.minimum(firms.interest, firms.money - repaid)
    left = firms.money - repaid - interest
    return Settled(interest, repaid, firms.debt - repaid, left, (left == 0) | ((firms.made == 0) & (left < firms.wage)))


def levied(money: Int[Array, " households"], total: Array) -> Int[Array, " households"]:
    """About `total`: of everybody the same share, rounded down, and no more than half."""
    share = jnp.clip(total / jnp.maximum(money.sum(), 1), 0.0, 0.5)
    return jnp.minimum(jnp.floor(money * share).astype(jnp.int32), money)


def alike(total: Int[Array, ""], who: Array) -> Int[Array, " agents"]:
    """`total` in parts that differ by a tick or so, to those for whom `who` is not 0; nothing if it is 0 for all."""
    parts = in_proportion(total, (who != 0).astype(jnp.int32))
    return jnp.where((who != 0).any(), parts, 0)


def typical(values: Int[Array, " firms"], counts: Bool[Array, " firms"]) -> Int[Array, ""]:
    """The median of those that count, of two the lower; of all where none does."""
    counts = counts | ~counts.any()
    return jnp.sort(jnp.where(counts, values, 2**31 - 1))[(counts.sum() - 1) // 2]


def _whole(ticks: Array) -> Int[Array, "*shape"]:
    return jnp.floor(jnp.clip(ticks, 0.0, MUCH)).astype(jnp.int32)
