"""Skeleton of a published model; copy to `src/populace/zoo/`, one file a model.

Dogs and fleas. N fleas sit on two dogs; at each step every flea jumps to the other dog with probability p.

P. and T. Ehrenfest (1907), "Ueber zwei bekannte Einwaende gegen das Boltzmannsche H-Theorem", Physikalische
Zeitschrift 8, 311-314; here with all fleas at once instead of one flea a step.

Facts to reproduce: from all fleas on the first dog, the number there after t steps is binomial with N trials and
probability (1 + (1 - 2p)^t) / 2.
"""

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float

import populace as pop
from populace.testing.models import check_model


# 1. The state holds what the next step needs and no more: a pytree of arrays, agents on the leading axis.
class Fleas(eqx.Module):
    """Where the fleas are: 1 on the first dog, 0 on the second."""

    first: Float[Array, " fleas"]


# 2. A field is a parameter, which a `Space` may bind, or a static setting, which changes the compiled program.
class DogsAndFleas(pop.Model):
    """Every flea jumps with probability `jump` at each step."""

    fleas: int = eqx.field(static=True)
    jump: Float[Array, ""] = pop.parameter(default=0.1, unit="1/step", domain=pop.unit, doc="probability to jump")

    # 3. `init` and `step` return states of one structure. Whatever is left to chance has a name.
    def init(self, draw):
        return Fleas(jnp.ones(self.fleas))

    def step(self, draw, state):
        jumps = draw.bernoulli("jump", self.jump, size=self.fleas)
        return Fleas(jnp.abs(state.first - jumps))

    # 4. Observations are what data could hold: sums and means, and not the whole state.
    def observe(self, state):
        return {"first": state.first.sum()}


# 5. A fact is a closed form or a published number, compared within standard errors.
def fact_mean(key, steps=10, runs=200, errors=4.0):
    """The mean number on the first dog, within `errors` standard errors of the closed form at each step."""
    model = DogsAndFleas(fleas=1_000)
    many = pop.ensemble(model, key, steps=steps, runs=runs)
    p = float(model.jump)
    share = (1 + (1 - 2 * p) ** many.times) / 2
    error = (model.fleas * share * (1 - share) / runs) ** 0.5
    found = many.observations["first"][0].mean(axis=0)
    assert (abs(found - model.fleas * share) < errors * error).all(), (found, model.fleas * share, error)


if __name__ == "__main__":
    # 6. The laws that every model keeps, and what this one claims.
    check_model(DogsAndFleas(fleas=10), jr.key(0))
    fact_mean(jr.key(1))
    print(pop.sites(DogsAndFleas(fleas=10)))
