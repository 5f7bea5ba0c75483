"""To and from networkx graphs (extra `networks`)."""

from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

import numpy as np

from .._errors import MissingExtraError, ModelError
from .network import Network

if TYPE_CHECKING:
    import networkx as nx


def from_networkx(graph: "nx.Graph[Any]", *, weight: str | None = None) -> tuple[Network, tuple[Hashable, ...]]:
    """A network with the nodes and edges of `graph`, and the nodes' labels: agent i is node labels[i].

    **Arguments:** `graph`: any networkx graph; nodes keep their order, an arc u to v makes v the receiver, parallel
    edges add up and self-loops count once; `weight`: the edge attribute that holds the weight (1 where it lacks), or
    None for an unweighted network.

    **Raises:** `MissingExtraError` without networkx; `ModelError` for what is no graph, has no node, or has weights
    that are negative or not finite.
    """
    nx = _networkx()
    if not isinstance(graph, nx.Graph) or len(graph) == 0:
        raise ModelError(f"from_networkx wants a networkx graph of one node or more, not {graph!r}")
    labels = tuple(graph.nodes)
    place = {label: i for i, label in enumerate(labels)}
    joined = list(graph.edges(data=weight, default=1.0)) if weight is not None else list(graph.edges(data=False))
    senders = np.fromiter((place[edge[0]] for edge in joined), np.int64, len(joined))
    receivers = np.fromiter((place[edge[1]] for edge in joined), np.int64, len(joined))
    heavy = None if weight is None else np.fromiter((edge[-1] for edge in joined), np.float64, len(joined))
    directed = graph.is_directed()
    network = Network.from_edges(
        senders, receivers, len(labels), weights=heavy, directed=directed, loops=True, repeats=graph.is_multigraph()
    )
    return network, labels


def to_networkx(network: Network) -> "nx.Graph[Any]":
    """A networkx graph (directed if the network is) with agents as nodes; weights become the attribute `weight`.

    Edges that were repeated become one edge of their total weight.

    **Raises:** `MissingExtraError` without networkx.
    """
    nx = _networkx()
    senders, receivers, weights = network.edges()
    graph = nx.DiGraph() if network.directed else nx.Graph()
    graph.add_nodes_from(range(network.size))
    once = np.ones(len(senders), bool) if network.directed else senders <= receivers
    pairs, inverse, times = np.unique(
        np.stack([senders[once], receivers[once]]), axis=1, return_inverse=True, return_counts=True
    )
    total = times if weights is None else np.bincount(inverse.ravel(), weights=weights[once])
    if weights is None and (times == 1).all():
        graph.add_edges_from(pairs.T.tolist())
    else:
        graph.add_weighted_edges_from(zip(*pairs.tolist(), total.tolist(), strict=True))
    return graph


def _networkx() -> Any:
    try:
        import networkx
    except ImportError as error:
        raise MissingExtraError("networkx", "networks") from error
    return networkx
