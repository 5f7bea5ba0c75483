"""Whole units handed out, against plain loops and to the last unit."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from populace.interact.rations import counted, in_proportion, served


@pytest.mark.parametrize("seed", range(3))
def test_a_queue_is_served_one_by_one(seed: int):
    rng = np.random.default_rng(seed)
    counter, wanted, queue = rng.integers(-1, 4, 30), rng.integers(0, 9, 30), rng.permutation(30)
    stock = rng.integers(0, 40, 4)
    left, by_hand = stock.copy(), np.zeros(30, int)
    for agent in queue:
        if counter[agent] >= 0:
            by_hand[agent] = min(wanted[agent], left[counter[agent]])
            left[counter[agent]] -= by_hand[agent]
    got = jax.jit(served)(*(jnp.int32(x) for x in (counter, wanted, queue, stock)))
    np.testing.assert_array_equal(got, by_hand)
    np.testing.assert_array_equal(counted(jnp.int32(counter), got, 4), stock - left)


@pytest.mark.parametrize("weights", [[0, 3, 1, 0], [0, 0, 0, 0], [10**9, 1, 0, 7]])
def test_a_total_is_shared_out_to_the_last_unit(weights: list[int]):
    shares = np.asarray(jax.jit(in_proportion)(jnp.int32(1_000_003), jnp.int32(weights)))
    assert shares.sum() == 1_000_003 and (shares >= 0).all()
    exact = np.array(weights) / sum(weights) if sum(weights) else np.full(4, 0.25)
    np.testing.assert_allclose(shares, 1_000_003 * exact, atol=1.5)
