"""Growth on islands: firms that mine what they know, look for better, and follow each other.

Fagiolo and Dosi (2003, Structural Change and Economic Dynamics 14:237), "Exploitation, exploration and innovation in a
model of endogenous growth with locally interacting agents", in the form in which it became a test of surrogates
(Lamperti, Roventini and Sani 2018, Journal of Economic Dynamics and Control 90:366).

A sea of 100 x 100 cells, each an island with probability `pi`; the firms start as miners on an island in the middle
that yields nothing yet. In a step

1. a miner hears of each other miner with probability exp(-rho d), d the distance along the axes;
2. it produces s m^alpha, s the productivity of its island and m the miners on it;
3. an explorer sails one cell to the north, south, east or west, and mines where it meets an island. One that nobody
   mines is a discovery, with s = (1 + Poisson(lambda)) (x + y) + phi q + N(0, 1): x and y count from the corner of the
   sea, q is what the discoverer produced when it left its last island;
4. a miner leaves to explore with probability eps;
5. a miner that heard of an island better than its own leaves for it, a cell a step, and mines when it arrives.

All firms move at once. Output grows without bound where knowledge is cumulative and miners flock (phi m^alpha > 1): it
is held in logarithms, so that no run overflows. Output below 1 counts as 1, so that the logarithm of none is 0, as in
the published program.

Facts it must reproduce (tests/zoo): without exploration nothing is ever produced; the home island is left at the rate
eps; without cumulative learning and returns to company output is bounded; with them it grows exponentially, faster the
more knowledge is cumulative and the farther it spreads; too little and too much exploration both grow less than
something between.
"""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from .._errors import ModelError
from ..core.domain import nonnegative, unit
from ..core.draw import Draw
from ..core.model import Model, parameter

MINER, EXPLORER, IMITATOR = 0, 1, 2
_NOTHING = -1e30
"""The logarithm of nothing: finite, so that differences of two are no NaN."""


class Firms(eqx.Module):
    """The firms, one entry each, and the sea.

    `at` and `goal` (firms, 2): cells; `role` (firms,): MINER, EXPLORER or IMITATOR; `log_output`: this step's;
    `log_learnt`: output in the step in which the firm left its last island. `island`, `log_yield` (side, side): where
    land is, and the logarithm of its productivity.
    """

    at: Int[Array, "firms 2"]
    goal: Int[Array, "firms 2"]
    role: Int[Array, " firms"]
    log_output: Float[Array, " firms"]
    log_learnt: Float[Array, " firms"]
    island: Float[Array, "side side"]
    log_yield: Float[Array, "side side"]


