"""Bias and spread of every gradient estimator on an epidemic along a network, and what its accuracy costs.

The case of the literature: 1,000 agents, 10 neighbours, rewired at .1, infection probability 1 - (1 - beta)^n,
beta = gamma = seeded = .05; the derivative of mean prevalence over steps 1 to 100 and 1 to 30, and of prevalence at
step 20. The truth is central differences with common random numbers, extrapolated on a ladder of steps.

Then a thousand parameters (`thousand.py`): agent-steps until the loss that the better of full differences and random
directions reaches, ours as a share of theirs.

    python benchmarks/gradient_accuracy.py [--json] [--quick]

`--quick` takes one horizon, fewer runs, and a hundred parameters.
"""

import argparse
import json
import statistics
import sys
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import thousand
from jaxtyping import Array, Float
from measure import hasty, show, timed

import populace as pop

AT = {"beta": 0.05, "gamma": 0.05, "seeded": 0.05}
STEP = 0.05
"""Of differences, as a share of each value: twice as wide they are off by 17 % of the derivative by beta at step 20."""
HORIZONS: dict[str, tuple[int, Callable[[dict[str, Array]], Array]]] = {
    "mean to 100": (100, lambda seen: seen["prevalence"] / 100.0),
    "mean to 30": (30, lambda seen: seen["prevalence"] / 30.0),
    "at 20": (20, lambda seen: seen["prevalence"][-1]),
}


class People(eqx.Module):
    """Who is infected, who recovered."""

    infected: Float[Array, "agents"]
    recovered: Float[Array, "agents"]


class Epidemic(pop.Model):
    """SIR along a network."""

    contacts: pop.Topology
    beta: Float[Array, ""] = pop.parameter(domain=pop.unit)
    gamma: Float[Array, ""] = pop.parameter(domain=pop.unit)
    seeded: Float[Array, ""] = pop.parameter(domain=pop.unit)

    def init(self, draw: pop.Draw) -> People:
        ill = draw.bernoulli("seed", self.seeded, size=self.contacts.size)
        return People(ill, 0 * ill)

    def step(self, draw: pop.Draw, people: People) -> People:
        susceptible = 1 - people.infected - people.recovered
        met = self.contacts.sum(people.infected)
        caught = draw.bernoulli("infect", -jnp.expm1(met * jnp.log1p(-self.beta)), where=susceptible)
        healed = draw.bernoulli("recover", self.gamma, where=people.infected)
        return People(people.infected + caught - healed, people.recovered + healed)

    def observe(self, people: People) -> dict[str, Array]:
        return {"prevalence": people.infected.mean()}


class Each(pop.Model):
    """The same, seen person by person: what light cones weigh."""

    epidemic: Epidemic

    def init(self, draw: pop.Draw) -> People:
        return self.epidemic.init(draw)

    def step(self, draw: pop.Draw, people: People) -> People:
        return self.epidemic.step(draw, people)

    def observe(self, people: People) -> dict[str, Array]:
        return {"prevalence": people.infected / people.infected.size}


def estimators(*, quick: bool) -> dict[str, pop.Estimator]:
    """Who takes part, by name; the quick table leaves out twins with several candidates, and all cones but one."""
    town = network()
    wide = {name: jnp.float32(value) for name, value in AT.items()}
    found: list[pop.Estimator] = [
        pop.Differences(step=STEP, scale=wide),
        pop.RandomDirections(step=STEP, scale=wide),
        pop.Score(),
        pop.Score(pop.Learned(), group=64),
        pop.Twin(),
        pop.Guided(step=STEP, scale=wide),
        *(pop.LocalScore(pop.LightCone.of(town, radius)) for radius in ((2,) if quick else (1, 2, 3))),
    ]
    if not quick:
        found += [pop.Twin(candidates=4, importance=1.0), pop.SharedTwin(candidates=4, importance=1.0)]
    relaxations = (pop.StraightThrough(), pop.Smoothed())
    found += [pop.Pathwise((one,)) for one in relaxations]
    return {_named(one): one for one in found}


def _named(one: pop.Estimator) -> str:
    if isinstance(one, pop.Pathwise) and isinstance(one.relaxations[0], pop.GumbelSoftmax):
        return f"Pathwise(GumbelSoftmax {float(one.relaxations[0].temperature):g})"
    return one.name


def network() -> pop.Network:
    return pop.small_world(jr.key(0), 1_000, degree=10, rewire=0.1)


def expected(horizon: str) -> pop.ExpectedLoss:
    steps, loss = HORIZONS[horizon]
    return pop.ExpectedLoss(pop.Simulation(Epidemic(network(), **AT), steps), loss)


def by_person(horizon: str) -> pop.ExpectedLoss:
    """The same loss with a term for each row and person."""
    steps, loss = HORIZONS[horizon]

    def terms(seen: dict[str, Array]) -> Array:
        """Those that the loss leaves out are 0: its derivative by what is seen is a weight, as it is linear."""
        prevalence = {"prevalence": seen["prevalence"].sum(1)}
        weights = jax.grad(lambda seen: loss(seen).sum())(prevalence)["prevalence"]
        return weights[:, None] * seen["prevalence"]

    simulation = pop.Simulation(Each(Epidemic(network(), **AT)), steps)
    return pop.ExpectedLoss(simulation, terms, lambda at: {f"epidemic.{name}": value for name, value in at.items()})


