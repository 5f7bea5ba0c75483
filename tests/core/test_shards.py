"""A population over two devices: the run of one device, agents split, and what is refused."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from jax.sharding import PartitionSpec
from jaxtyping import Array

from populace._errors import ModelError
from populace.core.draw import Draw
from populace.core.model import Model, parameter
from populace.core.shards import Shards
from populace.core.simulate import Run, simulate
from populace.interact.generators import random_network
from populace.interact.network import Network
from populace.zoo.sir import SIR

N, T = 60, 6


class Walkers(Model):
    """Floats, a population and its sub-population, numbers that belong to nobody, and an odd table."""

    agents: int = eqx.field(static=True, default=N)
    few: int = eqx.field(static=True, default=5)
    pull: Array = parameter(default=0.1)

    def init(self, draw: Draw) -> dict[str, Array]:
        few = draw.child("few").uniform("place", size=self.few)
        return {"place": draw.uniform("place", size=self.agents), "few": few, "turn": jnp.int32(0)}

    def step(self, draw: Draw, state: dict[str, Array]) -> dict[str, Array]:
        place = state["place"] + draw.uniform("move", -1.0, 1.0, size=self.agents) - self.pull * state["place"].mean()
        return {**state, "place": place, "turn": state["turn"] + 1}

    def observe(self, state: dict[str, Array]) -> dict[str, Array]:
        return {"mean": state["place"].mean(), "square": (state["place"] ** 2).mean(), "turn": state["turn"]}


def same(one: Run, other: Run) -> None:
    """Integers and counts equal, other floats within 1e-6 of their size."""
    pairs = zip(jax.tree.leaves(one.final), jax.tree.leaves(other.final), strict=True)
    for a, b in [*pairs, *((one.observations[name], other.observations[name]) for name in one.observations)]:
        np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=1e-6, atol=1e-6)


@pytest.fixture(scope="module")
def epidemic() -> SIR:
    return SIR(random_network(jr.key(0), N, degree=6), beta=0.2, gamma=0.2, seeded=0.2)


def test_an_epidemic_is_the_same_on_two_devices_and_stays_split(epidemic: SIR):
    one, two = (simulate(epidemic, jr.key(1), T, shards=shards) for shards in (None, Shards()))
    for a, b in zip(jax.tree.leaves(one.final), jax.tree.leaves(two.final), strict=True):
        assert (np.asarray(a) == np.asarray(b)).all()
    assert 0 < float(one.observations["infected"][-1]) < N
    same(one, two)
    for leaf in jax.tree.leaves(two.final.state):
        assert leaf.sharding.spec == PartitionSpec("agents")
        assert {part.data.shape for part in leaf.addressable_shards} == {(N // 2,)}


def test_weights_and_floats_are_the_same_within_rounding(epidemic: SIR):
    sender, receiver, _ = epidemic.contacts.edges()  # pyright: ignore[reportAttributeAccessIssue]
    weights = np.random.default_rng(0).uniform(0.1, 1.0, len(sender))
    heavy = SIR(Network.from_edges(sender, receiver, N, weights=weights, directed=True), 0.2, 0.2, 0.2)
    same(*(simulate(heavy, jr.key(2), T, shards=shards) for shards in (None, Shards())))


@pytest.fixture(scope="module")
def walked() -> Run:
    return simulate(Walkers(), jr.key(1), T)


def test_populations_that_the_devices_do_not_divide_stay_whole(walked: Run):
    two = simulate(Walkers(), jr.key(1), T, shards=Shards())
    same(walked, two)
    spec = {name: leaf.sharding.spec for name, leaf in two.final.state.items()}
    assert spec == {"place": PartitionSpec("agents"), "few": PartitionSpec(), "turn": PartitionSpec()}


def test_a_whole_run_goes_on_split_and_a_split_one_whole(walked: Run):
    on = simulate(Walkers(), jr.key(1), T, start=walked.final)
    two = simulate(Walkers(), jr.key(1), T, start=walked.final, shards=Shards(agents=N))
    same(on, two)
    assert two.final.state["place"].sharding.spec == PartitionSpec("agents")
    assert int(simulate(Walkers(), jr.key(1), T, start=two.final).final.time) == 3 * T


def test_what_cannot_be_split_is_refused_with_the_mend():
    two = tuple(jax.local_devices()[:2])
    with pytest.raises(ModelError, match=r"61 agents do not split evenly over 2 devices: simulate 60 or 62, or .* 1,"):
        simulate(Walkers(agents=61), jr.key(1), T, shards=Shards(two))
    with pytest.raises(
        ModelError, match=r"nothing in the state has 7 entries on its leading axis, which has \[5, 60\]"
    ):
        simulate(Walkers(), jr.key(1), T, shards=Shards(two, agents=7))
    with pytest.raises(ModelError, match=r"5 agents do not split evenly over 2 devices: simulate 4 or 6"):
        simulate(Walkers(), jr.key(1), T, shards=Shards(two, agents=(N, 5)))
    with pytest.raises(ModelError, match="one device or more, each named once"):
        Shards(())
    with pytest.raises(ModelError, match="each named once"):
        Shards((two[0], two[0]))


class Silent(Model):
    """No site is drawn for its agents."""

    def init(self, draw: Draw) -> Array:
        return jnp.zeros(N) + draw.uniform("all", size=())

    def step(self, draw: Draw, state: Array) -> Array:
        return state + 1.0

    def observe(self, state: Array) -> dict[str, Array]:
        return {"sum": state.sum()}


def test_a_model_whose_sites_say_nothing_asks_for_its_agents():
    with pytest.raises(ModelError, match=r"say how many there are, Shards\(agents=\.\.\.\)"):
        simulate(Silent(), jr.key(1), 2, shards=Shards())
    same(*(simulate(Silent(), jr.key(1), 2, shards=shards) for shards in (None, Shards(agents=N))))
