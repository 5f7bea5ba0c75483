"""Agents that stand as several: a tax by the head is found to be dodged, one by what is owned is not."""

import dataclasses
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import pytest
from jaxtyping import Array

import populace as pop
from populace.learning.deviations import Play
from populace.learning.game import watched
from populace.learning.splitting import split_play, splitting

OWNERS = (0, 1, 0)


class Farms(pop.Model):
    """An acre makes w - w^2 / 2 of work w. What a farm makes above the allowance is taxed at six tenths."""

    land: tuple[float, ...] = eqx.field(static=True, default=(1.0, 1.0))
    allowance: Array = eqx.field(default=0.2, converter=jnp.asarray)

    def init(self, draw: pop.Draw) -> Array:
        return jnp.zeros(len(self.land))

    def step(self, draw: pop.Draw, paid: Array) -> Array:
        work = draw.decide("work", paid, lambda view, inner: jnp.full(view.shape, 0.5))
        made = jnp.array(self.land) * (work - 0.5 * work**2)
        return made - 0.6 * jnp.maximum(made - self.allowance, 0.0)

    def observe(self, paid: Array) -> dict[str, Array]:
        return {"paid": paid.sum()}


def learner(types: Any = None) -> pop.Learner:
    return pop.Learner(lambda step: step.after, pop.Continuous(0.0, 2.0), discount=0.0, types=types)


def farms(*land: float, allowance: float = 0.2) -> pop.Game:
    return pop.Game(Farms(land, allowance), 2, {"work": learner()})


def asked(allowance: float, work: float) -> pop.Verdict:
    sets = ({"work": pop.FixedPolicy(work)},)
    whole = Play(watched(farms(1.0, 1.0, allowance=allowance)), sets, jr.split(jr.key(0), 8))
    split = pop.Split(farms(0.5, 1.0, 0.5, allowance=allowance), {"work": OWNERS})
    return splitting("in two", (whole, split_play("in two", whole, split)), OWNERS, 11, ("work", 1.0))


def test_an_allowance_by_the_head_is_taken_twice():
    """Of .5 made, .32 is left to one farm, and .22 to each half of it."""
    verdict = asked(0.2, 1.0)
    assert verdict.code is pop.Code.SPLIT_PAYS and verdict.subject == "work, in two"
    assert verdict.numbers["gain"] == pytest.approx(2 * 0.22 - 0.32, abs=1e-6)
    assert verdict.numbers["parts"] == 2.0


def test_where_all_is_taxed_alike_nothing_is_gained():
    """Nor by lazy farmers, whose parts could work more: so could they as one."""
    for work in (1.0, 0.1):
        verdict = asked(0.0, work)
        assert verdict.code is pop.Code.SPLIT_GAINS_NOTHING
        assert verdict.numbers["gain"] == pytest.approx(0.0, abs=1e-6)


def test_types_are_those_of_the_whole():
    """Where each has a policy of its own, a part has its owner's, and not one that was never learned."""
    whole = Play.__new__(Play)
    whole.made = watched(dataclasses.replace(farms(1.0, 1.0), learners={"work": learner(types=(0, 1))}))
    split = dataclasses.replace(farms(0.5, 1.0, 0.5), learners={"work": learner(types=(0, 1, 2))})
    with pytest.raises(pop.MethodError, match="as many types"):
        split_play("in two", whole, pop.Split(split, {"work": OWNERS}))


@pytest.mark.parametrize(
    ("owners", "says"),
    [
        ({"work": (0, 1)}, "3 numbers"),
        ({"work": (0, 0, 0)}, "each of which occurs"),
        ({"wrok": OWNERS}, "wrok"),
        ({}, "owners are of one or more"),
    ],
)
def test_what_is_no_division_is_refused(owners: Any, says: str):
    whole = Play.__new__(Play)
    whole.made = watched(farms(1.0, 1.0))
    with pytest.raises((pop.MethodError, pop.UnknownSiteError), match=says):
        split_play("in two", whole, pop.Split(farms(0.5, 1.0, 0.5), owners))
