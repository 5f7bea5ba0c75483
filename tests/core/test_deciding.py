"""Policies at a decision: for all, for some, one each; their memory through time, masks, loops and forks."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from jaxtyping import Array

from populace._errors import SiteError
from populace._types import Key
from populace.core.draw import Draw
from populace.core.model import Model
from populace.core.plug import Deciding, Override, Plug, Record, Window
from populace.core.policy import Act, Policy
from populace.core.simulate import Run, begin, simulate

N, T = 5, 6
WHO = jnp.array([1.0, 0.0, 1.0, 0.0, 0.0])


def follow(view: Array, draw: Draw) -> Array:
    return 0.5 * view


class Fishers(Model):
    """Each decides on what it sees: its own number plus the step; `alive` says who decides when."""

    looped: bool = eqx.field(static=True, default=False)
    away: Array = eqx.field(converter=jnp.asarray, default_factory=lambda: jnp.zeros((T + 1, N)))

    def init(self, draw: Draw) -> dict[str, Array]:
        return {"catch": jnp.zeros(N), "time": jnp.float32(0)}

    def step(self, draw: Draw, state: dict[str, Array]) -> dict[str, Array]:
        alive = 1.0 - self.away[draw.time]
        view = jnp.arange(N) + draw.time

        def turn(inner: Draw, i: Array, total: Array) -> Array:
            return total + inner.decide("fish", view + 0.0, follow, where=alive)

        if self.looped:
            catch = draw.loop("days", 3, turn, jnp.zeros(N))
        else:
            catch = turn(draw, jnp.int32(0), jnp.zeros(N))
        return {"catch": catch, "time": state["time"] + 1}

    def observe(self, state: dict[str, Array]) -> dict[str, Array]:
        return {"catch": state["catch"]}


class Greedy(Policy):
    """Twice what it sees, times its appetite, and never a memory."""

    appetite: Array = eqx.field(converter=jnp.asarray, default=1.0)

    def memory(self) -> Any:
        return ()

    def act(self, view: Array, memory: Any, key: Key) -> Act:
        return Act(2.0 * self.appetite * view, (), {"seen": view})


class Counting(Policy):
    """Remembers how often it has decided, starting from its own number, and acts by it."""

    first: Array = eqx.field(converter=jnp.asarray, default=10.0)

    def memory(self) -> Any:
        return {"count": jnp.asarray(self.first, jnp.float32)}

    def act(self, view: Array, memory: Any, key: Key) -> Act:
        return Act(memory["count"], {"count": memory["count"] + 1.0})


class Random(Policy):
    """A number of its own."""

    def memory(self) -> Any:
        return ()

    def act(self, view: Array, memory: Any, key: Key) -> Act:
        return Act(jr.uniform(key))


def fish(*plugs: Plug, model: Model | None = None, **others: Any) -> Run:
    return simulate(model or Fishers(), jr.key(2), T, plugs=plugs, **others)


def catch(*plugs: Plug, **others: Any) -> np.ndarray:
    return np.asarray(fish(*plugs, **others).observations["catch"])


VIEW = np.arange(N) + np.arange(1, T + 1)[:, None]


def test_the_rule_is_the_baseline():
    np.testing.assert_allclose(catch(), 0.5 * VIEW)


def test_a_policy_decides_for_everyone():
    run = fish(Deciding("fish", Greedy(1.0)))
    np.testing.assert_allclose(run.observations["catch"], 2.0 * VIEW)
    note = run.tape["fish"]
    assert set(note) == {"view", "action", "info", "acting"}
    for leaf in (note["view"], note["action"], note["info"]["seen"], note["acting"]):
        assert leaf.shape == (T, N)
    np.testing.assert_array_equal(note["view"], VIEW)
    assert (note["acting"] == 1).all()


def test_a_policy_decides_for_some():
    run = fish(Deciding("fish", Greedy(1.0), who=WHO))
    np.testing.assert_allclose(run.observations["catch"], np.where(WHO > 0, 2.0, 0.5) * VIEW)
    np.testing.assert_array_equal(run.tape["fish"]["acting"], np.tile(WHO, (T, 1)))


def test_each_agent_may_have_its_own_policy():
    appetites = jnp.arange(1.0, N + 1)
    each = jax.vmap(Greedy)(appetites)
    np.testing.assert_allclose(catch(Deciding("fish", each, individual=True)), 2.0 * VIEW * np.asarray(appetites))


def test_new_weights_of_a_policy_compile_nothing():
    plug = Deciding("fish", Greedy(1.0))
    seen = [0]

    class Watched(Fishers):
        def observe(self, state: dict[str, Array]) -> dict[str, Array]:
            seen[0] += 1
            return super().observe(state)

    fish(plug, model=Watched())
    before = seen[0]
    fish(Deciding("fish", Greedy(3.0)), model=Watched())
    assert seen[0] == before


def test_each_agent_has_its_own_luck():
    numbers = catch(Deciding("fish", Random()))
    assert len(np.unique(numbers)) == T * N


def test_whoever_is_masked_does_nothing():
    away = np.zeros((T + 1, N), np.float32)
    away[3:5, 1] = 1
    model = Fishers(away=away)
    present = 1 - away[1:]
    np.testing.assert_allclose(catch(Deciding("fish", Greedy(1.0)), model=model), 2.0 * VIEW * present)
    half = catch(Deciding("fish", Greedy(1.0), who=WHO), model=model)
    np.testing.assert_allclose(half, np.where(WHO > 0, 2.0, 0.5) * VIEW * present)


# Memory


def test_memory_travels_with_the_run():
    np.testing.assert_array_equal(catch(Deciding("fish", Counting(10.0))), np.tile(10.0 + np.arange(T)[:, None], N))


def test_memory_starts_anew_where_an_agent_was_masked():
    """A slot that is used again belongs to somebody else."""
    away = np.zeros((T + 1, N), np.float32)
    away[3, 1] = away[1, 4] = 1
    got = catch(Deciding("fish", Counting(10.0)), model=Fishers(away=away))
    assert got[:, 0].tolist() == [10, 11, 12, 13, 14, 15]
    assert got[:, 1].tolist() == [10, 11, 0, 10, 11, 12]
    assert got[:, 4].tolist() == [0, 10, 11, 12, 13, 14]


def test_memory_of_each_and_of_some():
    each = jax.vmap(Counting)(10.0 * jnp.arange(N))
    got = catch(Deciding("fish", each, individual=True))
    np.testing.assert_array_equal(got, 10.0 * np.arange(N) + np.arange(T)[:, None])
    some = catch(Deciding("fish", Counting(10.0), who=WHO))
    np.testing.assert_array_equal(some, np.where(WHO > 0, 10.0 + np.arange(T)[:, None], 0.5 * VIEW))


def test_policies_in_front_of_each_other_keep_memories_of_their_own():
    """Some decide by one policy, the rest by another that stands behind it; inside a loop too, and over a fork."""
    both = lambda path: (Deciding(path, Counting(10.0), who=WHO), Deciding(path, Counting(200.0)))  # noqa: E731
    expected = np.where(WHO > 0, 10.0, 200.0) + np.arange(T)[:, None]
    np.testing.assert_array_equal(catch(*both("fish")), expected)
    looped = catch(*both("days/fish"), model=Fishers(looped=True))
    turns = np.arange(3 * T).reshape(T, 3).sum(1)[:, None]
    np.testing.assert_array_equal(looped, 3 * np.where(WHO > 0, 10.0, 200.0) + turns)
    first = simulate(Fishers(), jr.key(2), 2, plugs=both("fish"))
    then = simulate(Fishers(), jr.key(2), T - 2, plugs=both("fish"), start=first.final)
    np.testing.assert_array_equal(np.asarray(then.observations["catch"]), expected[2:])


def test_memory_goes_through_a_loop_and_on_to_the_next_step():
    got = catch(Deciding("days/fish", Counting(10.0)), model=Fishers(looped=True))
    turns = 10.0 + np.arange(3 * T).reshape(T, 3)
    np.testing.assert_array_equal(got, np.tile(turns.sum(1)[:, None], N))


def test_the_tape_of_a_policy_in_a_loop():
    run = fish(Deciding("days/fish", Counting(10.0)), model=Fishers(looped=True))
    assert run.tape["days/fish"]["action"].shape == (T, 3, N)


def test_a_run_in_parts_remembers():
    plug = Deciding("fish", Counting(10.0))
    whole = catch(plug)
    np.testing.assert_array_equal(catch(plug, chunk=4), whole)
    half = simulate(Fishers(), jr.key(2), 2, plugs=(plug,))
    rest = simulate(Fishers(), jr.key(2), T - 2, plugs=(plug,), start=half.final)
    np.testing.assert_array_equal(rest.observations["catch"], whole[2:])


def test_a_policy_may_be_plugged_in_at_a_fork():
    """It starts from its own first memory, not from zeros, and the rule decided before."""
    half = simulate(Fishers(), jr.key(2), 2)
    plug = Deciding("fish", Counting(10.0))
    rest = simulate(Fishers(), jr.key(2), 4, plugs=(plug,), start=half.final)
    np.testing.assert_array_equal(rest.observations["catch"], np.tile(10.0 + np.arange(4)[:, None], N))
    back = simulate(Fishers(), jr.key(2), 1, start=rest.final)
    np.testing.assert_allclose(back.observations["catch"], 0.5 * (np.arange(N)[None] + 7))


class Wordy(Counting):
    """A memory of another shape."""

    def memory(self) -> Any:
        return {"count": jnp.full(2, self.first)}

    def act(self, view: Array, memory: Any, key: Key) -> Act:
        return Act(memory["count"][0], {"count": memory["count"] + 1.0})


def test_a_policy_with_another_memory_starts_anew():
    half = simulate(Fishers(), jr.key(2), 2, plugs=(Deciding("fish", Counting(10.0)),))
    same = simulate(Fishers(), jr.key(2), 1, plugs=(Deciding("fish", Counting(50.0)),), start=half.final)
    other = simulate(Fishers(), jr.key(2), 1, plugs=(Deciding("fish", Wordy(50.0)),), start=half.final)
    assert (same.observations["catch"] == 12).all()
    assert (other.observations["catch"] == 50).all()


def test_a_beginning_holds_memory_that_has_not_started():
    memory = begin(Fishers(), jr.key(2), (Deciding("fish", Counting(10.0)),)).memory
    assert not bool(memory["fish"].started) and memory["fish"].tree["count"].shape == (N,)
    assert begin(Fishers(), jr.key(2)).memory == {}


# With other plugs, and wrongly used


def test_an_intervened_action_is_not_the_policys():
    """`acting` keeps it out of what a learner learns from."""
    put = Override("fish", -1.0, Window(start=3, who=WHO))
    run = fish(put, Deciding("fish", Greedy(1.0)))
    reached = (np.arange(1, T + 1)[:, None] >= 3) & (np.asarray(WHO) > 0)
    np.testing.assert_array_equal(run.tape["fish"]["acting"], 1.0 - reached)
    np.testing.assert_array_equal(run.observations["catch"], np.where(reached, -1.0, 2.0 * VIEW))


def test_a_recorded_policy():
    tape = fish(Record(), Deciding("fish", Greedy(1.0))).tape["fish"]
    assert {"view", "action", "info", "acting", "value", "where"} == set(tape)
    np.testing.assert_array_equal(tape["value"], tape["action"])


class Lonely(Fishers):
    def step(self, draw: Draw, state: dict[str, Array]) -> dict[str, Array]:
        draw.decide("plan", jnp.float32(1.0), follow)
        draw.bernoulli("coin", 0.5, size=N)
        return state


def test_a_policy_stands_at_a_decision_of_agents():
    with pytest.raises(SiteError, match=r"'coin' is of kind bernoulli.*only at a decision"):
        fish(Deciding("coin", Greedy(1.0)), model=Lonely())
    with pytest.raises(SiteError, match=r"'plan'.*agents.*leading axis"):
        fish(Deciding("plan", Greedy(1.0)), model=Lonely())
