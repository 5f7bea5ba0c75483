"""The game of policies: rankings, rounds and what lasts, against closed forms."""

import numpy as np
import pytest

from populace.learning.metagame import alpha_rank, find_cycle, flow

RPS = np.array([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]])
RANKED = np.subtract.outer([0.0, 1.0, 2.0], [0.0, 1.0, 2.0])


def test_rock_paper_scissors_is_all_cycle_and_shared_alike():
    assert flow(RPS).cyclic == 1.0 and np.allclose(flow(RPS).ratings, 0.0)
    assert alpha_rank(RPS) == pytest.approx([1 / 3] * 3)
    assert find_cycle(RPS > 0) == (0, 2, 1)


def test_a_ranking_has_ratings_no_round_and_one_who_lasts():
    assert flow(RANKED).cyclic == 0.0
    assert flow(RANKED).ratings.tolist() == [-1.0, 0.0, 1.0]
    assert alpha_rank(RANKED) == pytest.approx([0.0, 0.0, 1.0], abs=1e-6)
    assert find_cycle(RANKED > 0) == ()


def test_a_sum_of_both_is_taken_apart():
    split = flow(RANKED + 0.5 * RPS)
    assert split.rest == pytest.approx(0.5 * RPS)
    assert split.cyclic == pytest.approx(0.25 * 6 / ((RANKED + 0.5 * RPS) ** 2).sum())


@pytest.mark.parametrize(("strength", "population"), [(0.3, 10), (2.0, 5)])
def test_two_policies_share_as_the_chances_of_taking_over_say(strength: float, population: int):
    """Where the second earns u more, it takes over with (1 - e^-u) / (1 - e^-mu), and loses with its mirror image."""
    up = (1 - np.exp(-strength)) / (1 - np.exp(-population * strength))
    down = (1 - np.exp(strength)) / (1 - np.exp(population * strength))
    payoffs = np.array([[0.0, 0.0], [1.0, 0.0]])
    expected = np.array([down, up]) / (up + down)
    assert alpha_rank(payoffs, strength=strength, population=population) == pytest.approx(expected)


def test_those_who_cannot_be_told_apart_share():
    assert alpha_rank(np.zeros((4, 4))) == pytest.approx([0.25] * 4)
    assert alpha_rank(np.zeros((1, 1))).tolist() == [1.0]


def test_the_lasting_shares_are_those_of_the_chain():
    """Against the eigenvector of a chain of middling moves."""
    rng = np.random.default_rng(0)
    table = rng.normal(size=(5, 5))
    shares = alpha_rank(table, strength=0.2, population=4)
    gain = 0.2 * (table.T - table) + np.eye(5)
    moves = (1 - np.exp(-gain)) / (1 - np.exp(-4 * gain)) / 4
    np.fill_diagonal(moves, 0.0)
    moves += np.diag(1 - moves.sum(1))
    values, vectors = np.linalg.eig(moves.T)
    lasting = np.real(vectors[:, np.argmax(np.real(values))])
    assert shares == pytest.approx(lasting / lasting.sum())


def test_the_shortest_round_is_found():
    beats = np.zeros((5, 5), bool)
    for one, other in [(0, 1), (1, 2), (2, 3), (3, 0), (3, 4), (4, 2)]:
        beats[one, other] = True
    assert find_cycle(beats) == (2, 3, 4)
