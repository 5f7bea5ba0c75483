"""An outbreak in a boarding school, boy by boy.

Susceptible boys catch an infection from infectious ones whom they mix with; infectious boys take to their beds,
unless they show no symptoms; then they convalesce out of bed, and are well again. Everybody mixes with everybody
alike. The infectious time is passed in `stages` equal stages left at constant rates: exponential with one, less
variable (Erlang) with more. With one stage and `immune` = `silent` = 0 it is the individual-based form of
the model that textbooks fit to the influenza of January 1978 in an English boarding school (Anonymous 1978, British
Medical Journal 1:587; Murray 2002, Mathematical Biology I, section 10.2): R0 = beta / recovery near 3.7 and
1 / recovery near 2.2 days.

Facts it must reproduce (tests/zoo): the mean run follows the ordinary differential equations of the SIR model as steps
grow short (with 6 a day it grows by 1.15 a day at first where they say 1.25, with 24 it agrees); the final size z of a
large outbreak solves 1 - z = exp(-R0 z); an immune share m and a silent share m are told apart by no count of boys in
bed once beta is scaled by 1 - m.
"""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from .._errors import ModelError
from ..core.domain import positive, unit
from ..core.draw import Draw
from ..core.model import Model, parameter
from ..core.noise import as_float


class Boys(eqx.Module):
    """One entry a boy, (boys,) float32, 0 or 1 but for `stage`, the stages of illness that a boy has passed, and
    `order`, the rank in which he went to bed, from 1, or 0.
    """

    susceptible: Float[Array, " boys"]
    infectious: Float[Array, " boys"]
    stage: Float[Array, " boys"]
    convalescent: Float[Array, " boys"]
    silent: Float[Array, " boys"]
    order: Float[Array, " boys"]
    infections: Float[Array, ""]


class Ward(eqx.Module):
    """What whoever decides on isolation sees: who lies in bed, in which order they came, and the day."""

    in_bed: Float[Array, " boys"]
    order: Float[Array, " boys"]
    day: Float[Array, " boys"]


