"""Where the agents of a network are drawn: clusters of neighbours as discs, laid out by springs.

Up to a few hundred agents each is a cluster of its own. Fruchterman & Reingold (1991, Software: Practice and Experience
21:1129): clusters push each other away, edges pull; from a circle, so that the same network is drawn the same way.
"""

from dataclasses import dataclass

import numpy as np

from ..interact.dynamic_network import DynamicNetwork
from ..interact.layers import Layered
from ..interact.mixing import ContactMatrix, Groups
from ..interact.network import Network
from ..interact.topology import Topology

ALONE = 300
"""Agents up to which each is drawn on its own."""
_CLUSTERS = 90
_TURNS = 150
_EDGES = 2_000
_INK = 0.35
"""The share of the square that discs take."""


@dataclass(frozen=True)
class Map:
    """Where everybody is: `x`, `y` (agents,) in the unit square; `links` (edges, 4): x0, y0, x1, y1; `strength`
    (edges,): how many edges each stands for, over the largest; `cluster` (agents,) and `middle` (clusters, 2): who is
    in which disc, and where these are.
    """

    x: np.ndarray
    y: np.ndarray
    links: np.ndarray
    strength: np.ndarray
    cluster: np.ndarray
    middle: np.ndarray


def laid_out(topology: Topology) -> Map:
    """Places for the agents of a topology."""
    senders, receivers = _edges(topology)
    cluster = _clusters(topology, senders, receivers)
    count = np.bincount(cluster)
    one, other, weight = _between(cluster[senders], cluster[receivers], len(count))
    room = np.sqrt(_INK * count / count.sum() / np.pi) if len(count) > 1 else np.array([0.48])
    middle = _springs(len(count), one, other, weight, room)
    x, y = _filled(middle, cluster, count, room)
    return Map(x, y, *_links(middle, one, other, weight), cluster, middle)


def linked(places: Map, topology: Topology) -> Map:
    """The same places, with the edges of another topology of the same agents."""
    senders, receivers = _edges(topology)
    between = _between(places.cluster[senders], places.cluster[receivers], len(places.middle))
    return Map(places.x, places.y, *_links(places.middle, *between), places.cluster, places.middle)


