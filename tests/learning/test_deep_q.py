"""Networks learn what actions are worth, from a ring of what was done; compared with dynamic programming."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from tests.learning.games import Walk, duopoly, walk
from tests.learning.test_qlearning import worth

import populace as pop
from populace.learning.deep_q import DeepQLearning, TryingPolicy
from populace.learning.game import watched
from populace.learning.policies import first_policy
from populace.learning.replay import Transitions, empty_ring, transitions

DEEP = DeepQLearning(worlds=4, kept=2048, batches=16, rows=32, hidden=(16,), rate=1e-2, follow=0.05, least=0.3)


def test_a_network_learns_the_values_of_dynamic_programming():
    """Which are those that a table learns (test_qlearning.py); two trainings, of two walkers with networks of their
    own.
    """
    learner = dataclasses.replace(walk().learners["go"], types=jnp.arange(2))
    made = watched(pop.Game(Walk(walkers=2), 20, {"go": learner}))

    def one(key: Any) -> Any:
        start, learning = jr.split(key)
        step = lambda learned, at: DEEP.update(made, learned, at[0], at[1], ())  # noqa: E731
        keys, progress = jr.split(learning, 150), jnp.linspace(0.0, 1.0, 150)
        known, news = jax.lax.scan(step, DEEP.begin(made, start), (keys, progress))
        slow = known.valuers["go"].slow
        said = jax.vmap(lambda one: jax.vmap(lambda place: one.heads(place[None]))(jnp.arange(5.0)))(slow)
        return said, news.returns["go"]

    values, returns = jax.jit(jax.vmap(one))(jr.split(jr.key(0), 2))
    assert np.asarray(values) == pytest.approx(np.tile(worth(0.9), (2, 2, 1, 1)), abs=0.06)
    best = sum(0.9**t for t in range(4, 20, 5))
    assert np.asarray(returns)[:, -20:].mean() > 0.4 * best > np.asarray(returns)[:, :20].mean()


def rows(numbers: list[float]) -> Transitions:
    """Rows of one agent, each with its number as its pay."""
    pay = jnp.array(numbers)[:, None]
    return Transitions(jnp.zeros_like(pay), jnp.zeros(pay.shape, int), pay, jnp.zeros_like(pay), pay, pay)


def test_a_ring_holds_the_last_and_draws_of_what_it_holds():

    def drawn() -> Any:
        ring = empty_ring(4, 1, jnp.zeros(())).with_(rows([1.0, 2.0, 3.0]))
        first = ring.drawn(jr.key(0), 300)
        for new in ([4.0, 5.0, 6.0], [7.0, 8.0, 9.0]):
            ring = ring.with_(rows(new))
        return first.reward, ring.drawn(jr.key(0), 300).reward

    first, last = jax.jit(drawn)()
    assert set(np.ravel(first).tolist()) == {1.0, 2.0, 3.0}
    assert set(np.ravel(last).tolist()) == {6.0, 7.0, 8.0, 9.0}


def test_pay_until_the_next_decision_is_that_of_the_last_one():
    """Asked at steps 0 and 3 of four, in a life that goes on: 1 + 0.5 * 10 + 0.25 * 100, then 0.125 of what step 3 is
    worth; what is done at step 3 is followed by nothing that is known.
    """
    column = lambda *x: jnp.array(x)[:, None]  # noqa: E731
    asked = column(1.0, 0.0, 0.0, 1.0, 0.0)
    pay, on = column(1.0, 10.0, 100.0, 1000.0), jnp.ones((4, 1))
    args = (column(0.0, 1.0, 2.0, 3.0, 4.0), jnp.zeros((5, 1), int), pay, asked, asked)
    found = transitions(*args, on, 0.5)
    assert found.reward[0] == 31.0 and found.weight[0] == 0.125 and found.later[0] == 3.0
    assert np.ravel(found.learns).tolist() == [1.0, 0.0, 0.0, 0.0]
    ended = transitions(*args, on.at[3].set(0.0).at[1].set(0.0), 0.5)
    assert ended.reward[0] == 6.0 and ended.weight[0] == 0.0, "its life ended with step 1"
    assert ended.learns[3] == 1.0 and ended.weight[3] == 0.0 and ended.reward[3] == 1000.0


def test_who_tries_does_anything_that_is_allowed():
    actions = pop.Discrete(3, lambda view: jnp.array([1, 0, 1]))
    one = first_policy(jr.key(0), jnp.float32(0.0), actions, (3,)).settled()
    act = lambda tries: jax.vmap(  # noqa: E731
        lambda key: TryingPolicy(one, jnp.float32(tries)).act(jnp.float32(0.0), (), key).action
    )(jr.split(jr.key(1), 400))
    shares = np.bincount(np.asarray(act(1.0)), minlength=3) / 400
    assert shares == pytest.approx([0.5, 0.0, 0.5], abs=4 * 0.025)
    assert np.ptp(np.asarray(act(0.0))) == 0 and act(0.0)[0] != 1


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: DeepQLearning(hidden=()), "hidden layer"),
        (lambda: DeepQLearning(least=0.5, tries=0.1), "least <= tries"),
        (lambda: DeepQLearning(follow=0.0), "follow"),
        (lambda: DeepQLearning(kept=100).begin(watched(walk(20)), jr.key(0)), "makes 160 steps"),
        (lambda: DeepQLearning().begin(watched(duopoly()), jr.key(0)), "Discrete"),
    ],
)
def test_what_it_cannot_learn_is_refused(make: Any, says: str):
    with pytest.raises(pop.MethodError, match=says):
        make()
