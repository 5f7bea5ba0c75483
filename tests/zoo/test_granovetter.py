"""Thresholds: the facts that its docstring lists."""

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from scipy import optimize, stats

import populace as pop
from populace.testing.models import check_model
from populace.zoo.granovetter import Given, Granovetter, Normal

AGENTS = 20_000


def acting(thresholds, agents: int = 100, steps: int = 101) -> np.ndarray:
    return np.asarray(pop.simulate(Granovetter(thresholds, agents), jr.key(1), steps).observations["acting"])


def test_it_keeps_the_laws_of_models():
    check_model(Granovetter(Normal(), 50), jr.key(0))


def test_a_hundred_people_of_whom_one_differs():
    """One after the other joins; without the one whom a single person moves, nobody follows the first."""
    np.testing.assert_array_equal(acting(Given()), np.minimum(np.arange(1, 102), 100))
    assert set(acting(Given(jnp.arange(100.0).at[1].set(2.0)))) == {1.0}


@pytest.mark.parametrize("s", [0.10, 0.12, 0.125, 0.15])
def test_the_end_is_the_smallest_share_that_keeps_itself(s):
    """Within the standard error of the share that a sample's distribution keeps; it jumps between s of .12 and .125."""
    r = np.linspace(0, 1, 100_001)
    excess = stats.norm.cdf(r, 0.25, s) - r
    first = int(np.argmax(excess <= 0))
    wanted = optimize.brentq(lambda x: stats.norm.cdf(x, 0.25, s) - x, r[first - 1], r[first])
    slope = stats.norm.pdf(wanted, 0.25, s)
    end = acting(Normal(s=s), AGENTS, 120)[-2:] / AGENTS
    assert end[0] == end[1]
    assert abs(end[1] - wanted) < 4 * np.sqrt(wanted * (1 - wanted) / AGENTS) / (1 - slope)
    assert wanted < 0.1 if s < 0.122 else wanted > 0.95


def test_a_list_of_another_length_is_named():
    with pytest.raises(pop.ModelError, match="list one each"):
        acting(Given(), 99)
