"""Agents that go from one population to another: how many, with what, and as whom."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from jaxtyping import Array

from populace._errors import ModelError
from populace.core.draw import Draw
from populace.core.ensemble import ensemble
from populace.core.migration import migrate, settlers
from populace.core.model import Model, parameter
from populace.core.pedigree import Ancestry, no_parents, offspring, register, registered
from populace.core.population import Deme, births, founders, overflow

N, OUT, BACK = 60, 0.1, 0.2


class River(Deme):
    weight: Array


class Sea(Deme):
    weight: Array
    salt: Array


def river(count: int, capacity: int, **numbers: int) -> River:
    base = settlers(count, capacity, **({"deme": 0, "demes": 2} | numbers))
    return River(**base, weight=7.0 * base["identity"])


def sea(count: int, capacity: int) -> Sea:
    base = settlers(count, capacity, deme=1, demes=2)
    return Sea(**base, weight=7.0 * base["identity"], salt=jnp.ones(capacity))


def to_sea(one: River) -> dict[str, Array]:
    return {"salt": 0.0 * one.weight}


def to_river(one: Sea) -> dict[str, Array]:
    return {}


class Eels(Model):
    """`OUT` of those in the river go to sea in a step, and `BACK` of those in the sea come back."""

    out: Array = parameter(default=OUT)

    def init(self, draw: Draw) -> tuple[River, Sea]:
        return river(N, N), sea(0, N)

    def step(self, draw: Draw, state: tuple[River, Sea]) -> tuple[River, Sea]:
        inland, open_ = state
        goes = draw.bernoulli("goes", self.out, where=inland.alive)
        comes = draw.bernoulli("comes", BACK, where=open_.alive)
        inland, open_ = migrate(inland, open_, goes, convert=to_sea)
        open_, inland = migrate(open_, inland, comes, convert=to_river)
        return inland, open_

    def observe(self, state: tuple[River, Sea]) -> dict[str, Array]:
        both = [one.alive * (one.identity + 1) for one in state]
        weights = [one.alive * (one.weight - 7.0 * one.identity) for one in state]
        return {
            "river": state[0].alive.sum(),
            "all": sum(one.alive.sum() for one in state),
            "who": jnp.sort(jnp.concatenate(both))[-N:],
            "changed": jnp.abs(jnp.concatenate(weights)).sum(),
            "needed": jnp.stack([one.needed for one in state]),
        }


def test_two_places_are_shared_as_their_hazards_say():
    """At rest an agent is in the river with probability BACK / (OUT + BACK), whoever else is where: a binomial law.

    Each agent forgets where it was by (1 - OUT - BACK) a step, .7: 25 steps apart runs are seen anew.
    """
    seen = ensemble(Eels(), jr.key(0), 150, runs=128).observations
    share = BACK / (OUT + BACK)
    counts = seen["river"][0, :, 24::25].ravel()
    mean, variance = N * share, N * share * (1 - share)
    assert abs(counts.mean() - mean) < 4 * np.sqrt(variance / counts.size)
    assert abs(counts.var(ddof=1) / variance - 1) < 4 * np.sqrt(2 / counts.size)
    first = seen["river"][0, :, 0]  # after a step from the river alone; the sea's come from the next step on
    assert abs(first.mean() - N * (1 - OUT)) < 4 * np.sqrt(N * OUT * (1 - OUT) / 128)
    assert (seen["all"] == N).all() and (seen["changed"] == 0).all() and seen["needed"].max() <= N
    assert (seen["who"] == 2 * np.arange(N) + 1).all()  # the same sixty, each once


class Land(Ancestry, Deme):
    weight: Array


def land(deme: int) -> Land:
    base = settlers(4, 16, deme=deme, demes=2)
    return Land(**base, **no_parents(16), weight=10.0 * base["identity"])


def bred(time: int) -> Any:
    """A child of every second on both sides, registered; then all that are older go to the right, and back."""
    left, right, where = land(0), land(1), jnp.arange(16) % 2 == 1
    book = register(left, 40)
    grown = [births(one, offspring(one, time), where * one.alive) for one in (left, right)]
    for before, after in zip((left, right), grown, strict=True):
        book = registered(book, before, after)
    there = migrate(grown[0], grown[1], grown[0].birthday < time)
    here = there[::-1]
    back = migrate(here[0], here[1], (here[0].birthday < time) & (here[0].identity % 2 == 0))
    return (left, right), grown, there, back[::-1], book


def people(one: Land) -> dict[int, tuple[float, ...]]:
    """What each of the living is, by identity."""
    living = np.flatnonzero(np.asarray(one.alive))
    fields = (one.identity, one.weight, one.birthday, one.mother, one.father)
    columns = [np.asarray(field)[living].tolist() for field in fields]
    return {row[0]: tuple(row) for row in zip(*columns, strict=True)}


def test_who_goes_and_comes_back_is_who_it_was_and_nobody_else_is():
    first, grown, there, back, book = jax.jit(bred)(3)
    assert [np.asarray(one.identity)[:5].tolist() for one in first] == [[0, 2, 4, 6, -1], [1, 3, 5, 7, -1]]
    before = [people(one) for one in grown]
    assert set(before[0]) == {0, 2, 4, 6, 8, 10} and set(before[1]) == {1, 3, 5, 7, 9, 11}  # no identity twice
    assert before[0][8] == (8, 20.0, 3, 2, -1) and before[1][11] == (11, 70.0, 3, 7, -1)
    gone = [people(one) for one in there]
    assert set(gone[0]) == {8, 10} and gone[1] == {**before[1], **{k: before[0][k] for k in (0, 2, 4, 6)}}
    assert [people(one) for one in back] == before
    assert [int(one.born) for one in back] == [6, 6] and overflow(back) == []
    assert np.asarray(book.identity)[:9].tolist() == [0, 2, 4, 6, 8, 10, 9, 11, -1]


class Moved(NamedTuple):
    source: Any
    target: Any


def test_who_finds_no_room_stays_and_it_is_known():
    moved = Moved(*jax.jit(lambda: migrate(river(5, 8), sea(4, 6), jnp.ones(8), convert=to_sea))())
    assert people_of(moved.target) == [0, 1, 2, 3, 5, 7] and people_of(moved.source) == [4, 6, 8]
    assert overflow(moved) == [(".target", 9)]


def people_of(one: Deme) -> list[int]:
    return sorted(np.asarray(one.identity)[np.asarray(one.alive) > 0].tolist())


def test_what_does_not_fit_is_said_before_anything_runs():
    def tried(source: Any, target: Any, **convert: Any) -> None:
        jax.eval_shape(lambda: migrate(source(), target(), jnp.ones(8), **convert))

    def some(**numbers: int) -> Any:
        return lambda: river(5, 8, **numbers)

    def there() -> Sea:
        return sea(4, 6)

    with pytest.raises(ModelError, match=r"a River has no more and a Sea has \['salt'\]: say what becomes"):
        tried(some(), there)
    with pytest.raises(ModelError, match=r"of which a River lacks \['salt'\]"):
        tried(some(), there, convert=to_river)
    with pytest.raises(ModelError, match=r"field 'salt' arrives with shapes \[\(8, 2\)\], and is kept with \[\(8,\)\]"):
        tried(some(), there, convert=lambda one: {"salt": jnp.ones((8, 2))})
    with pytest.raises(ModelError, match=r"a River is 0 of 2, a River 0 of 2: derive both from pop.Deme"):
        tried(some(), some())
    with pytest.raises(ModelError, match=r"0 of 3"):
        tried(some(demes=3), there, convert=to_sea)
    with pytest.raises(ModelError, match="the numbers are 0 to 1, not 2"):
        settlers(1, 2, deme=2, demes=2)

    class Pond(Ancestry):
        pass

    with pytest.raises(ModelError, match="a Pond is no deme"):
        tried(lambda: Pond(**founders(5, 8), **no_parents(8)), some())
