"""Posted prices: the queue, by hand and against a plain loop."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

import populace as pop
from populace.core.draw import Draw

SELLERS, BUYERS, SEES = 6, 30, 3


@jax.jit
def shop(key, price, stock, wanted, limit, budget):
    draw = Draw(key)
    seen = pop.offers_seen(draw, "see", BUYERS, SELLERS, SEES)
    return seen, pop.posted_prices(
        draw, "queue", price=price, stock=stock, seen=seen, wanted=wanted, limit=limit, budget=budget
    )


@pytest.mark.parametrize("seed", range(6))
def test_it_sells_as_a_plain_queue_does(seed: int):
    rng = np.random.default_rng(seed)
    price, stock = rng.integers(0, 4, SELLERS), rng.integers(0, 40, SELLERS)
    wanted, limit, budget = rng.integers(0, 9, BUYERS), rng.integers(1, 4, BUYERS), rng.integers(0, 12, BUYERS)
    seen, trades = shop(jr.key(seed), price, stock, wanted, limit, budget)
    seen = np.asarray(seen)
    assert all(len(set(row)) == SEES for row in seen) and seen.min() >= 0 and seen.max() < SELLERS
    left, made, queue = stock.copy(), [], np.asarray(trades.buyer)[::SEES]
    assert sorted(queue) == list(range(BUYERS))
    for buyer in queue:
        wants, has = wanted[buyer], budget[buyer]
        for seller in sorted(seen[buyer], key=lambda s: price[s]):
            if price[seller] <= limit[buyer]:
                lots = min(wants, left[seller], has // price[seller] if price[seller] else wants)
                left[seller], wants, has = left[seller] - lots, wants - lots, has - lots * price[seller]
                made += [(buyer, seller, price[seller], lots)] if lots else []
    columns = [np.asarray(x) for x in (trades.buyer, trades.seller, trades.price, trades.quantity)]
    assert [row for row in zip(*columns, strict=True) if row[3]] == made
    assert int(trades.goods(SELLERS + BUYERS).sum()) == int(trades.money(SELLERS + BUYERS).sum()) == 0


def test_sets_of_sellers_come_alike():
    sets = jax.jit(lambda key: pop.offers_seen(Draw(key), "see", 4000, 4, 2))(jr.key(0))
    counts = np.unique(np.sort(np.asarray(sets), axis=1) @ [4, 1], return_counts=True)[1]
    assert len(counts) == 6 and (np.abs(counts / 4000 - 1 / 6) < 4 * np.sqrt(5 / 36 / 4000)).all()


def test_shapes_must_fit():
    with pytest.raises(pop.ModelError, match="one price and stock a seller"):
        pop.posted_prices(
            Draw(jr.key(0)),
            "q",
            price=jnp.ones(2, int),
            stock=jnp.ones(2, int),
            seen=jnp.zeros((3, 1), int),
            wanted=jnp.ones(2, int),
            limit=jnp.ones(3, int),
        )
    with pytest.raises(pop.ModelError, match="1 to 2 sellers"):
        pop.offers_seen(Draw(jr.key(0)), "see", 3, 2, 3)