class SchoolEpidemic(Model):
    """Boys who mix freely, fall ill, take to bed and recover. A step is 1 / `steps_per_day` of a day.

    At time 0 exactly `first` boys lie in bed, and silent infections are as common among boys without symptoms.

    Sites: `immune`, `silent`, `vaccinate`, `lots`, `first`, `unseen` in init; `isolate`, `infect`, `recover`,
    `convalesce` in a step. Rules of the house: nobody is vaccinated, and nobody is isolated (boys in bed still
    infect). A measure replaces the rule at `vaccinate` or `isolate`.
    """

    beta: Float[Array, ""] = parameter(
        unit="1/day", domain=positive, doc="infections that one boy would cause a day were all others susceptible"
    )
    recovery: Float[Array, ""] = parameter(
        unit="1/day", domain=positive, doc="rate of ceasing to infect and leaving bed"
    )
    convalescence: Float[Array, ""] = parameter(
        default=0.5, unit="1/day", domain=positive, doc="rate of being well again"
    )
    immune: Float[Array, ""] = parameter(default=0.0, domain=unit, doc="share of boys who cannot be infected")
    silent: Float[Array, ""] = parameter(default=0.0, domain=unit, doc="share of boys who infect without falling ill")
    boys: int = eqx.field(static=True, default=763)
    first: int = eqx.field(static=True, default=3)
    stages: int = eqx.field(static=True, default=1)
    steps_per_day: int = eqx.field(static=True, default=6)

    def __check_init__(self) -> None:
        if not 0 <= self.first <= self.boys or self.boys < 1 or self.stages < 1 or self.steps_per_day < 1:
            raise ModelError(
                f"boys={self.boys}, first={self.first}, stages={self.stages}, steps_per_day={self.steps_per_day}: each "
                "is 1 or more, and first, which may be 0, no more than boys"
            )

    def init(self, draw: Draw) -> Boys:
        immune = draw.bernoulli("immune", self.immune, size=self.boys)
        silent = draw.bernoulli("silent", self.silent, size=self.boys)
        dose = draw.decide("vaccinate", immune, _nobody)
        lots = draw.uniform("lots", size=self.boys)
        ill = draw.top_k("first", lots * (1 - silent) * (1 - immune), self.first)
        open_to = (1 - immune) * (1 - dose) * (1 - ill)
        prevalence = self.first / jnp.maximum(((1 - silent) * (1 - immune)).sum(), 1.0)
        unseen = draw.bernoulli("unseen", jnp.minimum(prevalence, 1.0), where=open_to * silent)
        infectious = ill + unseen
        zero = jnp.zeros(self.boys, jnp.float32)
        return Boys(open_to - unseen, infectious, zero, zero, silent, _ranked(zero, ill), infectious.sum())

    def step(self, draw: Draw, boys: Boys) -> Boys:
        day = jnp.full(self.boys, draw.time / self.steps_per_day, jnp.float32)
        view = Ward(boys.infectious * (1 - boys.silent), boys.order, day)
        isolated = draw.decide("isolate", view, _none_in)
        force = self.beta * (boys.infectious * (1 - isolated)).sum() / self.boys
        caught = draw.bernoulli("infect", self._within_step(force), where=boys.susceptible)
        passed = draw.bernoulli("recover", self._within_step(self.stages * self.recovery), where=boys.infectious)
        healed = passed * (boys.stage >= self.stages - 1)
        well = draw.bernoulli("convalesce", self._within_step(self.convalescence), where=boys.convalescent)
        return Boys(
            boys.susceptible - caught,
            boys.infectious + caught - healed,
            boys.stage + passed,
            boys.convalescent + healed * (1 - boys.silent) - well,
            boys.silent,
            _ranked(boys.order, caught * (1 - boys.silent)),
            boys.infections + caught.sum(),
        )

    def observe(self, boys: Boys) -> dict[str, Array]:
        return {
            "in_bed": (boys.infectious * (1 - boys.silent)).sum(),
            "convalescent": boys.convalescent.sum(),
            "ever_in_bed": (boys.order > 0).sum().astype(jnp.float32),
            "ever_infected": boys.infections,
        }

    def _within_step(self, hazard: Array) -> Array:
        """The probability that an event of the given hazard a day happens within a step."""
        return -jnp.expm1(-hazard / self.steps_per_day)


class IsolateFirst(eqx.Module):
    """A measure at `isolate`: the first `count` boys who took to bed mix with nobody from `day` on, while in bed."""

    count: Float[Array, ""] = eqx.field(converter=as_float)
    day: Float[Array, ""] = eqx.field(converter=as_float)

    def __call__(self, ward: Ward, draw: Draw) -> Float[Array, " boys"]:
        return ward.in_bed * (ward.order <= self.count) * (ward.day >= self.day)


class VaccinateShare(eqx.Module):
    """A measure at `vaccinate`: each boy gets a perfect vaccine beforehand with probability `share`."""

    share: Float[Array, ""] = eqx.field(converter=as_float)

    def __call__(self, boys: Float[Array, " boys"], draw: Draw) -> Float[Array, " boys"]:
        return draw.bernoulli("dose", self.share, size=boys.shape[0])


def _nobody(boys: Float[Array, " boys"], draw: Draw) -> Float[Array, " boys"]:
    return jnp.zeros_like(boys)


def _none_in(ward: Ward, draw: Draw) -> Float[Array, " boys"]:
    return jnp.zeros_like(ward.in_bed)


def _ranked(order: Float[Array, " boys"], new: Float[Array, " boys"]) -> Float[Array, " boys"]:
    """Ranks go on from the largest in order of the boys' numbers."""
    return order + new * (order.max() + jnp.cumsum(new))
