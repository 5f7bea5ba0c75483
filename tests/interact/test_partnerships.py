"""Steady partnerships: mutual whatever is asked, and with the shares and durations of theory."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

import populace as pop
from populace._errors import ModelError
from populace.core.draw import Draw

FINDS, PARTS, DIES = 0.3, 0.1, 0.05
AGENTS, RUNS, STEPS = 300, 40, 60


class People(pop.Population):
    """People who find a partner, part, die, and are followed by a newborn."""

    couples: pop.Partnerships


class Couples(pop.Model):
    agents: int = eqx.field(static=True, default=AGENTS)

    def init(self, draw):
        return People(**pop.founders(self.agents, self.agents), couples=pop.Partnerships.none(self.agents))

    def step(self, draw, people):
        couples = people.couples
        parts = draw.bernoulli("part", PARTS, where=couples.leads)
        seeks = draw.bernoulli("seek", FINDS, where=1 - couples.coupled)
        met = pop.paired(draw, "meet", self.agents, where=seeks)
        dead = draw.bernoulli("die", DIES, where=people.alive)
        couples = couples.ended(parts).formed(met, draw.time).ended(dead)
        people = eqx.tree_at(lambda p: p.couples, pop.deaths(people, dead), couples)
        newborn = eqx.tree_at(lambda p: p.couples, people, pop.Partnerships.none(self.agents))
        return pop.births(people, newborn, dead)

    def observe(self, people):
        couples = people.couples
        met = couples.neighbour(Draw(jr.key(0)), "unused")
        mutual = (met.take(couples.partner) == jnp.arange(self.agents)) | (couples.coupled == 0)
        return {
            "coupled": couples.coupled.mean(),
            "age": couples.lasted(STEPS).sum() / couples.coupled.sum(),
            "mutual": mutual.mean(),
            "pairs": couples.leads.sum(),
            "born": people.born,
        }


def test_shares_and_durations_with_births_and_deaths():
    """A couple outlives a step with probability s = (1 - d)(1 - q)^2, a single ends one in a couple with
    f = p (1 - q)^2 (but for the last of an odd number): a share f / (f + 1 - s) has a partner, for s / (1 - s) steps.
    """
    seen = pop.ensemble(Couples(), jr.key(0), STEPS, runs=RUNS, record=pop.Last()).observations
    last = {name: np.asarray(values[0, :, -1], np.float64) for name, values in seen.items()}
    stays, finds = (1 - PARTS) * (1 - DIES) ** 2, FINDS * (1 - DIES) ** 2
    share, age = finds / (finds + 1 - stays), stays / (1 - stays)
    assert (last["mutual"] == 1).all() and (last["pairs"] == np.round(last["coupled"] * AGENTS) / 2).all()
    assert (last["born"] > 2 * AGENTS).all()
    odd = 0.5 / AGENTS  # half of all times one of those who seek finds nobody
    error = last["coupled"].std() / np.sqrt(RUNS)
    assert -4 * error - odd < last["coupled"].mean() - share < 4 * error
    assert abs(last["age"].mean() - age) < 4 * last["age"].std() / np.sqrt(RUNS)


def test_only_singles_who_met_each_other_become_a_couple():
    start = pop.Partnerships(jnp.array([1, 0, -1, -1, -1, -1, -1]), jnp.zeros(7, jnp.int32))
    met = pop.Neighbour(jnp.array([2, 3, 0, 4, 3, 6, 6]), jnp.array([1.0, 1, 1, 1, 1, 1, 1]))

    @jax.jit
    def found(start, met):
        after = start.formed(met, 5)
        return after, after.lasted(9), after.ended(jnp.arange(7) == 4), after.leads, after.sum(jnp.arange(7.0))

    after, lasted, ended, leads, sums = found(start, met)
    np.testing.assert_array_equal(after.partner, [1, 0, -1, 4, 3, -1, -1])
    np.testing.assert_array_equal(lasted, [9, 9, 0, 4, 4, 0, 0])
    np.testing.assert_array_equal(leads, [1, 0, 0, 1, 0, 0, 0])
    np.testing.assert_array_equal(sums, [1, 0, 0, 4, 3, 0, 0])
    np.testing.assert_array_equal(ended.partner, [1, 0, -1, -1, -1, -1, -1])
    said_once = pop.Neighbour(jnp.array([0, 0, 4, 4, 0, 0, 6]), jnp.array([1.0, 0, 1, 1, 0, 0, 1]))
    np.testing.assert_array_equal(found(start, said_once)[0].partner, [1, 0, 4, -1, 2, -1, -1])
    with pytest.raises(ModelError, match="not 0"):
        pop.Partnerships.none(0)


def test_couples_by_what_they_think_of_each_other():
    """Three women and three men with wishes of their own: nobody of either side would rather have another who would."""
    wish = np.random.default_rng(3).random((6, 6)).astype(np.float32)
    scores = np.where(np.arange(6)[:, None] < 3, np.where(np.arange(6) >= 3, wish, -np.inf), -np.inf)
    others = np.where(np.arange(6)[:, None] >= 3, np.where(np.arange(6) < 3, wish, -np.inf), -np.inf)

    @jax.jit
    def married():
        met = pop.stable_matching(Draw(jr.key(0)), "meet", scores, others)
        return pop.Partnerships.none(6).formed(met, 1).partner

    partner = np.asarray(married())
    assert (partner[partner] == np.arange(6)).all() and ((partner < 3) != (np.arange(6) < 3)).all()
    assert not any(
        wish[w, m] > wish[w, partner[w]] and wish[m, w] > wish[m, partner[m]] for w in range(3) for m in (3, 4, 5)
    )
