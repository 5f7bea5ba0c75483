"""An infection that passes within steady partnerships, and nowhere else.

Singles find a partner at rate rho, couples part at rate sigma, as in the pairs of Dietz and Hadeler (1988, Journal of
Mathematical Biology 26:1; see also Kretzschmar and Dietz 1998, Mathematical Biosciences 148:83, without recovery, and
Kretzschmar and Heijne 2017, Infectious Disease Modelling 2:368). The infection passes at hazard beta within a couple of
which one has it, and who has it recovers at rate gamma and can catch it again.

While a couple lasts, two who both have it waste their contacts on each other, so that the infection spreads less than
it would among people who meet anew each time, with as much time in company, c = rho / (rho + sigma): that is, less than
by mass action with beta c.

Facts it must reproduce (tests/zoo): a share c has a partner, and partnerships last 1 / sigma in the mean; shares follow
the five equations of singles and couples by what they have; it is endemic if beta is above

    gamma (rho + sigma + gamma) (sigma + 2 gamma) / (sigma (rho - gamma)),

and dies out at any beta if rho <= gamma; the faster partners change, the nearer the threshold is to gamma / c, that of
mass action. It follows from the growth of few infected: singles x, couples with one y and with two z obey

    x' = -(rho + gamma) x + sigma y + 2 sigma z,
    y' = rho x - (sigma + beta + gamma) y + 2 gamma z,
    z' = beta y - (sigma + 2 gamma) z.
"""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from .._errors import ModelError
from ..core.domain import nonnegative, positive, unit
from ..core.draw import Draw
from ..core.model import Model, parameter
from ..interact.pairing import paired
from ..interact.partnerships import Partnerships


class Lovers(eqx.Module):
    """`infected` (agents,) float32, 0 or 1, and who is whose partner."""

    infected: Float[Array, " agents"]
    couples: Partnerships


class PairEpidemic(Model):
    """Everybody alike, at most one partner each. A step of `dt` acts on what was at its beginning.

    Of an odd number of seekers one finds nobody in that step, so that partners are found at a rate lower by about one
    part in twice the seekers of a step: with 1,000 agents and dt = .1, .643 are coupled and not .666. Few agents want
    longer steps.

    Sites: `seeks`, `meet`, `seed` in init; `part`, `seek`, `meet`, `infect`, `recover` in a step. Observed: `infected`
    and `coupled`, shares of agents; `unlike`, couples an agent of which one is infected.
    """

    beta: Float[Array, ""] = parameter(default=0.5, domain=nonnegative, doc="hazard of infection from a partner")
    gamma: Float[Array, ""] = parameter(default=0.05, domain=positive, doc="rate of recovery")
    rho: Float[Array, ""] = parameter(default=0.2, domain=nonnegative, doc="rate at which a single finds a partner")
    sigma: Float[Array, ""] = parameter(default=0.1, domain=positive, doc="rate at which a couple parts")
    seeded: Float[Array, ""] = parameter(default=0.1, domain=unit, doc="probability of being infected at the start")
    agents: int = eqx.field(static=True, default=2000)
    dt: float = eqx.field(static=True, default=0.25)

    def __check_init__(self) -> None:
        if self.agents < 2 or not self.dt > 0.0:
            raise ModelError(f"there are two agents or more, and dt is above 0, not {self.agents} and {self.dt}")

    def init(self, draw: Draw) -> Lovers:
        seeks = draw.bernoulli("seeks", self.rho / (self.rho + self.sigma), size=self.agents)
        met = paired(draw, "meet", self.agents, where=seeks)
        infected = draw.bernoulli("seed", self.seeded, size=self.agents)
        return Lovers(infected, Partnerships.none(self.agents).formed(met, draw.time))

    def step(self, draw: Draw, lovers: Lovers) -> Lovers:
        infected, couples = lovers.infected, lovers.couples
        parts = draw.bernoulli("part", self._within_step(self.sigma), where=couples.leads)
        seeks = draw.bernoulli("seek", self._within_step(self.rho), where=1.0 - couples.coupled)
        met = paired(draw, "meet", self.agents, where=seeks)
        hazard = self.beta * couples.sum(infected)
        caught = draw.bernoulli("infect", self._within_step(hazard), where=1.0 - infected)
        healed = draw.bernoulli("recover", self._within_step(self.gamma), where=infected)
        return Lovers(infected + caught - healed, couples.ended(parts).formed(met, draw.time))

    def observe(self, lovers: Lovers) -> dict[str, Array]:
        couples, infected = lovers.couples, lovers.infected
        return {
            "infected": infected.mean(),
            "coupled": couples.coupled.mean(),
            "unlike": ((1.0 - infected) * couples.sum(infected)).mean(),
        }

    def _within_step(self, hazard: Array) -> Array:
        """The probability that an event of the given hazard a unit of time happens within a step."""
        return -jnp.expm1(-hazard * self.dt)
