"""Other rules at a site: their parameters, their place among plugs, and an intervention that alone separates them."""

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import numpyro.distributions as dist
import pytest
from jaxtyping import Array, Float
from tests.identification.rival_cases import CHEAP

import populace as pop
from populace.core.executor import Ticker
from populace.problem.plugged import before

AGENTS = 5


def toward(view, draw):
    return view["shock"]


class Away(eqx.Module):
    strength: Float[Array, ""] = pop.parameter(default=1.0, domain=pop.positive)

    def __call__(self, view, draw):
        return -self.strength * view["shock"]


class Press(pop.Model):
    """Agents react to shocks, of which there are none unless somebody makes them."""

    level: Float[Array, ""] = pop.parameter(default=0.0)

    def init(self, draw):
        return jnp.zeros(AGENTS)

    def step(self, draw, x):
        shock = draw.bernoulli("shock", 0.0, size=AGENTS)
        reaction = draw.decide("react", {"shock": shock}, toward)
        return reaction + draw.normal("noise", self.level, 0.5, size=AGENTS)

    def observe(self, x):
        return {"mean": x.mean()}


def base(plugs=()) -> pop.Problem:
    target = pop.Target({"mean": np.full(2, 0.2)}, [pop.mean("mean")])
    return pop.Problem(pop.Simulation(Press(), 2, plugs=plugs), pop.Space(level=dist.Normal(0.0, 1.0)), target)


def test_a_problem_a_rule():
    priors = {"away": {"strength": dist.Uniform(0.5, 1.5)}}
    found = pop.rival_rules(base((pop.Record(),)), "react", {"toward": None, "away": Away()}, priors)
    assert found["toward"].space.names == ("level",)
    assert found["away"].space.names == ("level", "plugs.1.rule.strength")


def test_an_intervention_leaves_a_rules_parameters_bound():
    """Plugs that come before move the names of those behind."""
    one = pop.rival_rules(base(), "react", {"away": Away()}, {"away": {"strength": dist.Uniform(0.5, 1.5)}})["away"]
    batch = {"level": jnp.zeros(2), "plugs.0.rule.strength": jnp.array([1.0, 100.0])}
    simulator, moved = before(one.simulator, (pop.Override("shock", 1.0),), batch)
    seen = simulator.simulate(moved, jr.split(jr.key(0), 2), Ticker(None, "", 2)).observations["mean"]
    np.testing.assert_allclose(seen.mean(1), [-1.0, -100.0], atol=2.0)


def test_only_an_intervention_separates():
    """Two rules that agree while nothing happens: no moment of what was observed tells them apart, a shock does."""
    rules = pop.rival_rules(base(), "react", {"toward": None, "away": Away()})
    found = pop.compare(rules, CHEAP, jr.key(0), budget=400, predictive=200)
    assert len(found.tied()) == 2
    shock = {"a shock": (pop.Override("shock", 1.0),)}
    one = pop.separating(found, jr.key(1), moments=[pop.final("mean")], interventions=shock, draws=200)
    assert one.cheapest is not None
    assert (one.cheapest.intervention, one.cheapest.moment) == ("a shock", "final(mean)")
    seen = next(e for e in one.experiments if e.intervention == "as observed")
    assert not seen.separates and seen.information < 4 * max(seen.error, 0.005)


def test_what_is_refused():
    with pytest.raises(pop.ProblemError, match="'awy', which is no rival rule; did you mean 'away'"):
        pop.rival_rules(base(), "react", {"toward": None, "away": Away()}, {"awy": {}})
    with pytest.raises(pop.SimulatorError, match="no sites"):
        one = pop.Problem(pop.Traceable(lambda at, key: {"mean": jnp.zeros(2)}), base().space, base().target)
        pop.rival_rules(one, "react", {"away": Away()})
    with pytest.raises(pop.SpaceError, match="has a 'level' already"):
        base().space.extended({"level": dist.Normal(0, 1)})
