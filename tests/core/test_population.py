"""Births and deaths at fixed capacity, against a plain list of agents."""

import dataclasses
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from jaxtyping import Array

from populace._errors import CapacityError
from populace.core.draw import Draw
from populace.core.model import Model, parameter
from populace.core.population import Population, births, deaths, founders, overflow
from populace.core.simulate import simulate

CAPACITY = 8


class Home(eqx.Module):
    """A field may itself be a tree."""

    place: Array


class Wolves(Population):
    energy: Array
    age: Array
    home: Home
    kind: str = eqx.field(static=True, default="wolf")


def wolves(count: int, capacity: int = CAPACITY) -> Wolves:
    energy = jnp.arange(capacity) + 0.5
    home = Home(jnp.stack([jnp.arange(capacity), -jnp.arange(capacity)], axis=1).astype(jnp.float32))
    return Wolves(**founders(count, capacity), energy=energy, age=jnp.zeros(capacity, jnp.int32), home=home)


def cubs(parents: Wolves, energy: Any) -> Wolves:
    return eqx.tree_at(lambda w: (w.energy, w.age), parents, (jnp.asarray(energy), jnp.zeros_like(parents.age)))


bear = jax.jit(births)
bury = jax.jit(deaths)


def slots(population: Wolves) -> list[int]:
    return np.flatnonzero(np.asarray(population.alive)).tolist()


def test_founders():
    first = wolves(3)
    assert first.alive.tolist() == [1, 1, 1, 0, 0, 0, 0, 0] and first.alive.dtype == jnp.float32
    assert first.identity.tolist() == [0, 1, 2, -1, -1, -1, -1, -1]
    assert int(first.born) == int(first.needed) == 3 and first.capacity == CAPACITY
    assert first.born.dtype == first.identity.dtype == jnp.int32
    assert overflow(first) == []
    assert overflow(wolves(9)) == [("", 9)] or overflow(wolves(9))[0][1] == 9


def test_the_kth_newborn_takes_the_kth_free_slot():
    pack = bury(wolves(6), jnp.array([0, 1, 0, 1, 0, 0, 0, 0]))
    assert slots(pack) == [0, 2, 4, 5]
    grown = bear(pack, cubs(pack, 100.0 + jnp.arange(8)), jnp.array([1, 0, 1, 0, 1, 0, 0, 0]))
    assert slots(grown) == [0, 1, 2, 3, 4, 5, 6]
    assert grown.energy[jnp.array([1, 3, 6])].tolist() == [100.0, 102.0, 104.0]
    assert grown.home.place[6].tolist() == [4.0, -4.0]  # it is born at its parent's home
    assert grown.identity.tolist() == [0, 6, 2, 7, 4, 5, 8, -1]
    assert int(grown.born) == 9 and int(grown.needed) == 7
    assert grown.energy[jnp.array([0, 2, 4, 5])].tolist() == [0.5, 2.5, 4.5, 5.5]  # the living are as they were
    assert grown.kind == "wolf" and jax.tree.structure(grown) == jax.tree.structure(pack)
    assert [leaf.dtype for leaf in jax.tree.leaves(grown)] == [leaf.dtype for leaf in jax.tree.leaves(pack)]


def test_no_birth_and_no_death_is_nothing():
    pack = wolves(5)
    assert eqx.tree_equal(bear(pack, pack, jnp.zeros(CAPACITY)), pack)
    assert eqx.tree_equal(bury(pack, jnp.zeros(CAPACITY)), pack)
    assert slots(bury(pack, jnp.ones(CAPACITY, bool))) == []


def test_more_candidates_than_slots_and_fewer():
    pack = bury(wolves(6), jnp.arange(8) == 2)
    many = Wolves(
        **founders(0, 20), energy=jnp.arange(20.0), age=jnp.zeros(20, jnp.int32), home=Home(jnp.zeros((20, 2)))
    )
    grown = births(pack, many, jnp.arange(20) >= 18)
    assert grown.energy[jnp.array([2, 6])].tolist() == [18.0, 19.0] and overflow(grown) == []
    few = jax.tree.map(lambda leaf: leaf[:2] if leaf.ndim else leaf, many)
    assert births(pack, few, jnp.array([0, 1])).energy[2] == 1.0


def test_overflow_keeps_the_living_and_counts():
    pack = wolves(6)
    grown = bear(pack, cubs(pack, jnp.full(8, 9.0)), jnp.array([1, 1, 1, 1, 1, 0, 0, 0]))
    assert slots(grown) == list(range(8)) and grown.energy[:6].tolist() == [0.5, 1.5, 2.5, 3.5, 4.5, 5.5]
    assert int(grown.needed) == 11
    assert overflow({"wolves": grown, "other": wolves(2)}) == [("['wolves']", 11)]
    later = bury(grown, jnp.ones(8))
    assert overflow(later)[0][1] == 11  # what did not fit is not forgotten


