"""Sites without chance, and draws of several indices: each against its definition."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
import scipy.optimize

from populace.core.draw import Draw


def at(seed: int) -> Draw:
    return Draw(jr.key(seed))


def test_threshold():
    got = at(0).threshold("x", jnp.array([-1.0, 0.0, 1e-30, 2.0]))
    assert got.tolist() == [0.0, 0.0, 1.0, 1.0] and got.dtype == jnp.float32
    assert float(at(0).threshold("x", 3.0)) == 1.0
    assert at(0).threshold("x", jnp.ones(3), where=jnp.array([1, 0, 1])).tolist() == [1.0, 0.0, 1.0]


def test_top_k():
    scores = jnp.array([3.0, 1.0, 3.0, 2.0, 3.0])
    assert at(0).top_k("x", scores, 2).tolist() == [1.0, 0.0, 1.0, 0.0, 0.0]  # of equals the earlier
    assert at(0).top_k("x", scores, 0).tolist() == [0.0] * 5
    assert at(0).top_k("x", scores, 5).tolist() == [1.0] * 5
    assert at(0).top_k("x", scores, 5).dtype == jnp.float32


def test_sort():
    values = np.random.default_rng(0).normal(size=50).astype(np.float32)
    np.testing.assert_array_equal(at(0).sort("x", values), np.sort(values))


@pytest.mark.parametrize("shape", [(1, 1), (4, 4), (3, 6), (6, 3)])
def test_match_is_the_best_assignment(shape: tuple[int, int]):
    scores = np.random.default_rng(sum(shape)).normal(size=shape).astype(np.float32)
    choice = at(0).match("x", scores)
    rows, columns = scipy.optimize.linear_sum_assignment(-scores)
    expected = np.full(shape[0], shape[1])
    expected[rows] = columns
    np.testing.assert_array_equal(choice.index, expected)
    assert float(choice.pick(scores).sum()) == pytest.approx(scores[rows, columns].sum(), rel=1e-5)
    np.testing.assert_array_equal(choice.one_hot, np.eye(shape[1] + 1, dtype=np.float32)[expected][:, :-1])


def test_permutation():
    drawn = np.stack([at(seed).permutation("x", 4) for seed in range(300)])
    assert drawn.dtype == np.int32
    assert (np.sort(drawn, axis=1) == np.arange(4)).all()
    for place in range(4):
        counts = np.bincount(drawn[:, place], minlength=4)
        assert (np.abs(counts / 300 - 0.25) < 4 * np.sqrt(0.25 * 0.75 / 300)).all()


def test_choice_is_without_replacement():
    drawn = np.stack([at(seed).choice("x", 6, 4) for seed in range(100)])
    assert drawn.dtype == np.int32
    assert all(len(set(row)) == 4 and set(row) <= set(range(6)) for row in drawn)
    assert at(0).choice("x", 6, 0).shape == (0,)
    assert sorted(at(0).choice("x", 6, 6).tolist()) == list(range(6))


def test_choice_by_weight():
    """One by one in proportion to the weights: P(first, second) = w1/W w2/(W - w1)."""
    weights = np.array([4.0, 3.0, 2.0, 1.0, 0.0], np.float32)
    n = 4000
    draw = jax.jit(jax.vmap(lambda key: Draw(key).choice("x", 5, 2, weights=weights)))
    drawn = np.asarray(draw(jr.split(jr.key(0), n)))
    assert (drawn != 4).all()
    total = weights.sum()
    for first in range(4):
        for second in set(range(4)) - {first}:
            p = weights[first] / total * weights[second] / (total - weights[first])
            share = ((drawn[:, 0] == first) & (drawn[:, 1] == second)).mean()
            assert abs(share - p) < 4 * np.sqrt(p * (1 - p) / n)


def test_ties_go_nowhere_wrong():
    """Equal scores everywhere still give k winners and a whole assignment."""
    assert float(at(0).top_k("x", jnp.zeros(9), 4).sum()) == 4.0
    assert sorted(at(0).match("x", jnp.zeros((4, 4))).index.tolist()) == [0, 1, 2, 3]
