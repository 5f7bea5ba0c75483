"""An economy of households and firms that find each other, and whose books balance.

Matthias Lengnick (2013, Agent-based macroeconomics: a baseline model, Journal of Economic Behavior and Organization
86:102). Households know `shops` firms of which they buy and one that they work for, if any. A step is a month of `days`
days. A firm has workers l, pays a wage w, asks a price p, holds goods i and was asked for d of them last month.

At its beginning a firm whose vacancy was not filled raises w by a share up to `wage_step`; one that has filled all of
them for `patience` months lowers it. With i < lower d it opens a vacancy and, with probability `alert`, raises p by a
share up to `price_step`, unless p > 1.15 c with c = w / (output days) the cost of a unit; with i > upper d it gives one
worker notice for the end of the month and may lower p in the same way, unless p < 1.025 c. A household compares one of
its shops with a firm drawn by size and changes to it if it is 1 % cheaper or more (probability `compares`), and changes
a shop that could not serve it, drawn by how much it could not, for any firm (probability `leaves`). Who is out of
work asks at `tries` firms for a vacancy at its reservation wage or more; who works asks at one, always if it earns less
than its reservation wage and otherwise with probability `ambition`, for a higher wage than its own.

A household with money m that sees a mean price P plans to buy min((m / P)^alpha, m / P) in the month, as much every
day, in its shops in random order until it has 95 % of it. A worker makes `output` units a day. At the end firms pay
wages, and cut them to what they have if that is less; keep `buffer` of the wage bill; and pay the rest out to all
households in proportion to what these own. A reservation wage rises to a wage that is paid, and falls by a tenth in a
month without work.

Facts it must reproduce (tests/zoo): not a tick of money and not a lot of goods is made or lost; out of work is a small
share that swings and never settles; with more vacancies fewer are out of work (Beveridge), and wages rise more when
fewer are (Phillips); sizes of firms are skew.

What is otherwise here: money and goods are whole numbers (ticks; lots, LOTS to a unit); all households shop at the same
time, whoever is first in a shop being drawn by lot, and begin a round of their shops at one of them at random; all who
look for work go to a firm at the same time, of several who want a vacancy one gets it by lot; everybody begins in
work, which the paper leaves open with all other things at the start.
"""

from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from .._errors import ModelError
from ..core.domain import Domain, nonnegative, positive, unit
from ..core.draw import Draw
from ..core.model import Model, parameter
from ..interact.books import Books
from ..interact.look import Layer, Look
from ..interact.lots import lots, shuffled, winners
from ..interact.posted_prices import offers_seen
from ..interact.rations import counted, in_proportion, served

LOTS = 10
"""Lots of a unit of goods."""
PRICE = 200
"""Of a lot, in ticks, at the start."""
MARKUPS = (1.025, 1.15)
"""Between which prices are moved, over the cost of a lot."""
ENOUGH = 0.05
"""Of a day's plan: with no more than that missing a household goes home."""
MOST = 8_000
"""Households whose money adds up to less than 2^31 ticks."""


class Households(NamedTuple):
    """`employer`, a firm's number, -1 without work; `shops`; `missed`: lots that each shop could not give last month;
    `reservation` wage and `money` in ticks; `eaten`: lots since the start. Of the last month in ticks: what it
    `opened` with, `spent`, and got as `wages` and `dividends`.
    """

    employer: Int[Array, " households"]
    shops: Int[Array, "households shops"]
    missed: Int[Array, "households shops"]
    reservation: Int[Array, " households"]
    money: Int[Array, " households"]
    eaten: Int[Array, " households"]
    opened: Int[Array, " households"]
    spent: Int[Array, " households"]
    wages: Int[Array, " households"]
    dividends: Int[Array, " households"]


