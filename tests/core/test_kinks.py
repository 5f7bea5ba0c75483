"""Sites without chance, and draws of several indices: each against its definition."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
import scipy.optimize

from populace.core.draw import Draw


def at(ask: Callable[[Draw], Any], seeds: int | None = None) -> Any:
    """What `ask(draw)` gives, compiled; with `seeds`, for as many keys, on a leading axis."""
    if seeds is None:
        return jax.jit(lambda key: ask(Draw(key)))(jr.key(0))
    return np.asarray(jax.jit(jax.vmap(lambda key: ask(Draw(key))))(jr.split(jr.key(0), seeds)))


def test_threshold():
    def asked(d: Draw) -> list[jax.Array]:
        return [
            d.threshold("x", jnp.array([-1.0, 0.0, 1e-30, 2.0])),
            d.threshold("one", 3.0),
            d.threshold("masked", jnp.ones(4), where=jnp.array([1, 0, 1, 1])),
        ]

    got, one, masked = at(asked)
    assert got.tolist() == [0.0, 0.0, 1.0, 1.0] and got.dtype == jnp.float32
    assert float(one) == 1.0 and masked.tolist() == [1.0, 0.0, 1.0, 1.0]


def test_top_k():
    scores = jnp.array([3.0, 1.0, 3.0, 2.0, 3.0])
    some, none, everyone, tied = at(
        lambda d: [d.top_k(str(k), scores, k) for k in (2, 0, 5)] + [d.top_k("tied", jnp.zeros(5), 4)]
    )
    assert some.tolist() == [1.0, 0.0, 1.0, 0.0, 0.0] and some.dtype == jnp.float32  # of equals the earlier
    assert none.tolist() == [0.0] * 5 and everyone.tolist() == [1.0] * 5
    assert tied.tolist() == [1.0, 1.0, 1.0, 1.0, 0.0]


def test_sort():
    values = np.random.default_rng(0).normal(size=50).astype(np.float32)
    np.testing.assert_array_equal(at(lambda d: d.sort("x", values)), np.sort(values))


@pytest.mark.parametrize("shape", [(1, 1), (4, 4), (3, 6), (6, 3)])
def test_match_is_the_best_assignment(shape: tuple[int, int]):
    scores = np.random.default_rng(sum(shape)).normal(size=shape).astype(np.float32)
    choice = at(lambda d: d.match("x", scores))
    rows, columns = scipy.optimize.linear_sum_assignment(-scores)
    expected = np.full(shape[0], shape[1])
    expected[rows] = columns
    np.testing.assert_array_equal(choice.index, expected)
    assert float(choice.pick(scores).sum()) == pytest.approx(scores[rows, columns].sum(), rel=1e-5)
    np.testing.assert_array_equal(choice.one_hot, np.eye(shape[1] + 1, dtype=np.float32)[expected][:, :-1])


def test_permutation():
    drawn = at(lambda d: d.permutation("x", 4), 300)
    assert drawn.dtype == np.int32
    assert (np.sort(drawn, axis=1) == np.arange(4)).all()
    for place in range(4):
        counts = np.bincount(drawn[:, place], minlength=4)
        assert (np.abs(counts / 300 - 0.25) < 4 * np.sqrt(0.25 * 0.75 / 300)).all()


def test_choice_is_without_replacement():
    drawn = at(lambda d: d.choice("x", 6, 4), 100)
    assert drawn.dtype == np.int32
    assert all(len(set(row)) == 4 and set(row) <= set(range(6)) for row in drawn.tolist())
    none, everyone = at(lambda d: (d.choice("none", 6, 0), d.choice("all", 6, 6)))
    assert none.shape == (0,) and sorted(everyone.tolist()) == list(range(6))


def test_choice_by_weight():
    """One by one in proportion to the weights: P(first, second) = w1/W w2/(W - w1)."""
    weights = np.array([4.0, 3.0, 2.0, 1.0, 0.0], np.float32)
    n = 4000
    drawn = at(lambda d: d.choice("x", 5, 2, weights=weights), n)
    assert (drawn != 4).all()
    total = weights.sum()
    for first in range(4):
        for second in set(range(4)) - {first}:
            p = weights[first] / total * weights[second] / (total - weights[first])
            share = ((drawn[:, 0] == first) & (drawn[:, 1] == second)).mean()
            assert abs(share - p) < 4 * np.sqrt(p * (1 - p) / n)


def test_ties_still_match_everyone():
    assert sorted(at(lambda d: d.match("x", jnp.zeros((4, 4)))).index.tolist()) == [0, 1, 2, 3]
