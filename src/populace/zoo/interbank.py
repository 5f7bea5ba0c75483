"""Banks that owe each other: who pays how much when some cannot pay, and what their fire sales do to the others.

Eisenberg and Noe (2001, Management Science 47:236). Bank i owes L[i, j] to bank j, in all pbar[i]; it has e[i] besides.
Debts are paid in proportion, by Pi = L / pbar, and a bank pays what it owes or, if it has less, all that it has:

    p = min(pbar, e + Pi' p).

The greatest such p, which the rounds of a default cascade come to from p = pbar, is unique if every bank can reach one
with e > 0. With fire sales (Cifuentes, Ferrucci and Shin 2005, Journal of the European Economic Association 3:556) a
bank also holds a[i] of an asset that sells at q = exp(-alpha sold), where all begin at q = 1, and it must keep

    (Pi' p + q a + e - pbar) / (Pi' p + q (a - sold)) >= r,

for which it sells as little as does; what cannot be met by selling all is not met. Each round values at the last q.

Facts it must reproduce (tests/zoo): payments made are payments received; p is the clearing vector of linear
programming, and of the worked example below; no bank that defaults keeps anything, and none that does not pays less
than all; rounds never raise a payment nor the price; fire sales make cascades longer.

Worked example: three banks, of which the first owes 10 to the second, the second 8 to the third, the third 5 to the
first and 5 to the second; e = (1, 1, 1). The third can get 8 at the most, and pays no more than 9; the first then has
5.5 of the 10 that it owes, and p = (5.5, 8, 9).
"""

from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from numpy.typing import ArrayLike

from .._errors import ModelError
from .._types import Key
from ..core.domain import nonnegative, unit
from ..core.draw import Draw
from ..core.model import Model, as_parameter, parameter
from ..core.noise import host_generator

_EXACT = 1e-12
SLACK = 1e-5
"""Of what a bank owes: what rounding may not call a default."""


class Books(NamedTuple):
    """After a round: what each bank has besides claims on others (with the shock), what it pays, what it has sold; the
    price of the asset.
    """

    cash: Float[Array, " banks"]
    paid: Float[Array, " banks"]
    sold: Float[Array, " banks"]
    price: Float[Array, ""]


class Position(eqx.Module):
    """What a bank knows, (banks,) float32: its capital, claims on others and holdings at the last payments and price,
    and the capital that it must keep, as a share of these two.
    """

    capital: Float[Array, " banks"]
    claims: Float[Array, " banks"]
    holdings: Float[Array, " banks"]
    least: Float[Array, " banks"]


class Interbank(Model):
    """A step is a round: banks value what they have by the last payments and the last price, sell, and pay.

    **Arguments:** `owes` (banks, banks): L, what the bank of the row owes to that of the column; `cash` (banks,): e;
    `holdings` (banks,): a. A bank that owes nothing can be the world outside, to
    which the others owe deposits.

    One bank at random that owes something loses the share `shock` of its cash before the first round.

    Sites: `struck` in init; `sell` in a step. Observed: `defaults`, how many banks pay less than they owe; `paid`, of
    all that is owed, a share; `price`, q; `lost`, what has not been paid.

    **Raises:** `ModelError` if the books do not fit each other.
    """

    owes: Float[Array, "banks banks"] = eqx.field(converter=as_parameter)
    cash: Float[Array, " banks"] = eqx.field(converter=as_parameter)
    holdings: Float[Array, " banks"] = eqx.field(converter=as_parameter)
    shock: Float[Array, ""] = parameter(default=1.0, domain=unit, doc="share of its cash that the struck bank loses")
    alpha: Float[Array, ""] = parameter(default=0.0, domain=nonnegative, doc="how a sale of one unit moves log q down")
    r: Float[Array, ""] = parameter(default=0.0, domain=unit, doc="least capital, as a share of assets at risk")

    def __check_init__(self) -> None:
        banks = self.cash.shape[0]
        if self.owes.shape != (banks, banks) or self.holdings.shape != (banks,):
            raise ModelError(
                f"{banks} banks have debts of shape {self.owes.shape} and holdings of shape {self.holdings.shape}: "
                "list one row and one column of debts a bank, and one holding"
            )

    def init(self, draw: Draw) -> Books:
        owed = self.owes.sum(1)
        banks = owed.shape[0]
        weights = (owed > 0).astype(jnp.float32)
        struck = jnp.zeros(banks).at[draw.choice("struck", banks, 1, weights=weights)].set(1.0)
        return Books(self.cash * (1.0 - self.shock * struck), owed, jnp.zeros(banks), jnp.float32(1.0))

    def step(self, draw: Draw, books: Books) -> Books:
        owed, claims, worth = self.owes.sum(1), self.claims(books.paid), books.price * self.holdings
        view = Position(claims + worth + books.cash - owed, claims, worth, jnp.full(owed.shape, self.r))
        share = draw.decide("sell", view, sell_least)
        sold = jnp.maximum(books.sold, share * self.holdings)
        price = jnp.exp(-self.alpha * sold.sum())
        paid = jnp.clip(claims + price * self.holdings + books.cash, 0.0, owed)
        return Books(books.cash, jnp.minimum(paid, books.paid), sold, price)

    def observe(self, books: Books) -> dict[str, Array]:
        owed = self.owes.sum(1)
        lost = (owed - books.paid).sum()
        failed = (books.paid < owed * (1.0 - SLACK)).sum()
        return {"defaults": failed, "paid": 1.0 - lost / owed.sum(), "price": books.price, "lost": lost}

    def claims(self, paid: Float[Array, " banks"]) -> Float[Array, " banks"]:
        """Pi' p: what each bank gets from the others."""
        owed = self.owes.sum(1)
        return (jnp.where(owed > 0, paid / jnp.where(owed > 0, owed, 1.0), 0.0)[:, None] * self.owes).sum(0)


