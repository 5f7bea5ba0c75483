"""Advantages against sums written out, and where a life ends."""

import jax.numpy as jnp
import numpy as np
import pytest

from populace.learning.returns import generalised_advantages, life_goes_on

RNG = np.random.default_rng(0)
REWARDS, VALUES = RNG.normal(size=(6, 2)), RNG.normal(size=(7, 2))
G = 0.9


def advantages(on: np.ndarray, decay: float) -> np.ndarray:
    rewards, values, goes_on = (jnp.asarray(a, jnp.float32) for a in (REWARDS, VALUES, on))
    return np.asarray(generalised_advantages(rewards, values, goes_on, G, decay))


@pytest.mark.parametrize("decay", [0.0, 0.7, 1.0])
def test_they_are_weighted_sums_of_differences(decay: float):
    on = np.ones((6, 2))
    differences = REWARDS + G * VALUES[1:] - VALUES[:-1]
    expected = [sum((G * decay) ** k * differences[t + k] for k in range(6 - t)) for t in range(6)]
    assert np.allclose(advantages(on, decay), expected, atol=1e-5)


def test_without_decay_they_are_returns_less_the_value():
    on = np.ones((6, 2))
    expected = sum(G**k * REWARDS[k] for k in range(6)) + G**6 * VALUES[6] - VALUES[0]
    assert np.allclose(advantages(on, 1.0)[0], expected, atol=1e-5)


def test_nothing_comes_back_over_the_end_of_a_life():
    on = np.ones((6, 2))
    on[2, 0] = 0.0
    expected = sum(G**k * REWARDS[k, 0] for k in range(3)) - VALUES[0, 0]
    assert advantages(on, 1.0)[0, 0] == pytest.approx(expected, abs=1e-5)


def test_a_life_ends_where_an_agent_is_masked_or_where_it_is_said():
    asked = jnp.array([[1.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    assert life_goes_on(asked, None, False).tolist() == [[1, 0], [1, 0]]
    assert life_goes_on(asked, None, True).tolist() == [[1, 0], [0, 0]]
    assert life_goes_on(asked, jnp.array([[0.0, 1.0], [0.0, 0.0]]), False).tolist() == [[1, 0], [1, 1]]
