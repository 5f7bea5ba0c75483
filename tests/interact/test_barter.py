"""Barter: both gain, nothing is lost, and no trade is left."""

import jax
import jax.numpy as jnp
import numpy as np

from populace.interact.barter import Deals, Side, agreed, bartered, offered

UNIT = 1000
PAIRS = 400


def rates(goods: np.ndarray, need: np.ndarray) -> np.ndarray:
    return (goods[:, 1] / need[:, 1]) / (goods[:, 0] / need[:, 0])


def welfare(goods: np.ndarray, need: np.ndarray) -> np.ndarray:
    share = need / need.sum(1, keepdims=True)
    return (goods.astype(np.float64) ** share).prod(1)


def pairs() -> tuple[np.ndarray, np.ndarray]:
    """Goods and needs of PAIRS agents and then of their partners."""
    rng = np.random.default_rng(0)
    return rng.integers(1, 60, (2 * PAIRS, 2)) * UNIT, rng.integers(1, 6, (2 * PAIRS, 2))


def test_a_trade_is_at_the_geometric_mean_of_the_rates_and_good_for_both():
    goods, need = pairs()
    mine, yours = (Side(jnp.int32(goods[half]), jnp.float32(need[half])) for half in (slice(PAIRS), slice(PAIRS, None)))

    @jax.jit
    def once(mine: Side, yours: Side):
        moved, price = offered(mine, yours, UNIT)
        return agreed(mine, yours, moved), moved, price

    able, moved, price = (np.asarray(x) for x in once(mine, yours))
    own, their = np.split(rates(goods, need), 2)
    assert PAIRS / 2 < able.sum() < PAIRS and (np.abs(moved[own != their]).min(1) == UNIT).all()
    np.testing.assert_allclose(price, np.sqrt(own * their), rtol=1e-5)
    np.testing.assert_allclose(-moved[able, 1] / moved[able, 0], np.asarray(price)[able], rtol=2e-3)
    assert (np.sign(moved[able, 0]) == np.sign(own - their)[able]).all()
    after = goods + np.concatenate([moved, -moved])
    both = np.concatenate([able, able])
    assert (welfare(after[both], need[both]) > welfare(goods[both], need[both])).all()


def test_pairs_trade_until_no_trade_is_left():
    """Rates come nearer and never cross; who does not meet, and who needs one good only, keeps what it has."""
    goods, need = pairs()
    need[:50, 1] = 0
    partner = jnp.concatenate([jnp.arange(PAIRS, 2 * PAIRS), jnp.zeros(PAIRS, int)])
    meets = jnp.arange(2 * PAIRS) < 300
    trade = jax.jit(lambda held: bartered(held, jnp.int32(need), partner, meets, Deals.none(), unit=UNIT))
    ended, deals = trade(jnp.int32(goods))
    ended = np.asarray(ended)
    np.testing.assert_array_equal(ended[:PAIRS] + ended[PAIRS:], goods[:PAIRS] + goods[PAIRS:])
    for still in (slice(50), slice(300, PAIRS), slice(PAIRS, PAIRS + 50), slice(PAIRS + 300, None)):
        np.testing.assert_array_equal(ended[still], goods[still])
    assert ended.min() > 0 and int(deals.trades) > 300 and abs(float(deals.mean())) < float(deals.spread())
    met = slice(50, 300)
    before, after = (
        (one - two)[met] for one, two in (np.split(rates(x, np.maximum(need, 1)), 2) for x in (goods, ended))
    )
    assert (after * before >= -1e-6).all() and (np.abs(after) <= np.abs(before)).all()
    assert (welfare(ended, need)[met] >= welfare(goods, need)[met]).all()
    again, more = trade(jnp.int32(ended))
    assert int(more.trades) == 0 and (np.asarray(again) == ended).all()
