"""The call auction against a search through all prices, and by hand."""

import jax
import numpy as np
import pytest

import populace as pop

cleared = jax.jit(pop.call_auction)


def searched(size: np.ndarray, price: np.ndarray) -> tuple[int, int]:
    """Price and volume by looking at every limit."""
    found = []
    for p in price:
        demand, supply = size[(size > 0) & (price >= p)].sum(), -size[(size < 0) & (price <= p)].sum()
        found.append((-min(demand, supply), abs(demand - supply), p))
    best = min(found)[:2]
    kept = [p for *rule, p in found if tuple(rule) == best]
    return (0, 0) if best[0] == 0 else ((min(kept) + max(kept)) // 2, -best[0])


@pytest.mark.parametrize("seed", range(20))
def test_it_finds_the_price_of_the_largest_volume(seed: int):
    rng = np.random.default_rng(seed)
    size = rng.integers(1, 9, 25) * rng.choice([-1, 1], 25)
    price, owner = rng.integers(-6, 15, 25), rng.integers(0, 7, 25)
    if seed < 3:
        price += np.where(size > 0, -40, 40)
    out = cleared(pop.Orders.limit(owner, size, price))
    filled = np.asarray(out.filled)
    assert (int(out.price), int(out.volume)) == searched(size, price)
    assert filled[size > 0].sum() == -filled[size < 0].sum() == int(out.volume)
    assert (np.abs(filled) <= np.abs(size)).all() and (filled * size >= 0).all()
    inside = np.where(size > 0, price >= int(out.price), price <= int(out.price))
    assert not filled[~inside].any()
    for side in (1, -1):
        order = sorted(np.flatnonzero((size * side > 0) & inside), key=lambda i: (-side * price[i], i))
        shares = filled[order] / size[order]
        assert (np.diff(shares) <= 0).all() and ((shares > 0) & (shares < 1)).sum() <= 1
    assert int(out.money(7).sum()) == int(out.goods(7).sum()) == 0
    assert (np.asarray(out.money(7)) == -int(out.price) * np.asarray(out.goods(7))).all()


def test_market_orders_trade_first_and_set_no_price():
    orders = pop.Orders.market([0], [3]) + pop.Orders.limit([1, 2], [2, -4], [10, 8])
    out = cleared(orders)
    assert (int(out.price), int(out.volume), out.filled.tolist()) == (9, 4, [3, 1, -4])
    alone = cleared(pop.Orders.market(np.arange(3), np.array([3, -3, 0])))
    assert (int(alone.price), int(alone.volume), alone.filled.tolist()) == (0, 0, [0, 0, 0])
    apart = pop.Orders.limit(np.arange(3), np.array([1, -1, 0]), np.array([5, 6, 0]))
    assert (cleared(apart).filled == 0).all()
