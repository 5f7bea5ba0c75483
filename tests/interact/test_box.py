"""Continuous space: sums over pairs written out in numpy, by all pairs and by lists of cells."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from populace._errors import ModelError
from populace.interact import all_pairs
from populace.interact.all_pairs import AllPairs
from populace.interact.box import Box, cells_for
from populace.interact.cell_lists import CellLists
from populace.interact.pairs import Extent, Near, Pair
from populace.testing.topologies import check_topology

AGENTS, REACH = 61, 2.5
SIDES = {2: (10.0, 8.0), 3: (10.0, 8.0, 9.0)}


def spread(axes: int, seed: int = 0) -> jax.Array:
    return jr.uniform(jr.key(seed), (AGENTS, axes)) * jnp.array(SIDES[axes])


def both(position: jax.Array, periodic: bool, radius: float = REACH) -> tuple[AllPairs, CellLists]:
    extent = Extent(SIDES[position.shape[1]], periodic)
    cells = tuple(int(side / REACH) for side in extent.sides)
    at = jnp.float32(radius)
    return AllPairs(position, at, extent), CellLists(position, at, REACH, extent, cells)


def ways(position: jax.Array, periodic: bool) -> np.ndarray:
    """The way from each agent to each other, over all images."""
    here, sides = np.asarray(position, np.float64), np.array(SIDES[position.shape[1]])
    way = here[None] - here[:, None]
    if periodic:
        images = np.stack([way + sign * sides for sign in (-1, 0, 1)])
        way = np.take_along_axis(images, np.abs(images).argmin(axis=0)[None], axis=0)[0]
    return way


def kernel(pair: Pair) -> dict[str, jax.Array]:
    return {
        "ones": jnp.float32(1.0),
        "way": pair.apart[0] - 2.0 * pair.apart[-1],
        "values": pair.mine["a"] * pair.theirs["a"] * jnp.sqrt(jnp.maximum(pair.square, 1e-6)),
    }


@pytest.mark.parametrize("periodic", [False, True])
@pytest.mark.parametrize("axes", [2, 3])
def test_sums_are_those_over_all_who_are_near(axes: int, periodic: bool):
    position, values = spread(axes), {"a": jr.uniform(jr.key(1), (AGENTS,))}
    way, a = ways(position, periodic), np.asarray(values["a"])
    distance = np.sqrt((way**2).sum(-1))
    near = (distance <= REACH) & ~np.eye(AGENTS, dtype=bool)
    wanted = {
        "ones": near.sum(1),
        "way": (near * (way[..., 0] - 2 * way[..., -1])).sum(1),
        "values": (near * a[:, None] * a * distance).sum(1),
    }

    @eqx.filter_jit
    def found(each: Near):
        return each.total(kernel, values), each.sum(jnp.eye(AGENTS)), each.degree()

    for each in both(position, periodic):
        total, matrix, degree = found(each)
        np.testing.assert_array_equal(matrix, near)
        np.testing.assert_array_equal(degree, near.sum(1))
        for name, value in wanted.items():
            np.testing.assert_allclose(total[name], value, atol=2e-4, err_msg=f"{type(each).__name__} {name}")


@pytest.mark.parametrize("which", [0, 1])
def test_the_laws_hold(which: int):
    """Periodic in three dimensions by all pairs, bounded in two by lists of cells."""
    position = spread(3) if which == 0 else spread(2)
    check_topology(both(position, which == 0)[which], jr.key(2))


def test_many_agents_go_through_in_parts(monkeypatch: pytest.MonkeyPatch):
    """61 agents at once, and in parts of 16, with whatever gradient."""
    position, values = spread(2), {"a": jr.uniform(jr.key(1), (AGENTS,))}

    def found(position: jax.Array) -> jax.Array:
        return both(position, True)[0].total(kernel, values)["values"]

    def both_ways() -> tuple[jax.Array, jax.Array]:
        return jax.jit(lambda p: (found(p), jax.grad(lambda q: found(q).sum())(p)))(position)

    whole = both_ways()
    monkeypatch.setattr(all_pairs, "TOGETHER", 16)
    for part, wanted in zip(both_ways(), whole, strict=True):
        np.testing.assert_allclose(part, wanted, atol=1e-4)


def test_any_crowd_fits_a_cell():
    """All in one place: every pair counts, and nothing overflows."""
    position = jnp.full((AGENTS, 2), 3.0)
    for each in both(position, False):
        np.testing.assert_array_equal(each.degree(), np.full(AGENTS, AGENTS - 1))


def test_derivatives_of_sums_over_pairs():
    position = spread(2)

    def energy(position: jax.Array, which: int) -> jax.Array:
        near = both(position, True)[which]
        return near.total(lambda pair: (1.0 - pair.square / REACH**2) ** 2).sum()

    along = jr.normal(jr.key(3), position.shape)
    pushed = [
        jax.jit(lambda p, v, w=w: jax.jvp(lambda x: energy(x, w), (p,), (v,))[1])(position, along) for w in (0, 1)
    ]
    pulled = jax.jit(jax.grad(lambda p: energy(p, 0)))(position)
    way = ways(position, True)
    square = (way**2).sum(-1)
    near = (square <= REACH**2) & ~np.eye(AGENTS, dtype=bool)
    force = (near * (1 - square / REACH**2) * 8 / REACH**2)[..., None] * way
    wanted = force.sum(1)
    np.testing.assert_allclose(pulled, wanted, atol=1e-3)
    np.testing.assert_allclose(pushed, [(wanted * np.asarray(along)).sum()] * 2, rtol=1e-3)


def test_a_radius_beyond_the_cells_is_no_number():
    each = both(spread(2), False, radius=3.0)[1]
    assert np.isnan(each.degree()).all() and np.isnan(each.sum(jnp.ones(AGENTS))).all()


@pytest.mark.parametrize(
    ("agents", "reach", "periodic", "cells"),
    [
        (400, 15.0, True, None),
        (4000, 15.0, True, (10, 10)),
        (4000, 60.0, True, None),
        (100_000, 1.0, False, (150, 150)),
    ],
)
def test_lists_of_cells_where_they_are_less_work(agents: int, reach: float, periodic: bool, cells):
    assert cells_for((150.0, 150.0), reach, periodic, agents) == cells
    position = jax.ShapeDtypeStruct((agents, 2), jnp.float32)
    made = eqx.filter_eval_shape(lambda p: Box((150.0, 150.0), periodic).within(p, reach), position)
    assert isinstance(made, AllPairs if cells is None else CellLists)


def test_a_radius_that_is_traced_wants_a_bound():
    position = jnp.zeros((4000, 2))
    box = Box((150.0, 150.0))
    kinds = []

    @jax.jit
    def use(radius):
        kinds.extend(type(box.within(position, radius, reach)) for reach in (None, 5.0))
        return radius

    use(1.0)
    assert kinds == [AllPairs, CellLists]


def test_inside():
    there = jnp.array([[-1.0, 3.0], [10.5, 8.0], [-1e-9, 7.0]])
    np.testing.assert_allclose(Box((10, 8), periodic=True).inside(there), [[9.0, 3.0], [0.5, 0.0], [0.0, 7.0]])
    np.testing.assert_allclose(Box((10, 8)).inside(there), [[0.0, 3.0], [10.0, 8.0], [0.0, 7.0]])


@pytest.mark.parametrize("sides", [(1.0,), (1.0, 2.0, 3.0, 4.0), (0.0, 1.0), (1.0, float("inf"))])
def test_what_is_no_box_is_refused(sides):
    with pytest.raises(ModelError, match="two or three sides"):
        Box(sides)


def test_positions_have_as_many_columns_as_sides():
    with pytest.raises(ModelError, match=r"shape \(5, 3\) in a box of 2 sides"):
        Box((1.0, 1.0)).within(jnp.zeros((5, 3)), 0.1)
