"""Flocking: the facts that its docstring lists."""

from typing import Any

import jax.numpy as jnp
import jax.random as jr
import numpy as np

import populace as pop
from populace.core.activation import Activation, Acts, InOrder
from populace.core.draw import Draw
from populace.core.simulate import Snapshot, begin
from populace.interact.box import Box
from populace.testing.models import check_model
from populace.zoo.flocking import Birds, Flocking

SKY = Box((20.0, 20.0), periodic=True)


def orders(model: Flocking, steps: int = 150) -> np.ndarray:
    return np.asarray(pop.ensemble(model, jr.key(1), steps, runs=8).observations["order"][0])


def test_it_keeps_the_laws_of_models():
    check_model(Flocking(SKY, birds=20), jr.key(0))


def test_from_all_directions_one_forms():
    """The mean of n unit vectors has length near sqrt(pi / (4 n)); later all but all fly one way."""
    found = orders(Flocking(SKY, birds=60), 300)
    assert found[:, -1].mean() > 0.9 and found[:, -1].min() > 0.6
    first = found[:, 0]
    assert abs(first.mean() - np.sqrt(np.pi / 240)) < 4 * np.sqrt((1 - np.pi / 4) / 60 / 8) + 0.03


def test_without_cohesion_and_alignment_none_does():
    model = Flocking(SKY, birds=60, cohesion=0.0, alignment=0.0, separation=0.0)
    found = orders(model, 20)
    np.testing.assert_allclose(found, np.repeat(found[:, :1], 20, axis=1), rtol=1e-4)
    apart = orders(pop.bind(model, {"separation": 0.015}))
    assert apart[:, -1].max() < 0.6


def test_separation_keeps_birds_apart():
    def crowd(separation: float) -> np.ndarray:
        """How many birds a bird has within half of the distance that it likes, at the end."""
        found = []
        for seed in range(5):
            model = Flocking(SKY, birds=60, cohesion=0.0, distance=2.0)
            model = pop.bind(model, {"separation": separation})
            final = pop.simulate(model, jr.key(seed), 150).final.state
            found.append(float(SKY.within(final.position, 1.0).degree().mean()))
        return np.array(found)

    close, apart = crowd(0.0), crowd(1.0)
    assert close.mean() - apart.mean() > 4 * np.sqrt((close.var(ddof=1) + apart.var(ddof=1)) / 5)


def test_where_the_flock_is_makes_no_difference():
    model = Flocking(SKY, birds=40)
    start = begin(model, jr.key(2))
    moved = Birds(SKY.inside(start.state.position + jnp.array([7.25, 13.5])), start.state.heading)
    one, other = (
        pop.simulate(model, jr.key(2), 5, start=Snapshot(state, start.memory, start.time)).final.state
        for state in (start.state, moved)
    )
    np.testing.assert_allclose(one.heading, other.heading, atol=1e-3)


def test_two_birds_by_hand():
    """One sees the other 2 to the right, flying up; it flies to the right itself."""
    model = Flocking(SKY, birds=2)
    birds = Birds(jnp.array([[5.0, 5.0], [7.0, 5.0]]), jnp.array([[1.0, 0.0], [0.0, 1.0]]))
    after = pop.simulate(model, jr.key(0), 1, start=Snapshot(birds, {}, jnp.int32(0))).final.state
    turned = np.array([[1 + 0.03 * 2, 0.05], [-0.03 * 2 + 0.05, 1.0]])
    turned /= np.linalg.norm(turned, axis=1, keepdims=True)
    np.testing.assert_allclose(after.heading, turned, atol=1e-6)
    np.testing.assert_allclose(after.position, np.asarray(birds.position) + turned, atol=1e-5)


def test_lists_of_cells_fly_the_same_flock():
    sky = Box((60.0, 60.0), periodic=True)
    ends = [
        pop.simulate(Flocking(sky, birds=600, vision=3.0, reach=reach), jr.key(3), 5).final.state
        for reach in (None, 4.0)
    ]
    np.testing.assert_allclose(ends[0].position, ends[1].position, atol=1e-3)


def test_a_flock_in_three_dimensions():
    model = Flocking(Box((12.0, 12.0, 12.0), periodic=True), birds=60)
    found = pop.simulate(model, jr.key(4), 150)
    assert found.final.state.position.shape == (60, 3)
    assert float(found.observations["order"][-1]) > 0.9


class AskingAll(Activation):
    """In order, every bird's turn worked out for all birds."""

    def activate(self, draw: Draw, state: Any, acts: Acts) -> Any:
        return InOrder().activate(draw, state, acts._replace(turn=None))


def test_a_bird_s_own_turn_is_the_turn_that_it_has_among_all():
    ends = [
        pop.simulate(Flocking(SKY, birds=70, vision=6.0, activation=activation), jr.key(5), 2).final.state
        for activation in (InOrder(), AskingAll(), None)
    ]
    np.testing.assert_allclose(ends[0].position, ends[1].position, atol=1e-4)
    np.testing.assert_allclose(ends[0].heading, ends[1].heading, atol=1e-4)
    assert np.abs(np.asarray(ends[0].heading) - np.asarray(ends[2].heading)).max() > 0.01
