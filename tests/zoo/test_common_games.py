"""The fish war, the market of quantities and the commons: their published answers."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from jaxtyping import Array

import populace as pop
from populace.testing.models import check_model
from populace.zoo.commons import Commons
from populace.zoo.cournot import Cournot
from populace.zoo.fishery import Fishery, cooperative_share, nash_share
from populace.zoo.pricing import Pricing, one_period_price, pricing
from populace.zoo.rock_paper_scissors import RockPaperScissors


def at_rest(model: pop.Model, name: str, plugs: tuple[pop.Plug, ...] = (), steps: int = 200) -> float:
    return float(pop.simulate(model, jr.key(0), steps, plugs=plugs).observations[name][-1])


@pytest.mark.parametrize("make", [Fishery, Cournot, Commons, pricing, RockPaperScissors])
def test_they_keep_the_laws_of_models(make: Callable[[], pop.Model]):
    check_model(make(), jr.key(1))


@pytest.mark.parametrize(("share", "stock"), [(nash_share(2), 0.4144), (cooperative_share(2), 0.5501)])
def test_the_stock_rests_where_the_fish_war_says(share: float, stock: float):
    model = pop.bind(Fishery(2), {"shock": 0.0})
    fixed = (pop.Deciding("harvest", pop.FixedPolicy(share)),)
    assert at_rest(model, "stock", fixed) == pytest.approx(stock, abs=1e-4)


@pytest.mark.parametrize(("n", "share"), [(1, 0.65440), (2, 0.39555), (3, 0.28344), (5, 0.18089)])
def test_the_nash_shares(n: int, share: float):
    assert nash_share(n) == pytest.approx(share, abs=1e-5)


def test_what_is_asked_beyond_the_stock_is_rationed():
    model = pop.bind(Fishery(4), {"shock": 0.0})
    run = pop.simulate(model, jr.key(0), 1, plugs=(pop.Deciding("harvest", pop.FixedPolicy(0.9)),))
    assert np.allclose(run.final.state.catch, 0.5 * 0.98 / 4)


@pytest.mark.parametrize(
    ("n", "quantity", "price", "profit"), [(2, 30, 40, 900), (3, 22.5, 32.5, 506.25), (5, 15, 25, 225)]
)
def test_firms_that_reply_end_at_cournot(n: int, quantity: float, price: float, profit: float):
    found = [at_rest(Cournot(n), name) for name in ("quantity", "price", "profit")]
    assert found == pytest.approx([n * quantity, price, n * profit], rel=1e-4)


def test_open_access_earns_nothing():
    assert at_rest(Commons(2), "effort") == pytest.approx(0.8, abs=1e-3)
    assert at_rest(Commons(2), "stock") == pytest.approx(0.2, abs=1e-3)


@pytest.mark.parametrize(("n", "effort", "tax"), [(1, 0.4, 0.0), (2, 0.8 / 3, 0.0), (2, 0.2, 0.2), (5, 0.08, 0.32)])
def test_no_effort_beside_nash_earns_more(n: int, effort: float, tax: float):
    """Each player's effort is the best reply to the others' on a fine grid; taxed, together they work as one owner."""
    model = Commons(n)

    def own(one: Array) -> Array:
        return model.settled(jnp.full(n, effort).at[0].set(one), tax).profit[0]

    grid = jnp.linspace(0.0, 1.0, 1001)
    assert float(grid[jnp.argmax(jax.vmap(own)(grid))]) == pytest.approx(effort, abs=1e-3)


def test_the_prices_of_one_period_and_their_profits():
    market = pricing()
    nash, cartel = one_period_price(2), one_period_price(2, together=2)
    assert [nash, cartel] == pytest.approx([1.47293, 1.92498], abs=1e-5)
    profits = [float(market.profits(jnp.full(2, p))[0]) for p in (nash, cartel)]
    assert profits == pytest.approx([0.22293, 0.33749], abs=1e-5)
    steps = np.linspace(nash - 0.1 * (cartel - nash), cartel + 0.1 * (cartel - nash), 15)
    assert np.allclose(market.prices, steps)


def test_no_price_beside_nash_s_earns_more_and_none_beside_the_cartel_s_for_all():
    market, grid = pricing(3), jnp.linspace(1.0, 2.5, 3001)
    nash, cartel = one_period_price(3), one_period_price(3, together=3)
    own = jax.vmap(lambda p: market.profits(jnp.array([p, nash, nash]))[0])(grid)
    together = jax.vmap(lambda p: market.profits(jnp.full(3, p)).sum())(grid)
    assert [float(grid[own.argmax()]), float(grid[together.argmax()])] == pytest.approx([nash, cartel], abs=1e-3)


def test_the_equilibria_of_the_grid():
    """Where both ask the same and the rule would ask it again."""
    market = pricing()
    again = [n for n in range(15) if int(market.reply({"rivals": jnp.full((1, 1), n)}, None)[0]) == n]  # type: ignore[arg-type]
    assert [float(market.prices[n]) for n in again] == pytest.approx([1.4665, 1.5052], abs=1e-4)


def test_each_firm_sees_the_others():
    run = pop.simulate(pricing(3), jr.key(0), 2, plugs=(pop.Record(("price",)),))
    noted = run.tape["price"]
    prices, view = noted["value"][0].tolist(), noted["view"]
    assert view["own"][1].tolist() == prices
    assert view["rivals"][1].tolist() == [[prices[1], prices[2]], [prices[0], prices[2]], [prices[0], prices[1]]]


def test_chance_earns_nothing_whatever_the_other_does():
    game = RockPaperScissors()
    for move in range(3):
        fixed = (pop.Deciding("move", pop.FixedPolicy(jnp.int32(move)), jnp.array([1.0, 0.0])),)
        paid = np.asarray(pop.simulate(game, jr.key(move), 3000, plugs=fixed).observations["paid"])
        assert abs(paid.mean()) < 4 * paid.std() / np.sqrt(3000)
    run = pop.simulate(game, jr.key(0), 1)
    assert float(run.final.state.paid.sum()) == 0.0


@pytest.mark.parametrize(
    "make", [lambda: pricing(1), lambda: Pricing(jnp.ones(1)), lambda: RockPaperScissors([[1.0, 2.0]])]
)
def test_tables_that_are_no_games_are_refused(make: Callable[[], pop.Model]):
    with pytest.raises(pop.ModelError, match="two"):
        make()


@pytest.mark.parametrize("make", [lambda: Fishery(0), lambda: Cournot(0), lambda: Commons(0)])
def test_nobody_is_too_few(make: object):
    with pytest.raises(pop.ModelError, match="one"):
        make()  # type: ignore[operator]


def test_a_tax_on_effort_takes_what_it_brings_in_and_nothing_else():
    model = Commons(2)
    tax = pop.Deciding("planner/tax", pop.FixedPolicy(jnp.float32(0.3)))
    state = pop.simulate(model, jr.key(0), 200, plugs=(tax,)).final.state
    assert float(state.effort.sum()) == pytest.approx(0.5, abs=1e-3), "open access earns nothing after the tax"
    assert float(state.profit.sum()) == pytest.approx(0.0, abs=1e-3)
    assert float(state.revenue) == pytest.approx(0.3 * 0.5, abs=1e-3)
