"""Policies that remember: trained by proximal policy optimisation on whole runs, where only memory helps."""

from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

import populace as pop
from populace.learning.game import watched
from populace.learning.policies import first_recurrent


class Cue(pop.Model):
    """One of two signs is shown at first; three blank steps later it pays to name it."""

    def init(self, draw: pop.Draw) -> dict[str, Any]:
        sign = draw.bernoulli("sign", 0.5, size=4)
        return {"sign": sign, "shown": 2.0 * sign - 1.0, "left": jnp.full(4, 3.0), "paid": jnp.zeros(4)}

    def step(self, draw: pop.Draw, state: dict[str, Any]) -> dict[str, Any]:
        view = {"shown": state["shown"], "left": state["left"]}
        said = draw.decide("say", view, lambda view, inner: jnp.zeros(view["left"].shape, jnp.int32))
        paid = (state["left"] == 0) & (said == state["sign"])
        return {**state, "shown": jnp.zeros(4), "left": state["left"] - 1.0, "paid": paid.astype(jnp.float32)}

    def observe(self, state: dict[str, Any]) -> dict[str, Any]:
        return {"paid": state["paid"].sum()}


def test_only_who_remembers_names_the_sign():
    """Without a memory nobody can earn more than a half, by symmetry; with it all is earned."""
    paid = pop.Learner(lambda step: step.after["paid"], pop.Discrete(2), discount=1.0)
    made = watched(pop.Game(Cue(), 4, {"say": paid}, finite=True))
    algorithm = pop.PPO(worlds=16, epochs=1, minibatches=1, hidden=(8,), memory=4, rate=4e-2, decay=0.95)

    @jax.jit
    def trained(key: Any) -> Any:
        start, learning = jr.split(key)
        step = lambda learned, at: algorithm.update(made, learned, at[0], at[1], ())  # noqa: E731
        schedule = jr.split(learning, 80), jnp.linspace(0.0, 1.0, 80)
        return jax.lax.scan(step, algorithm.begin(made, start), schedule)[1].returns["say"]

    returns = np.asarray(trained(jr.key(0)))
    assert returns[0] == pytest.approx(0.5, abs=4 * 0.5 / np.sqrt(64))
    assert returns[-10:].mean() > 0.95


def test_laws_along_a_run_are_those_that_were_acted_on():
    """An agent that is masked at one step begins afresh, in the run as in what is learned from it."""
    policy = first_recurrent(jr.key(0), jnp.zeros(2), pop.Continuous(), (3,), 2, explores=True)
    views, lived = jr.normal(jr.key(1), (3, 2)), jnp.array([1.0, 0.0, 1.0])

    @jax.jit
    def both() -> Any:
        memory, said = policy.memory(), []
        for view, lives in zip(views, lived, strict=True):
            after, law = policy.recalled(view, memory)
            memory = jnp.where(lives > 0, after, policy.memory())
            said.append(law)
        return policy.laws(views, lived), jnp.stack(said), policy.recalled(views[2], policy.memory())[1]

    laws, stepped, reborn = both()
    assert np.asarray(laws) == pytest.approx(np.asarray(stepped), abs=1e-6)
    assert np.asarray(laws[2]) == pytest.approx(np.asarray(reborn), abs=1e-6)


def test_a_memory_below_nothing_is_refused():
    with pytest.raises(pop.MethodError, match="memory"):
        pop.PPO(memory=-1)
