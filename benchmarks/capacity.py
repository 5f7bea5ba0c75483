"""What room costs: wolves and sheep with the room that pilot runs plan for, and with more.

The large case of `classics.py`: 100 x 100 cells, 1,000 sheep and 500 wolves, 100 steps. Contestants take turns in one
process after each was warmed up; each must show the same run, sheep and wolves at every step, or nothing is printed (a
tie of lots may part runs of two capacities: then it is said). Apart: what planning takes, and a run that begins with
half the room and grows, which it takes once for each key.

    python benchmarks/capacity.py [--json] [--quick]

`--quick` takes the small case: 25 x 25 cells, 60 sheep and 40 wolves.
"""

import argparse
from typing import Any

import jax.random as jr
import numpy as np
from measure import alternated, finish, show, timed

import populace as pop
from populace.interact.grid import Grid
from populace.zoo.wolf_sheep import WolfSheep

STEPS = 100


def model(quick: bool) -> WolfSheep:
    if quick:
        return pop.bind(WolfSheep(Grid(25, 25), 60, 40, 600, 400), {"regrowth": 20, "lambing": 0.2, "cubbing": 0.1})
    large = WolfSheep(Grid(100, 100), 1000, 500, 6000, 6000)
    return pop.bind(large, {"regrowth": 10, "lambing": 0.4, "cubbing": 0.2})


def times(made: WolfSheep, capacity: dict[str, int], factor: float) -> WolfSheep:
    return pop.with_capacity(made, {name: int(factor * slots) for name, slots in capacity.items()})


def seen(made: pop.Model, seed: int, growth: pop.Growth | None = None) -> np.ndarray:
    run = pop.simulate(made, jr.key(seed), STEPS, growth=growth, chunk=None if growth is None else STEPS // 4)
    return np.stack([run.observations["sheep"], run.observations["wolves"]])


def measured(quick: bool, pilots: int, repeats: int) -> dict[str, Any]:
    begun = model(quick)
    wall, processor, plan = timed(lambda: pop.plan_capacity(begun, jr.key(0), steps=STEPS, runs=pilots))
    rooms = {"planned": 1.0, "twice that": 2.0, "four times": 4.0}
    models = {"as in classics.py": begun} | {name: times(begun, plan.capacity, by) for name, by in rooms.items()}
    compiled = {name: timed(lambda one=one: seen(one, 0))[1] for name, one in models.items()}
    spent, runs = alternated({name: lambda seed, one=one: seen(one, seed) for name, one in models.items()}, repeats)
    parted = sum(not np.array_equal(a, b) for a, b in zip(runs["planned"], runs["four times"], strict=True))

    half, limit = times(begun, plan.capacity, 0.5), pop.Growth(4 * max(plan.capacity.values()))
    first = timed(lambda: seen(half, 1, limit))
    grown, _ = alternated({"grown": lambda seed: seen(half, seed, limit)}, repeats)
    same = bool(np.array_equal(first[2], runs["planned"][0]))
    rows = {name: {"first": compiled[name], "ms": 1e3 * one.median()[1]} for name, one in spent.items()}
    return {
        "peaks": {name: int(peaks.max()) for name, peaks in plan.peaks.items()},
        "planned": plan.capacity,
        "planning": {"runs": pilots, "wall": wall, "processor": processor},
        "rows": rows,
        "parted": parted,
        "grown": {"first": first[1], "ms": 1e3 * grown["grown"].median()[1], "same": same},
        "repeats": repeats,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object on the last line")
    parser.add_argument("--quick", action="store_true", help="the small case")
    given = parser.parse_args()
    found = measured(given.quick, pilots=8 if given.quick else 16, repeats=9)
    rows = [(name, 1.0 * one["first"], one["ms"]) for name, one in found["rows"].items()]
    rows.append(("half, and grown", found["grown"]["first"], found["grown"]["ms"]))
    title = f"Wolves and sheep, {STEPS} steps; room planned {found['planned']}, peaks {found['peaks']}"
    show(title, ("room", "first run, s of processor", "a run, ms of processor"), rows)
    print(f"  planning: {found['planning']}; runs that differ between planned and four times: {found['parted']}")
    print(f"  the grown run is the planned one: {found['grown']['same']}")
    finish(given, found)


if __name__ == "__main__":
    main()
