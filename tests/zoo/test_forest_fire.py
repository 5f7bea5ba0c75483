"""The forest fire: the facts that its docstring lists."""

import jax.random as jr
import numpy as np
import pytest
from scipy import ndimage

import populace as pop
from populace.core.simulate import begin
from populace.interact.grid import Grid
from populace.interact.neighbourhood import Moore, VonNeumann
from populace.testing.models import check_model
from populace.zoo.forest_fire import ForestFire

THRESHOLD = 0.592746
"""Site percolation on the square lattice with four neighbours (Newman & Ziff 2000, Physical Review Letters 85:4104)."""
SIDE = 64


def reached(density: float, runs: int = 200) -> np.ndarray:
    """Whether the fire crossed a square forest, run by run; long enough for the longest paths at the threshold."""
    model = Crossing(ForestFire(Grid(SIDE, SIDE, VonNeumann()), density=density))
    seen = pop.ensemble(model, jr.key(1), 8 * SIDE, runs=runs, record=pop.Last()).observations
    assert float(seen["burning"].max()) == 0
    return np.asarray(seen["crossed"][0, :, 0]) > 0


class Crossing(pop.Model):
    """A fire, observed at the right side."""

    fire: ForestFire

    def init(self, draw):
        start = self.fire.init(draw)
        return start, start.burning

    def step(self, draw, state):
        forest = self.fire.step(draw, state[0])
        return forest, state[1] | forest.burning

    def observe(self, state):
        right = state[1].values().reshape(self.fire.land.rows, self.fire.land.columns)[:, -1]
        return {"burning": state[0].burning.count(), "crossed": right.max()}


def test_it_keeps_the_laws_of_models():
    check_model(ForestFire(Grid(9, 40)), jr.key(0))


@pytest.mark.parametrize("near", [VonNeumann(), Moore()])
def test_what_burns_is_joined_to_the_left_side(near):
    grid = Grid(40, 50, near)
    model, key = ForestFire(grid, density=0.55), jr.key(3)
    start = begin(model, key).state
    trees = np.asarray((start.standing | start.burning).values()).reshape(40, 50)
    run = pop.simulate(model, key, 400)
    labels = ndimage.label(trees, structure=ndimage.generate_binary_structure(2, 1 if near == VonNeumann() else 2))[0]
    joined = np.isin(labels, np.setdiff1d(labels[:, 0], [0]))
    left = np.asarray(run.final.state.standing.values()).reshape(40, 50)
    np.testing.assert_array_equal(trees - left, joined)
    assert float(run.observations["burned"][-1]) == joined.sum() and float(run.observations["burning"][-1]) == 0


def test_fires_cross_above_the_threshold_and_die_out_below():
    assert reached(THRESHOLD - 0.1).mean() < 0.02
    assert reached(THRESHOLD + 0.1).mean() > 0.98


def test_at_the_threshold_half_of_all_fires_cross():
    """One half for a square (Cardy 1992); a lattice of 64 differs by less than .02 (Newman & Ziff 2000)."""
    share = reached(THRESHOLD, 400).mean()
    assert abs(share - 0.5) < 4 * 0.5 / np.sqrt(400) + 0.02


def test_a_fire_runs_a_column_a_step_where_all_is_forest():
    run = pop.simulate(ForestFire(Grid(5, 12, VonNeumann()), density=1.0), jr.key(0), 14)
    np.testing.assert_array_equal(run.observations["burning"], [5] * 11 + [0] * 3)
    np.testing.assert_array_equal(run.observations["burned"], np.minimum(5 * np.arange(1, 15), 60))
