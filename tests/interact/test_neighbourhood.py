"""Neighbourhoods against the distances that define them."""

import numpy as np
import pytest

from populace._errors import ModelError
from populace.interact.neighbourhood import Hexagonal, Moore, Neighbourhood, VonNeumann


def steps(near: Neighbourhood, odd: bool) -> set[tuple[int, int]]:
    """The neighbours of a cell in an even or odd row, as steps down and to the right."""
    rows = range(-near.radius, near.radius + 1)
    spans = {down: near.span(down, odd) for down in rows}
    found = {(down, right) for down, (first, last) in spans.items() for right in range(first, last + 1)}
    return found - {(0, 0)}


def around(radius: int) -> list[tuple[int, int]]:
    side = range(-2 * radius, 2 * radius + 1)
    return [(down, right) for down in side for right in side if (down, right) != (0, 0)]


@pytest.mark.parametrize("radius", [1, 2, 3, 5])
def test_squares_and_diamonds_are_balls_of_their_distance(radius: int):
    square = {step for step in around(radius) if max(map(abs, step)) <= radius}
    diamond = {step for step in around(radius) if sum(map(abs, step)) <= radius}
    assert steps(Moore(radius), False) == steps(Moore(radius), True) == square
    assert steps(VonNeumann(radius), False) == steps(VonNeumann(radius), True) == diamond
    assert (Moore(radius).reach, VonNeumann(radius).reach) == (len(square), len(diamond))
    assert not Moore(radius).offset and not VonNeumann(radius).offset


@pytest.mark.parametrize("odd", [False, True])
@pytest.mark.parametrize("radius", [1, 2, 3, 4])
def test_hexagons_are_what_their_centres_reach(radius: int, odd: bool):
    """Steps of one side, where centres of odd rows lie half a cell to the right: a hexagon of 3 r (r + 1)."""
    near = Hexagonal(radius)
    one = {row: steps(Hexagonal(1), bool(row % 2)) for row in (0, 1)}
    reached, edge = {(int(odd), 0)}, {(int(odd), 0)}
    for _ in range(radius):
        edge = {(row + down, column + right) for row, column in edge for down, right in one[row % 2]}
        reached |= edge
    assert steps(near, odd) == {(row - odd, column) for row, column in reached} - {(0, 0)}
    assert near.reach == 3 * radius * (radius + 1) and near.offset
    if radius == 1:
        centres = np.array([(down, right + (0.5 if down else 0.0) * (1 - 2 * odd)) for down, right in one[odd]])
        np.testing.assert_allclose((centres**2 * [0.75, 1.0]).sum(axis=1), 1.0)


@pytest.mark.parametrize("kind", [Moore, VonNeumann, Hexagonal])
@pytest.mark.parametrize("radius", [0, -1, 1.5, True])
def test_a_radius_is_a_whole_number_from_one(kind: type, radius: float):
    with pytest.raises(ModelError, match="whole number from 1"):
        kind(radius)
