"""The county epidemic: people are conserved, deaths come late, and its benchmark keeps to the published protocol."""

import importlib.util
import sys
from pathlib import Path

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

import populace as pop
from populace.zoo.county_epidemic import CountyEpidemic

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def runs():
    """Six counties, two of them with each of three rates; a hundred and twenty days, compiled once."""
    rates = jnp.repeat(jnp.array([1e-6, 0.1, 0.4]), 2)
    model = CountyEpidemic(jnp.full(6, 1e5), rates, jnp.full(6, 0.5), jnp.full(6, 2_000.0), fatal=0.05)
    return pop.simulate(model, jr.key(1), 120)


def test_people_are_conserved(runs):
    """Who has left the infectious is dead, dying or well, and these are never more than those infected."""
    now = runs.final.state
    infected = 1e5 - np.asarray(now.susceptible) + 2_200.0
    sick, gone = np.asarray(now.exposed + now.infectious), np.asarray(now.dying + now.last + now.deaths)
    assert (np.asarray(now.susceptible) >= 0).all() and (infected >= sick + gone).all()
    assert all((np.asarray(leaf) >= 0).all() for leaf in (now.exposed, now.infectious, now.dying, now.waiting))


def test_cases_come_a_week_after_infections_and_deaths_three(runs):
    """Of those exposed on day 0, with nobody infected after: mean delays 3 + 5 and 3 + 5 + 8 + 8 days."""
    for name, delay in (("cases", 8.0), ("deaths", 24.0)):
        daily = np.diff(np.asarray(runs.observations[name])[:, :2], axis=0, prepend=0.0).sum(1)
        mean = (daily * np.arange(1, 121)).sum() / daily.sum()
        assert abs(mean - delay) < 4 * 14.0 / np.sqrt(daily.sum())


def test_an_epidemic_grows_where_each_infects_more_than_one(runs):
    ill = np.asarray(runs.observations["infectious"])
    assert (ill[30, 2:4] < ill[9, 2:4]).all() and (ill[30, 4:] > ill[9, 4:]).all()


def test_all_zero_scores_one_and_persistence_what_was_published(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    spec = importlib.util.spec_from_file_location("counties", BENCHMARKS / "counties.py")
    assert spec is not None and spec.loader is not None
    protocol = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(protocol)
    names, deaths = protocol.weekly("deaths")
    ahead = {origin: deaths[origin - 9 : origin - 5] for origin in protocol.ORIGINS}
    last = {origin: np.repeat(deaths[origin - 10 : origin - 9], 4, axis=0) for origin in ahead}
    assert len(names) == 14 and protocol.score({k: 0.0 * v for k, v in ahead.items()}, deaths) == 1.0
    assert protocol.score(last, deaths) == pytest.approx(0.605, abs=5e-4)
    sys.modules.pop("measure", None)
