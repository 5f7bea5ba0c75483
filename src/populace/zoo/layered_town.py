"""A made-up town: who is how old, who lives with whom, and who spends the day with whom.

Households, classes and teams are groups, in which everybody meets everybody; each costs a number a member where a list
of contacts would hold the square. The shapes are those of household surveys in Europe and of the towns that epidemic
models are run on (Hinch et al. 2021, PLOS Computational Biology 17:e1009146), rounded; none is an estimate. Children
live with adults, couples are of like age, each class has a teacher.
"""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Int8

from .._errors import ModelError
from .._types import Key
from ..core.noise import host_generator
from ..interact.mixing import Groups

AGES = (0.11, 0.12, 0.13, 0.14, 0.13, 0.13, 0.11, 0.08, 0.05)
"""Shares of people below 10, from 10 to 19, ..., from 80 to 89."""
HOUSEHOLDS = (0.30, 0.34, 0.16, 0.13, 0.05, 0.02)
"""Shares of households of one person, of two, ..."""
SCHOOL_AGE, WORKING_AGE = (5, 18), (19, 66)
NOWHERE, SCHOOL, WORK = 0, 1, 2


class Town(eqx.Module):
    """People and their groups, in random order: neighbours in the arrays have nothing to do with each other.

    `age` (people,) in years; `home`, their households; `daily`, classes and teams, of which a person has one at most;
    `kind` (people,): `NOWHERE`, `SCHOOL` or `WORK`; `activity` (people,): how often each meets others by chance,
    relative to the mean; `place` (people,): how many are older, 0 for the oldest.
    """

    age: Int8[Array, " people"]
    home: Groups
    daily: Groups
    kind: Int8[Array, " people"]
    activity: Float[Array, " people"]
    place: Int[Array, " people"]

    @property
    def people(self) -> int:
        """How many live there."""
        return self.home.size


def synthetic_town(
    key: Key,
    people: int,
    *,
    ages: tuple[float, ...] = AGES,
    households: tuple[float, ...] = HOUSEHOLDS,
    class_size: int = 25,
    team_size: int = 10,
    employed: float = 0.75,
    dispersion: float = 2.0,
) -> Town:
    """A town of so many people. Towns of one size share a compiled program.

    **Arguments:** `ages`: shares by ten years; `households`: shares by size, from 1; `class_size`: children in a class,
    all of one year; `team_size`: mean number of people in a team, which is 1 more than a Poisson number; `employed`:
    the share of those from 19 to 66 who work; `dispersion`: the shape of the gamma law of activities, which makes the
    numbers of daily encounters negative binomial (infinite: all alike, and these Poisson).

    **Raises:** `ModelError` for shares or sizes that are none.
    """
    _check(people, ages, households, class_size, team_size, employed, dispersion)
    rng = host_generator(key)
    home = _households(rng, people, np.asarray(households))
    age = _ages(rng, home, np.asarray(ages))
    daily, kind = _days(rng, age, class_size, team_size, employed)
    activity = np.ones(people) if np.isinf(dispersion) else rng.gamma(dispersion, 1.0 / dispersion, people)
    shuffled = rng.permutation(people)
    place = np.empty(people, np.int32)
    place[np.argsort(-age[shuffled], kind="stable")] = np.arange(people, dtype=np.int32)
    return Town(
        jnp.asarray(age[shuffled], jnp.int8),
        Groups(home[shuffled], people),
        Groups(daily[shuffled], people),
        jnp.asarray(kind[shuffled], jnp.int8),
        jnp.asarray(activity[shuffled], jnp.float32),
        jnp.asarray(place),
    )


def by_age(values: Float[Array, " ages"], age: Int8[Array, " people"]) -> Float[Array, " people"]:
    """Each person's value by ten years of age."""
    return values[jnp.minimum(age // 10, values.shape[0] - 1)]


def _check(
    people: int,
    ages: tuple[float, ...],
    households: tuple[float, ...],
    class_size: int,
    team_size: int,
    employed: float,
    dispersion: float,
) -> None:
    shares = all(len(law) and min(law) >= 0 and abs(sum(law) - 1) < 1e-6 for law in (ages, households))
    if not shares or len(ages) > 12:
        raise ModelError(f"ages {ages} and households {households} are shares of 0 or more that sum to 1")
    if people < 1 or class_size < 1 or team_size < 1 or not 0 <= employed <= 1 or not dispersion > 0:
        raise ModelError(
            f"people={people}, class_size={class_size}, team_size={team_size}, employed={employed}, dispersion="
            f"{dispersion}: numbers of people are 1 or more, employed is a share, dispersion is above 0"
        )


def _households(rng: np.random.Generator, people: int, shares: np.ndarray) -> np.ndarray:
    """Each person's household (people,), rising; the last one is cut where people end."""
    mean = shares @ np.arange(1, len(shares) + 1)
    sizes = np.empty(0, np.int64)
    while sizes.sum() < people:
        more = int((people - sizes.sum()) / mean * 1.05) + 8
        sizes = np.append(sizes, rng.choice(len(shares), more, p=shares) + 1)
    return np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)[:people]


def _ages(rng: np.random.Generator, home: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Ages (people,) of exactly the law of independent draws, dealt out so that they make families.

    Those below 20 go where two others live already, then where one does. The adults, by age, go to households by
    an age that is drawn for each, lower where children live.
    """
    people = len(home)
    age = np.sort(10 * rng.choice(len(shares), people, p=shares) + rng.integers(0, 10, people))
    young = int((age < 20).sum())
    start = np.flatnonzero(np.diff(home, prepend=-1))
    rank = np.arange(people) - start[home]
    wish = np.where(rank >= 2, 2.0, rank) + rng.random(people)
    children = np.argsort(-wish, kind="stable")[:young]
    is_child = np.zeros(people, bool)
    is_child[children] = True
    family = np.bincount(home, is_child, len(start)) > 0
    about = np.where(family, rng.normal(41.0, 8.0, len(start)), rng.normal(56.0, 18.0, len(start)))
    adults = np.flatnonzero(~is_child)
    adults = adults[np.argsort(about[home[adults]] + rng.normal(0.0, 2.0, len(adults)), kind="stable")]
    dealt = np.empty(people, np.int64)
    dealt[children] = rng.permutation(age[:young])
    dealt[adults] = age[young:]
    return dealt


def _days(
    rng: np.random.Generator, age: np.ndarray, class_size: int, team_size: int, employed: float
) -> tuple[np.ndarray, np.ndarray]:
    """Each person's class or team, -1 for none, and which of the two it is: (people,) each."""
    group, kind = np.full(len(age), -1, np.int32), np.full(len(age), NOWHERE, np.int8)
    classes = 0
    for year in range(SCHOOL_AGE[0], SCHOOL_AGE[1] + 1):
        pupils = rng.permutation(np.flatnonzero(age == year))
        rooms = -(-len(pupils) // class_size)
        group[pupils] = classes + np.arange(len(pupils)) * rooms // max(len(pupils), 1)
        kind[pupils] = SCHOOL
        classes += rooms
    of_age = np.flatnonzero((age >= WORKING_AGE[0]) & (age <= WORKING_AGE[1]))
    workers = rng.permutation(of_age[rng.random(len(of_age)) < employed])
    teachers, others = workers[:classes], workers[classes:]
    group[teachers], kind[teachers] = np.arange(len(teachers)), SCHOOL
    sizes = 1 + rng.poisson(team_size - 1, max(len(others), 1))
    group[others] = classes + np.repeat(np.arange(len(sizes)), sizes)[: len(others)]
    kind[others] = WORK
    return group, kind