class Firms(NamedTuple):
    """`wage` and `price` in ticks; `stock` and `asked`, lots, the latter of last month; `posted`: 1 with a vacancy last
    month, `vacant`: 1 if it was not filled, `filled`: months without such a one; `money`; `made`: lots since the start.
    Of the last month in ticks: what it `opened` with, `earned`, and paid as `wages` and `dividends`.
    """

    wage: Int[Array, " firms"]
    price: Int[Array, " firms"]
    stock: Int[Array, " firms"]
    asked: Int[Array, " firms"]
    posted: Int[Array, " firms"]
    vacant: Int[Array, " firms"]
    filled: Int[Array, " firms"]
    money: Int[Array, " firms"]
    made: Int[Array, " firms"]
    opened: Int[Array, " firms"]
    earned: Int[Array, " firms"]
    wages: Int[Array, " firms"]
    dividends: Int[Array, " firms"]


class Economy(NamedTuple):
    """The two sectors."""

    households: Households
    firms: Firms


class Day(NamedTuple):
    """While people shop: `plan`, lots that each still wants; households' money, lots got and missed a shop; firms'
    stock, lots asked for and sold in ticks; how many shops have been seen.
    """

    plan: Int[Array, " households"]
    money: Int[Array, " households"]
    got: Int[Array, " households"]
    missed: Int[Array, "households shops"]
    stock: Int[Array, " firms"]
    asked: Int[Array, " firms"]
    earned: Int[Array, " firms"]
    visits: Int[Array, ""]


