"""What the equation of the mean sees: of herding everything but its strength."""

import jax.random as jr
import numpy as np
import pytest

import populace as pop
from populace.zoo.kirman import Kirman

MODEL = Kirman(agents=20, turns=40, a1=0.2, a2=0.3, interval=0.5)


@pytest.fixture(scope="module")
def seen():
    given = {"b": (0.0, 0.1), "a1": (0.1, 0.3)}
    return pop.seen_by_equation(
        MODEL, given, jr.key(0), variables=["share"], steps=30, runs=300, interval=0.5, start={"share": 0.0}
    )


def test_herding_strength_is_not_seen(seen):
    assert seen.verdicts["b"].code is pop.Code.NOT_IDENTIFIED
    assert "its effect is in the fluctuations" in seen.verdicts["b"].sentence
    low, high = seen.of["b"].spread
    assert high > 1.5 * low


def test_own_turns_are_seen(seen):
    assert seen.verdicts["a1"].code is pop.Code.IDENTIFIED


def test_the_equation_is_the_one_that_is_known(seen):
    """dz/dt = a1 - (a1 + a2) z at every setting."""
    assert seen.terms == ("1", "share")
    for name, (a1, a2) in {"b": ((0.2, 0.2), (0.3, 0.3)), "a1": ((0.1, 0.3), (0.3, 0.3))}.items():
        exact = np.stack([a1, -np.add(a1, a2)], axis=1)
        assert np.all(np.abs(seen.of[name].coefficients - exact) < 4.5 * seen.of[name].errors)


def test_it_can_be_read(seen):
    assert seen.sections()[0].tables[0].rows
    assert seen.record()["terms"] == ["1", "share"]


def test_misuse():
    with pytest.raises(pop.UnknownParameterError, match="c"):
        pop.seen_by_equation(MODEL, {"c": (1.0, 2.0)}, jr.key(1), variables=["share"], steps=5)
    with pytest.raises(pop.MethodError, match="two values"):
        pop.seen_by_equation(MODEL, {"b": (0.1,)}, jr.key(1), variables=["share"], steps=5)
    with pytest.raises(pop.MethodError, match="no observation"):
        pop.seen_by_equation(MODEL, {"b": (0.1, 0.2)}, jr.key(1), variables=["shares"], steps=5, runs=4)
