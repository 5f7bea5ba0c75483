"""Which of nine parameters give returns like those of the S&P 500: active learning, and the published scheme beside it.

Two types of traders after Lamperti, Roventini and Sani (2018). A point is acceptable when a Kolmogorov-Smirnov test at
5 % does not tell its 100 returns from the last 100 before 2015-12-08. Methods have a budget of simulator calls, and
are judged by the F1 score and the true-positive rate on uniform test points, each labelled by one run of its own; the
ceiling of both is what a run says of another at the same point. Beside these labels the same score on labels by shares
of seeds: acceptable where most seeds are. With a noise twenty times as large acceptance is rare, and methods are judged
by how many acceptable runs they find.

The published scheme is boosted trees on labels, a pool of a million Sobol points, and rounds of 14 (the logarithm of
the pool): predicted positives at random, filled up by entropy. It reads off at a probability of a half; ours at the
threshold that it names itself. Both have the same first design, which is theirs.

    python benchmarks/active_brock_hommes.py [--json] [--quick] [--seeds N] [--repetitions N]
"""

import argparse
import json
import time
from dataclasses import dataclass
from typing import Any

import jax
import jax.random as jr
import numpy as np
from measure import show

import populace as pop
from populace.core.executor import Ticker
from populace.studies.brock_hommes import DISTANCE, TOLERANCE, problem
from populace.surrogates.acceptance import accepted

BUDGETS = (250, 500, 1_000, 2_500)
AIM = {"f1": (0.38, 0.53, 0.62, 0.75), "tpr": (0.41, 0.49, 0.64, 0.77)}
"""The best active neural ensemble that was measured elsewhere."""
SEEDS_A_POINT = 16
RARE_BUDGET = 500


@dataclass(frozen=True)
class Test:
    """Test points, name to (n,), their label by one run, and by the shares of further seeds (n,)."""

    points: dict[str, jax.Array]
    label: np.ndarray
    share: np.ndarray


def labels(task: pop.Problem, points: dict[str, jax.Array], key: jax.Array) -> np.ndarray:
    """Whether one run at each point is acceptable."""
    runs = len(next(iter(points.values())))
    seen = task.simulate(points, jr.split(key, runs), Ticker(None, "", runs))
    return np.where(seen.excluded, False, DISTANCE(seen.moments, task.target) <= TOLERANCE)


def tested(task: pop.Problem, count: int, seeds: int) -> Test:
    points = task.space.from_unit(jr.uniform(jr.key(100), (count, task.space.size)))
    runs = [labels(task, points, jr.key(101 + i)) for i in range(seeds + 1)]
    return Test(points, runs[0], np.mean(runs[1:], axis=0))


def scores(said: np.ndarray, label: np.ndarray) -> tuple[float, float]:
    """F1 and the true-positive rate."""
    both = float((said & label).sum())
    return 2.0 * both / max(float(said.sum() + label.sum()), 1.0), both / max(float(label.sum()), 1.0)


def ours(check: int = 0) -> pop.AcceptableRegion:
    return pop.AcceptableRegion(TOLERANCE, DISTANCE, check=check)


def passive() -> pop.AcceptableRegion:
    """Our classifier on runs that are chosen by chance."""
    return pop.AcceptableRegion(
        TOLERANCE, DISTANCE, acquisition=pop.Passive(), candidates=pop.Evolving(near=0), growth=10.0, check=0
    )


def published(pool: int) -> pop.AcceptableRegion:
    batch = int(np.ceil(np.log(pool)))
    return pop.AcceptableRegion(
        *(TOLERANCE, DISTANCE, pop.AcceptingTrees(), pop.PositivesThenEntropy(), pop.Pool(pool)),
        batch=batch,
        growth=0.0,
        check=0,
    )


def learned(task: pop.Problem, method: pop.AcceptableRegion, budget: int, seed: int) -> pop.AcceptedRegion:
    return pop.calibrate(task, method, jr.key(seed), budget=budget, predictive=50).estimate  # type: ignore[return-value]


def row(
    task: pop.Problem, test: Test, name: str, method: pop.AcceptableRegion, budget: int, seed: int
) -> dict[str, Any]:
    start = time.perf_counter()
    region = learned(task, method, budget, seed)
    seconds = time.perf_counter() - start
    probability = region.probability(task, test.points)
    said = probability >= (0.5 if name == "published" else region.threshold)
    f1, tpr = scores(said, test.label)
    found = int(accepted(region.ratios).sum())
    half = scores(probability >= 0.5, test.share >= 0.5)[0]
    return {"by": name, "calls": budget, "f1": f1, "tpr": tpr, "f1 by shares": half, "found": found, "seconds": seconds}


