"""Calibrating a thousand parameters: an epidemic with a rate of its own at each of 1,000 places.

People meet at their place; the data are how many were ill at each place on average. Every descent has the same
start, optimiser family and loss (squared gaps in standard errors); its rate is the best of several, by its final
loss. What counts is simulated agent-steps until a loss is reached, a gradient counted by its measured processor time
in forward runs.
"""

from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import numpyro.distributions as dist
import optax
from jaxtyping import Array, Float
from measure import timed

import populace as pop
from populace.calibration.gradient_choice import candidates
from populace.core.executor import Ticker


class Places(pop.Model):
    """SIR at many places: the hazard at a place is its rate times the share of ill there."""

    places: int = eqx.field(static=True)
    people: int = eqx.field(static=True)
    rate: Float[Array, " places"] = pop.parameter(unit="1/day", domain=pop.positive)
    recovery: Float[Array, ""] = pop.parameter(default=0.2, domain=pop.unit)

    def init(self, draw: pop.Draw) -> tuple[Array, Array]:
        ill = draw.bernoulli("seed", 0.1, size=(self.places, self.people))
        return ill, 0 * ill

    def step(self, draw: pop.Draw, state: tuple[Array, Array]) -> tuple[Array, Array]:
        ill, well = state
        p = -jnp.expm1(-self.rate * ill.mean(1))
        caught = draw.bernoulli("infect", jnp.broadcast_to(p[:, None], ill.shape), where=1 - ill - well)
        healed = draw.bernoulli("recover", self.recovery, where=ill)
        return ill + caught - healed, well + healed

    def observe(self, state: tuple[Array, Array]) -> dict[str, Array]:
        return {"ill": state[0].mean(1)}


@dataclass(frozen=True)
class Path:
    """A descent: agent-steps spent and smoothed loss after each round."""

    name: str
    rate: float
    spent: np.ndarray
    losses: np.ndarray

    def until(self, loss: float) -> float:
        """Agent-steps until a loss is reached; infinite if it never is."""
        reached = np.flatnonzero(self.losses <= loss)
        return float(self.spent[reached[0]]) if reached.size else float("inf")


def problem(places: int, people: int, steps: int) -> pop.Problem:
    truth = 0.2 + 1.2 * jr.uniform(jr.key(11), (places,))
    model = Places(places, people, rate=truth)
    runs = pop.ensemble(model, jr.key(12), steps, runs=200).observations["ill"][0]
    moment = pop.moment("ill on average", lambda ill: ill.mean(0), of="ill")
    data = np.asarray(pop.simulate(model, jr.key(13), steps).observations["ill"])
    spread = np.diag(np.asarray(runs).mean(1).var(0, ddof=1))
    target = pop.Target({"ill": data}, [moment]).with_covariance(spread, "200 runs at the truth")
    space = pop.Space(rate=dist.LogUniform(0.1, 3.0).expand([places]))
    return pop.Problem(pop.Simulation(model, steps), space, target)


def forward_runs(task: pop.Problem, estimator: pop.Estimator, method: Any) -> float:
    """What a key's gradient costs: its runs, or its measured processor time in plain runs where it differentiates."""
    d = task.space.size
    if not estimator.differentiates:
        return estimator.runs({"v": jnp.zeros(d)})
    state = method.start(task, jr.key(0), 10**9)
    ask = method.ask(task, state, jr.key(1))
    batch = {name: value[0] for name, value in task.space.from_unit(jnp.full((1, d), 0.5)).items()}
    count = 64
    many = {name: jnp.broadcast_to(value, (count, *value.shape)) for name, value in batch.items()}
    plain = lambda: task.simulate(many, jr.split(jr.key(2), count), Ticker(None, "", 1))  # noqa: E731
    slope = lambda: ask.answer(task, Ticker(None, "", 1))  # noqa: E731
    plain(), slope()
    run = np.median([timed(plain)[1] for _ in range(3)]) / count
    whole = np.median([timed(slope)[1] for _ in range(3)]) / ask.sloping.shape[0]
    return max(1.0, float(whole / run) - 1.0)


def descend(
    task: pop.Problem, estimator: pop.Estimator, rate: float, replicates: int, budget: float, cost: float
) -> Path:
    """One descent from the prior's median; `budget` in agent-steps."""
    method = pop.GradientDescent(estimator, optimiser=optax.adam(rate, b1=0.5, b2=0.9), starts=1, replicates=replicates)
    state = method.start(task, jr.key(3), 10**9)
    state = eqx.tree_at(lambda s: s.descent.at, state, 0.0 * state.descent.at)
    simulation = task.simulator
    agents = simulation.model.places * simulation.model.people
    each = agents * simulation.steps
    spent, losses, total, number = [], [], 0.0, 0
    while total < budget:
        number += 1
        ask = method.ask(task, state, jr.fold_in(jr.key(4), number))
        state = method.tell(task, state, ask, ask.answer(task, Ticker(None, "", 1)))
        total += each * (ask.weighing.shape[0] + ask.sloping.shape[0] * cost)
        spent.append(total)
        losses.append(state.descent.losses[0, -1])
    kept = np.array(losses)
    smooth = np.array([kept[max(0, i - 4) : i + 1].mean() for i in range(kept.size)])
    return Path(estimator.name, rate, np.array(spent), smooth)


def advised(task: pop.Problem) -> tuple[pop.Estimator, str]:
    """What a descent that is not told takes, and the sentence of its audit on it, at the prior's median."""
    method = pop.GradientDescent(starts=1)
    state = method.start(task, jr.key(3), 10**9)
    choice = method.ask(task, state, jr.key(5)).answer(task, Ticker(None, "", 1))
    return candidates(task.space.size)[choice.index], choice.sentence


def contest(*, quick: bool) -> dict[str, Any]:
    """Who reaches what loss with how many agent-steps."""
    places, people, steps = (50, 10, 10) if quick else (1000, 10, 25)
    task = problem(places, people, steps)
    unit = {"v": jnp.ones(())}
    ours, advice = advised(task)
    entrants = {  # the quick one takes the rates that were the best of the long one
        "recommended": (ours, 16, (0.3,) if quick else (0.1, 0.3)),
        "random directions": (pop.RandomDirections(step=0.1, scale=unit), 64, (0.1,) if quick else (0.01, 0.03, 0.1)),
        "differences": (pop.Differences(step=0.1, scale=unit), 4, (0.3,)),
    }
    runs = places * people * steps
    theirs = 3_000.0 if quick else 15_000.0
    budgets = {name: (600.0 if quick else 1_500.0) if name == "recommended" else theirs for name in entrants}
    best: dict[str, Path] = {}
    for name, (estimator, replicates, rates) in entrants.items():
        method = pop.GradientDescent(estimator, starts=1, replicates=replicates)
        cost = forward_runs(task, estimator, method)
        paths = [descend(task, estimator, rate, replicates, budgets[name] * runs, cost) for rate in rates]
        best[name] = min(paths, key=lambda path: path.losses[-5:].mean())
    goals = {name: best[name].losses[-5:].mean() for name in ("random directions", "differences")}
    rival = min(goals, key=lambda name: goals[name])
    goal = float(goals[rival])
    ratio = best[rival].until(goal) / best["recommended"].until(goal)
    rows = [
        [
            name,
            path.rate,
            float(path.losses[0]),
            float(path.losses[-5:].mean()),
            float(path.spent[-1]),
            path.until(goal),
        ]
        for name, path in best.items()
    ]
    return {"rows": rows, "rival": rival, "goal": goal, "ratio": ratio, "parameters": places, "advice": advice}
