"""Schelling's segregation fitted by gradient: tolerances drawn from a Beta law, their mean, spread and the density.

The data are a segregation curve that the model made at a known truth: the mean share of like neighbours, and how many
moved, over time. A descent that is not told chooses its gradients by audit. With one tolerance common to all there is
no derivative, and the audit has to say so.

    python benchmarks/segregation.py [--json] [--quick]
"""

import argparse
import time
from typing import Any

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import numpyro.distributions as dist
from measure import finish, show

import populace as pop
from populace.zoo.schelling import Schelling

TRUTH = {"tolerance": 0.45, "spread": 0.15, "density": 0.75}
SPACE = {
    "tolerance": dist.Uniform(0.25, 0.65),
    "spread": dist.Uniform(0.03, 0.4),
    "density": dist.Uniform(0.55, 0.9),
}


def problem(side: int, steps: int) -> pop.Problem:
    """The fit of the three, to the mean curves of forty runs at the truth."""
    town = pop.Grid(side, side, pop.Moore(1))
    model = Schelling(town, **{name: jnp.float32(value) for name, value in TRUTH.items()})
    runs = pop.ensemble(model, jr.key(1), steps, runs=200).observations
    curves = {name: np.asarray(values[0], np.float64) for name, values in runs.items()}
    moments = [pop.level(name) for name in curves]
    target = pop.Target({name: values[:40].mean(0) for name, values in curves.items()}, moments)
    both = np.concatenate([curves[name] for name in curves], axis=1)
    covariance = np.cov(both.T) / 40.0
    floor = np.where(np.diag(covariance) > 0, 1e-3 * np.diag(covariance), 1.0)  # some counts of movers never vary
    target = target.with_covariance(covariance + np.diag(floor), "200 runs at the truth, for a mean of 40")
    return pop.Problem(pop.Simulation(model, steps), pop.Space(SPACE), target)


def refusal(side: int, steps: int, *, quick: bool) -> list[str]:
    """What the audit says of a tolerance that all share."""
    model = Schelling(pop.Grid(side, side, pop.Moore(1)), tolerance=0.35, spread=0.0, density=0.8)
    loss = pop.ExpectedLoss(pop.Simulation(model, steps), lambda seen: seen["alike"][-1])
    relaxed = pop.Pathwise((pop.StraightThrough(), pop.SoftThreshold(0.5)))
    estimators = [pop.Differences()] if quick else [pop.Differences(), relaxed]
    audit = pop.audit_gradient(
        loss, estimators, jr.key(2), at=[{"tolerance": 0.35}], horizons=[steps], keys=64, step=0.05, progress=False
    )
    return [verdict.sentence for verdict in audit.verdicts.values()]


def verdicts(task: pop.Problem) -> list[str]:
    """What the audit says of each estimator where tolerances differ, at the truth, for the last share of like."""
    loss = pop.ExpectedLoss(task.simulator, lambda seen: seen["alike"][-1])
    relaxed = [pop.Pathwise(), pop.Pathwise((pop.StraightThrough(), pop.SoftThreshold(0.5)))]
    audit = pop.audit_gradient(
        loss,
        [pop.Differences(), *relaxed],
        jr.key(4),
        at=[TRUTH],
        horizons=[task.simulator.steps],
        keys=256,
        step=0.1,
        progress=False,
    )
    chosen = "none" if audit.recommended is None else audit.recommended
    return [*(verdict.sentence for verdict in audit.verdicts.values()), f"Recommended: {chosen}."]


def contest(*, quick: bool) -> dict[str, Any]:
    """The fit with its errors, and what the audits say."""
    side, steps, budget = (20, 5, 5_000) if quick else (40, 15, 60_000)
    task = problem(side, steps)
    rows, notes = [], []
    differences = pop.Differences(step=0.1, scale={"v": 1.0})
    for name, estimator in {"differences": differences, **({} if quick else {"audited": None})}.items():
        start = time.process_time()
        method = pop.GradientDescent(
            estimator, starts=1 if quick else 2, replicates=16, difference=0.3, judged=200 if quick else 800
        )
        fit = pop.calibrate(task, method, jr.key(3), budget=budget, predictive=100)
        seconds = time.process_time() - start
        real = np.asarray(task.space.to_real({k: jnp.array([v]) for k, v in TRUTH.items()}))[0]
        errors = (fit.estimate.real - real) / np.sqrt(np.diag(fit.estimate.covariance))
        middle = {k: float(np.median(fit.draws[k])) for k in TRUTH}
        for i, label in enumerate(task.space.labels):
            rows.append([f"{label}, {name}", TRUTH[label], middle[label], float(errors[i]), seconds, fit.calls])
        notes += list(fit.estimate.notes())
    if not quick:
        notes += [f"At the truth: {sentence}" for sentence in verdicts(task)]
    common = refusal(side, steps, quick=quick)
    notes += [f"One tolerance for all: {sentence}" for sentence in common]
    columns = ["parameter", "truth", "found", "error / standard error", "processor s", "calls"]
    title = f"Schelling on {side} x {side}, {steps} steps"
    worst = max(abs(row[3]) for row in rows)
    return {"title": title, "columns": columns, "rows": rows, "notes": notes, "worst": worst, "common": common}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object on the last line")
    parser.add_argument("--quick", action="store_true", help="a smaller town, under a minute")
    given = parser.parse_args()
    found = contest(quick=given.quick)
    show(found["title"], found["columns"], found["rows"])
    print("\n".join(found["notes"]))
    finish(given, found)


if __name__ == "__main__":
    main()