def ceiling(test: Test) -> dict[str, float]:
    """What one run says of another at the same point, and what the best reading of many seeds' shares reaches."""
    again = test.share >= 1.0 / SEEDS_A_POINT
    keep = {c: scores(test.share >= c, test.label) for c in np.arange(1, SEEDS_A_POINT + 1) / SEEDS_A_POINT}
    best = max(keep.values())
    return {"f1": best[0], "tpr at it": best[1], "positives": float(test.label.mean()), "ever": float(again.mean())}


def common(given: argparse.Namespace) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    task = problem()
    test = tested(task, 4_000 if given.quick else 20_000, SEEDS_A_POINT)
    budgets = BUDGETS[:1] if given.quick else BUDGETS
    pool = 100_000 if given.quick else 1_000_000
    rows = []
    for name, method, seeds in (
        ("populace", ours(), given.seeds),
        ("passive", passive(), 1 if given.quick else given.seeds),
        ("published", published(pool), 1 if given.quick else given.peer_seeds),
    ):
        for budget in budgets:
            each = [row(task, test, name, method, budget, seed) for seed in range(seeds)]
            kept = {key: float(np.mean([one[key] for one in each])) for key in each[0] if key not in ("by", "calls")}
            spread = float(np.std([one["f1"] for one in each], ddof=1)) if seeds > 1 else float("nan")
            rows.append({"by": name, "calls": budget, **kept, "f1 spread": spread, "keys": seeds})
            print(f"  {name}, {budget} calls: F1 {kept['f1']:.3f}, true-positive rate {kept['tpr']:.3f}", flush=True)
    return rows, ceiling(test)


def rare(repetitions: int) -> dict[str, Any]:
    """Acceptable runs among 500 where about one in a thousand is, chosen actively and by chance."""
    task = problem(variance=0.01, noise=0.1)
    region = [learned(task, ours(), RARE_BUDGET, 1_000 + i) for i in range(repetitions)]
    found = [int(accepted(one.ratios).sum()) for one in region]
    many = task.space.from_unit(jr.uniform(jr.key(7), (100_000, task.space.size)))
    share = float(labels(task, many, jr.key(8)).mean())
    return {
        "found": found,
        "median": float(np.median(found)),
        "passive": RARE_BUDGET * share,
        "ratio": float(np.median(found)) / (RARE_BUDGET * share),
        "share": share,
    }


def main() -> None:
    given = _arguments()
    rows, top = common(given)
    columns = list(rows[0])
    show("Acceptable parameters of a market", columns, [[one[name] for name in columns] for one in rows])
    print(f"  Ceiling of F1, many seeds a point against one: {top['f1']:.3f}; {100 * top['positives']:.1f} % positive.")
    by = {
        name: {one["calls"]: one for one in rows if one["by"] == name} for name in ("populace", "published", "passive")
    }
    record: dict[str, Any] = {
        score: {calls: {name: by[name][calls][score] for name in by} for calls in by["populace"]} for score in AIM
    }
    record["aim"] = {score: dict(zip(BUDGETS, values, strict=True)) for score, values in AIM.items()}
    record["ceiling"], record["rows"] = top, rows
    lots = 1 if given.quick else given.repetitions
    if lots:
        record["rare_500"] = rare(lots)
        record["rare_found_500"] = record["rare_500"]["median"]
        print(
            f"  Rare setting ({100 * record['rare_500']['share']:.2f} % positive), 500 calls: "
            f"{record['rare_found_500']:.0f} acceptable runs (median of {lots}), by chance "
            f"{record['rare_500']['passive']:.1f}: {record['rare_500']['ratio']:.0f} times as many."
        )
    if given.json:
        print(json.dumps(record))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object on the last line")
    parser.add_argument("--quick", action="store_true", help="the smallest budget once, for a look of a minute")
    parser.add_argument("--seeds", type=int, default=3, help="keys a budget of ours")
    parser.add_argument("--peer-seeds", type=int, default=1, help="keys a budget of the published scheme")
    parser.add_argument("--repetitions", type=int, default=20, help="of the rare setting")
    return parser.parse_args()


if __name__ == "__main__":
    main()
