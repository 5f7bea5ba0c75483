"""Births: who is not born carries no derivative, so those who are stand for them."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Float

import populace as pop
from populace.core.ensemble import OneRun, one_run


class Cells(pop.Population):
    age: Float[Array, " agents"]


class Growth(pop.Model):
    """A cell dies with one probability, then splits with another: E[alive after t] = 20 ((1 - die) (1 + split))^t."""

    split: Float[Array, ""] = pop.parameter(default=0.3, domain=pop.unit)
    die: Float[Array, ""] = pop.parameter(default=0.2, domain=pop.unit)

    def init(self, draw):
        return Cells(**pop.founders(20, 150), age=jnp.zeros(150))

    def step(self, draw, cells):
        died = draw.bernoulli("die", self.die, where=cells.alive)
        cells = eqx.tree_at(lambda c: c.alive, cells, cells.alive - died)
        return pop.births(cells, cells, draw.bernoulli("split", self.split, where=cells.alive))

    def observe(self, cells):
        return {"alive": cells.alive.sum()}


RUNS, STEPS, SPLIT, DIE = 2_000, 3, 0.3, 0.2


def slopes(*plugs):
    """D alive / d split and / d die at each step, (runs, steps, 2)."""

    def alive(at, key):
        values = {"split": at[0], "die": at[1]}
        return one_run(OneRun(Growth(), plugs, pop.EveryStep(), STEPS), (key, values)).observations["alive"]

    found = jax.jit(jax.vmap(lambda key: jax.jacfwd(alive)(jnp.array([SPLIT, DIE]), key)))
    return np.asarray(found(jr.split(jr.key(1), RUNS)), np.float64)


def truth(factor):
    """D E[alive] / d x at each step, where x changes the growth of a step, 1.04, at the rate `factor`."""
    t, growth = np.arange(1, STEPS + 1), (1 - DIE) * (1 + SPLIT)
    return 20 * t * growth ** (t - 1) * factor


def test_those_who_exist_stand_for_all():
    """Through three generations, whose cells carry the derivatives of their parents' births and deaths."""
    born, died = pop.RelaxedAt("split", pop.Smoothed(upward=0.0)), pop.RelaxedAt("die", pop.Smoothed(upward=1.0))
    found = slopes(born, died)
    for column, factor in ((0, 1 - DIE), (1, -(1 + SPLIT))):
        error = found[:, :, column].std(0) / RUNS**0.5
        assert (np.abs(found[:, :, column].mean(0) - truth(factor)) < 4 * error).all()
        assert (error < 0.03 * np.abs(truth(factor))).all()


def test_straight_through_sees_those_who_are_born_only():
    found = slopes(pop.StraightThrough())[:, 0, 0]
    assert abs(found.mean() - truth(1 - DIE)[0] * SPLIT) < 4 * found.std() / RUNS**0.5


def test_what_dead_slots_carry_is_lost_to_the_newborn():
    """Straight-through at deaths: half a dozen cells are born into slots that held the derivative of the dead."""
    found = slopes(pop.RelaxedAt("split", pop.Smoothed(upward=0.0)), pop.StraightThrough())[:, :, 1]
    assert (found.mean(0) > truth(-(1 + SPLIT)) + 10 * found.std(0) / RUNS**0.5).all()
