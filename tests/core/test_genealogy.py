"""Ages, registers and pedigrees, against closed forms: Moran's population, and Wright's coefficients."""

import json
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from jaxtyping import Array, Int

from populace._errors import CapacityError, ModelError
from populace.core.draw import Draw
from populace.core.genealogy import Pedigree, pedigree
from populace.core.model import Model
from populace.core.pedigree import Ancestry, Register, age, no_parents, offspring, register, registered
from populace.core.population import births, deaths, founders
from populace.core.simulate import Run, simulate

N, STEPS, APART = 6, 24_000, 80


class Town(NamedTuple):
    people: Ancestry
    book: Register
    today: Int[Array, ""]


class Moran(Model):
    """Each step somebody has a child, anybody, and then somebody else or the same makes room for it."""

    def init(self, draw: Draw) -> Town:
        people = Ancestry(**founders(N, N), **no_parents(N))
        return Town(people, register(people, N + STEPS), jnp.int32(0))

    def step(self, draw: Draw, town: Town) -> Town:
        mother, dies = (jnp.floor(draw.uniform(name, 0.0, N, size=())) for name in ("mother", "dies"))
        young = offspring(town.people, draw.time)
        left = deaths(town.people, jnp.arange(N) == dies)
        people = births(left, young, jnp.arange(N) == mother)
        return Town(people, registered(town.book, left, people), draw.time)

    def observe(self, town: Town) -> dict[str, Array]:
        return {"who": town.people.identity, "age": age(town.people, town.today)}


@pytest.fixture(scope="module")
def moran() -> Run:
    return simulate(Moran(), jr.key(7), STEPS)


@pytest.fixture(scope="module")
def tree(moran: Run) -> Pedigree:
    return pedigree(moran.final.state.book)


def test_every_birth_is_registered_with_a_mother_who_lived(moran: Run, tree: Pedigree):
    who = np.asarray(moran.observations["who"])
    assert tree.identity.tolist() == list(range(N + STEPS))
    assert tree.birthday.tolist() == [0] * N + list(range(1, STEPS + 1))
    before = np.concatenate([np.arange(N)[None], who[:-1]])
    assert (tree.mother[N:, None] == before).sum(1).tolist() == [1] * STEPS and (tree.mother[:N] == -1).all()
    assert (tree.father == -1).all()
    np.testing.assert_array_equal(moran.observations["age"], np.arange(1, STEPS + 1)[:, None] - tree.birthday[who])


def within(values: np.ndarray, expected: float) -> bool:
    """Four standard errors of nearly independent values."""
    return bool(abs(values.mean() - expected) < 4 * values.std(ddof=1) / np.sqrt(values.size))


def test_ages_and_generations_under_a_constant_hazard(moran: Run, tree: Pedigree):
    """An agent dies with probability 1/N a step: its age is geometric, of mean N - 1, a mother's at birth one more."""
    late = np.asarray(moran.observations["age"], float)[APART::APART]
    assert within(late.mean(1), N - 1)
    gap = tree.birthday[N:] - tree.birthday[tree.mother[N:]]
    assert tree.generation_length() == gap.mean()
    assert within(gap.reshape(-1, APART).mean(1), N)


def test_lines_meet_when_moran_says(moran: Run, tree: Pedigree):
    """Of k lines two meet in a step with probability k (k - 1) / N^2: those of all N in N (N - 1) steps, of two in
    N^2 / 2, on average (Moran 1958; Kingman 1982).
    """
    who = np.asarray(moran.observations["who"])
    times = np.arange(5 * APART, STEPS + 1, APART)
    everybody = np.array([t + 1 - (tree.coalescence(who[t - 1]) or 0) for t in times], float)
    two = np.array([t + 1 - (tree.coalescence(who[t - 1, :2]) or 0) for t in times], float)
    assert within(everybody, N * (N - 1)) and within(two, N**2 / 2)


