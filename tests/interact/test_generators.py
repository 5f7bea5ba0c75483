"""Generated networks have the statistics that theory gives them: exact ones exactly, others to four standard errors."""

from collections import Counter
from collections.abc import Callable

import jax.random as jr
import networkx as nx
import numpy as np
import pytest

from populace._errors import ModelError
from populace.interact.generators import random_network, small_world
from populace.interact.network import Network
from populace.interact.networkx_graphs import to_networkx
from populace.interact.preferential import preferential_attachment


def degrees(network: Network) -> np.ndarray:
    return np.asarray(network.degree()).astype(int)


def pairs(network: Network) -> set[tuple[int, int]]:
    senders, receivers, _ = network.edges()
    return {(int(s), int(r)) for s, r in zip(senders, receivers, strict=True) if s < r}


# Erdős-Rényi


@pytest.mark.parametrize("size, degree", [(200, 0.0), (200, 3.0), (11, 10.0), (30, 25.0), (1, 0.0), (2, 1.0)])
def test_a_random_network_has_the_edges_asked_for(size: int, degree: float):
    network = random_network(jr.key(2), size, degree)
    assert degrees(network).sum() == 2 * round(size * degree / 2)
    assert len(pairs(network)) == round(size * degree / 2)


@pytest.mark.parametrize("degree", [1.0, 3.0])
def test_every_pair_is_as_likely(degree: float):
    """Of five agents, counted over 2,000 networks: below half of all pairs, and above it."""
    met = Counter(pair for seed in range(2000) for pair in pairs(random_network(jr.key(seed), 5, degree)))
    counts = np.array([met[i, j] for i in range(5) for j in range(i + 1, 5)])
    share = round(5 * degree / 2) / 10
    assert np.abs(counts - 2000 * share).max() < 4.0 * np.sqrt(2000 * share * (1 - share))


def test_random_degrees_are_binomial():
    size, degree = 20_000, 10.0
    found = degrees(random_network(jr.key(0), size, degree))
    share = degree / (size - 1)
    spread = (size - 1) * share * (1 - share)
    assert found.mean() == degree
    assert abs(found.var() - spread) < 4.0 * spread * np.sqrt(2.0 / size)
    alone = np.exp(-degree) * size
    assert abs((found == 0).sum() - alone) < 4.0 * max(1.0, np.sqrt(alone))


# Watts-Strogatz


@pytest.mark.parametrize("degree", [2, 4, 10])
def test_a_ring_clusters_as_theory_says(degree: int):
    ring = small_world(jr.key(0), 60, degree=degree, rewire=0.0)
    assert (degrees(ring) == degree).all()
    clustering = nx.average_clustering(to_networkx(ring))
    assert clustering == pytest.approx(3 * (degree - 2) / (4 * (degree - 1)))


def test_rewiring_keeps_edges_and_one_end():
    ring = small_world(jr.key(0), 500, degree=6, rewire=0.0)
    for rewire in (0.1, 1.0):
        network = small_world(jr.key(1), 500, degree=6, rewire=rewire)
        assert len(pairs(network)) == 1500
        assert degrees(network).min() >= 3
        moved = 1500 - len(pairs(network) & pairs(ring))
        expected = 1500 * rewire
        assert abs(moved - expected) <= 4.0 * np.sqrt(1500 * rewire * (1 - rewire)) + 0.03 * expected


def test_rewired_degrees_are_those_of_theory():
    """Barrat & Weigt (2000): degree / 2 plus what stays, binomial, plus what comes, Poisson."""
    size, degree, rewire = 20_000, 10, 0.4
    found = degrees(small_world(jr.key(5), size, degree=degree, rewire=rewire))
    half = degree / 2
    spread = half * rewire * (1 - rewire) + half * rewire
    assert abs(found.var() - spread) < 4.0 * spread * np.sqrt(3.0 / size)


