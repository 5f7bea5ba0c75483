"""Trial 8: agents act one after another in random order (Schelling 1971), each seeing what the last one did."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Float

import populace as pop

SIDE, AGENTS = 10, 80


class Town(pop.Model):
    """Agents of two kinds on a torus; who has too few neighbours of his kind moves to an empty cell at random."""

    wanted: Float[Array, ""] = pop.parameter(default=0.5, domain=pop.unit)
    ordered: bool = eqx.field(static=True, default=False)

    def init(self, draw):
        return draw.choice("settle", SIDE * SIDE, AGENTS)

    def step(self, draw, place):
        order = jnp.arange(AGENTS) if self.ordered else draw.permutation("order", AGENTS)

        def act(own, i, place):
            agent = order[i]
            grid = jnp.zeros(SIDE * SIDE, jnp.int32).at[place].set(1 + kinds())
            happy = alike(grid, place[agent], 1 + kinds()[agent]) >= self.wanted
            free = jnp.where(grid == 0, 0.0, -jnp.inf)
            to = own.categorical("to", free, size=()).index
            return place.at[agent].set(jnp.where(happy, place[agent], to))

        return draw.loop("one after another", AGENTS, act, place)

    def observe(self, place):
        grid = jnp.zeros(SIDE * SIDE, jnp.int32).at[place].set(1 + kinds())
        shares = jax.vmap(lambda cell, kind: alike(grid, cell, kind))(place, 1 + kinds())
        return {"alike": shares.mean(), "cells": (grid > 0).sum()}


def kinds():
    return (jnp.arange(AGENTS) % 2).astype(jnp.int32)


def alike(grid, cell, kind):
    """The share of a cell's neighbours who are of the kind; 1 with no neighbours."""
    row, column = cell // SIDE, cell % SIDE
    steps = [(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1) if (i, j) != (0, 0)]
    around = jnp.stack([grid[(row + i) % SIDE * SIDE + (column + j) % SIDE] for i, j in steps])
    there = (around > 0).sum()
    return jnp.where(there > 0, (around == kind).sum() / jnp.maximum(there, 1), 1.0)


def test_one_agent_a_cell_and_segregation_rises():
    run = pop.simulate(Town(), jr.key(0), 12)
    assert (run.observations["cells"] == AGENTS).all()
    start = pop.simulate(Town(0.0), jr.key(0), 1)
    assert float(start.observations["alike"][0]) < 0.6 and float(run.observations["alike"][-1]) > 0.75


def test_who_is_content_stays_and_all_turns_are_on_the_tape():
    run = pop.simulate(Town(0.0), jr.key(0), 2, plugs=(pop.Record(("one after another/to", "order")),))
    assert run.tape["one after another/to"]["value"].index.shape == (2, AGENTS)
    assert sorted(np.asarray(run.tape["order"]["value"][0]).tolist()) == list(range(AGENTS))
    assert float(run.observations["alike"][0]) == float(run.observations["alike"][1])


def test_turns_draw_apart_and_the_list_counts_them():
    rows = pop.sites(Town())
    assert rows["one after another/to"].repeats == AGENTS and rows["order"].kind == "permutation"
    run = pop.simulate(Town(1.0), jr.key(1), 1, plugs=(pop.Record(("one after another/to",)),))
    assert len(np.unique(run.tape["one after another/to"]["value"].index)) > 5


def test_order_matters():
    one, other = (pop.simulate(Town(ordered=o), jr.key(2), 3).final.state for o in (False, True))
    assert not np.array_equal(one, other)
