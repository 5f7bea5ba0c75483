"""One population over two host devices: what crosses between them in a step, and what it costs.

Three models of the zoo, as one run on one device and split over two (`simulate(..., shards=Shards())`): whether the
runs are the same, the collectives in the compiled program of a step with the bytes that each hands on, and seconds of
ten steps by the clock, medians of runs in turn. Two host devices share one memory and, here, the cores: what is
measured is the cost of splitting, not what an accelerator gains.

    python shards.py [--json] [--quick]
"""

import argparse
import math
import os
import re
from typing import Any

os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=2".strip()

import equinox as eqx
import jax
import jax.random as jr
import numpy as np
from measure import alternated, finish, show

import populace as pop
from populace.core.simulate import _spread, begin, onward
from populace.interact.mixing import WellMixed
from populace.zoo.boltzmann_wealth import BoltzmannWealth, Gifts
from populace.zoo.sir import SIR
from populace.zoo.voter import Voter

STEPS = 10
WORD = {"f32": 4, "s32": 4, "u32": 4, "pred": 1}
CROSSING = re.compile(r" = (.*) (all-gather|all-reduce|all-to-all|collective-permute)\(")
RESULT = re.compile(r"(f32|s32|u32|pred)\[([\d,]*)\]")


def models(agents: int) -> dict[str, pop.Model]:
    network = pop.random_network(jr.key(0), agents, degree=10)
    wealth = BoltzmannWealth(Gifts(WellMixed(agents)), agents=agents)
    return {"SIR, network": SIR(network, beta=0.02, gamma=0.1), "voter, network": Voter(network), "wealth": wealth}


def _entries(shape: str) -> int:
    return math.prod(int(side) for side in shape.split(",") if side)


def crossing(model: pop.Model, key: Any) -> dict[str, dict[str, int]]:
    """Of each collective of a step: how many, and bytes of their results on a device."""
    split = _spread(model, key, (), pop.Shards())

    def step(model: pop.Model, key: Any, here: pop.Snapshot) -> Any:
        after = onward(model, key, here, ())[0]
        return after, model.observe(after.state)

    text = eqx.filter_jit(step).lower(split, key, begin(split, key)).compile().compiled.as_text()
    found: dict[str, dict[str, int]] = {}
    for line in text.splitlines():
        match = CROSSING.search(line)
        if match:
            each = found.setdefault(match[2], {"count": 0, "bytes": 0})
            each["count"] += 1
            each["bytes"] += sum(WORD[word] * _entries(shape) for word, shape in RESULT.findall(match[1]))
    return found


def same(one: pop.Run, other: pop.Run) -> float:
    """The largest relative difference of final states and observations."""
    most = 0.0
    for a, b in zip(*(jax.tree.leaves((run.final, run.observations)) for run in (one, other)), strict=True):
        a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
        most = max(most, float((np.abs(a - b) / np.maximum(np.abs(a), 1e-30)).max()))
    return most


def row(model: pop.Model, repeats: int) -> dict[str, Any]:
    def run(shards: pop.Shards | None, seed: int) -> pop.Run:
        return jax.block_until_ready(pop.simulate(model, jr.key(seed), STEPS, shards=shards))

    one, two = run(None, 0), run(pop.Shards(), 0)
    times, _ = alternated(
        {"one": lambda seed: run(None, seed).final, "two": lambda seed: run(pop.Shards(), seed).final}, repeats
    )
    seconds = {name: each.median()[0] for name, each in times.items()}
    speed = seconds["one"] / seconds["two"]
    return {"apart": same(one, two), **seconds, "speed": speed, "crossing": crossing(model, jr.key(0))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object on the last line")
    parser.add_argument("--quick", action="store_true", help="100,000 agents instead of a million")
    given = parser.parse_args()
    agents = 100_000 if given.quick else 1_000_000
    rows = {name: row(model, 3 if given.quick else 5) for name, model in models(agents).items()}
    table = []
    for name, found in rows.items():
        crossed = ", ".join(f"{each['count']} {kind} ({each['bytes']:,} B)" for kind, each in found["crossing"].items())
        table.append((name, found["apart"], found["one"], found["two"], found["speed"], crossed))
    columns = ("model", "apart", f"{STEPS} steps, one device", "two", "speed", "crosses in a step")
    show(f"{agents:,} agents over two host devices", columns, table)
    finish(given, {"agents": agents, "rows": rows})


if __name__ == "__main__":
    main()
