"""The driver of time: one run, the same run in parts, forks of it, and what it says of a state that changes."""

import json
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from jaxtyping import Array

from populace._errors import ModelError, StateError
from populace.core.draw import Draw
from populace.core.model import Model, parameter
from populace.core.simulate import Snapshot, begin, simulate

N, T = 40, 9
TRACES = {"step": 0}


class People(eqx.Module):
    infected: Array
    recovered: Array


class SIR(Model):
    size: int = eqx.field(static=True, default=N)
    beta: Array = parameter(default=0.4)
    gamma: Array = parameter(default=0.2)

    def init(self, draw: Draw) -> People:
        ill = draw.bernoulli("seed", 0.2, size=self.size)
        return People(ill, 0 * ill)

    def step(self, draw: Draw, people: People) -> People:
        TRACES["step"] += 1
        susceptible = 1 - people.infected - people.recovered
        pressure = jnp.roll(people.infected, 1) + jnp.roll(people.infected, -1)
        caught = draw.bernoulli("infect", -jnp.expm1(-self.beta * pressure), where=susceptible)
        healed = draw.bernoulli("recover", self.gamma, where=people.infected)
        return People(people.infected + caught - healed, people.recovered + healed)

    def observe(self, people: People) -> dict[str, Array]:
        return {"infected": people.infected.sum(), "who": people.infected}


def run(steps: int = T, seed: int = 1, model: Model | None = None, **others: Any) -> Any:
    return simulate(model or SIR(), jr.key(seed), steps, **others)


def test_a_run_by_hand():
    """Init at time 0, then step and observe; the key of a step is folded from its time."""
    model, key = SIR(), jr.key(1)
    step = jax.jit(lambda time, state: model.step(Draw(jr.fold_in(key, time), time), state))
    state = jax.jit(lambda: model.init(Draw(jr.fold_in(key, 0), 0)))()
    totals = []
    for time in range(1, 4):
        state = step(time, state)
        totals.append(float(state.infected.sum()))
    got = run(3)
    assert got.observations["infected"].tolist() == totals
    assert got.times.tolist() == [1, 2, 3]
    assert eqx.tree_equal(got.final.state, state) and int(got.final.time) == 3


def test_the_same_key_is_the_same_run_and_another_is_not():
    one, same, other = run(), run(), run(seed=2)
    assert eqx.tree_equal(one.observations, same.observations)
    assert not eqx.tree_equal(one.observations, other.observations)
    assert one.faults == {} and one.tape == {}


def test_a_beginning_is_time_0():
    here = begin(SIR(), jr.key(1))
    assert int(here.time) == 0 and here.memory == {}
    assert eqx.tree_equal(run(start=here).observations, run().observations)


def test_more_agents_change_nobodys_luck():
    """The prefix property through a whole model: without contacts, the first agents live the same lives."""
    few, many = (run(model=SIR(size=n, beta=0.0)).observations["who"] for n in (N, 3 * N))
    np.testing.assert_array_equal(few, many[:, :N])


@pytest.mark.parametrize("chunk", [3, 5, 100])
def test_chunks_change_no_bit(chunk: int):
    one, other = run(), run(chunk=chunk)
    assert eqx.tree_equal((one.observations, one.final), (other.observations, other.final))
    np.testing.assert_array_equal(one.times, other.times)


def test_a_run_goes_on_bit_for_bit():
    whole, half = run(), run(4)
    rest = run(5, start=half.final)
    assert rest.times.tolist() == [5, 6, 7, 8, 9]
    assert eqx.tree_equal(rest.final, whole.final)
    for name, rows in whole.observations.items():
        np.testing.assert_array_equal(jnp.concatenate([half.observations[name], rest.observations[name]]), rows)


def test_a_fork_differs_only_after():
    whole, half = run(), run(4)
    fork = run(T - 4, seed=7, start=half.final)
    again = run(T - 4, seed=7, start=half.final)
    assert eqx.tree_equal(fork.observations, again.observations)
    assert not np.array_equal(fork.observations["who"], whole.observations["who"][4:])
    np.testing.assert_array_equal(half.observations["who"], whole.observations["who"][:4])


def test_a_fork_may_change_parameters():
    half = run(4)
    healed = run(30, model=SIR(beta=0.0, gamma=1.0), start=half.final)
    assert healed.observations["infected"][0] <= half.observations["infected"][-1]
    assert float(healed.observations["infected"][-1]) == 0


def test_one_compilation_serves_parameters_keys_and_parts():
    run(4, chunk=2)
    before = TRACES["step"]
    for seed, beta in ((5, 0.1), (6, 0.9)):
        run(4, seed=seed, model=SIR(beta=beta), chunk=2)
        run(8, seed=seed, model=SIR(beta=beta), chunk=2, start=run(2, model=SIR(beta=beta), chunk=2).final)
    assert TRACES["step"] == before


def test_runs_that_make_no_sense():
    for steps, chunk in ((0, None), (-1, None), (3, 0), (3, -2)):
        with pytest.raises(ModelError, match="at least one step"):
            run(steps, chunk=chunk)


# States that change