def sell_least(position: Position, draw: Draw) -> Float[Array, " banks"]:
    """The smallest share of holdings whose sale leaves capital enough for the rest; all of them where none does."""
    allowed = position.capital / jnp.where(position.least > 0, position.least, 1.0)
    allowed = jnp.where(position.least > 0, allowed, jnp.where(position.capital < 0, -1.0, jnp.inf))
    excess = position.claims + position.holdings - allowed
    worth = jnp.where(position.holdings > 0, position.holdings, 1.0)
    return jnp.where(position.capital < 0, 1.0, jnp.clip(excess / worth, 0.0, 1.0))


def clearing_vector(owes: ArrayLike, cash: ArrayLike) -> np.ndarray:
    """The greatest clearing vector p (banks,), float64, by Eisenberg and Noe's rounds of default: who cannot pay though
    all others do as they did last defaults, and what the defaulters then pay solves a linear system.

    **Raises:** `ModelError` if some defaulters owe only each other and have nothing, so that no vector is the only one.
    """
    owes, cash = np.asarray(owes, np.float64), np.asarray(cash, np.float64)
    owed = owes.sum(1)
    share = np.divide(owes, owed[:, None], out=np.zeros_like(owes), where=owed[:, None] > 0)
    paid, failed = owed.copy(), np.zeros(len(owed), bool)
    while True:
        failing = failed | (cash + share.T @ paid < owed * (1.0 - _EXACT))
        if (failing == failed).all():
            return paid
        failed = failing
        system = np.eye(failed.sum()) - share[np.ix_(failed, failed)].T
        if np.linalg.cond(system) > 1.0 / _EXACT:
            raise ModelError("some banks that default owe only each other: give one of them cash, or a debt to others")
        paid = owed.copy()
        paid[failed] = np.linalg.solve(system, cash[failed] + share[np.ix_(~failed, failed)].T @ owed[~failed])


def random_banks(key: Key, banks: int, *, links: int = 4, deposits: float = 4.0, capital: float = 0.03) -> Interbank:
    """Banks of which each owes one unit in all to `links` others at random, and deposits to the world outside.

    The world outside is the last "bank". One unit of what a bank has besides claims is the asset that can be sold, the
    rest is cash; its capital is the share `capital` of its debts (the balance sheets of Nier, Yang, Yorulmazer and
    Alentorn 2007, Journal of Economic Dynamics and Control 31:2033).

    **Raises:** `ModelError` if there are not so many others.
    """
    if not 1 <= links < banks or deposits < 0 or capital < 0:
        raise ModelError(f"{links} links of {banks} banks, deposits {deposits}, capital {capital}: 1 <= links < banks")
    rng = host_generator(key)
    owes = np.zeros((banks + 1, banks + 1))
    for bank in range(banks):
        owes[bank, rng.choice(np.delete(np.arange(banks), bank), links, replace=False)] = 1.0 / links
    owes[:banks, banks] = deposits
    owed, claims = owes.sum(1), owes.sum(0)
    besides = np.append((owed * (1.0 + capital) - claims)[:banks], 0.0)
    holdings = np.append(np.minimum(1.0, np.maximum(besides[:banks], 0.0)), 0.0)
    return Interbank(owes, np.maximum(besides, 0.0) - holdings, holdings)
