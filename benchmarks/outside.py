"""What it costs to make runs elsewhere: a run of a function that does next to nothing, and the first batch.

The overhead of a run is the time of a batch over its runs, as a user waits for it: two workers, runs of some
microseconds. The first batch has the start of what makes the runs in it. Trouble is one run of the batch that kills its
worker twice, or hangs for a second: what it costs is the longer time of the batch.

    python benchmarks/outside.py [--json] [--quick] [--runs 400] [--repeats 5]
"""

import argparse
import functools
import os
import signal
import time
from typing import Any

import jax.random as jr
import numpy as np
from measure import alternated, finish, show

import populace as pop
from populace.campaigns.processes import close_workers
from populace.core.executor import Ticker


def nothing(parameters: dict[str, Any], seed: int) -> dict[str, Any]:
    """A run of some microseconds, or trouble."""
    if parameters["trouble"] == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    if parameters["trouble"] == 2:
        time.sleep(60)
    return {"x": seed % 7}


def keyed(parameters: dict[str, Any], key: Any) -> dict[str, Any]:
    """The same of a key."""
    return {"x": int(jr.bits(key)) % 7}


def simulated(simulator: pop.Simulator, runs: int, trouble: int, repeat: int) -> pop.Batch:
    """A batch, the run in its middle of that trouble."""
    troubles = np.zeros(runs, np.float32)
    troubles[runs // 2] = trouble
    keys = jr.split(jr.key(repeat), runs)
    return simulator.simulate({"trouble": troubles}, keys, Ticker(None, "", runs))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object on the last line")
    parser.add_argument("--quick", action="store_true", help="for a look of a minute")
    parser.add_argument("--runs", type=int, default=400)
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args()
    runs, repeats = (100, 3) if given.quick else (given.runs, given.repeats)
    command = pop.Command(["/bin/sh", "-c", "echo $(({seed} % 7)) {trouble} | cut -d' ' -f1"], {"x": pop.Parsed(float)})
    simulators = {
        "a key, here": pop.Callable(keyed),
        "a seed, here": pop.Callable(pop.Seeded(nothing)),
        "a seed, in processes": pop.InProcesses(pop.Seeded(nothing), time_limit=1.0),
        "a key, in processes": pop.InProcesses(keyed),
        "a seed, on Ray": pop.OnRay(pop.Seeded(nothing)),
        "a command (sh)": command,
    }
    works = {name: functools.partial(simulated, simulator, runs, 0) for name, simulator in simulators.items()}
    first = {}
    for name, work in works.items():
        began = time.perf_counter()
        work(0)
        first[name] = time.perf_counter() - began
    times, batches = alternated(works, repeats)
    same = all(
        np.array_equal(batch.observations["x"], here.observations["x"])
        for name in ("a seed, in processes", "a key, in processes", "a seed, on Ray")
        for batch, here in zip(batches[name], batches["a seed, here"], strict=True)
    )
    if not same:
        raise SystemExit("runs elsewhere have other numbers than here")
    workers = simulators["a seed, in processes"]
    trouble = {"killed twice": 1, "hung for a second, twice": 2}
    troubled, _ = alternated(
        {name: functools.partial(simulated, workers, runs, kind) for name, kind in trouble.items()}, min(repeats, 3)
    )
    close_workers()
    each = {name: time.median()[0] / runs * 1e3 for name, time in times.items()}
    rows = [(name, first[name], each[name]) for name in works]
    show(f"Batches of {runs} runs; the numbers are the same", ("", "first batch, s", "then, ms a run"), rows)
    usual = times["a seed, in processes"].median()[0]
    costs = {name: time.median()[0] - usual for name, time in troubled.items()}
    show("One run of a batch in two workers", ("", "costs the batch, s"), list(costs.items()))
    finish(given, {"first_batch_seconds": first, "milliseconds_a_run": each, "trouble_costs_seconds": costs})


if __name__ == "__main__":
    main()
