# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # An epidemic in a town: from rules to what the data say
#
# A model is a class with three methods. Every chance event is drawn by name from `draw`.

# %%
import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import numpyro.distributions as dist
from jaxtyping import Array, Float

import populace as pop


class People(eqx.Module):
    infected: Float[Array, "agents"]
    recovered: Float[Array, "agents"]


class SIR(pop.Model):
    contacts: pop.Topology
    beta: Float[Array, ""] = pop.parameter(unit="1/day", domain=pop.positive)
    gamma: Float[Array, ""] = pop.parameter(unit="1/day", domain=pop.unit)
    seeded: Float[Array, ""] = pop.parameter(default=0.01, domain=pop.unit)

    def init(self, draw):
        ill = draw.bernoulli("seed", self.seeded, size=self.contacts.size)
        return People(ill, 0 * ill)

    def step(self, draw, people):
        susceptible = 1 - people.infected - people.recovered
        pressure = self.contacts.sum(people.infected)
        caught = draw.bernoulli("infect", -jnp.expm1(-self.beta * pressure), where=susceptible)
        healed = draw.bernoulli("recover", self.gamma, where=people.infected)
        return People(people.infected + caught - healed, people.recovered + healed)

    def observe(self, people):
        return {"infected": people.infected.sum(), "recovered": people.recovered.sum()}


# %% [markdown]
# One run of the model stands in for data: forty daily counts from parameters that the fit is not told.

# %%
town = pop.small_world(jr.key(0), 5_000, degree=8, rewire=0.1)
model = SIR(town, beta=0.08, gamma=0.1)
counts = pop.simulate(model, jr.key(1), steps=40).observations["infected"]

# %% [markdown]
# A problem is a simulator, a space of parameters with priors, and a target. The fit comes with its checks, and
# `identify` says what these counts decide about each parameter.

# %%
problem = pop.Problem(
    pop.Simulation(model, steps=40),
    pop.Space(beta=dist.LogUniform(0.01, 1), gamma=dist.Uniform(0.02, 0.5)),
    pop.Target({"infected": counts}, moments=[pop.level("infected"), pop.peak_time("infected")]),
)
fit = pop.calibrate(problem, pop.SequentialABC(), jr.key(2), budget=2_000)
pop.write(pop.identify(problem, fit, jr.key(3)), "flu.html")
