"""Barter: two agents trade two goods by what each is worth to them, until no trade is left.

Joshua Epstein and Robert Axtell (1996, Growing Artificial Societies, Brookings Institution Press and MIT Press),
chapter IV. Somebody who has w = (w1, w2) and cares for them by m = (m1, m2) has, with M = m1 + m2, the welfare
w1^(m1 / M) w2^(m2 / M)
and gives up as much of the second good for a unit of the first as

    MRS = (w2 / m2) / (w1 / m1).

Two agents trade at p = sqrt(MRS_a MRS_b): p of the second good for a unit of the first, or a unit of the second for 1/p
of the first where p < 1. Whose MRS is larger gets the first. They go on while a trade raises the welfare of both and
their MRS do not cross.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from .seats import order_of

SLACK = 1e-7
"""Of a logarithm of welfare: what rounding may not call a gain."""


class Deals(NamedTuple):
    """`trades`: how many, `logs`: the sum of the logarithms of their prices, `squares`: of the squares of these."""

    trades: Int[Array, ""]
    logs: Float[Array, ""]
    squares: Float[Array, ""]

    @classmethod
    def none(cls) -> "Deals":
        """No trade."""
        return cls(jnp.int32(0), jnp.float32(0.0), jnp.float32(0.0))

    def mean(self) -> Float[Array, ""]:
        """The mean logarithm of prices, 0 without any."""
        return self.logs / jnp.maximum(self.trades, 1)

    def spread(self) -> Float[Array, ""]:
        """Their standard deviation, 0 without any."""
        return jnp.sqrt(jnp.maximum(self.squares / jnp.maximum(self.trades, 1) - self.mean() ** 2, 0.0))


class Side(NamedTuple):
    """One side of pairs: what each `owns`, whole numbers, and what each `needs`, (pairs, 2)."""

    owns: Int[Array, "pairs 2"]
    needs: Float[Array, "pairs 2"]

    def rate(self) -> Float[Array, " pairs"]:
        """MRS."""
        own = jnp.maximum(self.owns, 1).astype(jnp.float32)
        return own[:, 1] * self.needs[:, 0] / (self.needs[:, 1] * own[:, 0])

    def gain(self, moved: Int[Array, "pairs 2"]) -> Float[Array, " pairs"]:
        """What getting `moved` adds to the logarithm of welfare."""
        change = moved / jnp.maximum(self.owns, 1).astype(jnp.float32)
        return (self.needs * jnp.log1p(jnp.maximum(change, -1.0 + 1e-6))).sum(1) / self.needs.sum(1)

    def got(self, moved: Int[Array, "pairs 2"]) -> "Side":
        """The same after a trade."""
        return self._replace(owns=self.owns + moved)


def bartered(
    goods: Int[Array, "agents 2"],
    need: Int[Array, "agents 2"],
    partner: Int[Array, " agents"],
    meets: Bool[Array, " agents"],
    deals: Deals,
    *,
    unit: int = 1,
) -> tuple[Int[Array, "agents 2"], Deals]:
    """Goods after the agents in `meets` have traded with their partners, and `deals` with these trades added.

    Nobody trades who does not need both goods. A trade moves a whole unit of one good, and the price of the other,
    rounded; goods are whole numbers, of which not one is lost.

    **Arguments:** `goods` (agents, 2), `need` (agents, 2): what each owns, and m; `partner` (agents,), `meets`
    (agents,): who trades with whom, each pair named by one of its two, nobody in two pairs; `unit`: of how many a unit
    of trade is.
    """
    agents = goods.shape[0]
    meets = meets & ((need > 0) & (need.at[partner].get(mode="clip") > 0)).all(1)
    first = order_of(meets, jnp.arange(agents, dtype=jnp.int32))[: max(agents // 2, 1)]  # there are no more pairs
    second, paired = partner[first], jnp.arange(first.shape[0]) < meets.sum()
    mine, yours = (
        Side(*(x.at[who].get(mode="clip").astype(kind) for x, kind in ((goods, jnp.int32), (need, jnp.float32))))
        for who in (first, second)
    )

    def turn(carry: tuple[Side, Side, Array, Deals]) -> tuple[Side, Side, Array, Deals]:
        mine, yours, goes, deals = carry
        moved, price = offered(mine, yours, unit)
        able = goes & agreed(mine, yours, moved)
        moved = jnp.where(able[:, None], moved, 0)
        log_price = jnp.where(able, jnp.log(jnp.where(able, price, 1.0)), 0.0)
        deals = Deals(deals.trades + able.sum(), deals.logs + log_price.sum(), deals.squares + (log_price**2).sum())
        return mine.got(moved), yours.got(-moved), able, deals

    mine, yours, _, deals = jax.lax.while_loop(lambda carry: carry[2].any(), turn, (mine, yours, paired, deals))
    one, other = (jnp.where(paired, each, agents) for each in (first, second))
    return goods.at[one].set(mine.owns, mode="drop").at[other].set(yours.owns, mode="drop"), deals


def offered(mine: Side, yours: Side, unit: int) -> tuple[Int[Array, "pairs 2"], Float[Array, " pairs"]]:
    """What I would get in one trade, of one good less than nothing; and its price."""
    own, their = mine.rate(), yours.rate()
    price = jnp.sqrt(own * their)
    first, second = (jnp.round(unit * jnp.clip(x, 1.0, 2.0**30 / unit)).astype(jnp.int32) for x in (1.0 / price, price))
    way = jnp.sign(own - their).astype(jnp.int32)
    return jnp.stack([way * first, -way * second], axis=1), price


def agreed(mine: Side, yours: Side, moved: Int[Array, "pairs 2"]) -> Bool[Array, " pairs"]:
    """Whether a trade raises the welfare of both and their rates do not cross."""
    after, left = mine.got(moved), yours.got(-moved)
    gains = (mine.gain(moved) > SLACK) & (yours.gain(-moved) > SLACK)
    before, now = mine.rate() - yours.rate(), after.rate() - left.rate()
    return (after.owns > 0).all(1) & (left.owns > 0).all(1) & gains & (before * now >= 0)
