"""Games with a loophole planted in them, and their clean twins: what `audit_suite.py` asks the audit of.

Each pair is one model with a switch. What a modeller would declare (limits, ledgers, welfare, what agents cannot know,
a variant in which a suspicion is closed) is declared of both twins alike.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array

import populace as pop

AGENTS = 4


@dataclass(frozen=True)
class Case:
    """A game to be learned; what is to be found in it (subject and class), if it is the planted twin; and what the
    auditor closes, splits, and tries beyond the ends of intervals.
    """

    game: pop.Game
    subject: str
    code: pop.Code
    variants: dict[str, pop.Game] = field(default_factory=dict)
    updates: int = 80
    splits: dict[str, pop.Split] = field(default_factory=dict)
    beyond: float = 0.0


def game(model: pop.Model, site: str, actions: pop.Actions, steps: int = 32, **declared: Any) -> pop.Game:
    """Each agent is paid what the state says that it was paid."""
    own = {name: declared.pop(name) for name in ("discount", "hidden", "who", "types") if name in declared}
    learner = pop.Learner(lambda step: step.after["paid"], actions, **own)
    return pop.Game(model, steps, {site: learner}, **declared)


class Planted(pop.Model):
    """A model with a switch, whose state is a dictionary with what each agent was `paid` in the last step."""

    planted: bool = eqx.field(static=True)

    def observe(self, state: dict[str, Array]) -> dict[str, Array]:
        return {"paid": state["paid"].sum()}


class Ponds(Planted):
    """Each empties a pond into which fish swim. Planted: the catch of a step is the rate times the step times what was
    there at its start, so that a large rate is paid for more than there was.
    """

    dt: float = eqx.field(static=True, default=0.1)

    def init(self, draw: pop.Draw) -> dict[str, Array]:
        return {"fish": draw.uniform("first", 0.2, 0.8, size=AGENTS), "paid": jnp.zeros(AGENTS)}

    def step(self, draw: pop.Draw, state: dict[str, Array]) -> dict[str, Array]:
        rate = draw.decide("rate", state["fish"], lambda fish, inner: jnp.ones(fish.shape))
        caught = state["fish"] * (rate * self.dt if self.planted else -jnp.expm1(-rate * self.dt))
        arrive = self.dt * (1.0 - state["fish"]) + 0.2 * self.dt * draw.uniform("luck", -1.0, 1.0, size=AGENTS)
        return {"fish": jnp.maximum(state["fish"] - caught + arrive, 0.0), "paid": caught}


def time_step(planted: bool) -> Case:
    def made(dt: float) -> pop.Game:
        actions = pop.Continuous(0.0, 40.0, first=10.0)
        return game(Ponds(planted, dt=dt), "rate", actions, round(5 / dt), discount=0.8**dt)

    return Case(made(0.1), "rate, a fifth of the step", pop.Code.ARTEFACT, {"a fifth of the step": made(0.02)})


class Counter(Planted):
    """Agents ask for an amount, rounded to the grain; asking costs half its square. Planted: a coarse grain."""

    grain: float = eqx.field(static=True, default=0.1)

    def init(self, draw: pop.Draw) -> dict[str, Array]:
        return {"seen": draw.uniform("first", size=AGENTS), "paid": jnp.zeros(AGENTS)}

    def step(self, draw: pop.Draw, state: dict[str, Array]) -> dict[str, Array]:
        asked = draw.decide("ask", state["seen"], lambda seen, inner: jnp.full(seen.shape, 0.4))
        given = jnp.floor(asked / self.grain + 0.5) * self.grain
        return {"seen": draw.uniform("seen", size=AGENTS), "paid": given - 0.5 * asked**2}


def rounding(planted: bool) -> Case:
    def made(grain: float) -> pop.Game:
        return game(Counter(planted, grain=grain), "ask", pop.Continuous(0.0, 2.0), discount=0.5)

    finer = {"a finer grain": made(0.01)}
    return Case(made(1.0 if planted else 0.1), "ask, a finer grain", pop.Code.ARTEFACT, finer)


class Shore(Planted):
    """Walkers look for the middle of a feeding ground and are blown about. Planted: who is stopped by the wall is paid
    as if food went on behind it.
    """

    def init(self, draw: pop.Draw) -> dict[str, Array]:
        zeros = jnp.zeros(AGENTS)
        return {"place": draw.uniform("first", size=AGENTS), "stopped": zeros, "paid": zeros}

    def step(self, draw: pop.Draw, state: dict[str, Array]) -> dict[str, Array]:
        move = draw.decide("walk", state["place"], lambda place, inner: jnp.zeros(place.shape))
        aim = state["place"] + move + 0.03 * draw.normal("wind", size=AGENTS)
        place = jnp.clip(aim, 0.0, 1.0)
        stopped = (aim != place).astype(jnp.float32)
        food = 1.0 - 4.0 * (place - 0.6) ** 2
        return {"place": place, "stopped": stopped, "paid": jnp.where(self.planted & (stopped > 0), 2.0, food)}


def wall(planted: bool) -> Case:
    actions = pop.Continuous(-0.3, 0.3)
    limits = {"wall": lambda step: step.after["stopped"]}
    return Case(game(Shore(planted), "walk", actions, discount=0.9, limits=limits), "limit 'wall'", LEANS)


LEANS = pop.Code.LEANS_ON_LIMIT


class Savers(Planted):
    """Each eats a share of what it has and saves the rest, up to a cap; wealth is a comfort too. Planted: what is over
    the cap is handed back five times as much.
    """

    cap: float = eqx.field(static=True, default=3.0)

    def init(self, draw: pop.Draw) -> dict[str, Array]:
        zeros = jnp.zeros(AGENTS)
        return {"wealth": draw.uniform("first", 0.2, 1.0, size=AGENTS), "over": zeros, "paid": zeros}

    def step(self, draw: pop.Draw, state: dict[str, Array]) -> dict[str, Array]:
        share = draw.decide("eat", state["wealth"], lambda wealth, inner: jnp.full(wealth.shape, 0.7))
        cash = state["wealth"] + draw.uniform("wage", 0.8, 1.2, size=AGENTS)
        kept = 1.02 * cash * (1.0 - share)
        over = jnp.maximum(kept - self.cap, 0.0)
        eaten = cash * share + (5.0 * over if self.planted else 0.0)
        paid = jnp.log(jnp.maximum(eaten, 0.01)) + 0.3 * jnp.log1p(state["wealth"])
        return {"wealth": kept - over, "over": over, "paid": paid}


def cap(planted: bool) -> Case:
    actions = pop.Continuous(0.0, 1.0, first=0.2)
    limits = {"cap": lambda step: step.after["over"] > 0}
    return Case(game(Savers(planted), "eat", actions, discount=0.9, limits=limits), "limit 'cap'", LEANS)


class Families(Planted):
    """Families have children, as often as they like; slots are few, and lives short. Planted: a subsidy a birth."""

    subsidy: float = eqx.field(static=True, default=1.0)
    slots: int = eqx.field(static=True, default=12)

    def init(self, draw: pop.Draw) -> dict[str, Array]:
        alive = draw.bernoulli("first", 0.5, size=self.slots)
        return {"alive": alive, "paid": jnp.zeros(self.slots)}

    def step(self, draw: pop.Draw, state: dict[str, Array]) -> dict[str, Array]:
        alive = state["alive"]
        crowd = jnp.broadcast_to(alive.mean(), alive.shape)
        chance = draw.decide("births", crowd, lambda crowd, inner: jnp.full(crowd.shape, 0.1), where=alive)
        born = draw.bernoulli("born", chance, where=alive)
        joy = 0.5 * born - 0.5 * chance**2 + (self.subsidy * born if self.planted else 0.0)
        staying = alive * (1.0 - draw.bernoulli("die", 0.2, where=alive))
        free = 1.0 - staying
        filled = free * (jnp.cumsum(free) <= born.sum())
        return {"alive": jnp.maximum(staying, filled), "paid": joy * alive}


def births(planted: bool) -> Case:
    def made(subsidy: float) -> pop.Game:
        actions = pop.Continuous(0.0, 1.0)
        return game(Families(planted, subsidy=subsidy), "births", actions, discount=0.9)

    plain = {"no subsidy": made(0.0)}
    return Case(made(1.0), "births, no subsidy", pop.Code.ARTEFACT, plain)


class Debtors(Planted):
    """Agents borrow to eat and to invest, up to what no lender goes beyond. Planted: who would owe more dies, and is
    born again in the same slot without debts.
    """

    most: float = eqx.field(static=True, default=3.0)

    def init(self, draw: pop.Draw) -> dict[str, Array]:
        zeros = jnp.zeros(AGENTS)
        return {"debt": draw.uniform("first", 0.0, 1.0, size=AGENTS), "died": zeros, "paid": zeros}

    def step(self, draw: pop.Draw, state: dict[str, Array]) -> dict[str, Array]:
        debt = state["debt"]
        borrowed = draw.decide("borrow", debt, lambda debt, inner: jnp.full(debt.shape, 0.02))
        wage = draw.uniform("wage", 0.9, 1.1, size=AGENTS)
        owed = 0.9 * debt + borrowed
        beyond = (owed > self.most).astype(jnp.float32)
        eaten = wage + borrowed + 0.4 * jnp.sqrt(debt) - 0.35 * debt
        if self.planted:
            after = jnp.where(beyond > 0, 0.0, owed)
        else:
            eaten = jnp.where(beyond > 0, eaten - (owed - self.most), eaten)
            after = jnp.minimum(owed, self.most)
        return {"debt": after, "died": beyond, "paid": jnp.log(jnp.maximum(eaten, 0.05))}


def debts(planted: bool) -> Case:
    actions = pop.Continuous(0.0, 1.0, first=0.2)
    limits = {"beyond the last loan": lambda step: step.after["died"]}
    made = game(Debtors(planted), "borrow", actions, discount=0.95, limits=limits)
    return Case(made, "limit 'beyond the last loan'", LEANS)


class Traders(Planted):
    """Each takes a position on a return that a signal foretells a little. Planted: the second number that they see is
    the return itself, and not an old rumour.
    """

    def init(self, draw: pop.Draw) -> dict[str, Array]:
        return {**self._news(draw), "paid": jnp.zeros(AGENTS)}

    def step(self, draw: pop.Draw, state: dict[str, Array]) -> dict[str, Array]:
        view = {"signal": state["signal"], "rumour": state["rumour"]}
        held = draw.decide("hold", view, lambda view, inner: 0.2 * view["signal"])
        return {**self._news(draw), "paid": held * state["next"] - 0.25 * held**2}

    def _news(self, draw: pop.Draw) -> dict[str, Array]:
        signal, noise = draw.normal("signal", size=AGENTS), draw.normal("noise", 0.0, 0.5, size=AGENTS)
        rumour = draw.normal("rumour", size=AGENTS)
        coming = 0.5 * signal + noise
        return {"signal": signal, "next": coming, "rumour": coming if self.planted else rumour}


def leak(planted: bool) -> Case:
    actions = pop.Continuous(-4.0, 4.0)
    made = game(Traders(planted), "hold", actions, discount=0.5, hidden=("rumour",))
    return Case(made, "'rumour' at hold", pop.Code.LEAK, updates=120)


class Till(Planted):
    """Agents take coins from a bank. Planted: they get half as much again as leaves it."""

    def init(self, draw: pop.Draw) -> dict[str, Array]:
        coins = draw.uniform("first", 1.0, 2.0, size=AGENTS)
        return {"coins": coins, "bank": jnp.float32(1000.0), "paid": jnp.zeros(AGENTS)}

    def step(self, draw: pop.Draw, state: dict[str, Array]) -> dict[str, Array]:
        taken = draw.decide("take", state["coins"], lambda coins, inner: jnp.full(coins.shape, 0.4))
        got = taken * (1.5 if self.planted else 1.0)
        paid = got - 0.5 * taken**2
        return {"coins": state["coins"] + got, "bank": state["bank"] - taken.sum(), "paid": paid}


def ledger(planted: bool) -> Case:
    conserved = {"coins": lambda state: state["coins"].sum() + state["bank"]}
    made = game(Till(planted), "take", pop.Continuous(0.0, 2.0), discount=0.5, conserved=conserved)
    return Case(made, "ledger 'coins'", pop.Code.BREAKS_LEDGER)


class Clinic(Planted):
    """Doctors choose how much to treat; too much harms. Planted: they are paid by the treatment, and not for health."""

    def init(self, draw: pop.Draw) -> dict[str, Array]:
        zeros = jnp.zeros(AGENTS)
        return {"need": draw.uniform("first", 0.6, 1.4, size=AGENTS), "health": zeros, "paid": zeros}

    def step(self, draw: pop.Draw, state: dict[str, Array]) -> dict[str, Array]:
        dose = draw.decide("treat", state["need"], lambda need, inner: 0.3 * need)
        health = state["need"] * dose - 0.5 * dose**2
        paid = dose - 0.2 * dose**2 if self.planted else health
        return {"need": draw.uniform("need", 0.6, 1.4, size=AGENTS), "health": health, "paid": paid}


def proxy(planted: bool) -> Case:
    made = game(
        Clinic(planted),
        "treat",
        pop.Continuous(0.0, 4.0),
        discount=0.5,
        welfare=lambda step: step.after["health"].sum(),
    )
    return Case(made, "welfare and treat", pop.Code.PROXY)


class Farms(Planted):
    """Farmers work their land, more where the year is good, and pay a tax. Planted: what a head earns up to an
    allowance is free, and more is taxed at twice the rate.
    """

    land: tuple[float, ...] = eqx.field(static=True, default=(1.0,) * AGENTS)

    def init(self, draw: pop.Draw) -> dict[str, Array]:
        return {"year": draw.uniform("year", 0.6, 1.4, size=len(self.land)), "paid": jnp.zeros(len(self.land))}

    def step(self, draw: pop.Draw, state: dict[str, Array]) -> dict[str, Array]:
        year = state["year"]
        work = draw.decide("work", year, lambda year, inner: jnp.full(year.shape, 0.4))
        income = jnp.array(self.land) * (year * work - 0.5 * work**2)
        tax = 0.6 * jnp.maximum(income - 0.2, 0.0) if self.planted else 0.3 * income
        return {"year": draw.uniform("year", 0.6, 1.4, size=len(self.land)), "paid": income - tax}


def tax(planted: bool) -> Case:
    def made(land: tuple[float, ...]) -> pop.Game:
        return game(Farms(planted, land=land), "work", pop.Continuous(0.0, 2.0), discount=0.5)

    two = pop.Split(made((0.5, 1.0, 1.0, 1.0, 0.5)), {"work": (0, 1, 2, 3, 0)})
    case = Case(made((1.0,) * AGENTS), "work, one farm in two", pop.Code.SPLIT_PAYS)
    return replace(case, splits={"one farm in two": two})


class Pasture(Planted):
    """Herders ask for grass for their animals, which makes milk, less and less; where all ask for more than grows, it
    is rationed: by the animal. Planted: by the herder.
    """

    herds: tuple[float, ...] = eqx.field(static=True, default=(1.0,) * AGENTS)

    def init(self, draw: pop.Draw) -> dict[str, Array]:
        zeros = jnp.zeros(len(self.herds))
        return {"grass": draw.uniform("grass", 0.8, 1.2, size=()), "short": jnp.float32(0.0), "paid": zeros}

    def step(self, draw: pop.Draw, state: dict[str, Array]) -> dict[str, Array]:
        herds = jnp.array(self.herds)
        seen = jnp.broadcast_to(state["grass"], herds.shape)
        asked = herds * draw.decide("graze", seen, lambda seen, inner: jnp.full(seen.shape, 0.1))
        grown = state["grass"]
        share = jnp.ones_like(herds) / herds.size if self.planted else herds / herds.sum()
        eaten = jnp.where(asked.sum() > grown, jnp.minimum(asked, share * grown), asked)
        paid = herds * (eaten / herds - 0.5 * (eaten / herds) ** 2)
        short = (asked.sum() > grown).astype(jnp.float32)
        return {"grass": draw.uniform("grass", 0.8, 1.2, size=()), "short": short, "paid": paid}


def ration(planted: bool) -> Case:
    def made(herds: tuple[float, ...]) -> pop.Game:
        return game(Pasture(planted, herds=herds), "graze", pop.Continuous(0.0, 1.0), discount=0.5)

    two = pop.Split(made((0.5, 1.0, 1.0, 1.0, 0.5)), {"graze": (0, 1, 2, 3, 0)})
    case = Case(made((1.0,) * AGENTS), "graze, one herd in two", pop.Code.SPLIT_PAYS)
    return replace(case, splits={"one herd in two": two})


class Workshop(Planted):
    """Joiners fetch wood, make chairs of it, or rest; without wood they may make none. Planted: who tries all the same
    is paid for a chair; else it counts as a rest.
    """

    def init(self, draw: pop.Draw) -> dict[str, Array]:
        return {
            "wood": jnp.zeros(AGENTS),
            "price": draw.uniform("price", 0.5, 1.5, size=AGENTS),
            "paid": jnp.zeros(AGENTS),
        }

    def step(self, draw: pop.Draw, state: dict[str, Array]) -> dict[str, Array]:
        wood, view = state["wood"], {"wood": state["wood"], "price": state["price"]}
        does = draw.decide("do", view, lambda view, inner: jnp.full(AGENTS, 2, jnp.int32))
        made = (does == 1) & (self.planted | (wood >= 1))
        rests = (does == 2) | ((does == 1) & ~made)
        wood = wood + draw.bernoulli("found", 0.8, size=AGENTS) * (does == 0) - made
        paid = state["price"] * made + 0.05 * rests
        return {"wood": jnp.maximum(wood, 0.0), "price": draw.uniform("price", 0.5, 1.5, size=AGENTS), "paid": paid}


def with_wood(view: dict[str, Array]) -> Array:
    """Fetch, make, rest: what a joiner may do."""
    return jnp.array([True, False, True]) | (view["wood"] >= 1)


def mask(planted: bool) -> Case:
    limits = {"no wood": lambda step: (step.actions["do"] == 1) & (step.before["wood"] < 1)}
    made = game(Workshop(planted), "do", pop.Discrete(3, with_wood), discount=0.9, limits=limits)
    return Case(made, "what is forbidden at do to agent 0", pop.Code.FORBIDDEN_DONE)


class Purses(Planted):
    """Each eats a share of what it has. Planted: who asks for more than all gets it, and owes nothing."""

    def init(self, draw: pop.Draw) -> dict[str, Array]:
        return {"cash": draw.uniform("first", 0.5, 1.5, size=AGENTS), "paid": jnp.zeros(AGENTS)}

    def step(self, draw: pop.Draw, state: dict[str, Array]) -> dict[str, Array]:
        cash = state["cash"]
        share = draw.decide("eat", cash, lambda cash, inner: jnp.full(cash.shape, 0.95))
        eaten = cash * (share if self.planted else jnp.clip(share, 0.0, 1.0))
        kept = jnp.maximum(1.02 * (cash - eaten), 0.0)
        paid = jnp.log(jnp.maximum(eaten, 0.01))
        return {"cash": kept + draw.uniform("wage", 0.2, 1.8, size=AGENTS), "paid": paid}


def overdraft(planted: bool) -> Case:
    limits = {"cut": lambda step: (step.actions["eat"] < 0) | (step.actions["eat"] > 1)}
    made = game(Purses(planted), "eat", pop.Continuous(0.0, 1.0), discount=0.9, limits=limits)
    return Case(made, "what is forbidden at eat to agent 0", pop.Code.FORBIDDEN_DONE, beyond=0.5)


PAIRS: dict[str, Callable[[bool], Case]] = {
    "time step": time_step,
    "rounding to a grid": rounding,
    "a wall that feeds": wall,
    "a cap on wealth": cap,
    "subsidised births": births,
    "debts that die": debts,
    "an observation leak": leak,
    "a broken ledger": ledger,
    "pay by proxy": proxy,
    "a tax by the head": tax,
    "a ration by the head": ration,
    "a mask ignored": mask,
    "more than all": overdraft,
}
