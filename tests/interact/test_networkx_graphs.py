import sys

import jax.numpy as jnp
import networkx as nx
import numpy as np
import pytest

from populace._errors import MissingExtraError, ModelError
from populace.interact.network import Network
from populace.interact.networkx_graphs import from_networkx, to_networkx

GRAPHS = {
    "undirected": (nx.karate_club_graph(), None),
    "weighted": (nx.karate_club_graph(), "weight"),
    "directed": (nx.gn_graph(20, seed=1), None),
    "parallel": (nx.MultiGraph([("a", "b"), ("a", "b"), ("b", "b"), ("c", "a")]), None),
    "parallel directed": (nx.MultiDiGraph([("a", "b"), ("a", "b"), ("b", "a")]), None),
    "no edges": (nx.empty_graph(3), None),
}


@pytest.mark.parametrize("name", GRAPHS)
def test_the_matrix_is_networkx_own(name: str):
    graph, weight = GRAPHS[name]
    network, labels = from_networkx(graph, weight=weight)
    assert labels == tuple(graph.nodes)
    wanted = nx.to_numpy_array(graph, weight=weight, nodelist=labels).T
    np.testing.assert_allclose(network.sum(jnp.eye(len(graph))), wanted)


@pytest.mark.parametrize("name", GRAPHS)
def test_there_and_back(name: str):
    network, labels = from_networkx(GRAPHS[name][0], weight=GRAPHS[name][1])
    graph = to_networkx(network)
    assert list(graph.nodes) == list(range(len(labels)))
    again, _ = from_networkx(graph, weight="weight")
    np.testing.assert_allclose(again.sum(jnp.eye(again.size)), network.sum(jnp.eye(again.size)), rtol=1e-6)


def test_labels_keep_their_order():
    network, labels = from_networkx(nx.DiGraph([("wolf", "sheep"), ("sheep", "grass")]))
    assert labels == ("wolf", "sheep", "grass")
    np.testing.assert_array_equal(network.sum(jnp.array([1.0, 10.0, 100.0])), [0.0, 1.0, 10.0])


def test_a_missing_weight_is_one():
    graph = nx.Graph()
    graph.add_edge(0, 1, trust=3.0)
    graph.add_edge(1, 2)
    np.testing.assert_array_equal(from_networkx(graph, weight="trust")[0].degree(), [3.0, 4.0, 1.0])


@pytest.mark.parametrize("wrong", [nx.Graph(), [(0, 1)]], ids=["empty", "list"])
def test_what_is_no_graph_is_refused(wrong: object):
    with pytest.raises(ModelError, match="wants a networkx graph"):
        from_networkx(wrong)


def test_without_networkx_the_extra_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "networkx", None)
    with pytest.raises(MissingExtraError, match=r"populace\[networks\]"):
        to_networkx(Network.from_edges([0], [1], 2))
