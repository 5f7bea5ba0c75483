"""Trial 5: a rival rule at a decide site and at a chance site, and the fit of the rival's own parameters."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import numpyro.distributions as dist
import pytest
from jaxtyping import Array, Float

import populace as pop
from populace.core.distributions import Bernoulli

SHOPS = 400


def follow_demand(view, draw):
    return view["price"] * jnp.where(view["sold"] > 10, 1.05, 0.95)


class Inertia(eqx.Module):
    """A rival with a parameter of its own and chance of its own: most shops leave the price as it is."""

    stay: Float[Array, ""] = pop.parameter(default=0.9, domain=pop.unit)

    def __call__(self, view, draw):
        stays = draw.bernoulli("stay", self.stay, size=SHOPS)
        return jnp.where(stays > 0, view["price"], follow_demand(view, draw))


class Market(pop.Model):
    demand: Float[Array, ""] = pop.parameter(default=12.0, domain=pop.positive)

    def init(self, draw):
        return {"price": jnp.ones(SHOPS), "sold": jnp.zeros(SHOPS)}

    def step(self, draw, shops):
        sold = draw.poisson("customers", self.demand / shops["price"])
        price = draw.decide("price", {"price": shops["price"], "sold": sold}, follow_demand)
        return {"price": price, "sold": sold}

    def observe(self, shops):
        return {"price": shops["price"].mean(), "sold": shops["sold"].sum()}


class Complex(eqx.Module):
    """A rival contagion: only several infected contacts together infect. It has to read their number off p."""

    needed: Float[Array, ""] = pop.parameter(default=2.0, domain=pop.nonnegative)
    beta: Float[Array, ""] = pop.parameter(default=0.1, domain=pop.positive)

    def __call__(self, mechanism):
        pressure = -jnp.log1p(-mechanism.p) / self.beta
        return Bernoulli(mechanism.p * jax.nn.sigmoid(10.0 * (pressure - self.needed + 0.5)))


def test_a_rival_decides():
    rival = pop.simulate(Market(), jr.key(0), 20, plugs=(pop.Replace("price", Inertia(jnp.float32(1.0))),))
    house = pop.simulate(Market(), jr.key(0), 20)
    assert (rival.observations["price"] == 1).all()
    assert float(house.observations["price"][-1]) > 1.05
    assert float(house.observations["sold"][0]) == float(rival.observations["sold"][0])


def test_a_rival_mechanism_is_drawn(sir):
    model = sir(200)
    alone = pop.simulate(model, jr.key(0), 15).observations["infected"]
    same, harder = (
        pop.simulate(model, jr.key(0), 15, plugs=(pop.Replace("infect", Complex(n)),)).observations["infected"]
        for n in (-100.0, 2.0)
    )
    np.testing.assert_array_equal(same, alone)
    assert (harder <= alone).all() and harder[-1] < 0.7 * alone[-1]


def test_one_compilation_serves_all_rivals_of_a_kind(sir):
    model, traces = sir(50), []

    class Counting(Complex):
        def __call__(self, mechanism):
            traces.append(self)
            return super().__call__(mechanism)

    for needed in (1.0, 2.0, 3.0):
        before = len(traces)
        pop.simulate(model, jr.key(0), 3, plugs=(pop.Replace("infect", Counting(needed)),))
    assert len(traces) == before


def test_a_rivals_parameters_can_be_fitted():
    """A space binds them as `plugs.<place>.<field>...`, as the simulator's other parameters."""
    simulator = pop.Simulation(Market(), steps=6, plugs=(pop.Replace("price", Inertia()),))
    assert list(simulator.parameters()) == ["demand", "plugs.0.rule.stay"]
    data = pop.simulate(Market(), jr.key(9), 6, plugs=(pop.Replace("price", Inertia(0.7)),)).observations
    target = pop.Target(
        {"price": np.asarray(data["price"])}, [pop.final("price")], covariance=pop.Given(0.004**2 * np.eye(1))
    )
    space = pop.Space({"plugs.0.rule.stay": dist.Uniform(0, 1)})
    fit = pop.calibrate(
        pop.Problem(simulator, space, target), pop.SequentialABC(particles=40), jr.key(1), budget=500, predictive=50
    )
    found = fit.draws["plugs.0.rule.stay"]
    assert abs(found.mean() - 0.7) < 4 * found.std() and found.std() < 0.1


def test_a_parameter_of_a_plug_is_checked():
    simulator = pop.Simulation(Market(), steps=3, plugs=(pop.Replace("price", Inertia()),))
    target = pop.Target({"price": np.ones(3)}, [pop.final("price")], covariance=pop.Given(np.eye(1)))
    with pytest.raises(pop.DomainError, match=r"plugs\.0\.rule\.stay"):
        pop.Problem(simulator, pop.Space({"plugs.0.rule.stay": dist.Uniform(0, 2)}), target)
