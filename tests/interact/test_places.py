import jax.random as jr
import numpy as np
import pytest

from populace._errors import ModelError
from populace.interact.mixing import Groups
from populace.interact.places import households, workplaces

SHARES = [0.28, 0.36, 0.15, 0.13, 0.08]


def sizes(groups: Groups) -> np.ndarray:
    return np.asarray(groups.members.count)


def test_households_have_the_shares_asked_for():
    groups = households(jr.key(0), 10_000, SHARES)
    found = np.bincount(sizes(groups), minlength=6)[1:]
    assert sizes(groups).sum() == groups.size == 10_000
    np.testing.assert_allclose(found / found.sum(), SHARES, atol=2.0 / found.sum())


@pytest.mark.parametrize("size", [1, 2, 3, 7, 10, 23, 100, 101])
@pytest.mark.parametrize("shares", [[1.0], [0.0, 0.0, 1.0], SHARES, [0.5, 0.0, 0.0, 0.0, 0.0, 0.0, 0.5]])
def test_everyone_lives_somewhere(size: int, shares: list[float]):
    found = sizes(households(jr.key(1), size, shares))
    assert found.sum() == size and found.min() >= 1 and found.max() <= len(shares)


def test_members_are_numbered_in_a_row():
    home = np.asarray(households(jr.key(0), 500, SHARES).members.group)
    assert (np.diff(home) >= 0).all() and set(np.diff(home)) == {0, 1}


def test_workers_work_where_chance_put_them():
    groups = workplaces(jr.key(0), 50_000, mean_size=10, participation=0.6)
    found, works = sizes(groups), np.asarray(groups.degree())
    assert found.sum() == 30_000 and len(found) == 3_000
    assert abs(found.var() - 10.0) < 4.0 * 10.0 * np.sqrt(2.1 / 3_000)
    colleagues = works[np.asarray(groups.members.group) < 3_000]
    assert abs(colleagues.mean() - 10.0) < 4.0 * np.sqrt(10.0 * 11 / 30_000)


def test_nobody_has_to_work():
    assert float(workplaces(jr.key(0), 50, mean_size=10, participation=0.0).degree().sum()) == 0.0
    assert sizes(workplaces(jr.key(0), 50, mean_size=100, participation=1.0)).tolist() == [50]


WRONG = {
    "add up to 1": lambda: households(jr.key(0), 10, [0.5, 0.4]),
    "0 or more": lambda: households(jr.key(0), 10, [1.5, -0.5]),
    "add up to 1, not": lambda: households(jr.key(0), 10, []),
    "one agent or more": lambda: households(jr.key(0), 0, [1.0]),
    "participation is a share": lambda: workplaces(jr.key(0), 10, mean_size=5, participation=1.2),
    "mean_size above 0": lambda: workplaces(jr.key(0), 10, mean_size=0, participation=0.2),
}


@pytest.mark.parametrize("message", WRONG)
def test_what_is_no_population_is_refused(message: str):
    with pytest.raises(ModelError, match=message):
        WRONG[message]()