class Drift(Model):
    """`after` makes the next state of this one."""

    after: Any = eqx.field(static=True)

    def init(self, draw: Draw) -> dict[str, Any]:
        return {"x": jnp.zeros(3), "n": jnp.int32(0), "alive": jnp.ones(3, bool)}

    def step(self, draw: Draw, state: dict[str, Any]) -> dict[str, Any]:
        return self.after(state)

    def observe(self, state: dict[str, Any]) -> dict[str, Array]:
        return {"n": state["n"], "x": state["x"].sum()}


DRIFTS = {
    "dtype": (
        lambda s: {**s, "n": s["n"] + jnp.float32(1)},
        r"Drift.step changes state\['n'\] from int32\[\] to float32",
    ),
    "float for bool": (lambda s: {**s, "alive": s["x"]}, r"\['alive'\] from bool\[3\] to float32\[3\].*astype"),
    "whole number for float": (lambda s: {**s, "x": jnp.zeros(3, jnp.int32)}, r"\['x'\] from float32\[3\] to int32"),
    "a weak float for a count": (lambda s: {**s, "n": s["n"] * 1.5}, r"\['n'\] from int32\[\] to float32\[\]"),
    "a Python float for a count": (lambda s: {**s, "n": 1.5}, r"\['n'\] from int32\[\] to float32\[\]"),
    "shape": (lambda s: {**s, "x": jnp.zeros(4)}, r"\['x'\] from float32\[3\] to float32\[4\]"),
    "scalar": (lambda s: {**s, "x": 0.0}, r"\['x'\] from float32\[3\] to float32\[\]"),
    "structure": (lambda s: {"x": s["x"]}, "another structure"),
    "none": (lambda s: None, "another structure"),
}


@pytest.mark.parametrize(("after", "message"), DRIFTS.values(), ids=DRIFTS.keys())
def test_a_state_that_changes_is_an_error_in_words(after: Any, message: str):
    with pytest.raises(StateError, match=message):
        simulate(Drift(after), jr.key(0), 2)


def test_numbers_without_a_dtype_take_the_states():
    grown = simulate(Drift(lambda s: {**s, "n": s["n"] + 1, "x": s["x"] + 0.5}), jr.key(0), 3).final.state
    assert int(grown["n"]) == 3 and grown["x"].tolist() == [1.5] * 3
    plain = simulate(Drift(lambda s: {"x": s["x"] * 2, "n": 4, "alive": s["alive"]}), jr.key(0), 3).final.state
    assert plain["n"].dtype == jnp.int32 and int(plain["n"]) == 4 and not plain["n"].weak_type


def test_a_state_of_plain_numbers_is_made_of_strong_arrays():
    class Plain(Drift):
        def init(self, draw: Draw) -> Any:
            return {"x": 1.5, "n": 3, "alive": np.zeros(2)}

        def observe(self, state: Any) -> dict[str, Array]:
            return state

    got = simulate(Plain(lambda s: {**s, "x": 0.5 * s["x"]}), jr.key(0), 2)
    assert all(isinstance(leaf, jax.Array) and not leaf.weak_type for leaf in jax.tree.leaves(got.final.state))
    assert got.observations["x"].tolist() == [0.75, 0.375]


def test_gradients_pass_through_a_run():
    """d/db of sum_t E[x_t] for x_t = x_(t-1) + b + noise is 1 + 2 + ... + T."""

    class Trend(Model):
        b: Array = parameter(default=0.3)

        def init(self, draw: Draw) -> Array:
            return jnp.zeros(2)

        def step(self, draw: Draw, state: Array) -> Array:
            return state + draw.uniform("x", self.b, self.b + 1.0, size=2)

        def observe(self, state: Array) -> dict[str, Array]:
            return {"x": state.mean()}

    grad = eqx.filter_jit(eqx.filter_grad(lambda model: simulate_inside(model, T)["x"].sum()))(Trend())
    assert float(grad.b) == pytest.approx(T * (T + 1) / 2)


def simulate_inside(model: Model, steps: int) -> dict[str, Array]:
    from populace.core.record import EveryStep
    from populace.core.simulate import advance, initial

    here, _ = initial(model, jr.key(0), ())
    return advance(model, jr.key(0), here, (), None, EveryStep(), steps)[2]


# The result


def test_a_run_for_people_and_programs():
    got = run(3)
    (section,) = got.sections()
    (table,) = section.tables
    assert table.title == "3 observations, to step 3" and table.rows[0][0] == "infected"
    assert table.rows[0][-1] == float(got.observations["infected"][-1])
    record = json.loads(json.dumps(got.record()))
    assert record["times"] == [1, 2, 3] and record["faults"] == {}
    assert record["observations"]["infected"] == got.observations["infected"].tolist()


def test_a_run_as_xarray():
    data = run(3).to_xarray()
    assert data["infected"].dims == ("time",) and data["who"].dims == ("time", "who_1")
    assert data["time"].values.tolist() == [1, 2, 3]
    np.testing.assert_array_equal(data["infected"].values, run(3).observations["infected"])
    assert float(data["who"].sel(time=3).sum()) == float(data["infected"].sel(time=3))


def test_a_snapshot_is_a_tree_of_arrays():
    here = run(2).final
    assert isinstance(here, Snapshot)
    assert all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(here))
