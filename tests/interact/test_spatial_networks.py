"""Networks of agents who have places, against all distances written out."""

from collections.abc import Callable

import jax.random as jr
import numpy as np
import pytest

from populace._errors import ModelError
from populace.interact import spatial_networks
from populace.interact.box import Box
from populace.interact.network import Network
from populace.interact.spatial_networks import _Parts, geometric_network, spatial_network

SIDES = (3.0, 2.0)
PLACE = np.random.default_rng(0).random((150, 2)) * SIDES


def distances(place: np.ndarray, periodic: bool) -> np.ndarray:
    way = np.abs(place[:, None] - place)
    way = np.minimum(way, np.array(SIDES) - way) if periodic else way
    return np.sqrt((way**2).sum(-1))


def matrix(network: Network) -> np.ndarray:
    senders, receivers, _ = network.edges()
    table = np.zeros((network.size, network.size))
    table[receivers, senders] = 1
    return table


@pytest.mark.parametrize("periodic", [False, True])
def test_all_who_are_near_are_tied(periodic: bool):
    network = geometric_network(Box(SIDES, periodic), PLACE, 0.4)
    np.testing.assert_array_equal(matrix(network), (distances(PLACE, periodic) <= 0.4) & ~np.eye(150, dtype=bool))


@pytest.mark.parametrize("periodic", [False, True])
def test_pairs_come_in_proportion_to_their_weight(periodic: bool, monkeypatch: pytest.MonkeyPatch):
    """Twenty agents in five parts an axis, four of them in one place; 10,000 pairs or more by the law of Waxman."""
    monkeypatch.setattr(spatial_networks, "_IN_PART", 0.8)
    place = np.concatenate([PLACE[:16], np.full((4, 2), 0.3)])
    parts = _Parts(Box(SIDES, periodic), place, lambda d: np.exp(-d / 0.5))
    assert parts.number == 5 and parts.bound.min() < 0.5
    codes = parts.drawn(np.random.default_rng(1), 400_000)
    counts = np.zeros((20, 20))
    np.add.at(counts, (codes >> 32, codes & 0xFFFFFFFF), 1)
    upper = np.triu_indices(20, 1)
    assert counts[upper].sum() == len(codes) > 10_000
    share = np.exp(-distances(place, periodic)[upper] / 0.5)
    wanted = len(codes) * share / share.sum()
    off = (counts[upper] - wanted) ** 2 / wanted
    freedom = len(off) - 1
    assert abs(off.sum() - freedom) < 4 * np.sqrt(2 * freedom)


def test_as_many_ties_as_asked_for_and_none_beyond_reach():
    one, same, other = (
        spatial_network(jr.key(seed), Box(SIDES), PLACE, degree=4.0, decay=lambda d: d < 0.5) for seed in (1, 1, 2)
    )
    tables = [matrix(network) for network in (one, same, other)]
    assert all(table.sum() == 600 and (table * (distances(PLACE, False) >= 0.5)).sum() == 0 for table in tables)
    assert (tables[0] == tables[1]).all() and not (tables[0] == tables[2]).all()
    assert one.inward.slots.shape == other.inward.slots.shape


WRONG: dict[str, Callable[[], Network]] = {
    "at most half of its shortest side": lambda: geometric_network(Box(SIDES, periodic=True), PLACE, 1.1),
    "lies outside the box": lambda: geometric_network(Box((1.0, 1.0)), PLACE, 0.1),
    r"shape \(150, 2\) in a box of 3 sides": lambda: geometric_network(Box((3.0, 3.0, 3.0)), PLACE, 0.1),
    "choose a smaller degree": lambda: spatial_network(jr.key(0), Box(SIDES), PLACE, degree=200.0, decay=np.ones_like),
    "rises with distance": lambda: spatial_network(jr.key(0), Box(SIDES), PLACE, degree=2.0, decay=lambda d: d),
    "finite and not negative": lambda: spatial_network(
        jr.key(0), Box(SIDES), PLACE, degree=2.0, decay=lambda d: 1.0 - d
    ),
    "at every distance": lambda: spatial_network(jr.key(0), Box(SIDES), PLACE, degree=2.0, decay=np.zeros_like),
    "let decay reach farther": lambda: spatial_network(
        jr.key(0), Box(SIDES), PLACE, degree=4.0, decay=lambda d: d < 0.01
    ),
}


@pytest.mark.parametrize("message", WRONG)
def test_what_no_space_can_have_is_refused(message: str):
    with pytest.raises(ModelError, match=message):
        WRONG[message]()
