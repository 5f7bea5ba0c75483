"""How many runs go through at once: ensembles in groups of several sizes, on one and on two host devices.

Two models: the boarding school (763 boys, 84 steps of four hours, no network), and an epidemic on a network (5,000
agents with 8 contacts, 100 steps). Each number of devices is a process of its own. A group size is what the executor
takes at once on one device; "chosen" is what it takes by itself (`core/executor.py`). Group sizes take turns, and the
median is quoted.

    python benchmarks/ensembles.py [--json] [--repeats 5]
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from typing import Any

from measure import finish, show, timed

SIZES = {"school": (1, 8, 32, 64, 128, 256, 1024), "network": (1, 4, 8, 16, 32, 64, 128)}
RUNS = {"school": 2048, "network": 256}
DEVICES = (1, 2)


def setting(name: str) -> tuple[Any, int, int]:
    """The model, its agents, and the steps of a run."""
    import jax.random as jr

    import populace as pop
    from populace.zoo.school_epidemic import SchoolEpidemic
    from populace.zoo.sir import SIR

    if name == "school":
        return SchoolEpidemic(1.7, 0.45), 763, 84
    return SIR(pop.small_world(jr.key(0), 5_000, degree=8, rewire=0.1), 0.05, 0.1), 5_000, 100


def measured(name: str, repeats: int) -> list[dict[str, Any]]:
    """Runs a second of one model with the devices of this process, for each group size."""
    import jax
    import jax.random as jr

    import populace as pop
    from populace.core import executor

    model, agents, steps = setting(name)
    runs, own = RUNS[name], executor._lanes
    chosen: list[int] = []

    def choose(jaxpr: Any) -> int:
        chosen.append(own(jaxpr))
        return chosen[-1]

    compiled: dict[str, Any] = {}

    def call(size: str, seed: int) -> None:
        """Group sizes keep their compiled functions apart."""
        executor._lanes = choose if size == "chosen" else lambda _: int(size)
        executor._compiled.clear()
        executor._compiled.update(compiled.get(size, {}))
        pop.ensemble(model, jr.key(seed), steps, runs=runs)
        compiled[size] = dict(executor._compiled)

    sizes = [*map(str, SIZES[name]), "chosen"]
    for size in sizes:
        call(size, 0)
    walls: dict[str, list[float]] = {size: [] for size in sizes}
    processors: dict[str, list[float]] = {size: [] for size in sizes}
    for seed in range(1, repeats + 1):
        for size in sizes:
            wall, processor, _ = timed(lambda: call(size, seed))  # noqa: B023
            walls[size].append(wall)
            processors[size].append(processor)
    return [
        {
            "model": name,
            "devices": len(jax.local_devices()),
            "group": size,
            "lanes": chosen[0] if size == "chosen" else int(size),
            "runs_per_second": runs / statistics.median(walls[size]),
            "runs_per_processor_second": runs / statistics.median(processors[size]),
            "agent_steps_per_second": runs * agents * steps / statistics.median(walls[size]),
        }
        for size in sizes
    ]


def in_a_process(name: str, devices: int, repeats: int) -> list[dict[str, Any]]:
    """`measured` with so many host devices."""
    flags = f"--xla_force_host_platform_device_count={devices}"
    command = [sys.executable, __file__, "--worker", name, "--repeats", str(repeats)]
    done = subprocess.run(
        command, env={**os.environ, "XLA_FLAGS": flags}, check=True, stdout=subprocess.PIPE, text=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object on the last line")
    parser.add_argument("--repeats", type=int, default=5, help="default 5")
    parser.add_argument("--worker", choices=list(SIZES), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.worker:
        print(json.dumps(measured(given.worker, given.repeats)))
        return
    rows = [row for name in SIZES for devices in DEVICES for row in in_a_process(name, devices, given.repeats)]
    columns = ("model", "devices", "group", "lanes", "runs/s", "runs/processor s", "agent-steps/s")
    show("Runs a second", columns, [tuple(row.values()) for row in rows])
    record: dict[str, Any] = {"rows": rows}
    for name in SIZES:
        for devices in DEVICES:
            mine = [row for row in rows if (row["model"], row["devices"]) == (name, devices)]
            best = max(row["runs_per_processor_second"] for row in mine)
            own = mine[-1]["runs_per_processor_second"]
            record[f"{name}_{devices}_devices_chosen_over_best"] = own / best
            print(f"{name}, {devices} device(s): the executor's choice does {100 * own / best:.0f} % of the best")
    finish(given, record)


if __name__ == "__main__":
    main()