def test_clustering_falls_as_networkx_falls():
    """A tenth of the edges rewired leaves (1 - p)^3 of the clustering, in networkx' networks and in ours."""
    ours = [nx.average_clustering(to_networkx(small_world(jr.key(s), 400, degree=8, rewire=0.1))) for s in range(8)]
    theirs = [nx.average_clustering(nx.watts_strogatz_graph(400, 8, 0.1, seed=s)) for s in range(8)]
    error = np.sqrt(np.var(ours, ddof=1) / 8 + np.var(theirs, ddof=1) / 8)
    assert abs(np.mean(ours) - np.mean(theirs)) < 4.0 * error


@pytest.mark.parametrize("size, degree", [(4, 2), (5, 4), (6, 4), (7, 4), (3, 2), (3, 0), (1, 0)])
def test_rewiring_ends_where_everyone_knows_everyone(size: int, degree: int):
    for seed in range(5):
        assert len(pairs(small_world(jr.key(seed), size, degree=degree, rewire=1.0))) == size * degree // 2


# Barabási-Albert


@pytest.mark.parametrize("links", [1, 2, 5])
def test_nobody_has_fewer_than_the_links_made(links: int):
    size = 300
    network = preferential_attachment(jr.key(3), size, links=links)
    found = degrees(network)
    edges = links * (links + 1) // 2 + (size - links - 1) * links
    assert found.min() == links and len(pairs(network)) == edges
    older = np.array([receiver for _, receiver in pairs(network)])
    assert (np.bincount(older, minlength=size)[links + 1 :] == links).all()


def test_degrees_follow_the_law_of_preferential_attachment():
    """P(k) = 2 m (m + 1) / (k (k + 1) (k + 2)), for the degrees that most agents have."""
    size, links = 50_000, 3
    found = degrees(preferential_attachment(jr.key(0), size, links=links))
    for k in range(links, 4 * links):
        share = 2 * links * (links + 1) / (k * (k + 1) * (k + 2))
        assert abs((found == k).mean() - share) < 4.0 * np.sqrt(share / size)
    tail = links * (links + 1) / (40 * 41)
    assert abs((found >= 40).mean() - tail) < 4.0 * np.sqrt(tail / size)


def test_small_growth_is_as_counted_by_hand():
    """Of four agents with one link each: 1 joins 0; 2 joins either; 3 joins in proportion to degrees 2, 1, 1."""
    stars = sum(degrees(preferential_attachment(jr.key(s), 4, links=1)).max() == 3 for s in range(1500))
    assert abs(stars - 1500 * 0.5) < 4.0 * np.sqrt(1500 * 0.25)


def test_two_links_without_repeats_are_as_counted_by_hand():
    """A triangle, then two agents with two links; the second one's pairs are counted.

    The fourth agent (3) joins two of the triangle; degrees are then 3, 3, 2, 2. Targets one by one in proportion to
    degree, without repeats: the two of degree 3 together have probability 2 * (3/10) * (3/7) = 18/70.
    """
    both = 0
    for seed in range(2000):
        network = pairs(preferential_attachment(jr.key(seed), 5, links=2))
        first = {a for a, b in network if b == 3}
        both += {a for a, b in network if b == 4} == first
    share = 18 / 70
    assert abs(both - 2000 * share) < 4.0 * np.sqrt(2000 * share * (1 - share))


WRONG: dict[str, Callable[[], Network]] = {
    "10 agents have 45 pairs, not 50": lambda: random_network(jr.key(0), 10, 10.0),
    "degree lies between": lambda: random_network(jr.key(0), 10, -1.0),
    "degree is even": lambda: small_world(jr.key(0), 10, degree=3, rewire=0.1),
    "size - 1 = 9, not 10": lambda: small_world(jr.key(0), 10, degree=10, rewire=0.1),
    "rewire is a probability": lambda: small_world(jr.key(0), 10, degree=2, rewire=1.5),
    "links lies between 1 and size - 1": lambda: preferential_attachment(jr.key(0), 3, links=3),
    "links lies between 1": lambda: preferential_attachment(jr.key(0), 3, links=0),
}


@pytest.mark.parametrize("message", WRONG)
def test_what_no_network_can_have_is_refused(message: str):
    with pytest.raises(ModelError, match=message):
        WRONG[message]()
