"""Boltzmann wealth: the facts that its docstring lists."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from scipy.special import gammaln

import populace as pop
from populace.testing.models import check_model
from populace.zoo.boltzmann_wealth import BoltzmannWealth, Gifts, Pairs, gini


def ends(model: BoltzmannWealth, steps: int, runs: int) -> np.ndarray:
    """What agents own at the end, (runs, agents)."""
    return np.stack([np.asarray(pop.simulate(model, jr.key(seed), steps).final.state) for seed in range(runs)])


def boltzmann(agents: int, units: int) -> np.ndarray:
    """P(one agent owns 0, 1, ..): of all ways to share units, those in which it has k."""
    k = np.arange(units + 1)

    def ways(units, agents):
        return gammaln(units + agents) - gammaln(units + 1) - gammaln(agents)

    return np.exp(ways(units - k, agents - 1) - ways(units, agents))


@pytest.mark.parametrize("meeting", [Pairs(), Gifts(pop.WellMixed(9))], ids=["pairs", "gifts"])
def test_it_keeps_the_laws_of_models(meeting):
    check_model(BoltzmannWealth(meeting, agents=9), jr.key(0))


@pytest.mark.parametrize("meeting", [Pairs(), Gifts(pop.WellMixed(501))], ids=["pairs", "gifts"])
def test_money_is_kept_exactly_and_nobody_owes(meeting):
    run = pop.simulate(BoltzmannWealth(meeting, agents=501, mean=3.0), jr.key(1), 400)
    assert (run.observations["units"] == 1503).all()
    wealth = np.asarray(run.final.state)
    assert wealth.min() >= 0 and (wealth == np.round(wealth)).all()


def test_a_few_agents_own_what_boltzmann_s_law_says_exactly():
    """Five agents with two units each, at times so far apart that they are as good as independent."""
    runs, agents, units = 4000, 5, 10
    model = BoltzmannWealth(agents=agents, mean=2.0)
    seen = pop.ensemble(Owned(model), jr.key(2), 150, runs=runs, record=pop.Last()).observations["first"][0, :, 0]
    law = boltzmann(agents, units)
    counts = np.bincount(np.asarray(seen).astype(int), minlength=units + 1)
    often = runs * law > 5
    statistic = ((counts - runs * law) ** 2 / (runs * law))[often].sum()
    freedom = often.sum() - 1
    assert abs(statistic - freedom) < 4 * np.sqrt(2 * freedom)


class Owned(pop.Model):
    """The model, observed at its first agent."""

    model: BoltzmannWealth

    def init(self, draw):
        return self.model.init(draw)

    def step(self, draw, wealth):
        return self.model.step(draw, wealth)

    def observe(self, wealth):
        return {"first": wealth[0]}


def test_many_agents_follow_the_exponential_law():
    """The tail, at four levels; and a Gini coefficient of (1 + mean) / (1 + 2 mean)."""
    mean, agents, runs = 10, 500, 6
    wealth = ends(BoltzmannWealth(agents=agents, mean=float(mean)), 3000, runs)
    x = mean / (1 + mean)
    for level in (1, mean, 2 * mean, 4 * mean):
        share, wanted = (wealth >= level).mean(axis=1), x**level
        error = np.sqrt(wanted * (1 - wanted) / agents / runs)
        assert abs(share.mean() - wanted) < 4 * error
    index = np.array([float(gini(jnp.asarray(row))) for row in wealth])
    exact = (1 + mean) / (1 + 2 * mean)
    assert abs(index.mean() - exact) < 4 * index.std(ddof=1) / np.sqrt(runs) + 1 / agents


def test_gifts_at_the_same_time_follow_the_law_of_a_queue():
    """One customer served a step, as many come as others serve: P(something) = 2 - sqrt(2) with a mean of one unit."""
    agents, runs = 2000, 6
    wealth = ends(BoltzmannWealth(Gifts(pop.WellMixed(agents)), agents=agents), 400, runs)
    share, wanted = (wealth > 0).mean(), 2 - np.sqrt(2)
    assert abs(share - wanted) < 4 * np.sqrt(wanted * (1 - wanted) / agents / runs) + 2 / agents
    paired = ends(BoltzmannWealth(agents=agents), 400, runs)
    assert abs((paired > 0).mean() - 0.5) < 4 * np.sqrt(0.25 / agents / runs) + 2 / agents


def test_the_gini_coefficient_of_known_shares():
    assert float(gini(jnp.full(7, 3.0))) == pytest.approx(0.0, abs=1e-6)
    assert float(gini(jnp.zeros(4).at[0].set(5.0))) == pytest.approx(3 / 4)
    assert float(gini(jnp.array([1.0, 2.0, 3.0]))) == pytest.approx(2 / 9)
    assert float(gini(jnp.zeros(3))) == 0.0
    assert float(gini(jnp.array([0.5, 1.0, 1.5]))) == pytest.approx(2 / 9)  # no whole units: sorted


def test_counted_and_sorted_units_have_one_gini_coefficient_and_its_derivative():
    """Below the largest that is counted and above it, the derivative is that of the sorted sum."""
    units = np.random.default_rng(0).geometric(0.05, 200) - 1.0
    rank = 2.0 * np.arange(1, 201) - 201.0
    for wealth in (units, units * 100.0):
        known = (rank * np.sort(wealth)).sum() / (200 * wealth.sum())
        found, slope = jax.value_and_grad(gini)(jnp.asarray(wealth))
        assert float(jax.jit(gini)(jnp.asarray(wealth))) == pytest.approx(known, rel=1e-5) == float(found)
        place = np.argmax(wealth)
        assert float(slope[place]) == pytest.approx((199.0 / 200 - known) / wealth.sum(), rel=1e-4)


def test_a_tax_in_place_of_the_rule():
    """Whoever owns eight or more pays four: less unequal, with the same money."""

    def generous(wealth, draw):
        return jnp.where(wealth >= 8, 4.0, draw.threshold("able", wealth - 0.5))

    plugs = (pop.Replace("pay", generous),)
    run = pop.simulate(BoltzmannWealth(agents=400, mean=4.0), jr.key(5), 500, plugs=plugs)
    usual = pop.simulate(BoltzmannWealth(agents=400, mean=4.0), jr.key(5), 500)
    assert (run.observations["units"] == 1600).all()
    assert float(run.observations["gini"][-100:].mean()) < float(usual.observations["gini"][-100:].mean()) - 0.05