class BaselineEconomy(Model):
    """Sites: `work`, `know` in init; `firms/...`, `compare/...`, `leave/...`, `seek/...`, `day/first`, `day/queue` and
    `payday` in a step. The rule at `payday` sees the wage that each household is owed and says what it is handed; firms
    pay what they owe, so that whatever is handed out otherwise is made of nothing or lost.

    Observed: `unemployment` at the end of the month and `vacancies` at its beginning, a household; `wage` and `price`,
    means in ticks, the first over those in work; `output`, units made in the month; `largest`, the share of the largest
    firm in all who work.
    """

    households: int = eqx.field(static=True, default=1000)
    firms: int = eqx.field(static=True, default=100)
    shops: int = eqx.field(static=True, default=7)
    days: int = eqx.field(static=True, default=21)
    tries: int = eqx.field(static=True, default=5)
    patience: int = eqx.field(static=True, default=24)
    wage_step: Float[Array, ""] = parameter(
        default=0.019, domain=unit, doc="delta: the most that wages change, a share"
    )
    price_step: Float[Array, ""] = parameter(default=0.02, domain=unit, doc="the most that prices change, a share")
    alert: Float[Array, ""] = parameter(default=0.75, domain=unit, doc="theta: probability of changing a price")
    lower: Float[Array, ""] = parameter(default=0.25, domain=nonnegative, doc="least stock, of a month's demand")
    upper: Float[Array, ""] = parameter(default=1.0, domain=nonnegative, doc="largest stock, of a month's demand")
    output: Float[Array, ""] = parameter(default=3.0, unit="units/day", domain=positive, doc="lambda: of a worker")
    alpha: Float[Array, ""] = parameter(default=0.9, domain=Domain(0.5, 1.0), doc="how spending grows with wealth")
    compares: Float[Array, ""] = parameter(default=0.25, domain=unit, doc="probability of looking for a cheaper shop")
    leaves: Float[Array, ""] = parameter(default=0.25, domain=unit, doc="probability of leaving a shop without goods")
    ambition: Float[Array, ""] = parameter(default=0.1, domain=unit, doc="pi: probability of asking for a better wage")
    buffer: Float[Array, ""] = parameter(default=0.1, domain=nonnegative, doc="chi: what firms keep, of a wage bill")

    def __check_init__(self) -> None:
        if min(self.firms, self.days, self.tries, self.patience, self.shops) < 1 or self.shops > self.firms:
            raise ModelError(f"{self.shops} shops of {self.firms} firms: one or more of everything, and so many firms")
        if not 1 <= self.households <= MOST:
            raise ModelError(f"an economy has 1 to {MOST} households, not {self.households}: its money would turn over")

    def init(self, draw: Draw) -> Economy:
        people, firms = jnp.zeros(self.households, jnp.int32), jnp.zeros(self.firms, jnp.int32)
        employer = shuffled(draw, "work", self.households) % self.firms
        know = offers_seen(draw, "know", self.households, self.firms, self.shops)
        month = self._lots() * self.days
        wage = jnp.round(PRICE * month / sum(MARKUPS) * len(MARKUPS)).astype(jnp.int32)
        workers = firms.at[employer].add(1)
        need = (month / LOTS) ** (1.0 / self.alpha)  # what lets people buy what they make
        money = jnp.round(PRICE * LOTS * need).astype(jnp.int32)
        return Economy(
            Households(
                employer,
                know,
                jnp.zeros_like(know),
                people + wage,
                people + money,
                people,
                people,
                people,
                people,
                people,
            ),
            Firms(
                firms + wage,
                firms + PRICE,
                workers * month // 2,
                workers * month,
                firms,
                firms,
                firms,
                jnp.round(self.buffer * wage * workers).astype(jnp.int32),
                *(firms for _ in range(5)),
            ),
        )

    def step(self, draw: Draw, state: Economy) -> Economy:
        people, firms = state
        people = people._replace(opened=people.money)
        workers = self.workers(people)
        firms, noticed = self._planned(draw.child("firms"), firms._replace(opened=firms.money), people, workers)
        people = self._changed_shops(draw, people, firms)
        people, firms = self._sought(draw.child("seek"), people, firms)
        people, firms = self._month(draw, people, firms)
        return Economy(*self._paid(draw, people, firms, noticed))

    def observe(self, state: Economy) -> dict[str, Array]:
        people, firms = state
        workers = self.workers(people)
        works = (people.employer >= 0).sum()
        made = (self._lots() * self.days * workers).sum() / LOTS
        return {
            "unemployment": (self.households - works) / self.households,
            "vacancies": firms.posted.sum() / self.households,
            "wage": (firms.wage * (workers / jnp.maximum(works, 1))).sum(),
            "price": firms.price.mean(dtype=jnp.float32),
            "output": made,
            "largest": workers.max() / jnp.maximum(works, 1),
        }

    def look(self, state: Economy) -> Look:
        """How many work for each firm."""
        return Look(None, (Layer("workers", self.workers(state.households)),))

    def conserved(self) -> dict[str, Callable[[Economy], Array]]:
        """Money; and goods, those in stock and eaten less those made."""
        return {
            "money": lambda state: jnp.concatenate([state.households.money, state.firms.money]),
            "goods": lambda state: jnp.concatenate([state.households.eaten, state.firms.stock - state.firms.made]),
        }

    def books(self, state: Economy) -> Books:
        """The matrices of the last month, in ticks; goods in stock are worth their prices."""
        people, firms = state

        def total(values: Array) -> int:
            return int(np.asarray(values).sum(dtype=np.int64))

        return Books(
            ("households", "firms"),
            {
                "money": (total(people.money), total(firms.money)),
                "goods": (0, int(np.asarray(firms.stock, np.int64) @ np.asarray(firms.price, np.int64))),
            },
            {
                "consumption": (-total(people.spent), total(firms.earned)),
                "wages": (total(people.wages), -total(firms.wages)),
                "dividends": (total(people.dividends), -total(firms.dividends)),
            },
            (total(people.money - people.opened), total(firms.money - firms.opened)),
        )

    def workers(self, people: Households) -> Int[Array, " firms"]:
        """How many work for each firm."""
        return counted(people.employer, jnp.ones_like(people.employer), self.firms)

    def _lots(self) -> Int[Array, ""]:
        """What a worker makes a day."""
        return jnp.round(self.output * LOTS).astype(jnp.int32)

    def _planned(self, draw: Draw, firms: Firms, people: Households, workers: Array) -> tuple[Firms, Array]:
        """Firms with new wages, prices and vacancies, and who has been given notice."""
        step = self.wage_step * draw.uniform("wages", size=self.firms)
        up, down = firms.vacant > 0, firms.filled >= self.patience
        wage = jnp.round(firms.wage * (1.0 + step * (up * 1.0 - (down & ~up)))).astype(jnp.int32)
        short, much = firms.stock < self.lower * firms.asked, firms.stock > self.upper * firms.asked
        cost = wage / (self._lots() * self.days)
        move = (
            self.price_step
            * draw.uniform("prices", size=self.firms)
            * draw.bernoulli("alert", self.alert, size=self.firms)
        )
        rises, falls = short & (firms.price < MARKUPS[1] * cost), much & (firms.price > MARKUPS[0] * cost)
        price = jnp.round(firms.price * (1.0 + move * (rises * 1.0 - falls))).astype(jnp.int32)
        lot = lots(draw.child("notice").uniform("first", size=self.households))
        works = (people.employer >= 0) & much.at[people.employer].get(mode="clip")
        noticed = winners(people.employer, lot, works, self.firms)
        posted = short.astype(jnp.int32)
        firms = firms._replace(wage=jnp.maximum(wage, 1), price=jnp.maximum(price, 1), posted=posted, vacant=posted)
        return firms, noticed

    def _changed_shops(self, draw: Draw, people: Households, firms: Firms) -> Households:
        """Who compares goes to a cheaper firm; who was not served looks for another one."""
        everybody = jnp.arange(self.households)
        luck = draw.child("compare")
        place = _whole(luck.uniform("which", size=self.households), self.shops)
        colleague = _whole(luck.uniform("whom", size=self.households), self.households)
        other = people.employer[colleague]  # a firm is drawn by its size
        known = (people.shops == other[:, None]).any(1)
        cheaper = firms.price.at[other].get(mode="clip") <= 0.99 * firms.price[people.shops[everybody, place]]
        changes = (luck.bernoulli("does", self.compares, size=self.households) > 0) & (other >= 0) & ~known & cheaper
        shops = people.shops.at[everybody, place].set(jnp.where(changes, other, people.shops[everybody, place]))

        luck = draw.child("leave")
        missed = jnp.cumsum(people.missed, axis=1)
        left = luck.uniform("which", size=self.households) * missed[:, -1]
        place = jnp.minimum((missed <= left[:, None]).sum(1), self.shops - 1)
        other = _whole(luck.uniform("whom", size=self.households), self.firms)
        known = (shops == other[:, None]).any(1)
        changes = (luck.bernoulli("does", self.leaves, size=self.households) > 0) & (missed[:, -1] > 0) & ~known
        shops = shops.at[everybody, place].set(jnp.where(changes, other, shops[everybody, place]))
        return people._replace(shops=shops, missed=jnp.zeros_like(people.missed))

    def _sought(self, draw: Draw, people: Households, firms: Firms) -> tuple[Households, Firms]:
        """Who looks for work or for better work, and the vacancies that are left."""
        works = people.employer >= 0
        wage = jnp.where(works, firms.wage.at[people.employer].get(mode="clip"), 0)
        looks = draw.bernoulli("looks", self.ambition, size=self.households) > 0
        once = works & ((wage < people.reservation) | looks)
        least = jnp.where(works, wage + 1, people.reservation)

        def visit(draw: Draw, i: Array, carry: tuple[Array, Array]) -> tuple[Array, Array]:
            employer, vacant = carry
            firm = _whole(draw.uniform("firm", size=self.households), self.firms)
            asks = jnp.where(works, once & (i == 0), employer < 0) & (vacant[firm] > 0) & (firms.wage[firm] >= least)
            won = winners(firm, lots(draw.uniform("lot", size=self.households)), asks, self.firms) > 0
            return jnp.where(won, firm, employer), vacant.at[jnp.where(won, firm, self.firms)].set(0, mode="drop")

        employer, vacant = draw.loop("visit", self.tries, visit, (people.employer, firms.vacant))
        filled = jnp.where(vacant > 0, 0, firms.filled + 1)
        return people._replace(employer=employer), firms._replace(vacant=vacant, filled=filled)

    def _month(self, draw: Draw, people: Households, firms: Firms) -> tuple[Households, Firms]:
        """Every day firms make goods and households buy them."""
        level = firms.price[people.shops].mean(axis=1) * LOTS
        real = people.money / level
        plan = jnp.round(jnp.minimum(real**self.alpha, real) * LOTS / self.days).astype(jnp.int32)
        made = self._lots() * self.workers(people)
        none = jnp.zeros(self.firms, jnp.int32)

        def day(draw: Draw, _: Array, now: Day) -> Day:
            first = _whole(draw.uniform("first", size=self.households), self.shops)
            queue = shuffled(draw, "queue", self.households)
            now = now._replace(plan=plan, stock=now.stock + made, visits=jnp.int32(0))
            return jax.lax.while_loop(
                lambda day: (day.visits < self.shops) & (day.plan > ENOUGH * plan).any(),
                lambda day: self._visited(
                    day, plan, (first + day.visits) % self.shops, queue, people.shops, firms.price
                ),
                now,
            )

        start = Day(plan, people.money, people.eaten, people.missed, firms.stock, none, none, jnp.int32(0))
        end = draw.loop("day", self.days, day, start)
        people = people._replace(money=end.money, eaten=end.got, missed=end.missed, spent=people.money - end.money)
        firms = firms._replace(
            stock=end.stock,
            asked=end.asked,
            earned=end.earned,
            made=firms.made + made * self.days,
            money=firms.money + end.earned,
        )
        return people, firms

    def _visited(self, day: Day, plan: Array, place: Array, queue: Array, shops: Array, prices: Array) -> Day:
        """Everybody who has not enough goes to one of its shops."""
        everybody = jnp.arange(self.households)
        shop = shops[everybody, place]
        price = prices[shop]
        wants = jnp.where(day.plan > ENOUGH * plan, jnp.minimum(day.plan, day.money // price), 0)
        got = served(shop, wants, queue, day.stock)
        afford = day.money // price >= day.plan
        return Day(
            jnp.where(afford | (got < wants), day.plan - got, 0),
            day.money - got * price,
            day.got + got,
            day.missed.at[everybody, place].add(wants - got),
            day.stock - counted(shop, got, self.firms),
            day.asked + counted(shop, wants, self.firms),
            day.earned + counted(shop, got * price, self.firms),
            day.visits + 1,
        )

    def _paid(self, draw: Draw, people: Households, firms: Firms, noticed: Array) -> tuple[Households, Firms]:
        """Wages and dividends; who has been given notice goes."""
        workers = self.workers(people)
        wage = jnp.where(workers > 0, jnp.minimum(firms.wage, firms.money // jnp.maximum(workers, 1)), firms.wage)
        works = people.employer >= 0
        owed = jnp.where(works, wage.at[people.employer].get(mode="clip"), 0)
        handed = draw.decide("payday", owed, lambda owed, _: owed)
        bill = wage * workers
        kept = jnp.round(self.buffer * bill).astype(jnp.int32)
        dividends = jnp.maximum(firms.money - bill - kept, 0)
        shares = in_proportion(dividends.sum(), people.money)
        lower = jnp.round(0.9 * people.reservation).astype(jnp.int32)
        people = people._replace(
            money=people.money + handed + shares,
            wages=handed,
            dividends=shares,
            reservation=jnp.where(works, jnp.maximum(people.reservation, owed), lower),
            employer=jnp.where((noticed > 0) & works, -1, people.employer),
        )
        firms = firms._replace(
            wage=jnp.maximum(wage, 1), money=firms.money - bill - dividends, wages=bill, dividends=dividends
        )
        return people, firms


def _whole(share: Array, options: int) -> Int[Array, " agents"]:
    """A number of 0 .. options - 1 out of a share."""
    return jnp.minimum((share * options).astype(jnp.int32), options - 1)
