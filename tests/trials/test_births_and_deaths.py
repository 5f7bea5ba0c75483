"""Trial 7: wolves and sheep are born and die in fixed arrays, and their numbers follow them."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from jaxtyping import Array, Float

import populace as pop
from populace.core.simulate import next_state
from populace.core.site import Frame

CELLS = 100


class Animals(pop.Population):
    energy: Float[Array, " agents"]
    cell: Float[Array, " agents"]


class Meadow(pop.Model):
    """Sheep feed by chance, wolves eat a sheep of their cell; both split when they are fed well, and may starve."""

    sheep: int = eqx.field(static=True, default=120)
    wolves: int = eqx.field(static=True, default=80)
    feed: Float[Array, ""] = pop.parameter(default=0.5, domain=pop.unit)
    split: Float[Array, ""] = pop.parameter(default=0.1, domain=pop.unit)

    def init(self, draw):
        def kind(name, count, capacity):
            base = pop.founders(count, capacity)
            own = draw.child(name, follow=base["identity"])
            start = jnp.floor(own.uniform("cell", 0, CELLS, where=base["alive"]))
            return Animals(**base, energy=4.0 * base["alive"], cell=start)

        return {"sheep": kind("sheep", 60, self.sheep), "wolves": kind("wolves", 10, self.wolves)}

    def step(self, draw, state):
        sheep = self._moved(draw.child("sheep", follow=state["sheep"].identity), state["sheep"])
        own = draw.child("meadow", follow=sheep.identity)
        fed = own.bernoulli("feed", self.feed, where=sheep.alive)
        sheep = eqx.tree_at(lambda s: s.energy, sheep, sheep.energy + 3.0 * fed)
        wolves = self._moved(draw.child("wolves", follow=state["wolves"].identity), state["wolves"])
        sheep, wolves = _hunted(sheep, wolves)
        return {
            "sheep": self._bred(draw.child("lambs", follow=sheep.identity), sheep),
            "wolves": self._bred(draw.child("cubs", follow=wolves.identity), wolves),
        }

    def _moved(self, own, animals):
        far = own.uniform("far", -1.5, 1.5, where=animals.alive)
        moved = jnp.mod(animals.cell + jnp.round(far), CELLS)
        return eqx.tree_at(lambda a: (a.cell, a.energy), animals, (moved, animals.energy - animals.alive))

    def _bred(self, own, animals):
        animals = pop.deaths(animals, animals.energy <= 0)
        splits = own.bernoulli("split", self.split, where=animals.alive)
        half = eqx.tree_at(lambda a: a.energy, animals, animals.energy * (1 - 0.5 * splits))
        return pop.births(half, half, splits)

    def observe(self, state):
        sheep, wolves = state["sheep"], state["wolves"]
        return {"sheep": sheep.alive.sum(), "wolves": wolves.alive.sum(), "born": sheep.born + wolves.born}


def _hunted(sheep, wolves):
    """The k-th wolf of a cell eats its k-th sheep; k is the order of identities, not of slots."""

    def rank(animals):
        live = jnp.where(animals.alive > 0, animals.cell, -1.0)
        earlier = (live[:, None] == live[None]) & (animals.identity[None] < animals.identity[:, None])
        return live, (earlier & (animals.alive > 0)).sum(1)

    (where_s, rank_s), (where_w, rank_w) = rank(sheep), rank(wolves)
    meets = (where_s[:, None] == where_w[None]) & (where_w[None] >= 0) & (rank_s[:, None] == rank_w[None])
    fed = wolves.energy + 6.0 * meets.any(0)
    return pop.deaths(sheep, meets.any(1)), eqx.tree_at(lambda w: w.energy, wolves, fed)


def by_identity(animals):
    """Who lives, where, and how well: rows sorted by identity."""
    alive = np.asarray(animals.alive) > 0
    rows = np.stack([np.asarray(x)[alive] for x in (animals.identity, animals.cell, animals.energy)], axis=1)
    return rows[np.argsort(rows[:, 0])]


STEPS = 25


def test_both_kinds_live_and_die():
    run = pop.simulate(Meadow(), jr.key(0), STEPS)
    assert int(run.observations["born"][-1]) > 100
    for kind in ("sheep", "wolves"):
        alive = np.asarray(run.observations[kind])
        assert alive.min() >= 3 and np.ptp(alive) > 5
        rows = by_identity(run.final.state[kind])
        assert len(np.unique(rows[:, 0])) == len(rows) == alive[-1]


def test_numbers_follow_agents_and_not_slots():
    """Sheep in other slots, and wolves with more room: nothing that anyone does is changed."""
    model, key = Meadow(), jr.key(1)
    start = pop.simulate(model, key, 3).final
    order = jr.permutation(jr.key(2), model.sheep)

    def shuffled(leaf):
        return leaf[order] if leaf.shape == (model.sheep,) else leaf

    other = eqx.tree_at(lambda s: s.state["sheep"], start, jax.tree.map(shuffled, start.state["sheep"]))
    steps = 4
    one, two = (pop.simulate(model, key, steps, start=s).final.state for s in (start, other))
    born = int(start.state["sheep"].born)
    survivors = [rows[rows[:, 0] < born] for rows in (by_identity(one["sheep"]), by_identity(two["sheep"]))]
    np.testing.assert_array_equal(*survivors)
    wide = pop.simulate(Meadow(sheep=200, wolves=100), key, STEPS).final.state
    tight = pop.simulate(model, key, STEPS).final.state
    for kind in ("sheep", "wolves"):
        np.testing.assert_array_equal(by_identity(wide[kind]), by_identity(tight[kind]))


def test_too_little_room_is_an_error_that_names_the_room():
    with pytest.raises(pop.CapacityError, match=r"sheep.* needed room for \d+ agents: give it capacity="):
        pop.simulate(Meadow(sheep=62, feed=1.0, split=0.9), jr.key(0), 3)


@jax.custom_jvp
def _soft(value, soft):
    return value


@_soft.defjvp
def _(primals, tangents):
    return primals[0], tangents[1]


class Births(pop.Plug):
    """At the site where sheep split: the derivative of p for those who split, over p if it is to stand for all."""

    weighted: bool = eqx.field(static=True)

    def sites(self):
        return ("lambs/split",)

    def around(self, site, proceed):
        value = proceed(site)
        if site.path != "lambs/split":
            return value
        p = site.mechanism.p
        return _soft(value, value * p / jax.lax.stop_gradient(p) if self.weighted else site.mask() * p)


def test_a_gradient_passes_the_births_that_happen():
    """d E[sheep after a step] / d split is their number n before. Who is not born has no slot to carry a derivative:
    straight-through finds n p of n; weighted by value / p, which stands for those who are not, it finds n.
    """
    model, key, p = Meadow(), jr.key(4), 0.3
    state = pop.simulate(model, key, 2).final.state

    def sheep(split, key, weighted):
        bound, plugs = pop.bind(model, {"split": split}), (Births(weighted),)
        return bound.observe(next_state(bound, key, jnp.int32(3), state, plugs, Frame()))["sheep"]

    @jax.jit
    def slopes(keys):
        return [jax.vmap(lambda k, w=w: jax.grad(sheep)(p, k, w))(keys) for w in (False, True)]

    keys = jr.split(key, 40)
    plain, weighted = (np.asarray(each) for each in slopes(keys))
    n = float(sheep(0.0, key, False))
    error = (n * (1 - p) / p / keys.size) ** 0.5
    assert n > 10 and abs(weighted.mean() - n) < 4 * error
    assert abs(plain.mean() - n * p) < 4 * error * p
