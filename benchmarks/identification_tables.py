"""What is identified of three published models, from 5,000 runs each that others made, beside what is known of them.

The tables are those of Ernesto Carrella's "No free lunch when estimating simulation parameters" (2021, JASSS 24(2):7;
data/NOTICE.md): Artificial Anasazi, wolf-sheep predation, and a model of informal insurance. Known is the performance
of cross-validated tree ensembles, 1 - RMSE / RMSE(prior mean), from that study and a repetition of it. A better
predictor shows more, so the verdicts agree where ours is not lower by more than .03, what is known for .05 or less is
"not identified", and what is known for .5 or more "identified". Trees: XGBoost on four fifths of the same runs, tested
on the last.

Seconds are from the files to the verdicts, compilation among them; processor seconds are steadier.

    python benchmarks/identification_tables.py [--json] [--quick] [--data]

`--data` takes three runs of each table for data, too: how long that takes, and how often the 90 % intervals of the runs
nearest to them hold.
"""

import argparse
import os
from pathlib import Path
from typing import Any

# BLAS threads that wait for each other cost more than they bring where others use the machine.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import jax.random as jr
import numpy as np
from measure import finish, show, timed

import populace as pop

DATA = Path(__file__).parent / "data" / "abm_tables"
KNOWN = {
    "anasazi": (0.56, 0.35, 0.02, 0.02),
    "wolfsheep": (0.59, 0.59, 0.46, 0.11, 0.43, 0.37, 0.33),
    "risknet": (0.60, 0.37, 0.69, 0.29),
}
SLACK, NOTHING, MUCH = 0.03, 0.05, 0.5


def read(name: str) -> pop.RunTable:
    return pop.read_runs(DATA / f"{name}_parameters.csv.gz", DATA / f"{name}_summaries.csv.gz")


def trees(runs: pop.Runs) -> np.ndarray | None:
    """The performance of boosted trees, (d,); None where they are not installed."""
    try:
        import xgboost
    except ImportError:
        return None
    order = np.random.default_rng(0).permutation(runs.size)
    held, learn = order[: runs.size // 5], order[runs.size // 5 :]
    settings = {"eta": 0.05, "max_depth": 5, "subsample": 0.7, "colsample_bytree": 0.5, "nthread": 1, "verbosity": 0}
    found = []
    for column in runs.unit.T:
        model = xgboost.train(settings, xgboost.DMatrix(runs.moments[learn], column[learn]), 200)
        missed = model.predict(xgboost.DMatrix(runs.moments[held])) - column[held]
        found.append(1.0 - np.sqrt((missed**2).mean() / ((column[held] - column[learn].mean()) ** 2).mean()))
    return np.array(found)


def agrees(code: pop.Code, ours: float, page: float) -> bool:
    if page <= NOTHING:
        return code is pop.Code.NOT_IDENTIFIED
    if page >= MUCH and code is not pop.Code.IDENTIFIED:
        return False
    return code is not pop.Code.NOT_IDENTIFIED and ours >= page - SLACK


def measured(name: str, most: int) -> tuple[dict[str, Any], pop.Runs, pop.RunsIdentification]:
    def work() -> tuple[pop.Runs, pop.RunsIdentification]:
        table = read(name).runs
        runs = table if most >= table.size else table.taken(np.arange(most))
        return runs, pop.identify(runs, jr.key(0))

    seconds, processor, (runs, found) = timed(work)
    peer, average = trees(runs), found.average
    parameters = {}
    for i, (label, page) in enumerate(zip(average.labels, KNOWN[name], strict=True)):
        one, verdict = average.performance[label], average.verdicts[label]
        parameters[label] = {
            "ours": round(one.value, 4),
            "low": round(one.low, 4),
            "high": round(one.high, 4),
            "page": page,
            "trees": None if peer is None else round(float(peer[i]), 4),
            "verdict": verdict.code.value,
            "agrees": agrees(verdict.code, one.value, page),
        }
    combined = {c.text: round(c.performance.value, 4) for c in average.combinations}
    record = {"parameters": parameters, "combinations": combined, "seconds": seconds, "processor": processor}
    return record, runs, found


def at_runs(found: pop.RunsIdentification, runs: pop.Runs) -> dict[str, float]:
    """Three runs, each taken for the data and left among the others, where it weighs next to nothing."""
    seconds, inside = [], []
    for row in (17, 18, 19):
        wall, _, given = timed(lambda row=row: found.given(runs.moments[row]))
        seconds.append(wall)
        inside.append(given.at.inside)
    return {"seconds": float(np.median(seconds)), "inside_90": float(np.mean(inside))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object on the last line")
    parser.add_argument("--quick", action="store_true", help="the first 1,500 runs of each table")
    parser.add_argument("--data", action="store_true", help="take runs for data, too")
    given = parser.parse_args()
    tables, rows = {}, []
    for name in KNOWN:
        tables[name], runs, found = measured(name, 1500 if given.quick else 5000)
        if given.data:
            tables[name]["at_data"] = at_runs(found, runs)
        for label, one in tables[name]["parameters"].items():
            interval = f"{one['low']:.3f} to {one['high']:.3f}"
            ours = (one["ours"], interval, one["page"], one["trees"], one["verdict"], one["agrees"])
            rows.append((name, label, *ours))
    columns = ("model", "parameter", "ours", "95 %", "known", "trees here", "verdict", "agrees")
    show("1 - RMSE / RMSE of the prior's mean, out of sample", columns, rows)
    times = [(name, one["seconds"], one["processor"], one["combinations"]) for name, one in tables.items()]
    show("Seconds from files to verdicts", ("model", "seconds", "processor", "only together"), times)
    if given.data:
        near = [(name, *one["at_data"].values()) for name, one in tables.items()]
        show("Taken for data", ("model", "seconds", "share in the 90 % intervals"), near)
    every = all(one["agrees"] for table in tables.values() for one in table["parameters"].values())
    longest = max(one["seconds"] for one in tables.values())
    print(f"\nAll verdicts agree: {every}; the longest table took {longest:.0f} s")
    finish(given, {"tables": tables, "agrees": every, "seconds": longest})


if __name__ == "__main__":
    main()
