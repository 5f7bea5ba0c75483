"""The score function by light cones: no bias where the cone is whole, less spread, and nothing from outside it."""

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from jaxtyping import Array, Float

import populace as pop

AGENTS, STEPS = 60, 4
RING = pop.Network.from_edges(np.arange(AGENTS), (np.arange(AGENTS) + 1) % AGENTS, AGENTS)


class Contact(pop.Model):
    """Who is ill stays so; others catch it from their neighbours. A number of its own at each place, for tests."""

    ring: pop.Topology
    beta: Float[Array, " agents"] = pop.parameter(domain=pop.positive)
    seeded: Float[Array, ""] = pop.parameter(default=0.2, domain=pop.unit)

    def init(self, draw: pop.Draw) -> Array:
        return draw.bernoulli("seed", self.seeded, size=self.ring.size)

    def step(self, draw: pop.Draw, ill: Array) -> Array:
        return ill + draw.bernoulli("catch", -jnp.expm1(-self.beta * self.ring.sum(ill)), where=1 - ill)

    def observe(self, ill: Array) -> dict[str, Array]:
        return {"ill": ill}


MODEL = Contact(RING, beta=jnp.full(AGENTS, 0.3))
LOSS = pop.ExpectedLoss(pop.Simulation(MODEL, STEPS), lambda seen: seen["ill"])


def found(estimator, keys, at):
    return pop.differentiate(LOSS, estimator, jr.key(1), at=at, keys=keys, progress=False)


@pytest.fixture(scope="module")
def by_seed():
    at = {"seeded": 0.2}
    truth = found(pop.Differences(step=0.1), 4_000, at)
    cones = {r: found(pop.LocalScore(pop.LightCone.of(RING, r), group=32), 4_096, at) for r in (0, 2, STEPS)}
    return truth, cones, found(pop.Score(group=32), 4_096, at)


def test_a_whole_cone_has_no_bias_and_less_spread(by_seed):
    truth, cones, score = by_seed
    whole = cones[STEPS]
    gap = abs(whole.gradient["seeded"] - truth.gradient["seeded"])
    assert gap < 4 * np.hypot(whole.error["seeded"], truth.error["seeded"])
    assert whole.error["seeded"] < 0.05 * abs(truth.gradient["seeded"])
    assert whole.error["seeded"] < 0.6 * score.error["seeded"]


def test_a_smaller_radius_is_biased_and_less_so_the_larger(by_seed):
    truth, cones, _ = by_seed
    gaps = [truth.gradient["seeded"] - cones[r].gradient["seeded"] for r in (0, 2)]
    assert gaps[0] > 4 * np.hypot(cones[0].error["seeded"], truth.error["seeded"])
    assert abs(gaps[1]) < 0.5 * gaps[0]
    assert cones[0].error["seeded"] < cones[2].error["seeded"] < cones[STEPS].error["seeded"]


def test_what_is_outside_the_cone_counts_for_nothing():
    """Of the loss of agent 0 alone, those farther than STEPS edges away have a gradient of exactly 0."""
    only = pop.ExpectedLoss(LOSS.simulation, lambda seen: seen["ill"] * (jnp.arange(AGENTS) == 0))
    local = pop.LocalScore(pop.LightCone.of(RING, STEPS))
    slope = pop.differentiate(only, local, jr.key(2), at={"beta": MODEL.beta}, keys=32, progress=False)
    apart = np.minimum(np.arange(AGENTS), AGENTS - np.arange(AGENTS))
    assert (slope.samples["beta"][:, apart >= STEPS] == 0).all()
    assert np.abs(slope.samples["beta"][:, apart < 2]).max() > 0


def test_shells_are_what_is_so_many_edges_apart():
    cone = pop.LightCone.of(RING, 3)
    one = jnp.zeros(AGENTS).at[10].set(1.0)
    for d, shell in enumerate(cone.shells, start=1):
        np.testing.assert_array_equal(np.flatnonzero(np.asarray(shell.sum(one))), [10 - d, 10 + d])


def test_an_agents_own_terms_are_asked_for():
    summed = pop.ExpectedLoss(LOSS.simulation, lambda seen: seen["ill"].sum(1))
    with pytest.raises(pop.GradientError, match="by row and agent"):
        pop.differentiate(summed, pop.LocalScore(pop.LightCone.of(RING, 1)), jr.key(1), keys=16)
