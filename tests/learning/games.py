"""Small games with known answers, for the tests of learning."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

import populace as pop
from populace.studies.fishery import game
from populace.zoo.cournot import Cournot
from populace.zoo.rock_paper_scissors import RockPaperScissors


def fish_war(harvesters: int, steps: int = 32) -> pop.Game:
    """Utility log c; the ration is declared as a limit."""
    return game(harvesters, steps=steps)


def duopoly(firms: int = 2, steps: int = 8, discount: float = 0.0, types: Array | None = None) -> pop.Game:
    """Profits of the step; what comes later counts nothing, by default."""
    learner = pop.Learner(lambda step: step.after.profit, pop.Continuous(0.0, 90.0), discount=discount, types=types)
    return pop.Game(Cournot(firms), steps, {"quantity": learner})


def duel(payoff: object = None, steps: int = 4) -> pop.Game:
    """Each player has a policy of its own."""
    model = RockPaperScissors() if payoff is None else RockPaperScissors(payoff)
    moves = model.payoff.shape[0]
    learner = pop.Learner(lambda step: step.after.paid, pop.Discrete(moves), discount=0.9, types=jnp.arange(2))
    return pop.Game(model, steps, {"move": learner})


class Purse(eqx.Module):
    """What each owns, the coins in the bank, and what the last step paid."""

    coins: Float[Array, " agents"]
    bank: Float[Array, ""]
    paid: Float[Array, " agents"]


class Till(pop.Model):
    """Agents take coins from a bank; what they ask for is rounded, to the grain. With a leak they keep more than the
    bank gave.
    """

    agents: int = eqx.field(static=True, default=3)
    grain: float = eqx.field(static=True, default=0.0)
    leak: float = eqx.field(static=True, default=0.0)
    cap: float = eqx.field(static=True, default=1e9)

    def init(self, draw: pop.Draw) -> Purse:
        first = draw.uniform("first", 1.0, 2.0, size=self.agents)
        return Purse(first, jnp.float32(1000.0), jnp.zeros(self.agents))

    def step(self, draw: pop.Draw, purse: Purse) -> Purse:
        asked = draw.decide("take", purse.coins, lambda coins, inner: jnp.full(coins.shape, 0.4))
        given = jnp.round(asked / self.grain) * self.grain if self.grain else asked
        given = jnp.minimum(given, self.cap)
        return Purse(purse.coins + given * (1.0 + self.leak), purse.bank - given.sum(), given)

    def observe(self, purse: Purse) -> dict[str, Array]:
        return {"bank": purse.bank}


def till(model: Till, **declared: object) -> pop.Game:
    """Each is paid what it was given, less half of what it asked for squared: asking for 1 is best."""

    def pay(step: pop.Step) -> Array:
        return step.after.paid - 0.5 * step.actions["take"] ** 2

    return pop.Game(model, 16, {"take": pop.Learner(pay, pop.Continuous(0.0, 2.0), discount=1.0)}, **declared)  # type: ignore[arg-type]


class Levers(pop.Model):
    """Each agent pulls one of three levers; lever k pays agents of kind k."""

    agents: int = eqx.field(static=True, default=6)

    def init(self, draw: pop.Draw) -> Float[Array, " agents"]:
        return jnp.zeros(self.agents)

    def step(self, draw: pop.Draw, pulled: Float[Array, " agents"]) -> Float[Array, " agents"]:
        pull = draw.decide("pull", pulled, lambda view, inner: jnp.zeros(view.shape, jnp.int32))
        return pull.astype(jnp.float32)

    def observe(self, pulled: Float[Array, " agents"]) -> dict[str, Array]:
        return {"sum": pulled.sum()}


def levers(**settings: object) -> pop.Game:
    """Kinds 0, 1, 2, 0, 1, 2."""

    def pay(step: pop.Step) -> Array:
        return (step.actions["pull"] == jnp.arange(6) % 3).astype(jnp.float32)

    return pop.Game(Levers(), 4, {"pull": pop.Learner(pay, pop.Discrete(3), discount=0.0, **settings)})  # type: ignore[arg-type]


class Walk(pop.Model):
    """Walkers on five places; a step to the right of the last pays 1 and leads back to the first."""

    walkers: int = eqx.field(static=True, default=1)

    def init(self, draw: pop.Draw) -> dict[str, Array]:
        return {"place": jnp.zeros(self.walkers, jnp.int32), "paid": jnp.zeros(self.walkers)}

    def step(self, draw: pop.Draw, here: dict[str, Array]) -> dict[str, Array]:
        right = draw.decide("go", here["place"], lambda view, inner: jnp.zeros(view.shape, jnp.int32))
        place = jnp.where(right > 0, here["place"] + 1, jnp.maximum(here["place"] - 1, 0))
        return {"place": place % 5, "paid": (place == 5).astype(jnp.float32)}

    def observe(self, here: dict[str, Array]) -> dict[str, Array]:
        return {"paid": here["paid"].sum()}


def walk(steps: int = 50, **settings: object) -> pop.Game:
    """Later pay counts nine tenths."""
    learner = pop.Learner(lambda step: step.after["paid"], pop.Discrete(2), discount=0.9, **settings)  # type: ignore[arg-type]
    return pop.Game(Walk(), steps, {"go": learner})


class Tips(pop.Model):
    """Traders hold what they like of a return, of which a signal says half and a tip all."""

    def init(self, draw: pop.Draw) -> dict[str, Array]:
        return {**self._news(draw), "paid": jnp.zeros(3)}

    def step(self, draw: pop.Draw, state: dict[str, Array]) -> dict[str, Array]:
        view = {"signal": state["signal"], "tip": state["next"]}
        held = draw.decide("hold", view, lambda view, inner: 0.1 * view["signal"])
        return {**self._news(draw), "paid": held * state["next"] - 0.5 * held**2}

    def _news(self, draw: pop.Draw) -> dict[str, Array]:
        signal, noise = draw.normal("signal", size=3), draw.normal("noise", size=3)
        return {"signal": signal, "next": 0.5 * signal + noise}

    def observe(self, state: dict[str, Array]) -> dict[str, Array]:
        return {"paid": state["paid"].sum()}


def tips(hidden: tuple[str, ...] = ("tip",)) -> pop.Game:
    """Nobody in the world knows the tip."""
    learner = pop.Learner(lambda step: step.after["paid"], pop.Continuous(-3.0, 3.0), discount=0.5, hidden=hidden)
    return pop.Game(Tips(), 16, {"hold": learner})


class Recall(pop.Model):
    """A sign is shown at the first step only; at each one it pays to say it."""

    def init(self, draw: pop.Draw) -> dict[str, Array]:
        sign = 2.0 * draw.bernoulli("sign", 0.5, size=4) - 1.0
        return {"sign": sign, "shown": sign, "paid": jnp.zeros(4)}

    def step(self, draw: pop.Draw, state: dict[str, Array]) -> dict[str, Array]:
        said = draw.decide("say", state["shown"], lambda shown, inner: jnp.zeros(shown.shape))
        return {"sign": state["sign"], "shown": jnp.zeros(4), "paid": -((said - state["sign"]) ** 2)}

    def observe(self, state: dict[str, Array]) -> dict[str, Array]:
        return {"paid": state["paid"].sum()}


def recall() -> pop.Game:
    """Who does not remember loses 1 at each of the later steps, five in all."""
    learner = pop.Learner(lambda step: step.after["paid"], pop.Continuous(-2.0, 2.0), discount=1.0)
    return pop.Game(Recall(), 6, {"say": learner}, finite=True)
