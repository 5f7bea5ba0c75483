"""Games as parallel environments: PettingZoo's own tests, and ours that the runs are the model's."""

import sys
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from gymnasium import spaces
from jaxtyping import Array
from pettingzoo.test import parallel_api_test, parallel_seed_test
from tests.learning.games import Till, duopoly, fish_war, levers, till

import populace as pop
from populace.learning.game import watched
from populace.learning.pettingzoo import parallel_environment
from populace.learning.rollout import rollout


class Fair(pop.Model):
    """Buyers who are asked in turns which stall they go to, and what they pay there."""

    def init(self, draw: pop.Draw) -> Array:
        return draw.uniform("purse", 1.0, 2.0, size=4)

    def step(self, draw: pop.Draw, purse: Array) -> Array:
        view = {"purse": purse, "past": jnp.broadcast_to(draw.time, 4)}
        turn = (jnp.arange(4) % 2 == draw.time % 2).astype(jnp.float32)
        bought = draw.decide("buy", view, _nothing, where=turn)
        return purse - bought["paid"].sum(-1) + 0.1 * bought["stall"]

    def observe(self, purse: Array) -> dict[str, Array]:
        return {"purse": purse}


def _nothing(view: Any, draw: pop.Draw) -> dict[str, Array]:
    return {"stall": jnp.zeros(4, jnp.int32), "paid": jnp.zeros((4, 2))}


def fair(**declared: Any) -> pop.Game:
    actions = pop.Mixed({"stall": pop.Discrete(3), "paid": pop.Continuous(low=0.0, shape=(2,))})
    learner = pop.Learner(lambda step: step.after - step.before, actions, who=jnp.array([1.0, 1.0, 1.0, 0.0]))
    return pop.Game(Fair(), 5, {"buy": learner}, **declared)


def first_two() -> pop.Game:
    """At the levers, of which each may pull one of the first two."""
    learner = pop.Learner(lambda step: step.after, pop.Discrete(3, allowed=lambda view: jnp.array([1, 1, 0])))
    return pop.Game(levers().model, 4, {"pull": learner})


GAMES = {
    "continuous": fish_war(2, steps=8),
    "a dictionary of views": duopoly(3),
    "discrete": levers(),
    "masked options": first_two(),
    "mixed, in turns, finite": fair(finite=True),
}


@pytest.mark.parametrize("game", GAMES.values(), ids=list(GAMES))
def test_pettingzoo_finds_nothing_wrong(game: pop.Game):
    parallel_api_test(parallel_environment(game, jr.key(0)), num_cycles=20)
    parallel_seed_test(lambda: parallel_environment(game, jr.key(0)), num_cycles=20)


@pytest.mark.parametrize("game", GAMES.values(), ids=list(GAMES))
def test_what_is_seen_and_done_lies_in_its_space(game: pop.Game):
    environment = parallel_environment(game, jr.key(0))
    seen, _ = environment.reset(seed=1)
    while environment.agents:
        for agent in environment.agents:
            assert environment.observation_space(agent).contains(seen[agent])
        actions = {agent: environment.action_space(agent).sample() for agent in environment.agents}
        seen, rewards, *_ = environment.step(actions)
        assert {type(reward) for reward in rewards.values()} == {float}


def test_spaces_are_what_learners_may_do():
    environment = parallel_environment(fair(), jr.key(0))
    several = spaces.Dict({"stall": spaces.Discrete(3), "paid": spaces.Box(0.0, np.inf, (2,), np.float32)})
    assert environment.action_space("buy/0") == several
    assert environment.observation_space("buy/0") == spaces.Box(-np.inf, np.inf, (2,), np.float32)
    war = parallel_environment(fish_war(2), jr.key(0))
    assert war.action_space("harvest/1") == spaces.Box(0.0, 1.0, (), np.float32)


def test_lives_that_end_are_told():
    learner = pop.Learner(
        lambda step: step.after, pop.Discrete(3), ends=lambda step: (step.after > 1).astype(jnp.float32)
    )
    environment = parallel_environment(pop.Game(levers().model, 4, {"pull": learner}), jr.key(0))
    environment.reset()
    *_, infos = environment.step({agent: i % 3 for i, agent in enumerate(environment.agents)})
    assert [infos[agent]["ends"] for agent in environment.agents] == [False, False, True] * 2


