"""The accounts of the bottom-up economy: what everybody owns and owes, and what must add up.

All money is in whole ticks. A deposit is owed by the bank and a debt is owed to it, and both sides keep count of each:
that the two counts agree is what `ledgers` declares. A payment moves a deposit from one owner to another; a loan makes
a debt and a deposit that were not there before, and paying it back unmakes both.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from ..interact.books import Books

SECTORS = ("households", "firms", "bank")


class Households(NamedTuple):
    """`employer`, a firm's number, -1 without work; `contract`: quarters of it that are left, 0 if it has run out;
    `wage`; `money`, the deposit, and what is `saved` of it, all but the quarter's income; `shop`: the largest firm
    among those last visited; `eaten`: lots since the start.
    """

    employer: Int[Array, " households"]
    contract: Int[Array, " households"]
    wage: Int[Array, " households"]
    money: Int[Array, " households"]
    saved: Int[Array, " households"]
    shop: Int[Array, " households"]
    eaten: Int[Array, " households"]


class Firms(NamedTuple):
    """`price` of a lot and `wage` offered; `made`: lots of this quarter, which are in stock; `money`; `debt` and the
    `interest` due on it; the wage `bill` paid; `failed`: 1 if it stands where a firm failed in this quarter; since the
    start, lots `spoiled` and `produced`.
    """

    price: Int[Array, " firms"]
    wage: Int[Array, " firms"]
    made: Int[Array, " firms"]
    money: Int[Array, " firms"]
    debt: Int[Array, " firms"]
    interest: Int[Array, " firms"]
    bill: Int[Array, " firms"]
    failed: Int[Array, " firms"]
    spoiled: Int[Array, " firms"]
    produced: Int[Array, " firms"]


class Bank(NamedTuple):
    """The bank's own count: `reserves`, which never change; `loans` and `deposits`; and `equity`, which is not the
    difference of these but what interest and capital add to and bad debts and dividends take from.
    """

    reserves: Int[Array, ""]
    loans: Int[Array, ""]
    deposits: Int[Array, ""]
    equity: Int[Array, ""]


class Market(NamedTuple):
    """`price`: the mean that was paid for a lot, and `before`, that of the last turn of a year; `floor`: the lowest
    wage.
    """

    price: Float[Array, ""]
    before: Float[Array, ""]
    floor: Float[Array, ""]


class Flows(NamedTuple):
    """Of the quarter, an entry a sector, each as that sector counts it: what it got, what it paid below 0. `change`: by
    how much its deposits have grown, the bank's being what it owes, below 0.
    """

    consumption: Int[Array, "3"]
    wages: Int[Array, "3"]
    interest: Int[Array, "3"]
    dividends: Int[Array, "3"]
    capital: Int[Array, "3"]
    written_off: Int[Array, "3"]
    lending: Int[Array, "3"]
    change: Int[Array, "3"]


class Economy(NamedTuple):
    """Everything at the end of a quarter: wages are paid, goods are made and not yet sold."""

    households: Households
    firms: Firms
    bank: Bank
    market: Market
    flows: Flows


def no_flows() -> Flows:
    """Nothing has been paid."""
    return Flows(*(jnp.zeros(len(SECTORS), jnp.int32) for _ in Flows._fields))


def row(households: Array | int = 0, firms: Array | int = 0, bank: Array | int = 0) -> Int[Array, "3"]:
    """A row of flows out of what each sector got."""
    return jnp.stack([jnp.asarray(each, jnp.int32) for each in (households, firms, bank)])


def deposits(state: Economy) -> Int[Array, "3"]:
    """What each sector has at the bank; what the bank owes, below 0."""
    return row(state.households.money.sum(), state.firms.money.sum(), -state.bank.deposits)


def ledgers() -> dict[str, Callable[[Economy], Array]]:
    """What must be 0 at all times: deposits as their owners count them less those that the bank does; debts less the
    bank's loans; reserves and loans less deposits and equity; lots eaten, spoiled and in stock less those produced.
    """
    return {
        "deposits": lambda s: jnp.concatenate([s.households.money, s.firms.money, -s.bank.deposits[None]]),
        "loans": lambda s: jnp.concatenate([s.firms.debt, -s.bank.loans[None]]),
        "equity": lambda s: jnp.stack([s.bank.reserves, s.bank.loans, -s.bank.deposits, -s.bank.equity]),
        "goods": lambda s: jnp.concatenate([s.households.eaten, s.firms.made + s.firms.spoiled - s.firms.produced]),
    }


def books(state: Economy) -> Books:
    """The matrices of the quarter, in ticks. Goods in stock are worth their prices. What is written off is got by the
    firm that owed it; `lending` is by how much loans have grown.
    """
    _, firms, bank, _, flows = state
    stock = int(np.asarray(firms.made, np.int64) @ np.asarray(firms.price, np.int64))
    owed = int(np.asarray(firms.debt, np.int64).sum())
    whole = {name: tuple(int(x) for x in np.asarray(value)) for name, value in flows._asdict().items()}
    change = whole.pop("change")
    stocks = {
        "deposits": tuple(int(x) for x in np.asarray(deposits(state))),
        "loans": (0, -owed, int(bank.loans)),
        "reserves": (0, 0, int(bank.reserves)),
        "goods": (0, stock, 0),
    }
    flows_ = {name.replace("_", " "): each for name, each in whole.items()}
    return Books(SECTORS, stocks, flows_, change, claims=("deposits", "loans"))