def _links(middle: np.ndarray, one: np.ndarray, other: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The strongest of the edges between clusters, (edges, 4), and how strong they are."""
    order = np.argsort(-weight, kind="stable")[:_EDGES]
    links = np.concatenate([middle[one[order]], middle[other[order]]], axis=1)
    return links, weight[order] / weight.max() if weight.size else weight


def _edges(topology: Topology) -> tuple[np.ndarray, np.ndarray]:
    if isinstance(topology, Network):
        senders, receivers, _ = topology.edges()
        return senders, receivers
    if isinstance(topology, DynamicNetwork):
        return _edges(topology.network())
    layers = list(topology.layers.values()) if isinstance(topology, Layered) else []
    found = [_edges(layer) for layer in layers]
    parts = [np.concatenate([pair[end] for pair in found]) if found else np.zeros(0, np.int32) for end in (0, 1)]
    return parts[0], parts[1]


def _clusters(topology: Topology, senders: np.ndarray, receivers: np.ndarray) -> np.ndarray:
    """The cluster of each agent: itself, its group, or a stretch of a walk that visits neighbours first."""
    size = topology.size
    if isinstance(topology, Groups | ContactMatrix):
        home = np.minimum(np.asarray(topology.members.group), topology.members.groups)
        return _renumbered(home) if len(np.unique(home)) <= ALONE else _renumbered(home * _CLUSTERS // (home.max() + 1))
    if not senders.size:
        return np.zeros(size, np.int64)
    return np.arange(size) if size <= ALONE else _grown(senders, receivers, size)


def _grown(senders: np.ndarray, receivers: np.ndarray, size: int) -> np.ndarray:
    """Clusters of about equal size, each grown from its first member to neighbours, nearest first."""
    most = -(-size // _CLUSTERS)
    order = np.argsort(receivers, kind="stable")
    ends = np.searchsorted(receivers[order], np.arange(size + 1))
    friends = senders[order]
    cluster = np.full(size, -1)
    made = 0
    for first in range(size):
        if cluster[first] >= 0:
            continue
        queue, taken = [first], 0
        while queue and taken < most:
            agent = queue.pop(0)
            if cluster[agent] >= 0:
                continue
            cluster[agent], taken = made, taken + 1
            queue += [int(f) for f in friends[ends[agent] : ends[agent + 1]] if cluster[f] < 0]
        made += 1
    return _merged(cluster, friends, ends, most // 2)


def _merged(cluster: np.ndarray, friends: np.ndarray, ends: np.ndarray, fewest: int) -> np.ndarray:
    """Clusters with fewer members than `fewest` go to the cluster that most of their neighbours are in."""
    count = np.bincount(cluster)
    for small in np.argsort(count, kind="stable"):
        if count[small] >= fewest or not count[small]:
            continue
        members = np.flatnonzero(cluster == small)
        around = np.concatenate([friends[ends[agent] : ends[agent + 1]] for agent in members])
        homes = np.bincount(cluster[around], minlength=len(count)) if around.size else np.zeros(len(count), int)
        homes[small] = 0
        if homes.any():
            goal = int(homes.argmax())
            cluster[members] = goal
            count[goal] += count[small]
            count[small] = 0
    return _renumbered(cluster)


def _renumbered(cluster: np.ndarray) -> np.ndarray:
    return np.unique(cluster, return_inverse=True)[1]


def _between(one: np.ndarray, other: np.ndarray, clusters: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs of different clusters and the edges between them."""
    low, high = np.minimum(one, other).astype(np.int64), np.maximum(one, other).astype(np.int64)
    code, weight = np.unique((low * clusters + high)[low < high], return_counts=True)
    return code // clusters, code % clusters, weight.astype(np.float64)


def _springs(size: int, one: np.ndarray, other: np.ndarray, weight: np.ndarray, room: np.ndarray) -> np.ndarray:
    """Middles (size, 2) of the clusters in the unit square; `room` (size,): the radii of their discs."""
    if size == 1:
        return np.full((1, 2), 0.5)
    turn = 2 * np.pi * np.arange(size) / size
    place = np.stack([np.cos(turn), np.sin(turn)], axis=1)
    far = 1.6 / np.sqrt(size)
    pull = np.zeros((size, size))
    pull[one, other] = pull[other, one] = np.sqrt(weight / weight.max()) if weight.size else weight
    for k in range(_TURNS):
        way = place[:, None] - place[None]
        distance = np.maximum(np.sqrt((way**2).sum(-1)), 1e-6)
        force = far**2 / distance**2 - pull * distance / far
        move = (force[..., None] * way).sum(1) - 0.6 * place * far
        length = np.maximum(np.sqrt((move**2).sum(1, keepdims=True)), 1e-9)
        place = place + move / length * np.minimum(length, 0.25 * (1 - k / _TURNS))
    place = place - place.min(0)
    place = place / np.maximum(place.max(0), 1e-9)
    for _ in range(_TURNS):
        place = _apart(place, room)
    edge = max(float(room.max()), 0.02)
    place = place - place.min(0)
    return edge + (1 - 2 * edge) * place / np.maximum(place.max(0), 1e-9)


def _apart(place: np.ndarray, room: np.ndarray) -> np.ndarray:
    """Discs that lie upon each other, pushed apart half way."""
    way = place[:, None] - place[None]
    distance = np.maximum(np.sqrt((way**2).sum(-1)), 1e-6)
    wanted = 1.05 * (room[:, None] + room[None])
    np.fill_diagonal(wanted, 0.0)
    short = np.maximum(wanted - distance, 0.0)
    return place + 0.25 * (short[..., None] * way / distance[..., None]).sum(1)


def _filled(
    middle: np.ndarray, cluster: np.ndarray, count: np.ndarray, room: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Members around the middle of their cluster, evenly over a disc of radius `room` (the sunflower of Vogel 1979)."""
    order = np.argsort(cluster, kind="stable")
    place = np.empty(len(cluster))
    place[order] = np.arange(len(cluster)) - (np.cumsum(count) - count)[cluster[order]]
    radius = room[cluster] * np.sqrt(place / np.maximum(count[cluster], 1))
    angle = place * np.pi * (3 - np.sqrt(5))
    at = middle[cluster]
    return at[:, 0] + radius * np.cos(angle), at[:, 1] + radius * np.sin(angle)
