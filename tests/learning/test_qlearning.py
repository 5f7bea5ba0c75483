"""Tables learn what every action is worth; values are compared with those of dynamic programming."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from tests.learning.games import Walk, duopoly, walk

import populace as pop
from populace.learning.algorithm import Lesson
from populace.learning.deviations import Play
from populace.learning.game import watched
from populace.learning.learn import train
from populace.learning.tables import Cells, Pending
from populace.zoo.pricing import pricing

WALK = pop.QLearning((5,), rate=0.5, fade=0.0)
"""It always tries: what it learns of is every action in every state."""


def worth(discount: float, sweeps: int = 500) -> np.ndarray:
    """(places, left or right): by value iteration."""
    table = np.zeros((5, 2))
    for _ in range(sweeps):
        best = table.max(1)
        table = np.array([[discount * best[max(p - 1, 0)], (p == 4) + discount * best[(p + 1) % 5]] for p in range(5)])
    return table


def tables(game: pop.Game, algorithm: pop.QLearning, runs: int) -> Any:
    """What one training knows after so many runs."""
    made = watched(game)

    def one(learned: Any, key: Any) -> tuple[Any, None]:
        return algorithm.update(made, learned, key, jnp.float32(0.0), ())[0], None

    keys = jr.split(jr.key(0), runs)
    return jax.jit(lambda keys: jax.lax.scan(one, algorithm.begin(made, keys[0]), keys)[0])(keys)


def test_a_table_learns_the_values_of_dynamic_programming():
    known = tables(walk(6000), WALK, 1)
    assert np.allclose(known.tables["go"][0], worth(0.9), atol=1e-3)
    assert known.steps == 6000


def test_the_world_goes_on_from_one_run_to_the_next():
    """Runs of three steps never reach the end of five places from the first."""
    known = tables(walk(3), WALK, 600)
    assert known.steps == 1800 and known.time == 1800
    assert np.allclose(known.tables["go"][0], worth(0.9), atol=0.01)


def test_where_the_game_ends_nothing_follows():
    """The fifth step of five can only just reach the end, and pays 1; in a game that goes on it is worth 2.44."""
    known = tables(dataclasses.replace(walk(5), finite=True), WALK, 400)
    assert known.tables["go"][0][4, 1] == pytest.approx(1.0, abs=1e-2)
    assert not known.pending["go"].on.any()


def test_agents_who_share_a_table_learn_one_and_the_same():
    learner = walk().learners["go"]
    game = pop.Game(Walk(walkers=3), 3000, {"go": learner})
    known = tables(game, WALK, 1)
    assert known.tables["go"].shape == (1, 5, 2)
    assert np.allclose(known.tables["go"][0], worth(0.9), atol=1e-2)


def test_policies_do_the_best_that_is_allowed():
    """Who may not go right at place 2 stays left of it: its tables know nothing better, and it is never tried."""
    allowed = lambda place: jnp.array([True, False]) | (place != 2)  # noqa: E731
    learner = pop.Learner(lambda step: step.after["paid"], pop.Discrete(2, allowed), discount=0.9)
    game = pop.Game(Walk(), 50, {"go": learner})
    optimist = pop.QLearning((5,), rate=0.5, fade=0.0, first=jnp.array([0.0, 5.0]))
    learned = pop.learn(game, optimist, jr.key(0), budget=20, seeds=1, runs=2)
    assert learned.scores.returns("go").max() == 0.0
    places = jnp.arange(5)
    acts = jax.vmap(lambda p: learned.policies[0]["go"].act(p, (), jr.key(0)).action)(places)
    assert int(acts[2]) == 0


def test_it_stops_when_no_best_action_has_changed_for_long():
    patient = pop.QLearning((5,), rate=0.5, fade=0.0, patience=800)
    learned = pop.learn(walk(100), patient, jr.key(0), budget=400, seeds=2, runs=2)
    assert learned.done.code is pop.Code.CONVERGED
    assert learned.curve["go"].shape[1] < 400
    assert learned.scores.returns("go").mean() == pytest.approx(sum(0.9**t for t in range(4, 100, 5)), rel=1e-4)


def test_two_firms_learn_to_price_and_each_has_a_table():
    market = pricing(options=4)
    learner = pop.Learner(lambda step: step.after.profit, pop.Discrete(4), discount=0.0, types=jnp.arange(2))
    game = pop.Game(market, 200, {"price": learner})
    learned = pop.learn(game, pop.QLearning((4, 4), rate=0.5), jr.key(0), budget=40, seeds=2, runs=2)
    for policies in learned.policies:
        run = pop.simulate(market, jr.key(0), 20, plugs=game.with_policies(policies))
        last = run.final.state.price
        assert (market.reply({"rivals": last[::-1, None]}, None) == last).all()  # type: ignore[arg-type]


def test_what_waits_is_learned_with_all_that_it_was_paid():
    one = jnp.ones(1)
    last = Pending(jnp.zeros(1, int), jnp.ones(1, int), jnp.ones((1, 2)), 3.0 * one, 0.5 * one, one, 0.0 * one)
    assert float(last.change(jnp.array([[7.0, 2.0]]), 4.0 * one)[0]) == 3.0 + 0.5 * 4.0 - 2.0


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: pop.QLearning(()), "how many values"),
        (lambda: pop.QLearning((5,), rate=0.0), "rate"),
        (lambda: pop.learn(walk(), pop.QLearning((5, 5)), jr.key(0), budget=1), "an agent sees 1"),
        (lambda: pop.learn(walk(), pop.QLearning((5,), first=jnp.zeros(3)), jr.key(0), budget=1), "does not fit"),
        (lambda: pop.learn(duopoly(), pop.QLearning((5, 5)), jr.key(0), budget=1), "Discrete"),
    ],
)
def test_what_tables_cannot_learn_is_refused(make: Any, says: str):
    with pytest.raises(pop.MethodError, match=says):
        make()


def test_views_that_are_not_whole_numbers_are_refused():
    game = duopoly()
    learner = pop.Learner(lambda step: step.after.profit, pop.Discrete(2))
    made = watched(game)
    blank = {"quantity": jnp.zeros(2, jnp.int32)}
    odd = dataclasses.replace(made, game=pop.Game(game.model, 8, {"quantity": learner}), blank=blank)
    with pytest.raises(pop.MethodError, match="whole"):
        pop.QLearning((5, 5)).begin(odd, jr.key(0))


def test_a_deviator_learns_the_best_response_to_a_frozen_table():
    """Against the values of dynamic programming: what others do at the site must not be taken for its own."""
    market = pricing(options=4)
    learner = pop.Learner(lambda step: step.after.profit, pop.Discrete(4), discount=0.9, types=jnp.arange(2))
    made = watched(pop.Game(market, 100, {"price": learner}))
    rng = np.random.default_rng(1)
    tables = jnp.asarray(rng.random((2, 16, 4)), jnp.float32)
    policies = {"price": jax.vmap(lambda table: pop.TablePolicy(table, pop.Discrete(4), Cells((4, 4))))(tables)}
    play = Play(made, (policies,), jr.split(jr.key(0), 2))
    lesson = Lesson(made.deviating("price", 0), 1, play.others)
    found = train(lesson, pop.QLearning((4, 4), rate=1.0), jr.key(1), 150)
    answers = np.asarray(tables[1]).argmax(-1).reshape(4, 4).T  # by the deviator's last price and the rival's
    earned = np.array(
        [[float(market.profits(market.prices[jnp.array([a, b])])[0]) for b in range(4)] for a in range(4)]
    )
    value = np.zeros((4, 4))
    for _ in range(300):
        value = np.max([earned[a, answers] + 0.9 * value[a, answers] for a in range(4)], axis=0)
    assert np.asarray(found.policies["price"].table)[0].max(-1).reshape(4, 4) == pytest.approx(value, rel=1e-2)
