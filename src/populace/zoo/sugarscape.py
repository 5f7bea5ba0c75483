"""Sugarscape: people who live off a land of two goods, and who trade what they have too much of.

Joshua Epstein and Robert Axtell (1996, Growing Artificial Societies: Social Science from the Bottom Up, Brookings
Institution Press and MIT Press), chapters II and IV. Sugar and spice grow on a torus, each on two hills, one in each
quarter. A person with w = (w1, w2) of them who needs m = (m1, m2) a step to live has the welfare

    W(w) = w1^(m1 / (m1 + m2)) w2^(m2 / (m1 + m2)).

G: a cell grows `growth` a step, up to its capacity. M: a person looks along the four directions as far as its vision
and goes to the free cell where W of what it would then own is largest, of several to the nearest; takes all that is
there; and eats m. Whoever has nothing left of a good that it needs dies, as does who is too old (if people age), and
somebody new may come in its place (R). T: two neighbours barter by their marginal rates of substitution

    MRS = (w2 / m2) / (w1 / m1)    spice for a unit of sugar,

at the price sqrt(MRS_a MRS_b), a unit at a time, until no trade is good for both (`populace.interact.barter`).

Facts it must reproduce (tests/zoo): not a grain is lost, and no trade harms either side; fewer live on than came, more
of them where people see farther and fewer where they need more; those who stay see farther and need less than those who
came; with ages and replacement wealth grows skew, its Gini coefficient from .23 to about .5; where people trade more
of them live on than where they do not, the mean logarithm of prices comes near to 0 and prices come together.

What is otherwise here: goods are counted in grains, GRAIN to a unit, so that the books balance to the last one; the
land is made of rings around hills and is not the book's map; people act all at once unless `activation` says otherwise
(in the book one after the other, in random order): who of several gets a cell is decided by lot and who does not looks
again, `tries` times in all, and each pair of neighbours meets once, pairs of one direction at the same time, the
directions in random order.
"""

from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from .._errors import ModelError
from ..core.activation import Act, Activated, Activation, Synchronous
from ..core.domain import Domain, nonnegative
from ..core.draw import Draw
from ..core.model import bind, parameter
from ..core.population import Population, births, deaths, founders
from ..interact.barter import Deals, bartered
from ..interact.grid import Grid
from ..interact.look import Layer, Look
from ..interact.lots import lots, shuffled, winners
from ..interact.seats import counted, order_of
from .boltzmann_wealth import gini

GRAIN = 1000
"""Grains of a unit of sugar or spice."""
HILLS = (((0.3, 0.7), (0.7, 0.3)), ((0.3, 0.3), (0.7, 0.7)))
"""The tops of sugar and of spice, as shares of the rows and columns."""
HEIGHT = 4
"""Units that a cell on a top can hold."""
FOR_EVER = 2**30


class Folk(Population):
    """Where each stands; `goods`, sugar and spice that it has, and `need`, what it eats a step, (agents, 2) grains;
    `vision` in cells; `age` and the `oldest` that it can get, in steps.
    """

    cell: Int[Array, " agents"]
    goods: Int[Array, "agents 2"]
    need: Int[Array, "agents 2"]
    vision: Int[Array, " agents"]
    age: Int[Array, " agents"]
    oldest: Int[Array, " agents"]


class Scape(NamedTuple):
    """`land` (cells, 2): grains that stand there, and `grown` what has grown since the start; `used` (slots, 2): grains
    that those who had the slot have eaten and left behind, less what they came with after the start; `clock`: the step
    for which the land has grown.
    """

    folk: Folk
    land: Int[Array, "cells 2"]
    grown: Int[Array, "cells 2"]
    used: Int[Array, "slots 2"]
    clock: Int[Array, ""]
    deals: Deals


