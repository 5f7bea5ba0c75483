"""The suite for plugs passes the shipped ones and finds what is wrong, each flaw by its law."""

import re

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import pytest
from jaxtyping import Array, Float

import populace as pop
from populace.core.distributions import Bernoulli
from populace.testing.plugs import check_plug

AGENTS = 8


class Village(pop.Model):
    """Sites of three kinds, one of them masked."""

    p: Float[Array, ""] = pop.parameter(default=0.4, domain=pop.unit)

    def init(self, draw):
        return draw.bernoulli("born well", self.p, size=AGENTS)

    def step(self, draw, well):
        ill = draw.bernoulli("fall ill", self.p, where=well)
        where = draw.categorical("go", jnp.zeros(3), where=well).index
        stay = draw.decide("stay", ill, lambda view, own: own.bernoulli("coin", 0.5, size=AGENTS), where=well)
        return jnp.where(stay + (where == 1) > 0, well, 1 - ill)

    def observe(self, well):
        return {"well": well.sum()}


class Timid(pop.Policy):
    """Stays more and more, with memory."""

    slope: Float[Array, ""]

    def memory(self):
        return jnp.float32(0)

    def act(self, view, memory, key):
        return pop.Act((jr.uniform(key) < self.slope * memory).astype(jnp.float32), memory + view)


SOUND = {
    "override": pop.Override("fall ill", 1.0, pop.Window(start=2)),
    "override a choice": pop.Override("go", 2),
    "scale": pop.Scale("fall ill", 0.5),
    "replace a rule": pop.Replace("stay", lambda view, own: 1 - view),
    "replace a mechanism": pop.Replace("fall ill", lambda mechanism: Bernoulli(mechanism.p**2)),
    "deciding": pop.Deciding("stay", Timid(jnp.float32(0.3))),
    "deciding for some": pop.Deciding(
        "stay", Timid(jnp.float32(0.3)), who=(jnp.arange(AGENTS) < 3).astype(jnp.float32)
    ),
    "forced": pop.Forced(),
}


@pytest.mark.parametrize("name", SOUND)
def test_what_is_sound_passes(name: str):
    check_plug(SOUND[name], Village(), jr.key(0))


def test_a_recorder_changes_nothing():
    check_plug(pop.Record(("go",)), Village(), jr.key(0), unchanged=True)
    check_plug(pop.Record(), Village(), jr.key(0), unchanged=True)


class Quiet(pop.Plug):
    """Sound; flaws override one method."""

    def sites(self):
        return ("fall ill",)

    def around(self, site, proceed):
        return proceed(site)


class Listing(Quiet):
    def sites(self):
        return ["fall ill"]


class Misnamed(Quiet):
    def sites(self):
        return ("fall il",)


class Straying(Quiet):
    def around(self, site, proceed):
        value = proceed(site)
        return 1 - value if site.path == "stay" else value


class Casting(Quiet):
    def around(self, site, proceed):
        value = proceed(site)
        return value > 0 if site.path == "fall ill" else value


class Unmasking(Quiet):
    def around(self, site, proceed):
        return jnp.ones(site.shape) if site.path == "fall ill" else proceed(site)


class Hot(Quiet):
    def sites(self):
        return ("go",)

    def around(self, site, proceed):
        value = proceed(site)
        return eqx.tree_at(lambda choice: choice.index, value, 0 * value.index) if site.path == "go" else value


class Numbered(Quiet):
    factor: float = 0.5


class Meddling(Quiet):
    """Calls itself a recorder."""

    def around(self, site, proceed):
        value = proceed(site)
        return value * 0 if site.path == "fall ill" else value


class Faulty(Quiet):
    def around(self, site, proceed):
        return proceed(site.with_mechanism(Bernoulli(jnp.float32(2)))) if site.path == "fall ill" else proceed(site)


class Counting(Quiet):
    """Remembers how often it was traced, outside of the simulation."""

    calls: list = eqx.field(static=True)

    def around(self, site, proceed):
        value = proceed(site)
        if site.path != "fall ill":
            return value
        self.calls.append(1)
        return value if len(self.calls) <= 2 else 0 * value


class _Calls(list):
    __hash__ = object.__hash__

    def __eq__(self, other):
        return self is other


FLAWS = {
    Listing: "sites() is ['fall ill'], not a tuple of paths",
    Misnamed: "the model has no site 'fall il'; did you mean 'fall ill'?",
    Straying: "it changes site 'stay', and its sites() are ('fall ill',)",
    Casting: "keep structure, shapes, dtypes",
    Unmasking: "an agent whose where is 0 gets a value",
    Hot: "an agent whose where is 0 gets a value",
    Numbered: "it holds [0.5] as a plain number",
    Faulty: "with it the model cannot be run. site 'fall ill' was given a number outside its domain",
}


def test_the_plain_one_is_sound():
    check_plug(Quiet(), Village(), jr.key(0), unchanged=True)


@pytest.mark.parametrize("flaw", FLAWS, ids=lambda flaw: flaw.__name__)
def test_a_flaw_is_found(flaw: type[Quiet]):
    with pytest.raises(AssertionError, match=f"{flaw.__name__}: .*{re.escape(FLAWS[flaw])}"):
        check_plug(flaw(), Village(), jr.key(0))


def test_a_meddling_recorder_is_found():
    check_plug(Meddling(), Village(), jr.key(0))
    with pytest.raises(AssertionError, match="it changes the value of site 'fall ill', and must change none"):
        check_plug(Meddling(), Village(), jr.key(0), unchanged=True)


def test_memory_outside_the_simulation_is_found():
    with pytest.raises(AssertionError, match="stopped and resumed, the run is another"):
        check_plug(Counting(_Calls()), Village(), jr.key(0))
