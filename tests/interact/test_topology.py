"""Every topology keeps the laws, on every way of building it; and the pieces that they share."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from populace._errors import ModelError
from populace.core.draw import Draw
from populace.interact.dynamic_network import DynamicNetwork
from populace.interact.generators import random_network, small_world
from populace.interact.grid import Grid
from populace.interact.layers import Layered
from populace.interact.mixing import ContactMatrix, Groups, WellMixed
from populace.interact.neighbourhood import Hexagonal
from populace.interact.network import Network
from populace.interact.pairing import paired
from populace.interact.partnerships import Partnerships
from populace.interact.places import households, workplaces
from populace.interact.preferential import preferential_attachment
from populace.interact.rewiring import rewire
from populace.interact.standing import Standing
from populace.interact.topology import Neighbour, below, first_above, sampled
from populace.testing.topologies import check_topology

KEY = jr.key(7)
RNG = np.random.default_rng(3)
ARCS = np.unique(RNG.integers(0, 29, (2, 120)), axis=1)
ARCS = ARCS[:, ARCS[0] != ARCS[1]]
PAIRS = ARCS[:, ARCS[0] < ARCS[1]]
HEAVY = RNG.exponential(1.0, ARCS.shape[1]).round(2)


def changing() -> DynamicNetwork:
    """Ties of which half were redirected and some ended."""
    start = DynamicNetwork.of(random_network(KEY, 30, 4), room=80)
    return rewire(Draw(KEY, 1), "rewire", start, 0.5).network.ended(np.arange(80) < 5)


TOPOLOGIES = {
    "undirected": lambda: Network.from_edges(*PAIRS, 30),
    "directed": lambda: Network.from_edges(*ARCS, 30, directed=True),
    "weighted": lambda: Network.from_edges(*PAIRS, 30, weights=HEAVY[: PAIRS.shape[1]]),
    "weighted directed": lambda: Network.from_edges(*ARCS, 30, weights=HEAVY, directed=True),
    "zero weights": lambda: Network.from_edges(*PAIRS, 30, weights=RNG.integers(0, 3, PAIRS.shape[1])),
    "loops and repeats": lambda: Network.from_edges([0, 0, 0, 2], [1, 0, 1, 2], 30, loops=True, repeats=True),
    "no edges": lambda: Network.from_edges([], [], 30),
    "alone": lambda: Network.from_edges([], [], 1),
    "star": lambda: Network.from_edges(np.zeros(28, int), np.arange(1, 29), 30),
    "weighted star": lambda: Network.from_edges(np.zeros(28, int), np.arange(1, 29), 30, weights=np.arange(28) % 7),
    "ties that change": lambda: changing(),
    "partnerships": lambda: Partnerships.none(30).formed(paired(Draw(KEY), "meet", 30, where=np.arange(30) < 25), 1),
    "standing": lambda: Standing(Grid(4, 5, periodic=True), np.arange(30) ** 2 % 20, np.arange(30) % 7),
    "well mixed": lambda: WellMixed(30),
    "well mixed, two": lambda: WellMixed(2),
    "well mixed, one": lambda: WellMixed(1),
    "groups": lambda: Groups(np.arange(30) ** 2 % 11 % 7 - 1, 8),
    "groups, all outside": lambda: Groups([-1, -1]),
    "contact matrix": lambda: ContactMatrix(
        np.arange(30) * 7 % 30 % 3, [[0.5, 0.1, 0.0], [0.3, 2.0, 0.7], [0.0, 0.0, 0.0]]
    ),
    "contact matrix, empty group": lambda: ContactMatrix([0, 0, 2, 2, 2, 3], np.arange(16.0).reshape(4, 4)),
    "households": lambda: households(KEY, 30, [0.3, 0.3, 0.2, 0.2]),
    "workplaces": lambda: workplaces(KEY, 30, mean_size=5, participation=0.6),
    "layered": lambda: Layered(
        {"home": households(KEY, 30, [0.3, 0.3, 0.2, 0.2]), "street": random_network(KEY, 30, 2), "off": WellMixed(30)},
        {"home": 2.0, "street": 0.5, "off": 0.0},
    ),
    "layered in layers": lambda: Layered(
        {
            "moving": Layered(
                {"near": Standing(Grid(6, 5, Hexagonal()), np.arange(30) ** 2 % 29), "ties": changing()},
                {"near": 0.5, "ties": 2.0},
            ),
            "fixed": Network.from_edges([0], [1], 30),
        }
    ),
}


@pytest.mark.parametrize("name", TOPOLOGIES)
def test_the_laws_hold(name: str):
    check_topology(TOPOLOGIES[name](), jr.key(1))


@pytest.mark.parametrize("name", ["undirected", "weighted directed", "groups", "contact matrix", "layered in layers"])
def test_a_batch_of_topologies_maps(name: str):
    topology = TOPOLOGIES[name]()
    several = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), topology)
    values = jr.normal(KEY, (2, topology.size))
    found = jax.vmap(lambda one, x: one.sum(x))(several, values)
    np.testing.assert_allclose(found, jax.vmap(topology.sum)(values), rtol=1e-5, atol=1e-5)
    pulled = jax.vmap(lambda one, x: jax.grad(lambda y: (one.sum(y) ** 2).sum())(x))(several, values)
    alone = jax.vmap(jax.grad(lambda y: (topology.sum(y) ** 2).sum()))(values)
    np.testing.assert_allclose(pulled, alone, rtol=1e-4, atol=1e-4)


REBUILT = {
    "random": lambda key: random_network(key, 200, 6),
    "small world": lambda key: small_world(key, 200, degree=6, rewire=0.5),
    "preferential": lambda key: preferential_attachment(key, 200, links=2),
    "households": lambda key: households(key, 200, [0.2, 0.5, 0.3]),
    "workplaces": lambda key: workplaces(key, 200, mean_size=10, participation=0.5),
}


@pytest.mark.parametrize("name", REBUILT)
def test_another_key_compiles_nothing(name: str):
    traces = []

    @jax.jit
    def use(topology, values):
        traces.append(1)
        return topology.sum(values) + topology.degree()

    for seed in range(4):
        topology = REBUILT[name](jr.key(seed))
        jax.block_until_ready(use(topology, jnp.ones(200)))
    assert len(traces) == 1


@pytest.mark.parametrize("name", REBUILT)
def test_one_key_makes_one_topology(name: str):
    one, same, other = (REBUILT[name](jr.key(seed)) for seed in (1, 1, 2))
    assert all((a == b).all() for a, b in zip(*map(jax.tree.leaves, (one, same)), strict=True))
    assert not all((a == b).all() for a, b in zip(*map(jax.tree.leaves, (one, other)), strict=True))


@pytest.mark.parametrize("size", [5, 7])
def test_wrong_shapes_are_named(size: int):
    with pytest.raises(ModelError, match=rf"shape \({size},\) given to a topology of 6 agents"):
        WellMixed(6).sum(jnp.ones(size))


def test_take_keeps_dtype_and_hides_what_is_absent():
    neighbour = Neighbour(jnp.array([2, 0, 1], jnp.int32), jnp.array([1.0, 0.0, 1.0]))
    found = neighbour.take(jnp.array([[jnp.nan, 1.0], [2.0, 3.0], [4.0, 5.0]]))
    np.testing.assert_array_equal(found, [[4.0, 5.0], [0.0, 0.0], [2.0, 3.0]])
    assert neighbour.take(jnp.array([1, 2, 3])).dtype == jnp.int32
    np.testing.assert_array_equal(neighbour.take(jnp.array([True, True, True])), [True, False, True])


def test_a_gradient_passes_what_is_taken():
    neighbour = Neighbour(jnp.array([2, 0, 2], jnp.int32), jnp.array([1.0, 0.0, 1.0]))
    pulled = jax.grad(lambda x: neighbour.take(x).sum())(jnp.ones(3))
    np.testing.assert_array_equal(pulled, [0.0, 0.0, 2.0])


@pytest.mark.parametrize("name", ["undirected", "weighted", "well mixed", "groups", "contact matrix", "layered"])
def test_a_neighbour_inside_a_gradient(name: str):
    """A run's gradient may pass a site that picks neighbours, whatever plugs stand around it."""
    topology = TOPOLOGIES[name]()

    @jax.jit
    @jax.grad
    def loss(scale):
        values = scale * jnp.arange(topology.size)
        return topology.neighbour(Draw(KEY), "meet").take(values).sum()

    index = topology.neighbour(Draw(KEY), "meet")
    assert float(loss(1.0)) == float((index.index * index.present).sum())


def test_places_are_never_outside():
    share = jnp.array([0.0, 0.5, 1.0 - 2.0**-24, 1.0 - 2.0**-24])
    np.testing.assert_array_equal(sampled(share, jnp.array([3, 3, 3, 10**7])), [0, 1, 2, 10**7 - 1])
    np.testing.assert_array_equal(sampled(share, jnp.zeros(4, jnp.int32)), [-1, -1, -1, -1])


def test_the_search_finds_the_first_above():
    table = jnp.array([0.0, 1.0, 1.0, 3.0, 3.0])
    level = jnp.array([0.0, 0.5, 1.0, 2.9, 3.0])
    level = below(jnp.full(5, 3.0), level / 3.0).at[0].set(0.0)
    for halvings in (3, jnp.int32(3)):
        found = first_above(lambda j: table[j], level, jnp.full(5, 5, jnp.int32), halvings)
        np.testing.assert_array_equal(found, [1, 1, 3, 3, 3])
