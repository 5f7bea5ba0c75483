"""Every relaxation passes the public suite."""

import jax.numpy as jnp
import jax.random as jr
import pytest

import populace as pop
from populace.core.model import Model
from populace.testing.relaxations import Chances, Kinks, check_relaxation
from populace.zoo.sir import SIR

CHANCES = {
    "straight-through": (pop.StraightThrough(), True),
    "smoothed": (pop.Smoothed(), False),
    "downward": (pop.Smoothed(upward=0.0), True),
    "Gumbel-softmax": (pop.GumbelSoftmax(tau=0.5), True),
    "Gumbel-Rao": (pop.GumbelRao(tau=0.5, samples=2), True),
    "one site": (pop.RelaxedAt("infect", pop.StraightThrough()), True),
}
"""A relaxation, and whether a town will do, or all kinds of chance are run through."""
KINKS = {
    "soft threshold": pop.SoftThreshold(),
    "soft k largest": pop.SoftTopK(),
    "soft matching": pop.SoftMatch(),
    "attention": pop.AttentionMatch(),
}


def town() -> Model:
    return SIR(pop.small_world(jr.key(0), 30, degree=4, rewire=0.1), beta=0.3, gamma=0.2, seeded=0.2)


@pytest.mark.parametrize("name", CHANCES)
def test_of_chances(name: str):
    relaxation, in_town = CHANCES[name]
    check_relaxation(relaxation, jr.key(1), (town() if in_town else Chances(),))


@pytest.mark.parametrize("name", KINKS)
def test_of_kinks(name: str):
    check_relaxation(KINKS[name], jr.key(1), (Kinks(),))


def test_parameters_are_arrays():
    for relaxation in (pop.GumbelSoftmax(1), pop.GumbelRao(1), pop.SoftThreshold(1), pop.Smoothed(1), pop.SoftMatch(1)):
        number = next(iter(vars(relaxation).values()))
        assert number.dtype == jnp.float32 and not number.weak_type
