import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
import scipy.sparse as sp

from populace._errors import ModelError
from populace.core.draw import Draw
from populace.interact.blocks import WIDTH, block_count
from populace.interact.network import Network


def dense(network: Network) -> np.ndarray:
    return np.asarray(network.sum(jnp.eye(network.size)))


def test_an_edge_counts_for_the_receiver():
    arc = Network.from_edges([0], [1], 3, weights=[2.5], directed=True)
    np.testing.assert_array_equal(arc.sum(jnp.array([1.0, 10.0, 100.0])), [0.0, 2.5, 0.0])
    np.testing.assert_array_equal(arc.degree(), [0.0, 2.5, 0.0])
    both = Network.from_edges([0], [1], 3, weights=[2.5])
    np.testing.assert_array_equal(both.sum(jnp.array([1.0, 10.0, 100.0])), [25.0, 2.5, 0.0])
    assert arc.directed and not both.directed


@pytest.mark.parametrize("directed", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_against_scipy(directed: bool, weighted: bool):
    rng = np.random.default_rng(5)
    size = 300
    pairs = np.unique(rng.integers(0, size, (2, 2000)), axis=1)
    pairs = pairs[:, pairs[0] < pairs[1]]
    order = rng.permutation(pairs.shape[1])
    pairs = pairs[:, order]
    heavy = rng.exponential(1.0, pairs.shape[1])
    network = Network.from_edges(*pairs, size, weights=heavy if weighted else None, directed=directed)
    matrix = sp.coo_array((heavy if weighted else np.ones(len(heavy)), (pairs[1], pairs[0])), (size, size)).tocsr()
    matrix = matrix if directed else matrix + matrix.T
    values = rng.normal(size=(size, 3))
    found = network.sum(jnp.asarray(values, jnp.float32))
    np.testing.assert_allclose(found, matrix @ values, rtol=1e-5, atol=1e-5)
    senders, receivers, weights = network.edges()
    assert (np.diff(receivers) >= 0).all() and (weights is not None) == weighted
    again = sp.coo_array((np.ones(len(senders)) if weights is None else weights, (receivers, senders)), (size, size))
    assert abs(again.tocsr() - matrix).max() < 1e-6


def test_loops_count_once_and_repeats_as_often():
    network = Network.from_edges([0, 0, 1], [0, 1, 0], 2, loops=True, repeats=True)
    np.testing.assert_array_equal(dense(network), [[1.0, 2.0], [2.0, 0.0]])


WRONG = {
    "one agent or more": dict(senders=[], receivers=[], size=0),
    "2 senders and 1 receivers": dict(senders=[0, 1], receivers=[1], size=3),
    "whole numbers, not float64": dict(senders=[0.5], receivers=[1], size=3),
    r"whole numbers, not int64 of shape \(1, 1\)": dict(senders=[[0]], receivers=[1], size=3),
    "receivers run from 1 to 3, and a network of 3 agents numbers them 0 to 2": dict(
        senders=[0, 1], receivers=[1, 3], size=3
    ),
    "senders run from -1": dict(senders=[-1], receivers=[1], size=3),
    "1 edges join an agent to itself": dict(senders=[0, 1], receivers=[1, 1], size=3),
    "1 edges are listed again, the first from 1 to 0": dict(senders=[0, 0], receivers=[1, 1], size=3, directed=True)
    | dict(senders=[1, 1], receivers=[0, 0]),
    "2 edges are listed again": dict(senders=[0, 1], receivers=[1, 0], size=3),
    "one each": dict(senders=[0], receivers=[1], size=3, weights=[1.0, 2.0]),
    "negative or not finite": dict(senders=[0], receivers=[1], size=3, weights=[-1.0]),
    "is negative or not finite": dict(senders=[0], receivers=[1], size=3, weights=[np.nan]),
}


@pytest.mark.parametrize("message", WRONG)
def test_what_is_no_network_is_refused(message: str):
    with pytest.raises(ModelError, match=message):
        Network.from_edges(**WRONG[message])


def test_both_directions_of_an_arc_are_two_arcs():
    network = Network.from_edges([0, 1], [1, 0], 2, directed=True)
    np.testing.assert_array_equal(network.degree(), [1.0, 1.0])


def test_one_shape_whatever_the_degrees():
    """A ring and a star of as many edges have arrays of the same shapes, and blocks always suffice."""
    ring = Network.from_edges(np.arange(40), (np.arange(40) + 1) % 40, 40)
    star = Network.from_edges(np.append(np.zeros(39, int), 1), np.append(np.arange(1, 40), 2), 40)
    assert [x.shape for x in jax.tree.leaves(ring)] == [x.shape for x in jax.tree.leaves(star)]
    for degrees in ([1] * 7, [5, 1, 1, 1], [4, 4], [0, 0, 9], [0]):
        assert sum(-(-d // WIDTH) for d in degrees) <= block_count(sum(degrees), len(degrees))


@pytest.mark.parametrize("directed", [False, True])
def test_weights_are_data(directed: bool):
    """No gradient reaches the weights of a network, whether or not one reaches the values."""
    network = Network.from_edges([0, 1], [1, 2], 3, weights=[1.0, 2.0], directed=directed)
    pulled = eqx.filter_grad(lambda n: n.sum(jnp.ones(3)).sum())(network)
    assert all((leaf == 0).all() for leaf in jax.tree.leaves(pulled))
    both = eqx.filter_grad(lambda pair: pair[0].sum(pair[1]).sum())((network, jnp.ones(3)))
    assert all((leaf == 0).all() for leaf in jax.tree.leaves(both[0]))
    np.testing.assert_array_equal(both[1], jnp.eye(3) @ network.sum(jnp.eye(3)).sum(axis=0))


KEPT = {"xla_cpu_use_fusion_emitters": True}
"""Scatters stay in the compiled text; the tests' own haste writes them as loops."""


def test_neither_direction_scatters_unsorted():
    """The reverse of a sum runs code like the sum's own: scatters by rising owners, none by a gather's transpose."""
    for directed in (False, True):
        network = Network.from_edges([0, 1, 1], [1, 2, 3], 100, directed=directed)
        text = jax.jit(lambda x, n=network: jax.vjp(n.sum, x)[1](x)).lower(jnp.ones(100)).compile(KEPT).as_text()
        scatters = [line for line in text.splitlines() if " scatter(" in line]
        assert scatters and all("indices_are_sorted=true" in line for line in scatters)


def test_half_precision_stays():
    network = Network.from_edges([0, 1], [1, 2], 3, weights=[1.0, 2.0])
    assert network.sum(jnp.ones(3, jnp.bfloat16)).dtype == jnp.bfloat16


def test_what_an_isolated_neighbour_holds_never_spreads():
    """A padded slot reads zero, not an agent: an infinite value stays with its neighbours."""
    network = Network.from_edges([0], [1], 4)
    np.testing.assert_array_equal(network.sum(jnp.array([1.0, 2.0, jnp.inf, jnp.nan])), [2.0, 1.0, 0.0, 0.0])


def test_common_numbers_meet_common_neighbours():
    """Edges of other agents that change leave an agent's neighbour as it is."""
    one = Network.from_edges([0, 1, 3], [1, 2, 4], 5)
    other = Network.from_edges([0, 1], [1, 2], 5)
    first, second = (n.neighbour(Draw(jr.key(3)), "meet").index for n in (one, other))
    np.testing.assert_array_equal(first[:3], second[:3])


def test_a_heavy_edge_among_a_thousand():
    weights = np.full(1000, 1e-3)
    weights[617] = 1e3
    network = Network.from_edges(np.arange(1, 1001), np.zeros(1000, int), 1001, weights=weights, directed=True)
    draws = jax.vmap(lambda k: network.neighbour(Draw(k), "meet").index[0])(jr.split(jr.key(0), 2000))
    assert (np.asarray(draws) == 618).mean() > 0.99
