"""Every relaxation passes the public suite."""

import jax.numpy as jnp
import jax.random as jr
import pytest

import populace as pop
from populace.testing.relaxations import Chances, Kinks, check_relaxation
from populace.zoo.sir import SIR

TOWN = SIR(pop.small_world(jr.key(0), 30, degree=4, rewire=0.1), beta=0.3, gamma=0.2, seeded=0.2)
CHANCES = {
    "straight-through": (pop.StraightThrough(), (TOWN,)),
    "smoothed": (pop.Smoothed(), (Chances(),)),
    "downward": (pop.Smoothed(upward=0.0), ()),
    "Gumbel-softmax": (pop.GumbelSoftmax(tau=0.5), (TOWN,)),
    "Gumbel-Rao": (pop.GumbelRao(tau=0.5, samples=2), ()),
    "one site": (pop.RelaxedAt("infect", pop.StraightThrough()), (TOWN,)),
}
"""A relaxation, and what it is run through."""
KINKS = {
    "soft threshold": pop.SoftThreshold(),
    "soft k largest": pop.SoftTopK(),
    "soft matching": pop.SoftMatch(),
    "attention": pop.AttentionMatch(),
}


@pytest.mark.parametrize("name", CHANCES)
def test_of_chances(name: str):
    relaxation, models = CHANCES[name]
    check_relaxation(relaxation, jr.key(1), models)


@pytest.mark.parametrize("name", KINKS)
def test_of_kinks(name: str):
    check_relaxation(KINKS[name], jr.key(1), (Kinks(),))


@pytest.mark.parametrize(
    "make", [pop.GumbelSoftmax, pop.GumbelRao, pop.SoftThreshold, pop.SoftTopK, pop.SoftMatch, pop.AttentionMatch]
)
def test_a_temperature_or_width_of_zero_is_an_error(make: type[pop.Relaxation]):
    with pytest.raises(pop.ModelError, match=f"of {make.__name__} lies in .*, and 0 does not"):
        make(0)


def test_more_than_all_flips_are_an_error():
    with pytest.raises(pop.ModelError, match=r"the share of upward flips lies in .*, and 1.5 does not"):
        pop.Smoothed(upward=1.5)


def test_parameters_are_arrays():
    for relaxation in (pop.GumbelSoftmax(1), pop.GumbelRao(1), pop.SoftThreshold(1), pop.Smoothed(1), pop.SoftMatch(1)):
        number = next(iter(vars(relaxation).values()))
        assert number.dtype == jnp.float32 and not number.weak_type
