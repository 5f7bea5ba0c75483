"""The gradient of an epidemic's misfit with a million agents: what it costs in forward runs, and in memory.

1,000,000 agents with 10 contacts each, 100 steps; the loss is the squared misfit of the epidemic curve, its gradient
by reverse mode with respect to the rate of infection, the rate of recovery and the share seeded. The planner chooses
what to keep; the memory it predicts is compared with the growth of the process. The peak is the whole process's.

    python benchmarks/gradient_scale.py [--json] [--quick]
"""

import argparse
import json
import resource
import statistics
import sys
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
from measure import show, timed

import populace as pop
from populace.zoo.sir import SIR

REPEATS = 5


def peak() -> float:
    """The most memory that this process has held, in GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object on the last line")
    parser.add_argument("--quick", action="store_true", help="a tenth of the agents, under a minute")
    given = parser.parse_args(sys.argv[1:])
    agents, steps = (100_000 if given.quick else 1_000_000), 100
    town = pop.small_world(jr.key(0), agents, degree=10, rewire=1.0)
    model = SIR(town, jnp.float32(0.05), jnp.float32(0.1), jnp.float32(0.01))
    goal = 0.2 * jnp.exp(-(((jnp.arange(1, steps + 1) - 25.0) / 15.0) ** 2))
    loss = pop.ExpectedLoss(pop.Simulation(model, steps), lambda seen: ((seen["infected"] / agents - goal) ** 2).sum())
    at = loss.at(None)
    forward = jax.jit(lambda at, key: loss.one(at, key))
    jax.block_until_ready(forward(at, jr.key(0)))
    before = peak()
    plan = pop.plan_gradient(loss, memory=2_000_000_000)
    gradient = jax.jit(lambda at, key: plan.estimator.one(loss, at, key))
    jax.block_until_ready(gradient(at, jr.key(0)))
    grown = peak() - before
    walls: dict[str, list[tuple[float, float]]] = {"forward": [], "gradient": []}
    for repeat in range(REPEATS):
        for name, work in (("forward", forward), ("gradient", gradient)):
            wall, processor, _ = timed(lambda: jax.block_until_ready(work(at, jr.key(repeat))))  # noqa: B023
            walls[name].append((wall, processor))
    ratio = [statistics.median(g[i] / f[i] for f, g in zip(*walls.values(), strict=True)) for i in (0, 1)]
    seconds = {name: statistics.median(t[0] for t in times) for name, times in walls.items()}
    predicted = plan.ways[plan.chosen].bytes / 1e9
    record: dict[str, Any] = {
        "gradient_over_forward": ratio[0],
        "gradient_over_forward_processor": ratio[1],
        "peak_gb": peak(),
        "predicted_gb": predicted,
        "grown_gb": grown,
        "way": plan.ways[plan.chosen].name,
        "seconds": seconds,
        "agents": agents,
        "steps": steps,
    }
    show(
        f"{agents} agents, 10 contacts, {steps} steps",
        ("", "seconds", "in forward runs"),
        [["forward", seconds["forward"], 1.0], ["gradient, 3 parameters", seconds["gradient"], ratio[0]]],
    )
    print(f"\n{plan.sentence}")
    print(f"Predicted {predicted:.2f} GB beside the model; the process grew by {grown:.2f} GB, to {peak():.2f} GB.")
    if given.json:
        print(json.dumps(record))


if __name__ == "__main__":
    main()
