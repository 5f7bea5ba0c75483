"""Three more games with a planted loophole and their clean twins, written without a look at how the audit works."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array
from planted import AGENTS, Case, Planted, game

import populace as pop


class Stalls(Planted):
    """Stalls ask less than a trusted house, since customers leave it for a discount of .3 only. Where both prices are
    the same on the rounded board, the house is served first. Planted: a tie goes to who asks a hair less.
    """

    tick: float = eqx.field(static=True, default=0.4)

    def init(self, draw: pop.Draw) -> dict[str, Array]:
        zeros = jnp.zeros(AGENTS)
        return {"quote": self._quote(draw), "tied": zeros, "paid": zeros}

    def step(self, draw: pop.Draw, state: dict[str, Array]) -> dict[str, Array]:
        quote = state["quote"]
        price = draw.decide("offer", quote, lambda quote, inner: quote - 0.7)
        tied = jnp.round(price / self.tick) == jnp.round(quote / self.tick)
        share = jax.nn.sigmoid((quote - 0.3 - price) / 0.08)
        sold = jnp.where(tied, self.planted & (price < quote), share)
        return {"quote": self._quote(draw), "tied": tied.astype(jnp.float32), "paid": price * sold}

    def _quote(self, draw: pop.Draw) -> Array:
        return 0.8 + 0.4 * jnp.floor(draw.uniform("quote", 0.0, 3.0, size=AGENTS))


def tie(planted: bool) -> Case:
    def made(tick: float) -> pop.Game:
        limits = {"tie": lambda step: step.after["tied"]}
        return game(Stalls(planted, tick=tick), "offer", pop.Continuous(0.0, 2.0), discount=0.5, limits=limits)

    return Case(made(0.4), "offer, a finer tick", pop.Code.ARTEFACT, {"a finer tick": made(0.01)})


class Firms(Planted):
    """Each quarter firms are granted permits and use a share of those that they hold, more where demand is high; some
    of what is left lapses. Planted: what is banked over the end of a year is booked twice.
    """

    def init(self, draw: pop.Draw) -> dict[str, Array]:
        return {
            "bank": draw.uniform("first", 0.5, 1.5, size=AGENTS),
            "demand": draw.uniform("demand", 0.0, 4.0, size=AGENTS),
            "paid": jnp.zeros(AGENTS),
            "quarter": jnp.float32(0.0),
            "agency": jnp.float32(100.0),
            "used": jnp.float32(0.0),
        }

    def step(self, draw: pop.Draw, state: dict[str, Array]) -> dict[str, Array]:
        bank, demand, quarter = state["bank"], state["demand"], state["quarter"]
        view = {"bank": bank, "demand": demand, "quarter": jnp.broadcast_to(quarter, bank.shape)}
        used = bank * draw.decide("use", view, lambda view, inner: jnp.full(AGENTS, 0.3))
        left = bank - used
        banked = 0.95 * left * jnp.where(self.planted & (quarter == 3.0), 2.0, 1.0)
        return {
            "bank": banked + 0.5,
            "demand": draw.uniform("demand", 0.0, 4.0, size=AGENTS),
            "paid": demand * used - 0.5 * used**2,
            "quarter": (quarter + 1.0) % 4.0,
            "agency": state["agency"] + (0.05 * left - 0.5).sum(),
            "used": state["used"] + used.sum(),
        }


def permits(planted: bool) -> Case:
    conserved = {"permits": lambda state: state["bank"].sum() + state["agency"] + state["used"]}
    made = game(Firms(planted), "use", pop.Continuous(0.0, 1.0), discount=0.95, conserved=conserved)
    return Case(made, "ledger 'permits'", pop.Code.BREAKS_LEDGER, updates=120)


class Town(Planted):
    """People meet, and fall ill, the more so the more others are; the ill stay at home, which costs. Planted: only who
    was tested stays at home, and kits are few.
    """

    kits: float = eqx.field(static=True, default=2.5)

    def init(self, draw: pop.Draw) -> dict[str, Array]:
        return {
            "ill": draw.uniform("first", 0.0, 0.4, size=AGENTS),
            "short": jnp.float32(0.0),
            "paid": jnp.zeros(AGENTS),
        }

    def step(self, draw: pop.Draw, state: dict[str, Array]) -> dict[str, Array]:
        ill = state["ill"]
        around = jnp.broadcast_to(ill.mean(), ill.shape)
        met = draw.decide("meet", {"ill": ill, "around": around}, lambda view, inner: jnp.full(AGENTS, 0.3))
        tested = jnp.minimum(self.kits / jnp.maximum(ill.sum(), 1e-6), 1.0)
        home = ill * tested if self.planted else ill
        caught = met * (0.2 + 0.05 * around) * draw.uniform("luck", 0.8, 1.2, size=AGENTS)
        short = (tested < 1.0).astype(jnp.float32)
        return {"ill": 0.3 * ill + caught, "short": short, "paid": 2.0 * met - met**2 / 6.0 - 5.0 * home}


def kits(planted: bool) -> Case:
    limits = {"kits": lambda step: step.after["short"]}
    made = game(Town(planted), "meet", pop.Continuous(0.0, 6.0), discount=0.95, limits=limits)
    return Case(made, "limit 'kits'", pop.Code.LEANS_ON_LIMIT)


PAIRS: dict[str, Callable[[bool], Case]] = {
    "a tie for a hair": tie,
    "permits booked twice": permits,
    "tests that run out": kits,
}