class Prospect(eqx.Module):
    """What somebody sees before going: of each `option`, the first of which is to stay and the others the cells along
    the four directions, what lies there (agents, options, 2), how far it is, and whether one can go there; what one
    has and needs (agents, 2). In grains and cells.
    """

    land: Int[Array, "agents options 2"]
    far: Float[Array, "agents options"]
    free: Bool[Array, "agents options"]
    goods: Int[Array, "agents 2"]
    need: Int[Array, "agents 2"]


class Sugarscape(Activated):
    """Chapter IV unless the settings say otherwise; `one_good` is chapter II.

    **Arguments:** `world`: a torus with an even number of rows and of columns; `people`: who come at the start, and the
    most who can live; `farthest`: how far anybody can see, whatever `vision` says; `ring`: the width of a ring around a
    hill, as a share of the sides; `trade`, `ages`, `replaced`: whether people barter (T), die of age at 60 to 100
    steps, and are replaced by new ones (R).

    The rule at `turn/try/move` sees a `Prospect` and says an option, its place in the list.

    Sites: `settle`, `new/traits` in init; `turn/try/move`, `turn/try/lot`, `turn/sides`, and with replacement
    `turn/place`, `turn/new/traits` in a step. Observed: `population`; of those who live the mean `vision`, `metabolism`
    and `wealth` of both goods together, in units, and its `gini`; `trades`, the mean `log_price` of the step's trades
    and their `spread`, a standard deviation, 0 without any.
    """

    world: Grid = eqx.field(default_factory=lambda: Grid(50, 50, periodic=True))
    people: int = eqx.field(static=True, default=200)
    farthest: int = eqx.field(static=True, default=6)
    tries: int = eqx.field(static=True, default=3)
    ring: float = eqx.field(static=True, default=0.1)
    trade: bool = eqx.field(static=True, default=True)
    ages: bool = eqx.field(static=True, default=False)
    replaced: bool = eqx.field(static=True, default=False)
    growth: Float[Array, ""] = parameter(
        default=1.0, unit="units/step", domain=nonnegative, doc="what a cell grows of each good that it can hold"
    )
    vision: Float[Array, ""] = parameter(
        default=5.0, unit="cells", domain=Domain(1.0), doc="the farthest that people see; from 1, all alike"
    )
    sugar_need: Float[Array, ""] = parameter(
        default=5.0, unit="units/step", domain=Domain(1.0), doc="the most sugar that people need; from 1, all alike"
    )
    spice_need: Float[Array, ""] = parameter(
        default=5.0, unit="units/step", domain=nonnegative, doc="the most spice that people need; 0: nobody needs any"
    )
    poorest: Float[Array, ""] = parameter(
        default=25.0, unit="units", domain=Domain(1.0), doc="the least that one comes with, of each good"
    )
    richest: Float[Array, ""] = parameter(
        default=50.0, unit="units", domain=Domain(1.0), doc="the most that one comes with, of each good"
    )
    activation: Activation = Synchronous()

    def __check_init__(self) -> None:
        if not self.world.periodic or self.world.rows % 2 or self.world.columns % 2:
            raise ModelError(
                f"a world of {self.world.rows} x {self.world.columns} (periodic: {self.world.periodic}): take a "
                "periodic grid with an even number of rows and of columns, so that neighbours can be paired"
            )
        if not 1 <= self.people <= self.world.size:
            raise ModelError(f"{self.people} people on {self.world.size} cells: one or more, and at most one a cell")
        if min(self.farthest, self.tries) < 1 or 2 * self.farthest >= min(self.world.rows, self.world.columns):
            raise ModelError(
                f"farthest {self.farthest}, tries {self.tries}: 1 or more, and nobody sees half round the world"
            )
        if not self.ring > 0:
            raise ModelError(f"a ring has a width above 0, not {self.ring}")

    @property
    def agents(self) -> int:
        return self.people

    def init(self, draw: Draw) -> Scape:
        cell = shuffled(draw, "settle", self.world.size)[: self.people]
        folk = self._new(draw.child("new"), founders(self.people, self.people), cell)
        land = self.capacity()
        return Scape(folk, land, jnp.zeros_like(land), jnp.zeros_like(folk.goods), jnp.int32(0), Deals.none())

    def act(self, draw: Draw, state: Scape, who: Float[Array, " agents"]) -> Scape:
        for stage in self.stages():
            state = stage(draw, state, who)
        return state

    def stages(self) -> tuple[Act, ...]:
        """Go, gather and eat; die, and be replaced; trade, by which neighbours change who do not act themselves."""
        return (self.forage, self.leave, self.barter) if self.trade else (self.forage, self.leave)

    def observe(self, state: Scape) -> dict[str, Array]:
        folk, deals = state.folk, state.deals
        lives = folk.alive > 0
        alive = jnp.maximum(folk.alive.sum(), 1.0)
        wealth = jnp.where(lives, folk.goods.sum(1), 0).astype(jnp.float32) / GRAIN
        need = jnp.where(lives, folk.need.sum(1), 0).astype(jnp.float32) / GRAIN
        return {
            "population": folk.alive.sum(),
            "vision": jnp.where(lives, folk.vision, 0).sum() / alive,
            "metabolism": need.sum() / alive,
            "wealth": wealth.sum() / alive,
            "gini": jnp.where(folk.alive.any(), 1.0 - folk.capacity / alive * (1.0 - gini(wealth)), 0.0),
            "trades": deals.trades,
            "log_price": deals.mean(),
            "spread": deals.spread(),
        }

    def look(self, state: Scape) -> Look:
        land = state.land.sum(1) / GRAIN
        return Look(
            self.world,
            (Layer("sugar and spice", land), Layer("people", at=state.folk.cell, present=state.folk.alive)),
        )

    def conserved(self) -> dict[str, Callable[[Scape], Array]]:
        """Of each good, what people have and have used, and what stands on the land less what has grown, in grains."""

        def ledger(good: int) -> Callable[[Scape], Array]:
            def held(state: Scape) -> Array:
                own = jnp.where(state.folk.alive > 0, state.folk.goods[:, good], 0)
                return jnp.concatenate([own + state.used[:, good], (state.land - state.grown)[:, good]])

            return held

        return {"sugar": ledger(0), "spice": ledger(1)}

    def capacity(self) -> Int[Array, "cells 2"]:
        """What each cell can hold of each good: HEIGHT units on a top, one less a ring farther out; no spice that
        nobody needs.
        """
        row, column = (np.arange(n)[:, None] / n for n in (self.world.rows, self.world.columns))

        def around(at: np.ndarray, top: float) -> np.ndarray:
            return (np.abs(at - top + 0.5) % 1.0 - 0.5) ** 2

        heights = []
        for tops in HILLS:
            far = np.min([np.sqrt(around(row, r) + around(column, c).T) for r, c in tops], axis=0)
            heights.append(np.clip(HEIGHT - np.floor(far / self.ring + 1e-9), 0, HEIGHT).ravel())
        whole = jnp.asarray(GRAIN * np.stack(heights, axis=1), jnp.int32)
        return whole * jnp.stack([True, self.spice_need > 0])

    def forage(self, draw: Draw, state: Scape, who: Float[Array, " agents"]) -> Scape:
        """The land grows, once a step; who acts goes, gathers and eats."""
        fresh = draw.time > state.clock
        steps = jnp.maximum(draw.time - state.clock, 0)
        more = jnp.round(self.growth * GRAIN).astype(jnp.int32) * steps
        land = jnp.minimum(state.land + more, self.capacity())
        grown = state.grown + land - state.land
        deals = jax.tree.map(lambda x: jnp.where(fresh, jnp.zeros_like(x), x), state.deals)

        folk = self._went(draw, state.folk, land, who)
        acts = (who > 0) & (folk.alive > 0)
        here = jnp.where(acts, folk.cell, self.world.size)
        gathered = jnp.where(acts[:, None], land.at[folk.cell].get(mode="clip"), 0)
        eaten = jnp.where(acts[:, None], jnp.minimum(folk.goods + gathered, folk.need), 0)
        folk = eqx.tree_at(lambda f: (f.goods, f.age), folk, (folk.goods + gathered - eaten, folk.age + acts))
        clock = jnp.maximum(draw.time, state.clock)
        return Scape(folk, land.at[here].set(0, mode="drop"), grown, state.used + eaten, clock, deals)

    def leave(self, draw: Draw, state: Scape, who: Float[Array, " agents"]) -> Scape:
        """Who has nothing left of what it needs, or is too old, dies; what it had is gone."""
        folk = state.folk
        hungry = ((folk.goods <= 0) & (folk.need > 0)).any(1)
        died = (who > 0) & (folk.alive > 0) & (hungry | (folk.age >= folk.oldest))
        used = state.used + jnp.where(died[:, None], folk.goods, 0)
        folk = deaths(folk, died)
        if self.replaced:
            free = order_of(self._holder(folk.alive, folk.cell) < 0, shuffled(draw, "place", self.world.size))
            place = free.at[counted(died)].get(mode="clip")
            folk = births(folk, self._new(draw.child("new"), founders(self.people, self.people), place), died)
            came = folk.identity != state.folk.identity
            used = used - jnp.where(came[:, None], folk.goods, 0)
        return state._replace(folk=folk, used=used)

    def barter(self, draw: Draw, state: Scape, who: Float[Array, " agents"]) -> Scape:
        """Who acts trades with each neighbour in turn."""
        folk, holder = state.folk, self._holder(state.folk.alive, state.folk.cell)
        sides = draw.permutation("sides", 4)
        row, column = self.world.row_column(folk.cell)
        acts = who > 0

        def one_side(i: Array, carry: tuple[Array, Deals]) -> tuple[Array, Deals]:
            across, odd = sides[i] < 2, sides[i] % 2
            first = (jnp.where(across, column, row) % 2 == odd) & (folk.alive > 0)
            partner = holder[self._beside(folk.cell, jnp.where(across, 0, 1), jnp.where(across, 1, 0))]
            meets = first & (partner >= 0) & (acts | acts.at[partner].get(mode="clip"))
            return bartered(carry[0], folk.need, partner, meets, carry[1], unit=GRAIN)

        goods, deals = jax.lax.fori_loop(0, 4, one_side, (folk.goods, state.deals))
        return state._replace(folk=eqx.tree_at(lambda f: f.goods, folk, goods), deals=deals)

    def _beside(self, cell: Array, down: Array | int, right: Array | int) -> Array:
        """The cell so many rows below and columns to the right."""
        row, column = self.world.row_column(cell)
        return (row + down) % self.world.rows * self.world.columns + (column + right) % self.world.columns

    def _holder(self, alive: Array, cell: Array) -> Int[Array, " cells"]:
        """Who stands on each cell; -1: nobody."""
        nobody, number = jnp.full(self.world.size, -1, jnp.int32), jnp.arange(self.people, dtype=jnp.int32)
        return nobody.at[jnp.where(alive > 0, cell, self.world.size)].set(number, mode="drop")

    def _new(self, draw: Draw, base: dict[str, Array], cell: Array) -> Folk:
        """People as they come, with whole units of everything."""

        shares = jnp.minimum(draw.uniform("traits", size=(self.people, 6)), 1.0 - 2.0**-24)

        def whole(trait: int, low: Array | float, high: Array | float) -> Array:
            return (low + jnp.floor(shares[:, trait] * (high - low + 1.0))).astype(jnp.int32)

        goods = jnp.stack([whole(trait, self.poorest, self.richest) for trait in (0, 1)], axis=1)
        spice = jnp.where(self.spice_need > 0, whole(2, 1.0, jnp.maximum(self.spice_need, 1.0)), 0)
        need = jnp.stack([whole(3, 1.0, self.sugar_need), spice], axis=1)
        vision = jnp.minimum(whole(4, 1.0, self.vision), self.farthest)
        oldest = whole(5, 60.0, 100.0) if self.ages else jnp.full(self.people, FOR_EVER, jnp.int32)
        goods, need, age = GRAIN * jnp.where(need > 0, goods, 0), GRAIN * need, jnp.zeros_like(cell)
        return Folk(**base, cell=cell, goods=goods, need=need, vision=vision, age=age, oldest=oldest)

    def _went(self, draw: Draw, folk: Folk, land: Array, who: Float[Array, " agents"]) -> Folk:
        """Folk after those who act have gone where they would, those whose cell another got after looking again."""
        reach = np.arange(1, self.farthest + 1)
        down = np.concatenate([[0], reach, -reach, 0 * reach, 0 * reach])
        right = np.concatenate([[0], 0 * reach, 0 * reach, reach, -reach])
        far = jnp.tile(jnp.asarray(np.abs(down) + np.abs(right), jnp.float32), (self.people, 1))
        sees = far <= folk.vision[:, None]

        def attempt(draw: Draw, _: Array, carry: tuple[Array, Array]) -> tuple[Array, Array]:
            cell, looks = carry
            options = self._beside(cell[:, None], jnp.asarray(down)[None], jnp.asarray(right)[None])
            free = sees & ((self._holder(folk.alive, cell)[options] < 0) | (far == 0))
            view = Prospect(land[options], far, free, folk.goods, folk.need)
            option = draw.decide("move", view, go_to_the_best, where=looks)
            target = jnp.take_along_axis(options, option[:, None], axis=1)[:, 0]
            asks = (looks > 0) & (target != cell)
            won = winners(target, lots(draw.uniform("lot", size=self.people)), asks, self.world.size) > 0
            return jnp.where(won, target, cell), (asks & ~won).astype(jnp.float32)

        start = (folk.cell, (who > 0) * folk.alive)
        return eqx.tree_at(lambda f: f.cell, folk, draw.loop("try", self.tries, attempt, start)[0])


