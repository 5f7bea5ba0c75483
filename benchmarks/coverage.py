"""Whether intervals hold what they promise, before and after their repair; and whether the guard speaks when it should.

Credible sets: five public tasks (`posterior_tasks.py`), a posterior of `pop.NeuralPosterior(rounds=1)` from 1,000 and
10,000 runs, sets of 90 % by `pop.credible_set` with 1,000 runs of its own, and 2,000 further truths to judge it. Volume
is that of the set over that of the exact posterior's smallest, where it is known: a geometric mean over observations.
The guard: `coverage_guard.py`.
Intervals of surrogates: the growth rate and the end of the islands model, from 400 runs, at 1,000 further points.

    pip download sbibm --no-deps -d DIR
    python benchmarks/coverage.py --sbibm DIR/sbibm-*.whl [--json] [--quick]
"""

import argparse
from pathlib import Path
from typing import Any

import jax
import jax.random as jr
import numpy as np
from coverage_guard import RIGHT, contest
from measure import finish, show
from posterior_tasks import Files, Task, tasks
from scipy.optimize import brentq
from scipy.special import gammaln
from scipy.stats import chi2
from surrogate_accuracy import problem as islands

import populace as pop
from populace.calibration.credible import credible_set, scores

PROMISE = 0.9
HALF = np.sqrt(3.0)


def exact_log_volume(task: Task) -> float | None:
    """Of the smallest set that holds 90 % of the exact posterior, away from the prior's bounds, on the scale where the
    prior has variance 1.
    """
    if task.name == "gaussian_linear":  # N(0, .05) in ten dimensions, prior N(0, .1)
        radius = np.sqrt(0.5 * chi2.ppf(PROMISE, 10))
        return float(10 * np.log(radius) + 5 * np.log(np.pi) - gammaln(6.0))
    if task.name == "gaussian_mixture":  # a disc, as the density falls with the radius
        missed = lambda r: 0.5 * np.exp(-(r**2) / 2) + 0.5 * np.exp(-50 * r**2) - (1 - PROMISE)  # noqa: E731
        return float(np.log(np.pi * brentq(missed, 0.1, 10.0) ** 2) + 2 * np.log(HALF / 10.0))
    if task.name == "two_moons":  # two half rings of radius .1 and Gaussian thickness .01
        return float(np.log(2.0 * np.pi * 0.1 * 2.0 * 1.645 * 0.01) + 2 * np.log(HALF))
    return None


def covered(task: Task, files: Files, calls: int, calibration: int, truths: int, observations: int) -> dict[str, Any]:
    """What sets of one posterior hold, promised and repaired."""
    seen = [files.observation(task.name, number + 1)[0] for number in range(observations)]
    first = task.problem(seen[0])
    fit = pop.calibrate(first, pop.NeuralPosterior(rounds=1), jr.key(0), budget=calls, predictive=2)
    least = scores(first, fit.estimate, jr.key(1), datasets=calibration).least(PROMISE)
    fresh = scores(first, fit.estimate, jr.key(2), datasets=truths)
    exact = exact_log_volume(task)
    volumes = []
    if exact is not None:
        for number, one in enumerate(seen):
            task_there = task.problem(one)
            kept = credible_set(task_there, fit.estimate, jr.fold_in(jr.key(1), number), datasets=calibration)
            volumes.append(kept.log_volume() - exact)
    return {
        "case": task.name,
        "runs": calls,
        "promised": PROMISE,
        "before": float((fresh.places <= PROMISE).mean()),
        "after": float((fresh.own >= least).mean()),
        "error": float(np.sqrt(PROMISE * (1 - PROMISE) * (1 / truths + 1 / calibration))),
        "volume": float(np.exp(np.mean(volumes))) if volumes else None,
    }


def surrogate(runs: int, truths: int) -> dict[str, Any]:
    """What 90 % intervals of a surrogate hold, by its variances and corrected."""
    task = islands()
    learned = pop.run_design(task, pop.design(task.space, jr.key(3), runs), jr.key(4))
    fitted = pop.fit_surrogate(learned, jr.key(5))
    points = pop.design(task.space, jr.key(6), truths, sampler=pop.RandomPoints())
    fresh = pop.run_design(task, points, jr.key(7))
    said = fitted.predict(points.parameters)
    reach = 1.645 * np.sqrt(said.variance)
    low, high = fitted.interval(points.parameters, PROMISE)
    inside = [
        (fresh.moments >= a) & (fresh.moments <= b) for a, b in ((said.mean - reach, said.mean + reach), (low, high))
    ]
    used = fresh.valid
    return {
        **{"case": "islands, surrogate", "runs": runs, "promised": PROMISE},
        **{"before": float(inside[0][used].mean()), "after": float(inside[1][used].mean())},
        **{"error": float(np.sqrt(PROMISE * (1 - PROMISE) / truths)), "volume": None},
    }


def main() -> None:
    given = _arguments()
    files = Files(given.sbibm)
    chosen = tasks(files)[: 1 if given.quick else None]
    rows = []
    for calls in (1_000,) if given.quick else (1_000, 10_000):
        for task in chosen:
            rows.append(covered(task, files, calls, 300 if given.quick else 1_000, 2_000, 2 if given.quick else 5))
            print(
                f"  {task.name}, {calls}: {100 * rows[-1]['before']:.1f} %, {100 * rows[-1]['after']:.1f} %", flush=True
            )
            jax.clear_caches()
    if not given.quick:
        rows.append(surrogate(400, 1_000))
    columns = list(rows[0])
    show("Share of truths in sets of 90 %", columns, [[row[name] for name in columns] for row in rows])
    spoken = contest(quick=given.quick)
    show("The guard", list(spoken[0]), [list(row.values()) for row in spoken])
    right = sum(row["right"] >= RIGHT * row["keys"] for row in spoken)
    print(f"  {right} of {len(spoken)} problems right in nine of ten keys or more.")
    covered_90 = {f"{row['case']} {row['runs']}": row["after"] for row in rows}
    finish(given, {"covered_90": covered_90, "guard_right": right, "rows": rows, "guard": spoken})


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object on the last line")
    parser.add_argument("--quick", action="store_true", help="one task at 1,000 runs")
    parser.add_argument("--sbibm", type=Path, required=True, help="a wheel of sbibm, for its observations")
    return parser.parse_args()


if __name__ == "__main__":
    main()