def test_lines_by_hand(tree: Pedigree):
    """The common ancestor, by following mothers one by one."""
    pair = tree.identity[-1], tree.identity[-4]
    lines = [tree.lineage(int(one)).tolist() for one in pair]
    shared = next(one for one in lines[0] if one in set(lines[1]))
    assert tree.common_ancestor([int(one) for one in pair]) == shared
    assert lines[0][1:][::-1] == tree.ancestors(int(pair[0])).tolist() and lines[0][-1] < N
    assert set(pair) <= set(tree.descendants(shared).tolist()) | {shared}
    assert (
        tree.common_ancestor([3, 3]) == 3 and tree.common_ancestor([0, 1]) is None and tree.coalescence([0, 1]) is None
    )


FAMILY = Pedigree(
    #                  two couples, and a stranger; sisters, cousins, a child of sisters' children, half-sister
    identity=np.array([10, 11, 12, 13, 14, 20, 21, 22, 30, 31, 40, 50]),
    mother=np.array([-1, -1, -1, -1, -1, 10, 10, 10, 20, 21, 30, 20]),
    father=np.array([-1, -1, -1, -1, -1, 11, 11, 12, 13, 14, 31, 11]),
    birthday=np.array([0, 0, 0, 0, 0, 20, 22, 24, 45, 50, 70, 80]),
)


@pytest.mark.parametrize(
    ("one", "other", "kinship"),
    [
        (10, 10, 1 / 2),  # oneself
        (10, 11, 0),  # founders
        (10, 20, 1 / 4),  # mother and child
        (20, 21, 1 / 4),  # full sisters
        (20, 22, 1 / 8),  # half-sisters
        (20, 31, 1 / 8),  # aunt and niece
        (30, 31, 1 / 16),  # first cousins
        (10, 40, 1 / 8),  # great-grandmother twice over
        (40, 40, (1 + 1 / 16) / 2),  # a child of first cousins
        (50, 50, (1 + 1 / 4) / 2),  # a child of father and daughter
    ],
)
def test_kinship(one: int, other: int, kinship: float):
    assert FAMILY.kinship([one, other])[0, 1] == kinship == FAMILY.kinship([other, one])[0, 1]


def test_a_family_by_hand():
    assert FAMILY.inbreeding([10, 31, 40, 50]).tolist() == [0, 0, 1 / 16, 1 / 4]
    assert FAMILY.ancestors(40).tolist() == [10, 11, 13, 14, 20, 21, 30, 31]
    assert FAMILY.descendants(10).tolist() == [20, 21, 22, 30, 31, 40, 50]
    assert FAMILY.lineage(40).tolist() == [40, 30, 20, 10]
    assert FAMILY.common_ancestor([30, 31]) == 11  # of the couple the one who is later in the register
    assert FAMILY.common_ancestor([30, 31, 22]) == 10 and FAMILY.coalescence([30, 22]) == 20
    assert FAMILY.common_ancestor([40, 30]) == 30 and FAMILY.coalescence([30]) == 45
    ages = [20, 20, 22, 22, 24, 24, 25, 45, 28, 50, 25, 20, 60, 80]
    assert FAMILY.generation_length() == pytest.approx(np.mean(ages))
    assert json.loads(json.dumps(FAMILY.record()))["mother"][-1] == 20
    (section,) = FAMILY.sections()
    assert section.tables[0].rows[:3] == (
        ("born, with founders", 12),
        ("founders", 5),
        ("most generations since a founder, by mothers", 3),
    )


def test_what_no_register_can_say():
    with pytest.raises(ModelError, match="nobody with identity 99"):
        FAMILY.lineage(99)
    with pytest.raises(ModelError, match="of nobody"):
        FAMILY.common_ancestor([])


@jax.jit
def books() -> tuple[Register, Register]:
    people = Ancestry(**founders(4, 4), **no_parents(4))
    orphan = eqx.tree_at(lambda p: p.mother, people, jnp.array([-1, 9, -1, -1]))
    return register(people, 3), register(orphan, 6)


def test_what_a_register_lacks():
    small, torn = books()
    with pytest.raises(CapacityError, match="4 births were to be registered: give the register capacity=4"):
        pedigree(small)
    with pytest.raises(ModelError, match=r"1 parents were never registered \(the first: 9\)"):
        pedigree(torn)
    with pytest.raises(ModelError, match="one birth or more"):
        jax.eval_shape(lambda: register(Ancestry(**founders(1, 1), **no_parents(1)), 0))
