"""Agents on a grid against the matrix of who stands near whom; and spaces beside networks."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

import populace as pop
from populace.core.draw import Draw

AGENTS = 40
GRIDS = {
    "squares": pop.Grid(5, 6),
    "diamonds, periodic": pop.Grid(5, 6, pop.VonNeumann(2), periodic=True),
    "hexagons, periodic": pop.Grid(6, 5, pop.Hexagonal(), periodic=True),
}


@pytest.mark.parametrize("name", GRIDS)
def test_who_stands_near_whom(name: str):
    """Some share a cell, two are away, and one stands nowhere."""
    grid = GRIDS[name]
    rng = np.random.default_rng(1)
    cell, there = rng.integers(grid.size, size=AGENTS), rng.random(AGENTS) < 0.9
    cell[5] = -1

    @jax.jit
    def found(cell, there):
        near = pop.Standing(grid, cell, there)
        draws = jax.vmap(lambda key: near.neighbour(Draw(key), "meet").index)(jr.split(jr.key(0), 40))
        return near.sum(jnp.eye(AGENTS)), near.degree(), draws, grid.sum(jnp.eye(grid.size))

    matrix, degree, draws, around = (np.asarray(x) for x in found(cell, there))
    here = (there & (cell >= 0))[:, None] * (np.eye(grid.size)[cell] > 0)
    wanted = here @ (around + np.eye(grid.size)) @ here.T * (1 - np.eye(AGENTS))
    np.testing.assert_array_equal(matrix, wanted)
    np.testing.assert_array_equal(degree, wanted.sum(axis=1))
    met = wanted.sum(axis=1) > 0
    assert (wanted[np.arange(AGENTS), draws][:, met] == 1).all() and not met[5] and (draws[:, ~met] == 0).all()


def test_groups_may_change_within_a_run():
    cell = np.array([3, 1, 3, -1, 0, 3, 1, 9])
    host = pop.Groups(np.where(cell > 4, -1, cell), 5)
    now = jax.jit(lambda cell: pop.Groups(cell, 5))(cell)
    assert all((a == b).all() for a, b in zip(*map(jax.tree.leaves, (now, host)), strict=True))


class Town(pop.Model):
    """People who walk on a grid and move in a box, with friends who change: the contacts of each step, as a matrix."""

    land: pop.Grid
    box: pop.Box
    friends: pop.DynamicNetwork

    def init(self, draw):
        cell = jnp.floor(draw.uniform("cell", 0, self.land.size, size=AGENTS)).astype(jnp.int32)
        place = jnp.stack([draw.uniform("x", 0, 8, size=AGENTS), draw.uniform("y", 0, 8, size=AGENTS)], axis=1)
        return {"cell": cell, "place": place, "friends": self.friends}

    def step(self, draw, state):
        place = self.box.inside(state["place"] + draw.normal("way", size=(AGENTS, 2)))
        cell = self.land.walk(draw.child("feet"), "walk", state["cell"])
        friends = pop.rewire(draw, "rewire", state["friends"], 0.3).network
        return {"cell": cell, "place": place, "friends": friends}

    def observe(self, state):
        friends = state["friends"]
        layers = {"near": pop.Standing(self.land, state["cell"]), "friends": friends}
        ends = friends.at_ends(state["place"])
        far = jnp.sqrt(((ends[0] - ends[1]) ** 2).sum(axis=1)) > 2.0
        return {
            "both": pop.Layered(layers, {"near": 0.5, "friends": 2.0}).sum(jnp.eye(AGENTS)),
            "friends near": friends.ended(far).sum(jnp.eye(AGENTS)),
            "near": pop.Layered({"near": self.box.within(state["place"], 2.0)}).sum(jnp.eye(AGENTS)),
        }


def test_a_space_and_a_network_together():
    """Layers whose positions and ties move with the state, and the tied who are near, against dense matrices."""
    land = pop.Grid(6, 6)
    town = Town(land, pop.Box((8.0, 8.0)), pop.DynamicNetwork.of(pop.random_network(jr.key(1), AGENTS, 6.0)))
    run = pop.simulate(town, jr.key(2), 3)
    seen, state = {name: np.asarray(x[-1]) for name, x in run.observations.items()}, run.final.state
    row, column = np.divmod(np.asarray(state["cell"]), 6)
    steps = np.maximum(abs(row[:, None] - row), abs(column[:, None] - column))
    others = 1 - np.eye(AGENTS)
    tied = np.zeros((AGENTS, AGENTS))
    tied[np.asarray(state["friends"].ties.one), np.asarray(state["friends"].ties.other)] = 1
    tied = tied + tied.T
    place = np.asarray(state["place"], np.float64)
    near = np.sqrt(((place[:, None] - place) ** 2).sum(-1)) <= 2.0
    np.testing.assert_array_equal(seen["both"], 0.5 * (steps <= 1) * others + 2.0 * tied)
    np.testing.assert_array_equal(seen["near"], near * others)
    np.testing.assert_array_equal(seen["friends near"], near * tied)
    assert 0 < seen["friends near"].sum() < tied.sum() == 240
