"""Lots: all different, and nobody is favoured."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from populace._errors import ModelError
from populace.core.draw import Draw
from populace.interact import lots as module
from populace.interact.lots import lots, shuffled, winners


def test_lots_differ_even_where_shares_do_not():
    share = jnp.array([0.5, 0.5, 0.0, 1.0 - 2.0**-24, 0.5, 0.25])
    found = np.asarray(lots(share))
    assert len(set(found.tolist())) == 6 and found.min() >= 0 and found.dtype == np.int32
    np.testing.assert_array_equal(np.argsort(found), [2, 5, 0, 1, 4, 3])
    many = lots(jr.uniform(jr.key(0), (100_000,)))
    assert len(np.unique(np.asarray(many))) == 100_000
    assert lots(jnp.zeros(1)).tolist() == [0]


def test_too_many_are_refused():
    with pytest.raises(ModelError, match="up to 16777216 agents"):
        jax.eval_shape(lots, jax.ShapeDtypeStruct((2**24 + 1,), jnp.float32))


@pytest.mark.parametrize("coarse", [2, 10**9])
def test_all_orders_come_alike(coarse: int, monkeypatch: pytest.MonkeyPatch):
    """24 orders of four, whether shuffled once or twice."""
    monkeypatch.setattr(module, "COARSE", coarse)
    runs = 24_000
    found = jax.vmap(lambda key: shuffled(Draw(key), "order", 4))(jr.split(jr.key(1), runs))
    assert (np.sort(np.asarray(found), axis=1) == np.arange(4)).all()
    counts = np.unique(np.asarray(found) @ [1, 4, 16, 64], return_counts=True)[1]
    assert len(counts) == 24
    statistic = ((counts - runs / 24) ** 2 / (runs / 24)).sum()
    assert abs(statistic - 23) < 4 * np.sqrt(2 * 23)


def test_a_large_order_is_an_order():
    found = np.asarray(jax.jit(lambda key: shuffled(Draw(key), "order", module.COARSE + 5))(jr.key(2)))
    assert (np.sort(found) == np.arange(module.COARSE + 5)).all()
    correlation = np.corrcoef(found, np.arange(len(found)))[0, 1]
    assert abs(correlation) < 4 / np.sqrt(len(found))


def test_one_wins_a_cell_and_all_alike():
    cell, where = jnp.array([2, 2, 2, 0, 3, 3]), jnp.array([1, 1, 1, 1, 0, 1])
    runs = 6000
    won = jax.vmap(lambda key: winners(cell, lots(jr.uniform(key, (6,))), where, 4))(jr.split(jr.key(3), runs))
    won = np.asarray(won)
    assert (won[:, :3].sum(axis=1) == 1).all()
    assert (won[:, 3] == 1).all() and (won[:, 4] == 0).all() and (won[:, 5] == 1).all()
    assert (np.abs(won[:, :3].mean(axis=0) - 1 / 3) < 4 * np.sqrt(2 / 9 / runs)).all()
