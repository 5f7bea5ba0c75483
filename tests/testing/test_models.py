"""The suite for models passes what is right and finds what is wrong, each flaw by its law."""

import re

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from jaxtyping import Array, Float

import populace as pop
from populace.testing.models import check_model
from populace.zoo.school_epidemic import SchoolEpidemic
from populace.zoo.sir import SIR


class Herd(pop.Population):
    energy: Float[Array, " agents"]


class Coins(pop.Model):
    """Sound, and as plain as can be; flaws override one method."""

    bias: Float[Array, ""] = pop.parameter(default=0.5, domain=pop.unit)

    def init(self, draw):
        return {"heads": jnp.zeros(6)}

    def step(self, draw, state):
        return {"heads": draw.bernoulli("throw", self.bias, size=6)}

    def observe(self, state):
        return {"heads": state["heads"].sum()}


class Breeding(pop.Model):
    """Sound, with births."""

    split: Float[Array, ""] = pop.parameter(default=0.1, domain=pop.unit)
    capacity: int = pop.capacity(default=40)

    def init(self, draw):
        return Herd(**pop.founders(10, self.capacity), energy=jnp.ones(self.capacity))

    def step(self, draw, herd):
        splits = draw.child("herd", follow=herd.identity).bernoulli("split", self.split, where=herd.alive)
        return pop.births(herd, herd, splits)

    def observe(self, herd):
        return {"alive": herd.alive.sum()}


SOUND = {
    "coins": Coins,
    "births": Breeding,
    "sir": lambda: SIR(pop.small_world(jr.key(0), 30, degree=4, rewire=0.1), 0.1, 0.2),
    "school": lambda: SchoolEpidemic(1.7, 0.45, boys=40, steps_per_day=2),
}


@pytest.mark.parametrize("name", SOUND)
def test_what_is_sound_passes(name: str):
    check_model(SOUND[name](), jr.key(0), steps=4)


class Twice(Coins):
    def step(self, draw, state):
        draw.bernoulli("throw", self.bias, size=6)
        return super().step(draw, state)


class Turning(Coins):
    def step(self, draw, state):
        return {"heads": super().step(draw, state)["heads"] > 0}


class Undefined(Coins):
    def observe(self, state):
        return {"share": state["heads"].sum() / (state["heads"].sum() - 3)}


class Nameless(Coins):
    def observe(self, state):
        return {}


class Restless(Coins):
    """Asks the host for its numbers, at every call."""

    def step(self, draw, state):
        return {"heads": jax.pure_callback(_host, jax.ShapeDtypeStruct((6,), jnp.float32))}


def _host():
    return np.random.default_rng().random(6, np.float32)


class Hoarding(Coins):
    """Remembers outside its state, on the host, in what order it was called."""

    def step(self, draw, state):
        return {
            "heads": 0 * state["heads"] + jax.pure_callback(_count, jax.ShapeDtypeStruct((), jnp.float32), draw.time)
        }


def _count(time):
    _calls.append(int(time))
    return np.float32(len(_calls) - int(time))


_calls: list[int] = []


class Branching(Coins):
    def step(self, draw, state):
        return super().step(draw, state) if self.bias > 0.3 else state


class Unbound(Coins):
    """Takes the value of its parameter into its own settings, where each value compiles anew."""

    plain: float = eqx.field(static=True, default=0.0)

    def step(self, draw, state):
        return jax.tree.map(lambda leaf: leaf + self.plain, super().step(draw, state))

    def observe(self, state):
        return {"heads": np.asarray(state["heads"]).sum()}


class Crowding(Breeding):
    def step(self, draw, herd):
        return pop.births(herd, herd, herd.alive)


class Cloning(Breeding):
    def step(self, draw, herd):
        return eqx.tree_at(lambda h: h.alive, herd, jnp.ones(self.capacity))


class Shuffling(Breeding):
    """Those who come last in an order of all slots, taken or not, die."""

    def step(self, draw, herd):
        return pop.deaths(herd, draw.permutation("order", self.capacity) > 0.8 * self.capacity)


class Wrong(Coins):
    def step(self, draw, state):
        return {"heads": draw.bernoulli("throw", self.bias * 3, size=6)}


class Lonely(Coins):
    """Cannot be vectorised over runs."""

    def step(self, draw, state):
        return {"heads": draw.bernoulli("throw", _alone(self.bias), size=6)}


@jax.custom_batching.custom_vmap
def _alone(x):
    return x


@_alone.def_vmap
def _(size, batched, x):
    raise pop.ModelError("one run at a time")


FLAWS = {
    Twice: "it cannot be run. SiteError: site 'throw' is drawn twice",
    Turning: "it cannot be run. StateError",
    Wrong: "it cannot be run. site 'throw' was given a number outside its domain",
    Crowding: "it cannot be run. Herd needed room",
    Undefined: "observation 'share' is NaN or infinite, first at step",
    Nameless: "observe returns no observations by name",
    Restless: "the same key gives another run",
    Branching: "it cannot be run. TracerBoolConversionError",
    Unbound: "it cannot be run. TracerArrayConversionError",
    Shuffling: "with a quarter more room other Herd live",
    Cloning: "two of its Herd have one identity",
    Lonely: "it cannot be vectorised over runs. ModelError: one run at a time",
}


@pytest.mark.parametrize("flaw", FLAWS, ids=lambda flaw: flaw.__name__)
def test_a_flaw_is_found(flaw: type[pop.Model]):
    with pytest.raises(AssertionError, match=f"{flaw.__name__}: .*{re.escape(FLAWS[flaw])}"):
        check_model(flaw(), jr.key(3), steps=4)


def test_too_few_steps_are_refused():
    with pytest.raises(AssertionError, match="take 2 or more"):
        check_model(Coins(), jr.key(0), steps=1)
