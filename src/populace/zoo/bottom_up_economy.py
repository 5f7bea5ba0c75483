"""An economy of households, firms and a bank from the bottom up: work, credit and goods are searched for.

Domenico Delli Gatti, Saul Desiderio, Edoardo Gaffeo, Pasquale Cirillo and Mauro Gallegati (2011, Macroeconomics from
the Bottom-up, Springer), chapter 3. A step is a quarter. Money is made by lending and unmade by paying back, and what
is owed and paid adds up to the last tick (`bottom_up_accounts`).

The quarter begins with last quarter's goods. A household with money m, of which s was saved, spends the share
1 / (1 + tanh(s / mean s)^beta) of m in `shops` firms, the largest that it visited last time and others at random, the
cheapest first. What is not sold spoils. Firms pay back what they owe, with interest, and the share `payout` of profits
to all households alike. One that cannot pay fails, the rest of its debt is written off against the bank's equity, and
a new firm takes its place.

Then firms plan. With P the mean price paid, one that sold out at P or more makes a share up to `quantity_step` more
than it made last, one with goods left below P as much less; one that sold out below P asks a share up to `price_step`
more, one with goods left at P or above as much less, neither less than a lot cost last quarter. A firm wants so many
workers, rounded up, one at least. Contracts run for `contract` quarters; whom it lacks a firm looks for, at a wage
raised by a share up to `wage_step`. Nobody earns less than the lowest wage, which follows P once a year. Who is out of
work applies at `applications` firms, the best wage first, but before all at the one whose contract has just run out.

A firm whose money A is less than its wages W asks the bank for B = W - A. The bank lends equity / v in all, the least
leverage B / A first, at the rate r (1 + phi min(B / A, 10)) with phi between 0 and `premium`. Workers for whom there
is no money are dismissed, those who earn most first. Wages are paid and goods made, `output` units a worker.

Facts it must reproduce (tests/zoo): all books close in every quarter; output and unemployment swing and never settle;
firms fail, and their debts take from the bank's equity; wages rise less when more are out of work (Phillips); sizes of
firms are skew to the right; firms with more leverage fail more.

What is otherwise here: (1) Where money came from nowhere somebody pays. Households own firms and bank: new firms are
given `entry` times the money of the median firm out of all their deposits in proportion, and so is a bank whose equity
is used up (USED_UP or less of what it owes), up to v of these deposits; what is left of a firm that fails without
debts is theirs. The bank pays dividends as firms do. (2) One bank, which lends a firm no more than `limit` times A.
(3) The step is cut where goods are made and not sold, so that the books show loans and stocks. (4) Firms that made
nothing and have less than a wage left fail. (5) Money and goods are whole numbers (ticks; lots, LOTS to a unit), and
all who look for work apply at the same time, served by lot.

Where new firms are given less than a wage (`entry` near 0, `payout` near 1) all work comes to an end and stays there.
"""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from .._errors import ModelError
from ..core.domain import Domain, nonnegative, positive, unit
from ..core.draw import Draw
from ..core.model import Model, parameter
from ..interact.books import Books
from ..interact.look import Layer, Look
from ..interact.lots import shuffled
from ..interact.posted_prices import offers_seen, posted_prices
from ..interact.rations import counted, served
from .bottom_up_accounts import Bank, Economy, Firms, Households, Market, books, deposits, ledgers, no_flows, row
from .bottom_up_credit import alike, applied, as_paid, leverage, levied, settled, soundest_first, typical

WAGE = 2000
"""Of a worker and quarter at the start, in ticks."""
LOTS = 20
"""Lots of a unit of goods."""
MARKUP = 1.2
"""Of prices at the start, on the wage in a lot."""
YEAR = 4
"""Quarters after which the lowest wage is revised."""
USED_UP = 0.001
"""The equity of a bank, of its deposits, with no more of which it is given some."""
MOST = 50_000
"""Households whose deposits add up to less than 2^31 ticks, loans and all."""


