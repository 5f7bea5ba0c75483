"""An epidemic in several counties, seen late and in part: infections, reported cases, deaths.

A stochastic SEIR of counts (Lekone and Finkenstaedt 2006, Biometrics 62:1170) in each county, with stages behind it:
a share of those who were infectious die after two stages of waiting, and a share of the infectious are reported after
one. Each day, in a county of N people,

    infected     Poisson, beta S I / N
    exposed      become infectious with probability 1 / 3, infectious recover with probability 1 / 5
    of those     a share `fatal` goes to two stages of 8 days each, and dies
    reported     a share `reported` of those who become infectious, after a stage of 5 days

Facts it must reproduce (tests/zoo): people are conserved; deaths come some three weeks after infections, cases about
one; with beta below 1 / 5 an epidemic dwindles.
"""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..core.domain import positive, unit
from ..core.draw import Draw
from ..core.model import Model, parameter

INCUBATION, INFECTIOUS, DYING, REPORTING = 3.0, 5.0, 8.0, 5.0


class Counties(eqx.Module):
    """Counts (counties,): susceptible, exposed, infectious; first and second stage before death; to be reported; and
    the deaths and cases so far.
    """

    susceptible: Float[Array, " counties"]
    exposed: Float[Array, " counties"]
    infectious: Float[Array, " counties"]
    dying: Float[Array, " counties"]
    last: Float[Array, " counties"]
    waiting: Float[Array, " counties"]
    deaths: Float[Array, " counties"]
    cases: Float[Array, " counties"]


class CountyEpidemic(Model):
    """Sites: `seeds` in init; `infect`, `onset`, `recover`, `fatal`, `waste`, `die`, `notice`, `report` in a step.
    Observed: `deaths` and `cases` so far, `infectious`.
    """

    people: Float[Array, " counties"]
    beta: Float[Array, " counties"] = parameter(unit="1/day", domain=positive, doc="infections by one infectious a day")
    reported: Float[Array, " counties"] = parameter(domain=unit, doc="share of infections that are reported")
    seeds: Float[Array, " counties"] = parameter(domain=positive, doc="expected number exposed at the start")
    fatal: Float[Array, ""] = parameter(default=0.008, domain=unit, doc="share of infections that end in death")

    def init(self, draw: Draw) -> Counties:
        zero = jnp.zeros_like(self.people)
        return Counties(self.people, draw.poisson("seeds", self.seeds), *(zero for _ in range(6)))

    def step(self, draw: Draw, now: Counties) -> Counties:
        pressure = self.beta * now.susceptible * now.infectious / self.people
        caught = jnp.minimum(draw.poisson("infect", pressure), now.susceptible)
        onset = draw.binomial("onset", now.exposed, _daily(INCUBATION, now.exposed))
        well = draw.binomial("recover", now.infectious, _daily(INFECTIOUS, now.exposed))
        fatal = draw.binomial("fatal", well, jnp.broadcast_to(self.fatal, well.shape))
        further = draw.binomial("waste", now.dying, _daily(DYING, now.exposed))
        died = draw.binomial("die", now.last, _daily(DYING, now.exposed))
        noticed = draw.binomial("notice", onset, self.reported)
        cases = draw.binomial("report", now.waiting, _daily(REPORTING, now.exposed))
        return Counties(
            now.susceptible - caught,
            now.exposed + caught - onset,
            now.infectious + onset - well,
            now.dying + fatal - further,
            now.last + further - died,
            now.waiting + noticed - cases,
            now.deaths + died,
            now.cases + cases,
        )

    def observe(self, now: Counties) -> dict[str, Array]:
        return {"deaths": now.deaths, "cases": now.cases, "infectious": now.infectious}


def _daily(days: float, like: Array) -> Array:
    """The probability a day of leaving a stage that lasts so many days on average."""
    return jnp.full(like.shape, 1.0 / days)