def test_a_seed_is_a_key_of_a_run():
    game = fish_war(2, steps=8)
    run = eqx.filter_jit(rollout)(watched(game), {"harvest": pop.FixedPolicy(0.6)}, jr.key(7), game.steps, ())
    environment = parallel_environment(game, jr.key(0))
    seen, _ = environment.reset(seed=7)
    for i in range(game.steps):
        assert seen["harvest/1"].tolist() == [run.notes["harvest"]["view"][i, 1]]
        seen, rewards, *_ = environment.step({agent: np.float32(0.6) for agent in environment.agents})
        assert rewards["harvest/1"] == run.seen["reward:harvest"][i, 1]


def test_each_reset_is_another_run_and_a_seed_begins_anew():
    environment, other = (parallel_environment(duopoly(), jr.key(0)) for _ in range(2))

    def first(where: Any, seed: int | None = None) -> list[float]:
        return where.reset(seed=seed)[0]["quantity/0"].tolist()

    runs = [first(environment) for _ in range(3)]
    assert len({tuple(run) for run in runs}) == 3
    assert runs == [first(other) for _ in range(3)]
    assert runs[0] == first(environment, seed=0)
    assert runs[1] == first(environment)
    assert first(environment, seed=5) != runs[0]


@pytest.mark.parametrize("finite", [False, True])
def test_a_window_is_truncated_and_a_finite_game_ends(finite: bool):
    environment = parallel_environment(fair(finite=finite), jr.key(0))
    environment.reset()
    ends = []
    while environment.agents:
        actions = {agent: environment.action_space(agent).sample() for agent in environment.agents}
        _, _, terminated, truncated, _ = environment.step(actions)
        ends.append((set(terminated.values()), set(truncated.values())))
    assert ends == [({False}, {False})] * 4 + [({finite}, {not finite})]
    with pytest.raises(pop.MethodError, match="reset the environment"):
        environment.step({})


def test_only_learners_are_agents_and_only_who_is_asked_acts():
    environment = parallel_environment(fair(), jr.key(0))
    seen, _ = environment.reset()
    assert environment.possible_agents == ["buy/0", "buy/1", "buy/2"]
    action = {"stall": np.int64(2), "paid": np.array([0.1, 0.2], np.float32)}
    after, rewards, _, _, infos = environment.step(dict.fromkeys(environment.agents, action))
    assert [infos[agent]["asked"] for agent in environment.agents] == [False, True, False]
    assert rewards == pytest.approx({"buy/0": 0.0, "buy/1": -0.1, "buy/2": 0.0}, abs=1e-6)
    assert after["buy/0"].tolist() == [2.0, seen["buy/0"][1]]  # the time to come, and the purse, by sorted names


def test_what_is_allowed_next_is_said():
    environment = parallel_environment(first_two(), jr.key(0))
    _, infos = environment.reset()
    mask = infos["pull/3"]["action_mask"]
    assert mask.tolist() == [1, 1, 0]
    assert environment.action_space("pull/3").sample(mask) in (0, 1)


@pytest.mark.parametrize(
    ("action", "error", "says"),
    [
        ({}, pop.MethodError, r"no action for \['take/0'"),
        (dict.fromkeys(["take/0", "take/1", "take/2"], np.float32(np.nan)), pop.FaultError, "NaN"),
        (dict.fromkeys(["take/0", "take/1", "take/2"], np.zeros(2)), pop.MethodError, r"take/0 has shape \(2,\)"),
    ],
)
def test_actions_that_cannot_be_played_are_errors(action: Any, error: type[Exception], says: str):
    environment = parallel_environment(till(Till()), jr.key(0))
    environment.reset()
    with pytest.raises(error, match=says):
        environment.step(action)


def test_without_pettingzoo_the_extra_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "pettingzoo", None)
    with pytest.raises(pop.MissingExtraError, match=r"populace\[environments\]"):
        parallel_environment(duopoly(), jr.key(0))