class BottomUpEconomy(Model):
    """Sites: `work`, `contract`, `shop` in init; `shops/...`, `interest`, `plan/...`, `seek/...`, `lend` and `cost` in
    a step. The rule at `lend` sees `Applications` and says how much each firm is lent, of which no more is taken up
    than it asked for and needs. The rule at `interest` sees what each firm has paid and says what the bank books as
    income: whatever it says otherwise breaks the bank's books.

    Observed, of the quarter: `unemployment`, the share of households without work; `output`, units; `price` of a lot
    and `wage`, means in ticks; `bankruptcies`, the share of firms that failed; `loans` and `bad_debts`, shares of the
    wages paid; `equity` of the bank, of all deposits; `largest`, the share of the largest firm in output.
    """

    households: int = eqx.field(static=True, default=500)
    firms: int = eqx.field(static=True, default=100)
    shops: int = eqx.field(static=True, default=2)
    applications: int = eqx.field(static=True, default=4)
    contract: int = eqx.field(static=True, default=8)
    quantity_step: Float[Array, ""] = parameter(default=0.1, domain=unit, doc="h_rho: the most that plans change")
    price_step: Float[Array, ""] = parameter(default=0.1, domain=unit, doc="h_eta: the most that prices change")
    wage_step: Float[Array, ""] = parameter(default=0.05, domain=unit, doc="h_xi: the most that wages rise")
    premium: Float[Array, ""] = parameter(default=0.1, domain=nonnegative, doc="h_phi: the most that leverage costs")
    rate: Float[Array, ""] = parameter(default=0.02, unit="1/quarter", domain=nonnegative, doc="r: interest at least")
    v: Float[Array, ""] = parameter(default=0.1, domain=Domain(0.001, 1.0), doc="least equity of the bank, of loans")
    limit: Float[Array, ""] = parameter(default=2.0, domain=nonnegative, doc="most debt of a firm, of its money")
    beta: Float[Array, ""] = parameter(default=2.5, domain=positive, doc="how savings lower the share that is spent")
    payout: Float[Array, ""] = parameter(default=0.15, domain=unit, doc="delta: dividends, of profits")
    entry: Float[Array, ""] = parameter(default=0.8, domain=unit, doc="size of new firms, of the median firm")
    output: Float[Array, ""] = parameter(default=1.0, unit="units/quarter", domain=positive, doc="alpha: of a worker")

    def __check_init__(self) -> None:
        if not 2 <= self.shops <= self.firms or not 1 <= self.applications <= self.firms or self.contract < 1:
            raise ModelError(
                f"{self.shops} shops and {self.applications} applications among {self.firms} firms, contracts of "
                f"{self.contract} quarters: 2 shops or more, one or more of the others, and so many firms"
            )
        if not 1 <= self.households <= MOST:
            raise ModelError(f"an economy has 1 to {MOST} households, not {self.households}: its money would turn over")

    def init(self, draw: Draw) -> Economy:
        people, firms = jnp.zeros(self.households, jnp.int32), jnp.zeros(self.firms, jnp.int32)
        employer = shuffled(draw, "work", self.households) % self.firms
        begun = jnp.floor(self.contract * draw.uniform("contract", size=self.households)).astype(jnp.int32)
        made = counted(employer, people + 1, self.firms) * self._lots()
        price = jnp.maximum(jnp.round(MARKUP * WAGE / self._lots()), 1.0)
        money = WAGE * self.households // self.firms
        owed = jnp.int32(2 * WAGE * self.households + money * self.firms)
        equity = jnp.round(self.v * WAGE * self.households).astype(jnp.int32)
        return Economy(
            Households(
                employer,
                jnp.maximum(self.contract - begun, 1),
                people + WAGE,
                people + 2 * WAGE,
                people + WAGE,
                shuffled(draw, "shop", self.households) % self.firms,
                people,
            ),
            Firms(
                price=firms + price.astype(jnp.int32),
                wage=firms + WAGE,
                made=made,
                money=firms + money,
                debt=firms,
                interest=firms,
                bill=firms,
                failed=firms,
                spoiled=firms,
                produced=made,
            ),
            Bank(owed + equity, jnp.int32(0), owed, equity),
            Market(price, price, jnp.float32(WAGE / 2)),
            no_flows(),
        )

    def step(self, draw: Draw, state: Economy) -> Economy:
        opened = deposits(state)
        state, sold = self._shopped(draw.child("shops"), state)
        state = self._entered(self._settled(draw, state, sold))
        state, vacancies = self._planned(draw.child("plan"), state, sold)
        state = state._replace(households=self._hired(draw.child("seek"), state, vacancies))
        state = self._produced(draw, state)
        return state._replace(flows=state.flows._replace(change=deposits(state) - opened))

    def observe(self, state: Economy) -> dict[str, Array]:
        people, firms, bank, market, flows = state
        works, bill = (people.employer >= 0).sum(), jnp.maximum(firms.bill.sum(), 1)
        return {
            "unemployment": (self.households - works) / self.households,
            "output": firms.made.sum() / LOTS,
            "price": market.price,
            "wage": people.wage.sum() / jnp.maximum(works, 1),
            "bankruptcies": firms.failed.mean(dtype=jnp.float32),
            "loans": bank.loans / bill,
            "bad_debts": flows.written_off[1] / bill,
            "equity": bank.equity / jnp.maximum(bank.deposits, 1),
            "largest": firms.made.max() / jnp.maximum(firms.made.sum(), 1),
        }

    def look(self, state: Economy) -> Look:
        """How much each firm has made."""
        return Look(None, (Layer("made", state.firms.made),))

    def conserved(self) -> dict[str, Callable[[Economy], Array]]:
        """Both sides' counts of deposits and of loans, the bank's balance, and goods (`ledgers`)."""
        return ledgers()

    def books(self, state: Economy) -> Books:
        """The matrices of the quarter."""
        return books(state)

    def leverage(self, state: Economy) -> Float[Array, " firms"]:
        """The debt of each firm, of the money that it had before it paid wages; 10 at the most."""
        firms = state.firms
        return leverage(firms.debt, firms.money + firms.bill - firms.debt)

    def _lots(self) -> Int[Array, ""]:
        """What a worker makes in a quarter."""
        return jnp.maximum(jnp.round(self.output * LOTS), 1.0).astype(jnp.int32)

    def _shopped(self, draw: Draw, state: Economy) -> tuple[Economy, Int[Array, " firms"]]:
        """Households buy; and the lots that each firm has sold."""
        people, firms, _, market, flows = state
        others = offers_seen(draw, "see", self.households, self.firms - 1, self.shops - 1)
        seen = jnp.concatenate([people.shop[:, None], others + (others >= people.shop[:, None])], axis=1)
        wealth = people.saved / jnp.maximum(people.saved.mean(dtype=jnp.float32), 1.0)
        share = 1.0 / (1.0 + jnp.tanh(wealth) ** self.beta)
        budget = jnp.minimum(jnp.round(share * people.money).astype(jnp.int32), people.money)
        trades = posted_prices(
            draw,
            "queue",
            price=firms.price,
            stock=firms.made,
            seen=seen,
            wanted=budget,
            limit=jnp.full_like(budget, 2**31 - 1),
            budget=budget,
        )
        worth = trades.quantity * trades.price
        spent, earned = counted(trades.buyer, worth, self.households), counted(trades.seller, worth, self.firms)
        got = counted(trades.buyer, trades.quantity, self.households)
        sold = counted(trades.seller, trades.quantity, self.firms)
        largest = jnp.take_along_axis(seen, jnp.argmax(firms.made[seen], axis=1)[:, None], axis=1)[:, 0]
        left = people.money - spent
        mean = jnp.where(sold.sum() > 0, earned.sum() / jnp.maximum(sold.sum(), 1), market.price)
        state = state._replace(
            households=people._replace(money=left, saved=left, shop=largest, eaten=people.eaten + got),
            firms=firms._replace(money=firms.money + earned, spoiled=firms.spoiled + firms.made - sold),
            market=market._replace(price=mean),
            flows=flows._replace(consumption=row(-spent.sum(), earned.sum())),
        )
        return state, sold

    def _settled(self, draw: Draw, state: Economy, sold: Array) -> Economy:
        """Debts are paid back or written off, and profits are paid out."""
        people, firms, bank, market, flows = state
        ends = settled(firms)
        booked = jnp.round(draw.decide("interest", ends.interest, as_paid)).astype(jnp.int32).sum()
        paid, repaid, lost = ends.interest.sum(), ends.repaid.sum(), ends.lost.sum()
        profit = jnp.maximum(sold * firms.price - firms.bill - ends.interest, 0)
        share = jnp.minimum(jnp.round(self.payout * profit).astype(jnp.int32), ends.left)
        dividends = jnp.where(ends.fails, ends.left, share)
        of_bank = jnp.round(self.payout * jnp.maximum(booked - lost, 0)).astype(jnp.int32)
        got = alike(dividends.sum() + of_bank, jnp.ones_like(people.money))
        return Economy(
            people._replace(money=people.money + got),
            firms._replace(
                money=ends.left - dividends,
                debt=firms.debt - ends.repaid - ends.lost,
                failed=ends.fails.astype(jnp.int32),
            ),
            bank._replace(
                loans=bank.loans - repaid - lost,
                deposits=bank.deposits - paid - repaid + of_bank,
                equity=bank.equity + booked - lost - of_bank,
            ),
            market,
            flows._replace(
                interest=row(0, -paid, booked),
                dividends=row(got.sum(), -dividends.sum(), -of_bank),
                written_off=row(0, lost, -lost),
                lending=row(0, -repaid - lost, repaid + lost),
            ),
        )

    def _entered(self, state: Economy) -> Economy:
        """New firms where others failed, and a bank without equity is given some: households pay for both."""
        people, firms, bank, market, flows = state
        new, stays = firms.failed > 0, firms.failed == 0
        into_firms = levied(people.money, self.entry * typical(firms.money, stays) * new.sum())
        short = jnp.where(bank.equity > USED_UP * bank.deposits, 0.0, self.v * people.money.sum() - bank.equity)
        into_bank = levied(people.money - into_firms, short)
        firm, bank_gets = into_firms.sum(), into_bank.sum()
        dismissed = (people.employer >= 0) & new.at[people.employer].get(mode="clip")

        def begun(values: Array, start: Array | float) -> Array:
            return jnp.where(new, jnp.round(start).astype(jnp.int32), values)

        return Economy(
            people._replace(
                money=people.money - into_firms - into_bank, employer=jnp.where(dismissed, -1, people.employer)
            ),
            firms._replace(
                money=firms.money + alike(firm, new),
                price=begun(firms.price, market.price),
                wage=begun(firms.wage, self.entry * typical(firms.wage, stays)),
                made=begun(firms.made, self.entry * typical(firms.made, stays)),
            ),
            bank._replace(deposits=bank.deposits - bank_gets, equity=bank.equity + bank_gets),
            market,
            flows._replace(capital=row(-firm - bank_gets, firm, bank_gets)),
        )

    def _planned(self, draw: Draw, state: Economy, sold: Array) -> tuple[Economy, Int[Array, " firms"]]:
        """Prices, wages and the lowest wage anew, and each firm's vacancies."""
        people, firms, _, market, _ = state
        old = firms.failed == 0
        out, dear = sold >= firms.made, firms.price >= market.price
        quantity = self.quantity_step * draw.uniform("quantity", size=self.firms)
        plan = firms.made * (1.0 + quantity * jnp.where(old & (out == dear), jnp.where(out, 1.0, -1.0), 0.0))
        need = jnp.maximum(jnp.ceil(plan / self._lots() - 1e-4).astype(jnp.int32), 1)

        change = self.price_step * draw.uniform("price", size=self.firms) * jnp.where(out, 1.0, -1.0)
        cost = (firms.bill + firms.interest) / jnp.maximum(firms.made, 1)
        price = jnp.where(old & (out != dear), jnp.maximum(firms.price * (1.0 + change), cost), firms.price)

        turn = draw.time % YEAR == 0
        floor = jnp.where(turn, market.floor * market.price / market.before, market.floor)
        stays = (people.employer >= 0) & (people.contract > 0)
        vacancies = jnp.maximum(need - counted(people.employer, stays.astype(jnp.int32), self.firms), 0)
        rise = self.wage_step * draw.uniform("wage", size=self.firms) * (old & (vacancies > 0))
        wage = jnp.maximum(firms.wage * (1.0 + rise), floor)
        firms = firms._replace(
            price=jnp.maximum(jnp.round(price), 1.0).astype(jnp.int32),
            wage=jnp.maximum(jnp.round(wage), 1.0).astype(jnp.int32),
        )
        market = Market(market.price, jnp.where(turn, market.price, market.before), floor)
        return state._replace(firms=firms, market=market), vacancies

    def _hired(self, draw: Draw, state: Economy, vacancies: Array) -> Households:
        """Contracts that have run out end, and who is out of work looks for it."""
        people, firms, market = state.households, state.firms, state.market
        ends = (people.employer >= 0) & (people.contract == 0)
        seen = offers_seen(draw, "see", self.households, self.firms, self.applications)
        best = jnp.take_along_axis(seen, jnp.argsort(-firms.wage[seen], axis=1), axis=1)
        again = jnp.concatenate([people.employer[:, None], best[:, :-1]], axis=1)
        asked = jnp.where(ends[:, None], again, best)
        queue = shuffled(draw, "queue", self.households)
        idle = jnp.where(ends, -1, people.employer)

        def visit(place: Array, now: tuple[Array, Array]) -> tuple[Array, Array]:
            employer, vacant = now
            firm = asked[:, place]
            got = served(firm, (employer < 0).astype(jnp.int32), queue, vacant)
            return jnp.where(got > 0, firm, employer), vacant - counted(firm, got, self.firms)

        employer = jax.lax.fori_loop(0, self.applications, visit, (idle, vacancies))[0]
        hired, works = (idle < 0) & (employer >= 0), employer >= 0
        wage = jnp.where(hired, firms.wage.at[employer].get(mode="clip"), people.wage)
        wage = jnp.where(works, jnp.maximum(wage, jnp.round(market.floor).astype(jnp.int32)), 0)
        return people._replace(employer=employer, wage=wage, contract=jnp.where(hired, self.contract, people.contract))

    def _produced(self, draw: Draw, state: Economy) -> Economy:
        """Firms borrow what they lack, dismiss whom they cannot pay, pay the others and make goods."""
        people, firms, bank, market, flows = state
        bill = counted(people.employer, people.wage, self.firms)
        asked = applied(bill, firms.money, bank.equity, self.v, self.limit)
        granted = jnp.clip(jnp.round(draw.decide("lend", asked, soundest_first)).astype(jnp.int32), 0, asked.asks)
        queue = jnp.argsort(people.wage, stable=True).astype(jnp.int32)
        offered = served(people.employer, people.wage, queue, firms.money + granted)
        works = (people.employer >= 0) & (offered >= people.wage)
        employer, wage = jnp.where(works, people.employer, -1), jnp.where(works, people.wage, 0)
        bill = counted(employer, wage, self.firms)
        debt = jnp.maximum(bill - firms.money, 0)
        phi = draw.uniform("cost", 0.0, self.premium, size=())
        rate = self.rate * (1.0 + phi * leverage(debt, firms.money))
        made = counted(employer, works.astype(jnp.int32), self.firms) * self._lots()
        lent, paid = debt.sum(), bill.sum()
        return Economy(
            people._replace(
                employer=employer,
                wage=wage,
                money=people.money + wage,
                contract=jnp.where(works, people.contract - 1, 0),
            ),
            firms._replace(
                money=firms.money + debt - bill,
                debt=firms.debt + debt,
                interest=jnp.round(rate * debt).astype(jnp.int32),
                bill=bill,
                made=made,
                produced=firms.produced + made,
            ),
            bank._replace(loans=bank.loans + lent, deposits=bank.deposits + lent),
            market,
            flows._replace(wages=row(wage.sum(), -paid), lending=flows.lending + row(0, lent, -lent)),
        )
