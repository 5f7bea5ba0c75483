"""The suite for algorithms passes the house's and fails those that break a law."""

import dataclasses
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import pytest
from tests.learning.games import duel, duopoly, levers, walk

import populace as pop
from populace.learning.algorithm import News
from populace.learning.game import Watched
from populace.testing.algorithms import check_algorithm


@pytest.mark.parametrize("settings", [{}, {"types": jnp.arange(6) % 3}], ids=["shared", "a policy a type"])
def test_the_house_s_algorithm_is_sound(settings: dict[str, Any]):
    algorithm = pop.PPO(worlds=4, epochs=1, minibatches=2, hidden=(4,))
    check_algorithm(algorithm, levers(**settings), jr.key(0))


@pytest.mark.parametrize(
    ("algorithm", "game"),
    [
        (pop.QLearning((5,), rate=0.5, fade=0.0), walk()),
        (pop.QLearning((5,), rate=0.5, fade=0.0), dataclasses.replace(walk(types=jnp.zeros(1, int)), finite=True)),
        (pop.DeepQLearning(worlds=1, kept=64, batches=1, rows=4, hidden=(3,)), walk(20)),
        (pop.MultiplicativeWeights(), duel()),
        (pop.MultiplicativeWeights(optimistic=True), duel()),
        (pop.FictitiousPlay(worlds=6), duel()),
        (pop.EvolutionStrategies(worlds=2, hidden=(3,)), duel()),
        (pop.EvolutionStrategies(worlds=2, hidden=(3,), memory=2, together=True), levers()),
        (pop.ModelGradient(worlds=2, hidden=(3,)), duopoly(types=jnp.arange(2))),
        (pop.PPO(worlds=2, epochs=1, minibatches=1, hidden=(3,), memory=2), levers()),
    ],
    ids=[
        "tables",
        "tables of a game that ends",
        "networks of values",
        "weights",
        "optimistic weights",
        "fictitious play",
        "evolution",
        "evolution together",
        "through the model",
        "a memory",
    ],
)
def test_the_house_s_other_algorithms_are_sound(algorithm: pop.Algorithm, game: pop.Game):
    check_algorithm(algorithm, game, jr.key(0))


class Guessing(pop.Algorithm):
    """A lever, drawn anew in each update; it breaks the law that it is told to."""

    breaks: str = eqx.field(static=True, default="")

    @property
    def runs(self) -> int:
        return 0 if self.breaks == "runs" else 1

    def begin(self, watched: Watched, key: Any) -> Any:
        return {"lever": 1.5 if self.breaks == "arrays" else jnp.float32(0.0)}

    def update(self, watched: Watched, learned: Any, key: Any, progress: Any, frozen: Any) -> tuple[Any, News]:
        drawn = jax.random.uniform(key, (2,) if self.breaks == "shape" else ())
        lever = jnp.float32(1.0) if self.breaks == "key" else drawn
        sites = ["push"] if self.breaks == "news" else ["pull"]
        return {"lever": lever}, News({s: jnp.float32(0.0) for s in sites}, jnp.int32(0), jnp.int32(0))

    def playing(self, watched: Watched, learned: Any) -> Any:
        return {"push" if self.breaks == "playing" else "pull": pop.FixedPolicy(jnp.int32(0))}

    def policies(self, watched: Watched, learned: Any) -> Any:
        policy = pop.FixedPolicy((3 * learned["lever"]).astype(jnp.int32))
        return {"pull": 3 if self.breaks == "policies" else policy}


def test_one_that_keeps_the_laws_passes():
    check_algorithm(Guessing(), levers(), jr.key(0))


@pytest.mark.parametrize(
    ("breaks", "says"),
    [
        ("runs", "runs is 0"),
        ("arrays", "checkpointed"),
        ("shape", "round a loop"),
        ("key", "another key"),
        ("news", "push"),
        ("policies", "no Policy"),
        ("playing", "at play"),
    ],
)
def test_what_breaks_a_law_is_named(breaks: str, says: str):
    with pytest.raises(AssertionError, match=says):
        check_algorithm(Guessing(breaks), levers(), jr.key(0))
