"""An epidemic in a town, person by person: homes, classes, teams and chance encounters, and what is done about it.

The SEIR model with stages of illness and layers of contacts that is run on whole towns (Ferguson et al. 2005, Nature
437:209; Hinch et al. 2021, PLOS Computational Biology 17:e1009146; Kerr et al. 2021, ibid. 17:e1009149). A step is a
day. Who is infectious by s (1; the silent less) puts on each person with whom he spends the day the hazard

    beta s at home,    beta school s in a class,    beta work s in a team,    beta meeting s for an encounter,

times the susceptibility of that person's age, and 1 - `efficacy` once vaccinated; hazards add up. Encounters by chance
are drawn anew each day: in each of `rounds` rounds everybody has a partner at random, and i and j meet with
probability 1 - exp(-encounters a_i a_j / rounds), a the activities of `Town`. (The partner of i is c - i, c random: the
order of the town is random. So nothing is stored but who met, and tracing knows all encounters of the last days.)

The infected are exposed; then silent, or presymptomatic and later ill; then recovered for good, or dead. Each stay is
`stages` equal geometric stages, of the mean given in all: geometric with one, constant where the mean is `stages`.

Facts it must reproduce (tests/zoo): with encounters alone the final size z solves 1 - z = exp(-R0 z), where R0 =
rounds (1 - exp(-encounters / rounds)) (1 - exp(-beta meeting)) times the mean days of infectiousness; at home alone,
with a constant stay, the chain-binomial law of Reed and Frost (Abbey 1952, Human Biology 24:201); people are conserved;
each policy spares infections; tracing without tests does nothing; a perfect vaccine for all before the start ends it.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Int8, UInt8

from .._errors import ModelError
from ..core.domain import Domain, nonnegative, unit
from ..core.draw import Draw
from ..core.model import Model, parameter
from .layered_encounters import flipped, partners
from .layered_policies import Person, nobody, normally
from .layered_town import SCHOOL, WORK, Town, by_age

SUSCEPTIBLE, EXPOSED, PRESYMPTOMATIC, SILENT, ILL, RECOVERED, DEAD = range(7)
UNVACCINATED = -1
MOST_ROUNDS = 8
_A_DAY = Domain(low=1.0)
_FATAL = (0.00002, 0.00002, 0.0001, 0.0003, 0.001, 0.004, 0.013, 0.04, 0.1)
_SUSCEPTIBLE = (0.5, 0.75, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0)


class People(eqx.Module):
    """A byte a person for each of these, (people,), and three counts.

    `status`: from `SUSCEPTIBLE` to `DEAD`; `stage`: stages passed in it; `onset`: symptoms began on the last day;
    `isolated`: days of isolation to come; `pending`: days until a positive result; `shield`: days until the vaccine
    protects, `UNVACCINATED` without one; `met`: of the last days, the latest first, the rounds in which the person met
    the partner, a bit each; `turns` (days, rounds): who was whose partner. `infections`, `tests`, `doses`: so far.
    """

    status: Int8[Array, " people"]
    stage: Int8[Array, " people"]
    onset: Bool[Array, " people"]
    isolated: Int8[Array, " people"]
    pending: Int8[Array, " people"]
    shield: Int8[Array, " people"]
    met: tuple[UInt8[Array, " people"], ...]
    turns: Int[Array, "days rounds"]
    infections: Float[Array, ""]
    tests: Float[Array, ""]
    doses: Float[Array, ""]

    @property
    def alive(self) -> Bool[Array, " people"]:
        """Who lives."""
        return self.status != DEAD

    @property
    def infectious(self) -> Bool[Array, " people"]:
        """Who infects others, and whom a test finds."""
        return (self.status >= PRESYMPTOMATIC) & (self.status <= ILL)


class Day(NamedTuple):
    """Where people are today, as parts of their usual time, (people,): `there`, in their class or team; `out`, where
    encounters happen, times their activity.
    """

    there: Float[Array, " people"]
    out: Float[Array, " people"]


class LayeredEpidemic(Model):
    """Sites: `vaccinate`, `dose`, `seed` in init; in a step, in this order,

    - `school`, `work`, `meet`: decisions, the part of the usual time that each spends there (all of it);
    - `trace`: a decision, the probability that a person whom somebody found today has named is reached (0); `reach`;
    - `comply`: whether who is found or reached stays at home for `isolation` days;
    - `rounds/turn`, `rounds/lot`: encounters; `infect`; `progress`, `silent`, `die`;
    - `test`, `screen`: decisions, the probability of a test for those whose symptoms began yesterday, and for all
      others (0); `take test`, `positive`: the result comes `delay` days later;
    - `vaccinate`: a decision, the probability of a dose today (0); `dose`.

    A policy is a plug at a decision: `Override("school", 0.0, Window(20, 60))` or
    `Replace("vaccinate", OldestFirst(0.01))`.

    **Raises:** `ModelError` for settings that are none; a mean stay below `stages` days is a `FaultError` of the run.
    """

    town: Town
    beta: Float[Array, ""] = parameter(
        default=0.06, unit="1/day", domain=nonnegative, doc="hazard from an infectious member of the household"
    )
    school: Float[Array, ""] = parameter(default=0.25, domain=nonnegative, doc="hazard in a class, relative to home")
    work: Float[Array, ""] = parameter(default=0.3, domain=nonnegative, doc="hazard in a team, relative to home")
    meeting: Float[Array, ""] = parameter(
        default=0.5, unit="day", domain=nonnegative, doc="hazard of an encounter, relative to a day at home"
    )
    encounters: Float[Array, ""] = parameter(
        default=4.0, unit="1/day", domain=nonnegative, doc="rate of encounters by chance, of people of mean activity"
    )
    susceptibility: Float[Array, " ages"] = parameter(
        default=_SUSCEPTIBLE, domain=nonnegative, doc="relative, by ten years of age; the last for all above"
    )
    silent: Float[Array, ""] = parameter(default=0.3, domain=unit, doc="share of the infected without symptoms")
    silent_infects: Float[Array, ""] = parameter(default=0.5, domain=nonnegative, doc="how much they infect, relative")
    latent: Float[Array, ""] = parameter(default=3.0, unit="day", domain=_A_DAY, doc="mean stay exposed")
    presymptomatic: Float[Array, ""] = parameter(default=2.0, unit="day", domain=_A_DAY, doc="mean stay till symptoms")
    ill: Float[Array, ""] = parameter(default=5.0, unit="day", domain=_A_DAY, doc="mean stay with symptoms")
    well: Float[Array, ""] = parameter(default=7.0, unit="day", domain=_A_DAY, doc="mean stay infectious if silent")
    fatality: Float[Array, " ages"] = parameter(
        default=_FATAL, domain=unit, doc="share of those with symptoms who die, by ten years of age"
    )
    seeded: Float[Array, ""] = parameter(default=0.001, domain=unit, doc="share exposed at time 0")
    sensitivity: Float[Array, ""] = parameter(default=0.85, domain=unit, doc="of a test, while infectious")
    specificity: Float[Array, ""] = parameter(default=1.0, domain=unit, doc="of a test, at all other times")
    adherence: Float[Array, ""] = parameter(default=0.8, domain=unit, doc="share who isolate when told to")
    efficacy: Float[Array, ""] = parameter(default=0.9, domain=unit, doc="of the vaccine, against infection")
    named_group: Float[Array, ""] = parameter(default=0.8, domain=unit, doc="share of class or team that is named")
    named_meeting: Float[Array, ""] = parameter(default=0.3, domain=unit, doc="share of encounters that are named")
    stages: int = eqx.field(static=True, default=2)
    rounds: int = eqx.field(static=True, default=MOST_ROUNDS)
    delay: int = eqx.field(static=True, default=2)
    isolation: int = eqx.field(static=True, default=10)
    protection: int = eqx.field(static=True, default=14)
    memory: int = eqx.field(static=True, default=5)

    def __check_init__(self) -> None:
        settings = {name: getattr(self, name) for name in ("delay", "isolation", "protection", "memory", "stages")}
        if not 1 <= self.rounds <= MOST_ROUNDS or not all(1 <= value <= 100 for value in settings.values()):
            raise ModelError(f"rounds={self.rounds} is from 1 to {MOST_ROUNDS}, and {settings} are from 1 to 100")

    def init(self, draw: Draw) -> People:
        """Some people are exposed; a vaccine given now protects already."""
        people = self.town.people
        byte = jnp.zeros(people, jnp.int8)
        met = tuple(jnp.zeros(people, jnp.uint8) for _ in range(self.memory))
        turns, zero = jnp.zeros((self.memory, self.rounds), jnp.int32), jnp.float32(0.0)
        now = People(byte, byte, byte > 0, byte, byte, byte + UNVACCINATED, met, turns, zero, zero, zero)
        dose = self._doses(draw, now)
        exposed = draw.bernoulli("seed", self.seeded * (1.0 - self.efficacy * dose)) > 0
        return eqx.tree_at(
            lambda now: (now.status, now.shield, now.infections, now.doses),
            now,
            (
                jnp.where(exposed, EXPOSED, SUSCEPTIBLE).astype(jnp.int8),
                jnp.where(dose > 0, 0, UNVACCINATED).astype(jnp.int8),
                exposed.sum().astype(jnp.float32),
                dose.sum(),
            ),
        )

    def step(self, draw: Draw, now: People) -> People:
        """Results and tracing in the morning, contacts by day, tests and vaccines in the evening."""
        day, isolated = self._morning(draw, now)
        met, turns, hazard = self._contacts(draw, now, day)
        hazard = hazard * by_age(self.susceptibility, self.town.age)
        hazard = hazard * jnp.where(now.shield == 0, 1.0 - self.efficacy, 1.0)
        caught = draw.bernoulli("infect", -jnp.expm1(-hazard), where=now.status == SUSCEPTIBLE) > 0
        status, stage = self._course(draw, now, caught)
        tested, pending = self._tests(draw, now)
        dose = self._doses(draw, now)
        shield = jnp.where(dose > 0, self.protection, jnp.where(now.shield > 0, now.shield - 1, now.shield))
        return People(
            status,
            stage,
            (status == ILL) & (now.status != ILL),
            isolated,
            pending,
            shield.astype(jnp.int8),
            (met, *now.met[:-1]),
            jnp.concatenate([turns[None], now.turns[:-1]]),
            now.infections + caught.sum(),
            now.tests + tested.sum(),
            now.doses + dose.sum(),
        )

    def observe(self, now: People) -> dict[str, Array]:
        """Numbers of people today, and infections, tests and doses so far."""
        count = {
            "susceptible": now.status == SUSCEPTIBLE,
            "exposed": now.status == EXPOSED,
            "infectious": now.infectious,
            "ill": now.status == ILL,
            "recovered": now.status == RECOVERED,
            "dead": now.status == DEAD,
            "isolated": (now.isolated > 0) & now.alive,
        }
        so_far = {"infections": now.infections, "tests": now.tests, "doses": now.doses}
        return {name: who.sum().astype(jnp.float32) for name, who in count.items()} | so_far

    def _person(self, draw: Draw, now: People) -> Person:
        """What whoever decides sees."""
        people = self.town.people
        return Person(
            self.town.age.astype(jnp.float32),
            (now.status == ILL).astype(jnp.float32),
            (now.isolated > 0).astype(jnp.float32),
            (now.shield != UNVACCINATED).astype(jnp.float32),
            (self.town.place + 0.5) / people,
            jnp.full(people, draw.time, jnp.float32),
        )

    def _morning(self, draw: Draw, now: People) -> tuple[Day, Int8[Array, " people"]]:
        """Where people are today, and the days of isolation that each has before him."""
        view, alive = self._person(draw, now), now.alive
        there = draw.decide("school", view, normally, where=alive & (self.town.kind == SCHOOL))
        there = there + draw.decide("work", view, normally, where=alive & (self.town.kind == WORK))
        out = draw.decide("meet", view, normally, where=alive)
        found = (now.pending == 1) & alive
        share = draw.decide("trace", view, nobody, where=alive & ~found)
        some = (share > 0).any() & found.any()
        named = jax.lax.cond(some, lambda: self._named(now, found, there), lambda: jnp.zeros_like(there))
        reached = draw.bernoulli("reach", share * named, where=alive & ~found) > 0
        comply = draw.bernoulli("comply", self.adherence, where=found | reached) > 0
        isolated = jnp.where(comply, self.isolation, jnp.maximum(now.isolated - 1, 0)).astype(jnp.int8)
        free = isolated == 0
        return Day(there * free, out * free * self.town.activity), isolated

    def _named(self, now: People, found: Array, there: Array) -> Float[Array, " people"]:
        """The probability that one of those found names the person: all who live with them, of their class or team
        those who go there, and of the encounters of the last days some.
        """
        flags = found.astype(jnp.float32)
        home = self.town.home.sum(flags)
        daily = self.town.daily.sum(flags * there) * there
        twice = flipped(found.astype(jnp.uint8))
        meetings = jnp.zeros(self.town.people, jnp.float32)
        for met, turns in zip(now.met, now.turns, strict=True):
            for r in range(self.rounds):
                meetings = meetings + ((met >> r) & 1) * partners(twice, turns[r])
        missed = (1.0 - self.named_group) ** daily * (1.0 - self.named_meeting) ** meetings
        return jnp.where(home > 0, 1.0, 1.0 - missed)

    def _contacts(self, draw: Draw, now: People, day: Day) -> tuple[Array, Array, Float[Array, " people"]]:
        """The rounds in which each met the partner, the rounds' turns, and the hazard of infection (people,)."""
        source = jnp.where(now.infectious, jnp.where(now.status == SILENT, self.silent_infects, 1.0), 0.0)
        weight = jnp.where(self.town.kind == SCHOOL, self.school, self.work)
        daily = weight * day.there * self.town.daily.sum(source * day.there)
        out, sources = flipped(day.out), flipped(source)
        mean = self.encounters / self.rounds
        numbers = jnp.arange(self.town.people, dtype=jnp.int32)

        def one(draw: Draw, r: Array, carry: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
            met, turns, pressure = carry
            turn = jnp.floor(draw.uniform("turn", size=()) * self.town.people).astype(jnp.int32)
            lot = draw.uniform("lot", size=self.town.people)
            other = partners(flipped(numbers), turn)
            lot = jnp.where(numbers < other, lot, partners(flipped(lot), turn))
            meet = (lot < -jnp.expm1(-mean * day.out * partners(out, turn))) & (numbers != other)
            pressure = pressure + meet * partners(sources, turn)
            return met | (meet.astype(jnp.uint8) << r.astype(jnp.uint8)), turns.at[r].set(turn), pressure

        start = jnp.zeros(self.town.people, jnp.uint8), jnp.zeros(self.rounds, jnp.int32), jnp.zeros_like(source)
        met, turns, pressure = draw.loop("rounds", self.rounds, one, start)
        return met, turns, self.beta * (self.town.home.sum(source) + daily + self.meeting * pressure)

    def _course(self, draw: Draw, now: People, caught: Array) -> tuple[Int8[Array, " people"], Int8[Array, " people"]]:
        """Status and stage on the next day."""
        means = jnp.stack([self.latent, self.presymptomatic, self.well, self.ill])
        ailing = (now.status >= EXPOSED) & (now.status <= ILL)
        chance = (self.stages / means)[jnp.clip(now.status - EXPOSED, 0, 3)]
        passed = draw.bernoulli("progress", chance, where=ailing) > 0
        leaves = passed & (now.stage == self.stages - 1)
        silent = draw.bernoulli("silent", self.silent, where=leaves & (now.status == EXPOSED)) > 0
        dies = draw.bernoulli("die", by_age(self.fatality, self.town.age), where=leaves & (now.status == ILL)) > 0
        after = jnp.array([EXPOSED, PRESYMPTOMATIC, ILL, RECOVERED, RECOVERED, RECOVERED, DEAD])[now.status]
        after = jnp.where(silent, SILENT, jnp.where(dies, DEAD, after))
        status = jnp.where(leaves | caught, after, now.status).astype(jnp.int8)
        return status, jnp.where(leaves, 0, now.stage + passed).astype(jnp.int8)

    def _tests(self, draw: Draw, now: People) -> tuple[Float[Array, " people"], Int8[Array, " people"]]:
        """Who takes a test, and the days until each positive result."""
        view = self._person(draw, now)
        idle = now.alive & (now.pending <= 1)
        chance = draw.decide("test", view, nobody, where=idle & now.onset)
        chance = chance + draw.decide("screen", view, nobody, where=idle & ~now.onset)
        tested = draw.bernoulli("take test", chance, where=idle)
        shows = jnp.where(now.infectious, self.sensitivity, 1.0 - self.specificity)
        positive = draw.bernoulli("positive", shows, where=tested) > 0
        return tested, jnp.where(positive, self.delay, jnp.maximum(now.pending - 1, 0)).astype(jnp.int8)

    def _doses(self, draw: Draw, now: People) -> Float[Array, " people"]:
        """Who is vaccinated today."""
        eligible = now.alive & (now.shield == UNVACCINATED)
        chance = draw.decide("vaccinate", self._person(draw, now), nobody, where=eligible)
        return draw.bernoulli("dose", chance, where=eligible)