def go_to_the_best(view: Prospect, draw: Draw) -> Int[Array, " agents"]:
    """Where welfare is largest; of several the nearest, of several of these any."""
    share = view.need / jnp.maximum(view.need.sum(1, keepdims=True), 1)
    owned = (view.goods[:, None] + view.land).astype(jnp.float32)
    welfare = (share[:, None] * jnp.log(jnp.maximum(owned, 0.5))).sum(-1)
    welfare = jnp.where(view.free, welfare, -jnp.inf)
    best = view.free & (welfare >= welfare.max(1, keepdims=True))
    sides = draw.uniform("side", size=(view.goods.shape[0], 4))
    luck = jnp.concatenate([jnp.zeros_like(sides[:, :1]), jnp.repeat(sides, (view.far.shape[1] - 1) // 4, axis=1)], 1)
    return jnp.where(best, view.far + luck, jnp.inf).argmin(1).astype(jnp.int32)


def sugarscape(
    world: Grid, goods: int, people: int, *, trade: bool = True, ages: bool = False, replaced: bool = False
) -> Sugarscape:
    """Chapter IV for 2 goods; for 1 chapter II: sugar alone, without trade, of which people need 1 to 4 a step and come
    with 5 to 25, and they see 1 to 6 cells.

    **Raises:** `ModelError` for another number of goods; what `Sugarscape` raises.
    """
    if goods not in (1, 2):
        raise ModelError(f"people live off 1 or 2 goods, not {goods}")
    model = Sugarscape(world=world, people=people, trade=trade and goods == 2, ages=ages, replaced=replaced)
    alone = {"vision": 6.0, "sugar_need": 4.0, "spice_need": 0.0, "poorest": 5.0, "richest": 25.0}
    return bind(model, alone) if goods == 1 else model


def one_good(people: int = 400, *, ages: bool = False, replaced: bool = False) -> Sugarscape:
    """Chapter II on its own 50 x 50 cells."""
    return sugarscape(Grid(50, 50, periodic=True), 1, people, ages=ages, replaced=replaced)
