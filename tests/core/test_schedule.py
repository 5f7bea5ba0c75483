"""Measures that change with time, and those that reach agents by what they are."""

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from populace._errors import SiteError
from populace.core.draw import Draw
from populace.core.model import Model
from populace.core.plug import Override, Scale, Window
from populace.core.schedule import Schedule
from populace.core.simulate import simulate

N, T = 6, 8


class Ages(Model):
    """Agents of ages 0 to 5 who grow older; what they earn is uniform, once by itself and once in a loop."""

    def init(self, draw: Draw):
        return {"age": jnp.arange(N, dtype=jnp.float32), "earned": draw.uniform("first", size=N), "loop": jnp.zeros(N)}

    def step(self, draw: Draw, state):
        earned = draw.bernoulli("earn", 0.5, size=N)
        turn = draw.loop("turns", 2, lambda inner, i, c: c + inner.bernoulli("luck", 0.5, size=N), jnp.zeros(N))
        return {"age": state["age"] + 1.0, "earned": earned, "loop": turn}

    def observe(self, state):
        return state


def seen(*plugs):
    return {name: np.asarray(rows) for name, rows in simulate(Ages(), jr.key(1), T, plugs=plugs).observations.items()}


@pytest.fixture(scope="module")
def plain():
    return seen()


def test_a_schedule_of_values(plain):
    got = seen(Override("earn", Schedule((2, 4), (7.0, 9.0)), Window(stop=6)))["earned"]
    expected = plain["earned"].copy()
    expected[1:3], expected[3:6] = 7.0, 9.0  # row t - 1 holds step t
    np.testing.assert_array_equal(got, expected)


def test_a_schedule_of_factors_and_of_arrays(plain):
    each = np.stack([np.zeros(N), np.full(N, 2.0), np.arange(N) % 2])
    got = seen(Scale("earn", Schedule((3, 5, 6), each)))["earned"]
    np.testing.assert_array_equal(got[:2], plain["earned"][:2])
    np.testing.assert_array_equal(got[2:4], 0.0)
    np.testing.assert_array_equal(got[4], 1.0)
    np.testing.assert_array_equal(got[5:], plain["earned"][5:] * (np.arange(N) % 2))


def test_agents_are_reached_by_what_they_are(plain):
    """By their age at the beginning of a step; in a loop too."""
    old = Window(start=2, who=lambda state: state["age"] > 6.0)
    got = seen(Override("earn", 5.0, old), Override("turns/luck", 1.0, old))
    reached = np.concatenate([np.zeros((1, N), bool), plain["age"][:-1] > 6.0])
    np.testing.assert_array_equal(got["earned"], np.where(reached, 5.0, plain["earned"]))
    np.testing.assert_array_equal(got["loop"], np.where(reached, 2.0, plain["loop"]))


def test_what_does_not_fit_is_said():
    with pytest.raises(SiteError, match="rise"):
        Schedule((3, 3), (1.0, 2.0))
    with pytest.raises(SiteError, match="a value for each start"):
        Schedule((3, 4), (1.0,))
    with pytest.raises(SiteError, match=r"'first'.*none in init"):
        seen(Override("first", 1.0, Window(who=lambda state: state["age"] > 1.0)))
    with pytest.raises(SiteError, match=r"'earn'.*`who` has shape \(2,\)"):
        seen(Override("earn", 1.0, Window(who=lambda state: state["age"][:2])))
