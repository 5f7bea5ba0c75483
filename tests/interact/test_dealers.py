"""A dealer's price, and the price that clears excess demand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import populace as pop


def test_a_dealer_takes_the_other_side_and_moves_the_price():
    dealer, paid = pop.Dealer.opening(10.0, stock=3.0, money=50.0).serve(jnp.array([2.0, -0.5, 0.5]), 0.01)
    assert np.allclose(paid, [20.0, -5.0, 5.0])
    assert np.allclose([dealer.price, dealer.stock, dealer.money], [10.0 * np.exp(0.02), 1.0, 70.0])


def test_a_pull_on_the_stock_brings_it_back():
    """Demand 1 - p: with impact l and pull k the price rests where demand is 0, with an empty stock."""
    dealer = pop.Dealer.opening(0.5, stock=2.0)
    step = jax.jit(lambda dealer: dealer.serve(jnp.array([1.0 - dealer.price]), 0.2, pull=0.05)[0])
    for _ in range(300):
        dealer = step(dealer)
    assert np.allclose([dealer.price, dealer.stock], [1.0, 0.0], atol=1e-3)


def excess(weight, price):
    """Two goods, Cobb-Douglas: spending weight x (2 p + 3) on the good, of which there are 2."""
    return weight * (2.0 * price + 3.0) / price - 2.0


def test_the_clearing_price_and_its_derivative_in_closed_form():
    """p = 1.5 w / (1 - w)."""
    found = pop.clearing_price(lambda p: excess(0.4, p), 0.01, 100.0)
    assert bool(found.found) and float(found.price) == pytest.approx(1.0, abs=1e-4)
    assert abs(float(found.excess)) <= 1e-4

    def price(weight):
        return pop.clearing_price(lambda p: excess(weight, p), 0.01, 100.0, tolerance=1e-5).price

    prices, slopes = jax.jit(jax.vmap(jax.value_and_grad(price)))(jnp.array([0.2, 0.4, 0.5]))
    assert np.allclose(prices, [0.375, 1.0, 1.5], rtol=1e-4)
    assert np.allclose(slopes, [1.5 / 0.64, 1.5 / 0.36, 1.5 / 0.25], rtol=1e-3)


def test_what_does_not_clear_is_said():
    never = pop.clearing_price(lambda p: excess(0.4, p), 2.0, 5.0)
    assert not bool(never.found) and float(never.price) == 2.0
    jump = pop.clearing_price(lambda p: jnp.where(p < 3.0, 1.0, -1.0), 0.0, 10.0)
    assert not bool(jump.found) and float(jump.price) == pytest.approx(3.0, abs=1e-5)
    with pytest.raises(pop.ModelError, match="the lower first"):
        pop.clearing_price(lambda p: 1.0 - p, 2.0, 1.0)
