"""Zero intelligence: the facts that its docstring lists."""

import itertools

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

import populace as pop
from populace.testing.models import check_model
from populace.zoo.zero_intelligence import ZeroIntelligence, competitive, unconstrained

RUNS = 60


@pytest.fixture(scope="module")
def markets() -> dict[str, list[pop.Run]]:
    """A period of the same markets with and without the constraint."""
    models = {"C": ZeroIntelligence(), "U": ZeroIntelligence(rule=unconstrained)}
    return {name: [pop.simulate(model, jr.key(seed), 1) for seed in range(RUNS)] for name, model in models.items()}


def seen(runs: list[pop.Run], name: str) -> np.ndarray:
    return np.array([float(run.observations[name][0]) for run in runs])


def test_it_keeps_the_laws_of_models():
    check_model(ZeroIntelligence(2, 3, units=2, turns=20), jr.key(0), steps=3)


def test_money_and_goods_are_conserved_to_the_last_unit(markets):
    ledgers = ZeroIntelligence().conserved()
    for run in [*markets["C"], *markets["U"]]:
        assert [int(held(run.final.state).sum()) for held in ledgers.values()] == [0, 24]


def test_the_budget_constraint_makes_them_efficient_and_nothing_else_does(markets):
    """The paper's five markets have .971 to .999 with the constraint and .488 to .900 without."""
    with_it, without = seen(markets["C"], "efficiency"), seen(markets["U"], "efficiency")
    assert abs(with_it.mean() - 0.98) < 0.01 and with_it.min() > 0.85 and with_it.max() <= 1.0
    assert (with_it > without).all() and without.mean() < 0.5 and (without < 0).mean() > 0.2


def test_without_the_constraint_all_units_are_traded_whatever_they_are_worth(markets):
    for run in markets["U"][:10]:
        values, costs = (np.asarray(x).ravel() for x in (run.final.state.values, run.final.state.costs))
        best = np.maximum(np.sort(values)[::-1] - np.sort(costs), 0).sum()
        assert int(run.observations["volume"][0]) == 24
        assert float(run.observations["efficiency"][0]) == pytest.approx((values.sum() - costs.sum()) / best, rel=1e-5)


def test_with_the_constraint_nobody_loses(markets):
    unit = np.arange(4)
    for run in markets["C"]:
        floor = run.final.state
        bought, sold = np.asarray(floor.goods)[:6], 4 - np.asarray(floor.goods)[6:]
        redeemed = np.where(unit < bought[:, None], floor.values, 0).sum(axis=1)
        made = np.where(unit < sold[:, None], floor.costs, 0).sum(axis=1)
        assert (np.asarray(floor.money) + np.concatenate([redeemed, -made]) >= 0).all()


def test_with_the_constraint_prices_come_nearer_to_equilibrium(markets):
    """The last third of a period's trades against the first."""
    gains = {}
    for name, runs in markets.items():
        gained = []
        for run in runs:
            trades = int(run.observations["volume"][0])
            away = np.abs(np.asarray(run.final.state.prices)[:trades] - float(run.observations["equilibrium"][0]))
            gained.append(away[: trades // 3].mean() - away[-(trades // 3) :].mean())
        gains[name] = np.mean(gained), np.std(gained, ddof=1) / np.sqrt(RUNS)
    assert gains["C"][0] > 5 * gains["C"][1] and abs(gains["U"][0]) < 4 * gains["U"][1]


def test_the_competitive_surplus_is_the_largest_of_all_ways_to_pair():
    rng = np.random.default_rng(0)
    for _ in range(20):
        values, costs = rng.integers(1, 20, (2, 2)), rng.integers(1, 20, (3, 1))
        best, price = competitive(jnp.asarray(values), jnp.asarray(costs))
        ways = itertools.permutations([*values.ravel(), 0], 3)
        assert int(best) == max(sum(max(v - c, 0) for v, c in zip(way, costs.ravel(), strict=True)) for way in ways)
        eager, able = (values.ravel() > float(price)).sum(), (costs.ravel() < float(price)).sum()
        most, some = (values.ravel() >= float(price)).sum(), (costs.ravel() <= float(price)).sum()
        assert eager <= some and able <= most
