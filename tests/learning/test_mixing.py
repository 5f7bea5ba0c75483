"""Mixed policies: averages of play come near equilibria, and play itself goes round or does not."""

from typing import Any

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from tests.learning.games import duel, duopoly, fish_war, levers

import populace as pop
from populace.learning.game import watched
from populace.learning.mixing import mixing, payoffs


@pytest.mark.parametrize(
    "algorithm", [pop.MultiplicativeWeights(worlds=48), pop.FictitiousPlay(worlds=48)], ids=["weights", "fictitious"]
)
def test_averages_of_play_come_near_a_third(algorithm: pop.Algorithm):
    learned = pop.learn(duel(), algorithm, jr.key(0), budget=48 * 400, seeds=2, runs=2)
    chances = np.stack([np.asarray(policies["move"].chances) for policies in learned.policies])
    assert chances == pytest.approx(1 / 3, abs=0.06)
    now = np.stack([np.asarray(moment["move"].chances) for moment in learned.history[0]])
    assert (now[5:].max(2) > 0.5).any(), "play itself does not stay there"


def test_optimistic_weights_stay_nearer_to_a_third():
    """From one start, with the same luck: how far play is from equal chances in the last half of the training."""
    start = jnp.array([[0.5, 0.3, 0.2], [0.2, 0.5, 0.3]])
    away = []
    for optimistic in (True, False):
        algorithm = pop.MultiplicativeWeights(worlds=96, rate=0.3, optimistic=optimistic, first=start)
        learned = pop.learn(duel(), algorithm, jr.key(0), budget=96 * 200, seeds=1, runs=2)
        chances = np.stack([np.asarray(moment["move"].chances) for moment in learned.history[0]])
        assert chances[0] == pytest.approx(np.asarray(start), abs=1e-6)
        away.append(np.abs(chances[10:] - 1 / 3).mean())
    assert away[0] < 0.5 * away[1]


def test_what_is_dominated_dies_out():
    """A dilemma of prisoners: whatever the other does, the second move earns one more."""
    learned = pop.learn(
        duel([[2.0, 0.0], [3.0, 1.0]]), pop.MultiplicativeWeights(), jr.key(0), budget=48 * 200, seeds=1, runs=2
    )
    assert (np.asarray(learned.history[0][-1]["move"].chances)[:, 1] > 0.99).all()
    assert (np.asarray(learned.policies[0]["move"].chances)[:, 1] > 0.8).all()


def test_payoffs_are_those_of_one_among_the_others():
    """Of two firms whose rival makes 30 for sure: (90 - q - 30) q."""
    game = duopoly()
    made = watched(game)
    mixed = mixing(made, 3)
    quantities = np.asarray(mixed.options)
    chances = jnp.array([[0.0, 1.0, 0.0]])
    table, news = payoffs(made, mixed, chances, jr.key(0), 6, ())
    rival = quantities[1]
    assert np.asarray(table)[0] == pytest.approx((90.0 - np.minimum(quantities + rival, 100.0)) * quantities, rel=1e-4)
    assert float(news.returns["quantity"]) == pytest.approx(float(table[0, 1]))


def test_only_those_who_learn_are_paid_for():
    """Agents 1 and 2 learn; the lever of its kind pays agent 1."""
    learner = levers(who=jnp.array([0.0, 1.0, 1.0, 0.0, 0.0, 0.0]))
    made = watched(learner)
    table, _ = payoffs(made, mixing(made, 2), jnp.full((1, 3), 1 / 3), jr.key(0), 3, ())
    assert np.asarray(table)[0].tolist() == [0.0, 1.0, 0.0]


@pytest.mark.parametrize(
    ("algorithm", "game", "says"),
    [
        (pop.MultiplicativeWeights(worlds=5), duel, "take 6 worlds"),
        (pop.FictitiousPlay(first=jnp.ones(4)), duel, "types by options"),
        (pop.FictitiousPlay(worlds=20), lambda: fish_war(2), "21 options"),
    ],
)
def test_what_cannot_be_mixed_is_refused(algorithm: pop.Algorithm, game: Any, says: str):
    with pytest.raises(pop.MethodError, match=says):
        pop.learn(game(), algorithm, jr.key(0), budget=100)


@pytest.mark.parametrize(
    "make",
    [
        lambda: pop.MultiplicativeWeights(rate=0.0),
        lambda: pop.MultiplicativeWeights(points=1),
        lambda: pop.FictitiousPlay(worlds=0),
    ],
)
def test_settings_that_make_no_sense_are_refused(make: Any):
    with pytest.raises(pop.MethodError, match="least"):
        make()


def test_a_training_whose_returns_no_longer_rise_may_stop():
    """The pay of both sums to nothing, and never rises; among prisoners it falls, which is no reason to go on."""
    for payoff in (None, [[2.0, 0.0], [3.0, 1.0]]):
        algorithm = pop.MultiplicativeWeights(worlds=12)
        learned = pop.learn(duel(payoff), algorithm, jr.key(0), budget=12 * 200, seeds=2, runs=2, patience=4)
        assert learned.done.code is pop.Code.CONVERGED and "of 200 updates" in learned.done.sentence
        assert 80 <= learned.curve["move"].shape[1] < 120


@pytest.mark.parametrize("patience", [-1, 11])
def test_patience_is_some_of_the_rounds(patience: int):
    with pytest.raises(pop.MethodError, match="patience"):
        pop.learn(duel(), pop.MultiplicativeWeights(), jr.key(0), budget=480, patience=patience)
