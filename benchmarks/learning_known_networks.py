"""Networks where the answer is known, with values and with a memory: rows of `learning_known.py`.

Machines wear out, and are kept or renewed: what every choice is worth is what value iteration says. A sign is shown,
and named three blank steps later: who remembers names it always, who does not half of the time, by symmetry.
"""

import time
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array

import populace as pop
from populace.learning.game import watched

GRADES, MACHINES, WORSE, RENEWAL, DISCOUNT = 5, 4, 0.6, 0.7, 0.9


class Machines(pop.Model):
    """A machine of grade g, 0 to 4, makes 1 - g / 4, and at times wears by a grade; a new one costs, and makes nothing
    in the step in which it comes. Who owns one sees its grade.
    """

    def init(self, draw: pop.Draw) -> dict[str, Array]:
        grade = draw.categorical("first", jnp.zeros(GRADES), size=MACHINES).index
        return {"grade": grade, "paid": jnp.zeros(MACHINES)}

    def step(self, draw: pop.Draw, now: dict[str, Array]) -> dict[str, Array]:
        grade = now["grade"]
        renewed = draw.decide("renew", grade, lambda grade, inner: (grade == GRADES - 1).astype(jnp.int32))
        worn = jnp.minimum(grade + draw.bernoulli("wear", WORSE, size=MACHINES).astype(jnp.int32), GRADES - 1)
        paid = jnp.where(renewed > 0, -RENEWAL, 1.0 - grade / (GRADES - 1))
        return {"grade": jnp.where(renewed > 0, 0, worn), "paid": paid}

    def observe(self, now: dict[str, Array]) -> dict[str, Array]:
        return {"paid": now["paid"].mean()}


def _laws() -> tuple[np.ndarray, np.ndarray]:
    """(grades, choices): pay; (grades, choices, grades): where it leads."""
    grades = np.arange(GRADES)
    pay = np.stack([1.0 - grades / (GRADES - 1), np.full(GRADES, -RENEWAL)], axis=1)
    leads = np.zeros((GRADES, 2, GRADES))
    leads[:, 1, 0] = 1.0
    leads[grades, 0, grades] += 1.0 - WORSE
    leads[grades, 0, np.minimum(grades + 1, GRADES - 1)] += WORSE
    return pay, leads


def worth() -> np.ndarray:
    """(grades, choices): what keeping and renewing are worth, by value iteration."""
    (pay, leads), table = _laws(), np.zeros((GRADES, 2))
    for _ in range(500):
        table = pay + DISCOUNT * leads @ table.max(1)
    return table


def kept_to(choices: np.ndarray) -> float:
    """What a machine of any grade is worth to who keeps to some choices, by a linear system."""
    pay, leads = _laws()
    grades = np.arange(GRADES)
    return float(np.linalg.solve(np.eye(GRADES) - DISCOUNT * leads[grades, choices], pay[grades, choices]).mean())


def valued(updates: int, seeds: int) -> dict[str, Any]:
    """Deep Q-learning: what the network says a machine is worth, and what its choices are worth by a linear system."""
    begun, algorithm = time.perf_counter(), pop.DeepQLearning(hidden=(32,), least=0.2)
    learner = pop.Learner(lambda step: step.after["paid"], pop.Discrete(2), discount=DISCOUNT)
    made = watched(pop.Game(Machines(), 32, {"renew": learner}))

    def one(key: Array) -> Array:
        start, learning = jr.split(key)
        step = lambda learned, at: (algorithm.update(made, learned, at[0], at[1], ())[0], None)  # noqa: E731
        at = jr.split(learning, updates), jnp.linspace(0.0, 1.0, updates)
        slow = jax.lax.scan(step, algorithm.begin(made, start), at)[0].valuers["renew"].slow
        return jax.vmap(lambda grade: slow.heads(grade[None]))(jnp.arange(float(GRADES)))

    said, answer = np.asarray(jax.jit(jax.vmap(one))(jr.split(jr.key(0), seeds)), np.float64), worth()
    value, expected = float(said.max(2).mean()), float(answer.max(1).mean())
    policies = np.array([kept_to(table.argmax(1)) for table in said])
    return {
        **{"value": value, "expected": expected, "error": value / expected - 1.0},
        **{"worst": float(np.abs(said / answer - 1.0).max()), "policy": float(policies.min() / expected - 1.0)},
        **{"same": int((said.argmax(2) == answer.argmax(1)).all(1).sum()), "seeds": seeds},
        "seconds": time.perf_counter() - begun,
    }


# A memory

WAITS, LISTENERS = 3, 4


class Cue(pop.Model):
    """One of two signs is shown at first; three blank steps later it pays to name it."""

    def init(self, draw: pop.Draw) -> dict[str, Array]:
        sign, left = draw.bernoulli("sign", 0.5, size=LISTENERS), jnp.full(LISTENERS, float(WAITS))
        return {"sign": sign, "shown": 2.0 * sign - 1.0, "left": left, "paid": jnp.zeros(LISTENERS)}

    def step(self, draw: pop.Draw, now: dict[str, Array]) -> dict[str, Array]:
        view = {"shown": now["shown"], "left": now["left"]}
        said = draw.decide("say", view, lambda view, inner: jnp.zeros(view["left"].shape, jnp.int32))
        paid = (now["left"] == 0) & (said == now["sign"])
        blank = jnp.zeros(LISTENERS)
        return {**now, "shown": blank, "left": now["left"] - 1.0, "paid": paid.astype(jnp.float32)}

    def observe(self, now: dict[str, Array]) -> dict[str, Array]:
        return {"paid": now["paid"].mean()}


def remembered(memory: int, updates: int, seeds: int) -> dict[str, Any]:
    """How often the sign is named, training by training, in fresh runs; `told`: trainings that always name it."""
    begun = time.perf_counter()
    paid = pop.Learner(lambda step: step.after["paid"], pop.Discrete(2), discount=1.0)
    game = pop.Game(Cue(), WAITS + 1, {"say": paid}, finite=True)
    algorithm = pop.PPO(worlds=16, epochs=1, minibatches=1, hidden=(8,), memory=memory, rate=4e-2, decay=0.95)
    learned = pop.learn(game, algorithm, jr.key(0), budget=16 * updates, seeds=seeds, runs=1024, progress=False)
    named, expected = learned.scores.returns("say").mean((1, 2)), 1.0 if memory else 0.5
    return {
        **{"value": float(named.mean()), "expected": expected, "error": float(named.mean() / expected - 1.0)},
        **{"worst": float(np.abs(named / expected - 1.0).max()), "told": int((named > 0.99).sum())},
        **{"seeds": seeds, "seconds": time.perf_counter() - begun},
    }
