"""The rank test by repetition: its size where the rank is known, and what it says where noise is none or too much."""

import numpy as np

from populace.identification.rank_test import rank_test

ERRORS = 4.0


def replicates(rng, rank, count=80, k=4, d=3, noise=1.0):
    left, right = np.linalg.qr(rng.normal(size=(k, k)))[0], np.linalg.qr(rng.normal(size=(d, d)))[0]
    mean = 3.0 * left[:, :rank] @ right[:rank]
    return mean + noise * rng.normal(size=(count, k, d))


def test_a_rank_is_accepted_as_often_as_said_and_less_never():
    rng, times = np.random.default_rng(0), 400
    found = [rank_test(replicates(rng, 2)) for _ in range(times)]
    p = np.array([one.p[2] for one in found])
    assert [one.freedom[2] for one in found[:1]] == [(4 - 2) * (3 - 2)]
    assert abs((p < 0.05).mean() - 0.05) < ERRORS * np.sqrt(0.05 * 0.95 / times)
    assert abs(p.mean() - 0.5) < ERRORS * np.sqrt(1 / 12 / times)
    assert max(one.p[1] for one in found) < 1e-3
    assert {one.rank for one in found} == {2, 3}


def test_full_rank_and_directions_that_never_move():
    rng = np.random.default_rng(1)
    full = rank_test(replicates(rng, 3))
    assert full.rank == 3 and "the rank is 3" in full.sentence()
    rows = replicates(rng, 3)
    rows[:, :, 2] = -rows[:, :, 1]
    tied = rank_test(rows)
    assert (tied.rank, tied.still, tied.size) == (2, 1, 3) and "No replicate reacts to 1" in tied.sentence()


def test_without_noise_the_rank_is_seen():
    found = rank_test(replicates(np.random.default_rng(2), 2, noise=0.0))
    assert found.rank == 2 and found.still == 1


def test_noise_that_all_share_does_not_stop_it():
    rng = np.random.default_rng(3)
    rows = replicates(rng, 3, noise=0.0) + rng.normal(size=(80, 4, 1)) * np.array([1.0, -2.0, 0.5])
    assert rank_test(rows).rank == 3


def test_too_few_replicates_are_said_to_be():
    few = rank_test(replicates(np.random.default_rng(4), 2, count=6))
    assert few.rank is None and "too few" in few.sentence()