@pytest.mark.parametrize("seed", range(12))
def test_against_a_list_of_agents(seed: int):
    """Random deaths and births, with room: slots, identities and fields are those of the plain bookkeeping."""
    random = np.random.default_rng(seed)
    pack = wolves(3)
    agents: list[tuple[int, float] | None] = [(i, i + 0.5) for i in range(3)] + [None] * 5
    born = 3
    for _ in range(12):
        die = random.random(CAPACITY) < 0.25
        pack = bury(pack, jnp.asarray(die))
        agents = [None if dead else agent for dead, agent in zip(die, agents, strict=True)]
        free = [slot for slot, agent in enumerate(agents) if agent is None]
        parents = random.permutation(CAPACITY)[: random.integers(0, len(free) + 1)]
        where = np.isin(np.arange(CAPACITY), parents)
        energy = random.random(CAPACITY).astype(np.float32)
        pack = bear(pack, cubs(pack, energy), jnp.asarray(where, jnp.float32))
        for slot, candidate in zip(free, np.flatnonzero(where), strict=False):
            agents[slot] = (born, energy[candidate])
            born += 1
        alive = [slot for slot, agent in enumerate(agents) if agent is not None]
        assert slots(pack) == alive and int(pack.born) == born
        assert pack.identity[jnp.array(alive, int)].tolist() == [agents[slot][0] for slot in alive]
        np.testing.assert_allclose(np.asarray(pack.energy)[alive], [agents[slot][1] for slot in alive])
        assert overflow(pack) == []


def test_a_gradient_passes_from_a_newborns_field_to_its_slot():
    pack = bury(wolves(6), jnp.arange(8) == 2)

    def total(energy: Array) -> Array:
        grown = births(pack, cubs(pack, energy), jnp.array([0, 1, 0, 0, 1, 0, 0, 0]))
        return (grown.alive * grown.energy * jnp.arange(1.0, 9.0)).sum()

    assert jax.jit(jax.grad(total))(jnp.ones(8)).tolist() == [0, 3, 0, 0, 7, 0, 0, 0]  # slots 2 and 6


def test_a_gradient_passes_through_whether_one_is_born():
    """A float `where` that carries a derivative (a relaxed draw) hands it to the newborn's `alive`."""
    pack = wolves(3)

    def alive(where: Array) -> Array:
        return births(pack, cubs(pack, jnp.ones(8)), where).alive.sum()

    where = jnp.array([1.0, 0, 1, 0, 0, 0, 0, 0])
    assert jax.jit(jax.grad(alive))(where)[jnp.array([0, 2])].tolist() == [1.0, 1.0]
    dead = jax.jit(jax.grad(lambda w: deaths(pack, w).alive.sum()))(where)
    assert dead.tolist() == [-1, -1, -1, 0, 0, 0, 0, 0]


# In a model


class Pack(Model):
    capacity: int = eqx.field(static=True, default=60)
    litter: Array = parameter(default=0.3)

    def init(self, draw: Draw) -> Wolves:
        return wolves(10, self.capacity)

    def step(self, draw: Draw, pack: Wolves) -> Wolves:
        mine = draw.child("wolves", follow=pack.identity)
        lost = mine.bernoulli("starve", 0.2, where=pack.alive)
        pack = deaths(pack, lost)
        bred = mine.bernoulli("breed", self.litter, where=pack.alive)
        half = eqx.tree_at(lambda w: w.energy, pack, pack.energy * (1 - 0.5 * bred))
        return births(half, half, bred)

    def observe(self, pack: Wolves) -> dict[str, Array]:
        return {
            "energy": (pack.alive * pack.energy).sum(),
            "alive": pack.alive.sum(),
            "who": pack.alive * pack.identity,
        }


def test_energy_is_conserved_but_for_deaths():
    class Immortal(Pack):
        def step(self, draw: Draw, pack: Wolves) -> Wolves:
            bred = draw.bernoulli("breed", self.litter, where=pack.alive)
            half = eqx.tree_at(lambda w: w.energy, pack, pack.energy * (1 - 0.5 * bred))
            return births(half, half, bred)

    run = simulate(Immortal(litter=0.1), jr.key(0), 8)
    assert np.asarray(run.observations["alive"])[-1] > 12
    assert (run.observations["energy"] == 50.0).all()  # halves of halves: exact in float32


def test_identities_are_never_used_twice():
    run = simulate(Pack(), jr.key(3), 15)
    seen: dict[int, int] = {}
    for time, row in enumerate(np.asarray(run.observations["who"])):
        for identity in row[row > 0].astype(int).tolist():
            assert seen.get(identity, time - 1) == time - 1 or seen[identity] == time, identity
            seen[identity] = time
        assert len(set(row[row > 0].tolist())) == (row > 0).sum()


def test_too_little_room_is_an_error_that_says_how_much():
    needed = int(simulate(Pack(litter=0.9), jr.key(3), 6, throw=False).final.state.needed)
    assert needed > 60
    with pytest.raises(CapacityError, match=f"needed room for {needed} agents: give it capacity={needed}"):
        simulate(Pack(litter=0.9), jr.key(3), 6)


def test_base_fields_are_the_documented_ones():
    assert [field.name for field in dataclasses.fields(Population)] == ["alive", "identity", "born", "needed"]