class Islands(Model):
    """Firms that mine, explore and imitate on a sea of islands.

    Sites: `island` in init (in the child `sea`); `hear` (firms, firms), `sail`, `jump`, `luck`, `leave` in a step.
    """

    rho: Float[Array, ""] = parameter(default=0.1, domain=nonnegative, doc="how locally knowledge spreads")
    lambda_: Float[Array, ""] = parameter(
        default=1.0, domain=nonnegative, doc="mean jump of a discovery's productivity"
    )
    alpha: Float[Array, ""] = parameter(default=1.5, domain=nonnegative, doc="returns to scale on an island")
    phi: Float[Array, ""] = parameter(default=0.4, domain=nonnegative, doc="how cumulative knowledge is")
    pi: Float[Array, ""] = parameter(default=0.4, domain=unit, doc="share of cells that are islands")
    eps: Float[Array, ""] = parameter(default=0.1, domain=unit, doc="probability that a miner leaves to explore")
    firms: int = eqx.field(static=True, default=50)
    side: int = eqx.field(static=True, default=100)

    def __check_init__(self) -> None:
        if self.firms < 1 or self.side < 3:
            raise ModelError(f"firms={self.firms}, side={self.side}: take one firm and a sea of 3 x 3 at the least")

    def init(self, draw: Draw) -> Firms:
        land = draw.child("sea").bernoulli("island", self.pi, size=(self.side, self.side))
        home = self.side // 2
        at = jnp.full((self.firms, 2), home, jnp.int32)
        none = jnp.full(self.firms, _NOTHING, jnp.float32)
        nowhere = jnp.full((self.side, self.side), _NOTHING, jnp.float32)
        mining = jnp.full(self.firms, MINER, jnp.int32)
        return Firms(at, at, mining, none, none, land.at[home, home].set(1.0), nowhere)

    def step(self, draw: Draw, before: Firms) -> Firms:
        mining = before.role == MINER
        own = before.log_yield[before.at[:, 0], before.at[:, 1]]
        apart = jnp.abs(before.at[:, None] - before.at[None]).sum(-1)
        best, best_yield = self._heard(draw, apart, mining, own)
        company = jnp.maximum(((apart == 0) & mining).sum(1), 1).astype(jnp.float32)
        output = jnp.where(mining, jnp.maximum(own + self.alpha * jnp.log(company), _NOTHING), _NOTHING)

        at, landed, log_yield = self._explored(draw, before)
        role = jnp.where(landed, MINER, before.role)
        leaving = draw.bernoulli("leave", self.eps, where=(role == MINER).astype(jnp.float32)) > 0
        at, arrived = _sailed_on(at, before.goal, before.role == IMITATOR)
        role = jnp.where(leaving, EXPLORER, jnp.where(arrived, MINER, role))
        following = mining & ~leaving & (best_yield > own)
        return Firms(
            at,
            jnp.where(following[:, None], before.at[best], before.goal),
            jnp.where(following, IMITATOR, role),
            output,
            jnp.where(leaving | following, output, before.log_learnt),
            before.island,
            log_yield,
        )

    def observe(self, firms: Firms) -> dict[str, Array]:
        top = firms.log_output.max()
        total = top + jnp.log(jnp.exp(firms.log_output - top).sum())
        return {
            "log_output": jnp.maximum(total, 0.0),
            "miners": (firms.role == MINER).sum().astype(jnp.float32),
            "explorers": (firms.role == EXPLORER).sum().astype(jnp.float32),
        }

    def _heard(
        self, draw: Draw, apart: Int[Array, "firms firms"], mining: Bool[Array, " firms"], own: Float[Array, " firms"]
    ) -> tuple[Int[Array, " firms"], Float[Array, " firms"]]:
        """Of the miners that each miner hears of: which is on the best island, and how good it is."""
        others = mining[:, None] & mining & ~jnp.eye(self.firms, dtype=bool)
        heard = draw.bernoulli("hear", jnp.exp(-self.rho * apart), where=others.astype(jnp.float32))
        told = jnp.where(heard > 0, own, -jnp.inf)
        return jnp.argmax(told, axis=1), told.max(1)

    def _explored(
        self, draw: Draw, firms: Firms
    ) -> tuple[Int[Array, "firms 2"], Bool[Array, " firms"], Float[Array, "side side"]]:
        """Explorers a cell on; who of them has landed; the productivity of islands with the discoveries among them."""
        exploring = firms.role == EXPLORER
        course = draw.categorical("sail", jnp.zeros(4), where=exploring.astype(jnp.float32)).take(_COURSES)
        at = jnp.clip(firms.at + course.astype(jnp.int32), 0, self.side - 1)
        landed = exploring & (firms.island[at[:, 0], at[:, 1]] > 0)
        mined = (_together(at, firms.at) & (firms.role == MINER)).any(1)
        first = jnp.argmax(_together(at, at) & landed, axis=1) == jnp.arange(self.firms)
        found = landed & ~mined & first
        jump = draw.poisson("jump", self.lambda_, where=found.astype(jnp.float32))
        fresh = (1.0 + jump) * at.sum(1) + draw.normal("luck", where=found.astype(jnp.float32))
        learnt = jnp.log(jnp.maximum(self.phi, 1e-30)) + firms.log_learnt
        productivity = jnp.logaddexp(jnp.log(jnp.maximum(fresh, 1e-6)), learnt)
        where = jnp.where(found[:, None], at, self.side)
        return at, landed, firms.log_yield.at[where[:, 0], where[:, 1]].set(productivity, mode="drop")


_COURSES = jnp.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])


def _together(one: Int[Array, "firms 2"], other: Int[Array, "firms 2"]) -> Bool[Array, "firms firms"]:
    return (one[:, None] == other[None]).all(-1)


def _sailed_on(
    at: Int[Array, "firms 2"], goal: Int[Array, "firms 2"], imitating: Bool[Array, " firms"]
) -> tuple[Int[Array, "firms 2"], Bool[Array, " firms"]]:
    """Imitators a cell nearer to their goal, along the first axis and then the second; and who of them is there."""
    course = jnp.sign(goal - at)
    course = course.at[:, 1].multiply(course[:, 0] == 0)
    at = jnp.where(imitating[:, None], at + course, at)
    return at, imitating & (at == goal).all(1)