def seconds_a_key(loss: pop.ExpectedLoss, one: pop.Estimator, keys: int) -> float:
    """Processor seconds of an estimate from one key; the median of three, after `differentiate` has compiled it."""
    work = lambda: pop.differentiate(loss, one, jr.key(1), at=AT, keys=keys, progress=False)  # noqa: E731
    return statistics.median(timed(work)[1] for _ in range(3)) / keys


def plain_seconds(loss: pop.ExpectedLoss, keys: int) -> float:
    """Processor seconds of a run: half a difference in one parameter."""
    at = {"beta": AT["beta"]}
    work = lambda: pop.differentiate(loss, pop.Differences(), jr.key(1), at=at, keys=keys, progress=False)  # noqa: E731
    work()
    return statistics.median(timed(work)[1] for _ in range(3)) / keys / 2.0


def main() -> None:
    given = _arguments()
    if given.quick:
        hasty()
    keys, truth_keys = (128, 400) if given.quick else (4_000, 8_000)
    record: dict[str, Any] = {"estimators": {}, "keys": keys}
    worst = 0.0
    totals: dict[str, list[float]] = {}
    for number, horizon in enumerate(["mean to 30"] if given.quick else HORIZONS):
        loss = expected(horizon)
        truth = pop.differentiate(
            loss,
            pop.Differences(step=0.1, richardson=True),
            jr.key(100 + number),
            at=AT,
            keys=truth_keys,
            progress=False,
        )
        run = plain_seconds(loss, keys)
        rows: list[list[Any]] = [["truth", *_cells(truth.gradient, truth.error), "", ""]]
        length = np.sqrt(sum((float(truth.gradient[k]) * AT[k]) ** 2 for k in AT))
        for name, one in estimators(quick=given.quick).items():
            its = by_person(horizon) if isinstance(one, pop.LocalScore) else loss
            found = pop.differentiate(its, one, jr.key(200), at=AT, keys=keys, progress=False)
            cost = one.runs(its.at(AT))
            if one.differentiates:
                cost = seconds_a_key(its, one, keys) / run
            gaps = {k: found.gradient[k] - truth.gradient[k] for k in AT}
            z = {k: float(gaps[k] / np.hypot(found.error[k], truth.error[k])) for k in AT}
            spread = {k: float(found.error[k] * np.sqrt(keys)) for k in AT}
            work = cost * sum((spread[k] * AT[k]) ** 2 for k in AT) / (0.1 * length) ** 2
            worst = max(worst, *(abs(v) for v in z.values())) if one.unbiased else worst
            totals.setdefault(name, []).append(work if one.unbiased else float("inf"))
            ratio = {k: float(found.gradient[k] / truth.gradient[k]) for k in AT}
            entry = {"z": z, "spread": spread, "ratio": ratio, "cost": cost, "work": work, "unbiased": one.unbiased}
            record["estimators"].setdefault(name, {})[horizon] = entry
            zs = max(abs(v) for v in z.values())
            rows.append([name, *_cells(found.gradient, found.error), f"{zs:.1f}", f"{cost:.1f}", f"{work:.3g}"])
        rows[0] += [""]
        show(f"Derivative of prevalence, {horizon}", ("estimator", *AT, "worst z", "cost a key", "work"), rows)
    name, factor = _recommended(totals)
    record |= {"worst_unbiased_z": worst, "recommended": name, "cost_vs_differences_3": factor}
    many = thousand.contest(quick=given.quick)
    record |= {"cost_vs_differences_1000": 1.0 / many["ratio"], "thousand": many}
    columns = ("gradients by", "rate", "loss at first", "loss at last", "agent-steps", "agent-steps to the goal")
    show(f"{many['parameters']} parameters: descent of an epidemic with a rate a place", columns, many["rows"])
    print(f"The audit of a descent that is not told what to take: {many['advice']}")
    print(
        f"Goal: what {many['rival']} reached, {many['goal']:.4g}; the recommended: 1/{many['ratio']:.0f} of the work."
    )
    print(f"\nWorst unbiased estimator: {worst:.1f} standard errors from the truth.")
    print(f"Recommended: {name}; its work is {factor:.2f} of that of differences (geometric mean of the horizons).")
    print("Cost: forward runs a key, measured where derivatives are taken. Work: forward runs for an error of 10 %.")
    if given.json:
        print(json.dumps(record))


def _recommended(totals: dict[str, list[float]]) -> tuple[str, float]:
    """The unbiased estimator of the least work, and its work as a share of that of differences."""
    mean = {name: float(np.exp(np.mean(np.log(works)))) for name, works in totals.items()}
    best = min(mean, key=lambda name: mean[name])
    return best, mean[best] / mean["Differences"]


def _cells(slope: dict[str, np.ndarray], error: dict[str, np.ndarray]) -> list[str]:
    return [f"{float(slope[k]):.3f} ({float(error[k]):.2g})" for k in AT]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object on the last line")
    parser.add_argument("--quick", action="store_true", help="fewer runs, under a minute")
    return parser.parse_args(sys.argv[1:])


if __name__ == "__main__":
    main()
