"""Whether the standard errors of simulated minimum distance are what its estimates scatter by.

Data sets are made at a known truth, and each is fitted anew: an autoregression (phi, sigma; 200 times; variance and two
autocorrelations) and Kirman's herding (a1, a2, b; 50 agents, 200 times; mean, variance, two autocorrelations and the
variance of changes), by the diagonal weight and by the optimal one, with the moments' covariance simulated at the first
estimate. Quoted: how often 90 % intervals hold the truth (one binomial standard error beside it), the median standard
error over the estimates' own spread (robust: half the width of the middle 68 %), how often J rejects the true model at
5 %, how often the method says that it converged, and the spread by the optimal weight over that by the diagonal one.
All on the scale on which priors have no bounds.

    python benchmarks/minimum_distance.py [--json] [--quick] [--sets 100]
"""

import argparse
import os
import time
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import numpyro.distributions as dist
from measure import finish, show

import populace as pop
from populace.core.executor import Ticker
from populace.core.rounds import rounds
from populace.zoo.kirman import Kirman

TIMES, BUDGET = 200, 3_000
INTERVAL = 1.6448536


def autoregression(parameters: Any, key: Any) -> dict[str, Any]:
    phi, sigma = parameters["phi"], parameters["sigma"]
    e = sigma * jr.normal(key, (TIMES + 1,))

    def step(x: Any, shock: Any) -> tuple[Any, Any]:
        x = phi * x + shock
        return x, x

    return {"x": jax.lax.scan(step, e[0] / jnp.sqrt(1.0 - phi**2), e[1:])[1]}


def cases() -> dict[str, tuple[Any, pop.Space, dict[str, float], list[Any], str]]:
    series = [pop.standard_deviation("x"), pop.autocorrelation("x", [1, 2])]
    changes = pop.derived("changes", jnp.diff, "share", pop.standard_deviation("changes"))
    herd = [pop.mean("share"), pop.standard_deviation("share"), pop.autocorrelation("share", [1, 5]), changes]
    wide = dist.LogUniform(0.01, 1.0)
    return {
        "autoregression": (
            pop.Traceable(autoregression),
            pop.Space(phi=dist.Uniform(-0.95, 0.95), sigma=dist.LogUniform(0.1, 10.0)),
            {"phi": 0.6, "sigma": 1.0},
            series,
            "x",
        ),
        "herding": (
            pop.Simulation(Kirman(turns=60), TIMES),
            pop.Space(a1=wide, a2=wide, b=dist.LogUniform(0.002, 0.05)),
            {"a1": 0.1, "a2": 0.15, "b": 0.01},
            herd,
            "share",
        ),
    }


def measured(name: str, sets: int, budget: int) -> list[dict[str, Any]]:
    simulator, space, truth, moments, series = cases()[name]
    at = {label: jnp.full(sets, value, jnp.float32) for label, value in truth.items()}
    data = simulator.simulate(at, jr.split(jr.key(1), sets), Ticker(None, "", 0)).observations[series]
    target = pop.Target({series: data[0]}, moments)
    problem = pop.Problem(simulator, space, target)
    values = target.summarise({series: data})
    real = np.asarray(space.to_real({label: value[:1] for label, value in at.items()}), np.float64)[0]
    rows = []
    for optimal in (False, True):
        method = pop.SimulatedMinimumDistance(optimal=optimal)
        found, errors, rejected, converged = [], [], [], []
        began = time.process_time()
        for i, one in enumerate(values):
            task = problem.with_target(target.with_values(one))
            end = rounds(method, task, jr.fold_in(jr.key(2), i), budget=budget, ticker=Ticker(None, "", 0))
            found.append(end.estimate.real)
            errors.append(np.sqrt(np.diag(end.estimate.covariance)))
            rejected.append(any("moments contradict the model" in note for note in end.estimate.notes()))
            converged.append(end.done.code is pop.Code.CONVERGED)
        rows.append(_row(name, optimal, np.array(found), np.array(errors), real, space.labels))
        rows[-1] |= {"rejected": float(np.mean(rejected)), "converged": float(np.mean(converged)), "sets": sets}
        rows[-1]["seconds_a_fit"] = (time.process_time() - began) / sets
        print(f"  {name}, {'optimal' if optimal else 'diagonal'}: {rows[-1]}", flush=True)
    for label in space.labels:
        rows[1]["spread_over_diagonal"] = rows[1].get("spread_over_diagonal", {}) | {
            label: rows[1]["spread"][label] / rows[0]["spread"][label]
        }
    return rows


def _row(
    name: str, optimal: bool, found: np.ndarray, errors: np.ndarray, truth: np.ndarray, labels: tuple[str, ...]
) -> dict[str, Any]:
    known = np.isfinite(errors).all(1)
    low, high = np.quantile(found, [0.16, 0.84], axis=0)
    spread = (high - low) / 2.0
    held = np.abs(found - truth)[known] <= INTERVAL * errors[known]
    bias = (np.median(found, axis=0) - truth) / spread
    by = dict(zip(labels, range(len(labels)), strict=True))
    return {
        "case": name,
        "weight": "optimal" if optimal else "diagonal",
        "with_errors": float(known.mean()),
        "covered_90": {label: float(held[:, i].mean()) for label, i in by.items()},
        "error_over_spread": {label: float(np.median(errors[known, i]) / spread[i]) for label, i in by.items()},
        "bias_in_spreads": {label: float(bias[i]) for label, i in by.items()},
        "spread": {label: float(spread[i]) for label, i in by.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object on the last line")
    parser.add_argument("--quick", action="store_true", help="the autoregression alone, 20 data sets")
    parser.add_argument("--sets", type=int, default=100, help="data sets a case; default 100")
    given = parser.parse_args()
    names, sets = (["autoregression"], 20) if given.quick else (list(cases()), given.sets)
    rows = [row for name in names for row in measured(name, sets, BUDGET)]
    table = [
        (
            row["case"],
            row["weight"],
            label,
            f"{100 * row['covered_90'][label]:.0f} +- {100 * np.sqrt(0.09 / row['sets']):.0f} %",
            row["error_over_spread"][label],
            row["bias_in_spreads"][label],
            row.get("spread_over_diagonal", {}).get(label),
            row["rejected"],
            row["converged"],
            row["seconds_a_fit"],
        )
        for row in rows
        for label in row["covered_90"]
    ]
    columns = ("case", "weight", "parameter", "held in 90 %", "error / spread", "bias", "spread / diagonal's")
    show("Simulated minimum distance", (*columns, "J rejects", "converged", "seconds"), table)
    finish(given, {"minimum_distance": rows, "budget": BUDGET})


if __name__ == "__main__":
    main()
