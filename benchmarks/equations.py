"""Equations for the mean of a population, beside published ones: birth, death and migration on a lattice, and herding.

Birth, death and migration (Nardini and others 2021): 120 x 120 cells, 5 % of them taken, T = 15 / (birth - death), 100
times, 50 runs; the root mean square error of the solution of the learned equation against the mean, beside that of
their sparse regression of degree 3 and of the mean field. Kirman's herding has an exact equation for the mean, whose
error on the same runs stands where the published number does. The closure test is asked where the answer is known: the
density is closed at a birth rate of .01, and at .5 the share of pairs is missing. An epidemic among walkers on a
lattice of 40 x 40: the reproduction number that its mean shows, beside the one that they learned.

    python benchmarks/equations.py [--json] [--quick] [--pysindy PYTHON]

`--pysindy` names the Python of an environment with PySINDy, which then gets the same means (`equations_pysindy.py`).

`--quick` takes 60 x 60 cells, fewer runs, two of four birth rates and one of four epidemics, and 30 x 30 cells for the
closure test.
"""

import argparse
import json
import math
import subprocess
import time
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array
from measure import finish, hasty, show

PAGE = {0.01: (0.0111, 0.00095), 0.05: (0.0260, 0.0012), 0.1: (0.0398, 0.0028), 0.5: (0.1004, 0.0052)}
R0 = {0.005: 4.68, 0.01: 4.52, 0.05: 3.72, 0.1: 3.41}
POINTS = 100
START = 0.05
RATES = (0.1, 0.15)


def lattice_model(side: int, birth: float, interval: float) -> Any:
    """The model, with turns as long as they may be where events are mostly moves."""
    from populace.zoo.birth_death_migration import BirthDeathMigration, turns_for
    from populace.zoo.sublattices import Sublattices

    turns = turns_for(1 + 1.5 * birth, interval, 0.5 if birth > 0.09 else 1.0)
    lattice = Sublattices(side, side)
    return BirthDeathMigration(lattice, turns, birth=birth, death=birth / 2, start=START, interval=interval)


def mean_series(side: int, birth: float, runs: int) -> Any:
    """The published protocol."""
    import populace as pop

    interval = 15 / (birth / 2) / POINTS
    seen = pop.ensemble(lattice_model(side, birth, interval), jr.key(1), POINTS, runs=runs, progress=False)
    return pop.MeanSeries.of(seen, ["density"], interval=interval, start={"density": round(START * side**2) / side**2})


def solution_error(rate: Any, series: Any) -> float:
    """The error of an equation that is known beforehand."""
    from scipy.integrate import solve_ivp

    start, times = series.mean[0, 0], series.times
    solved = solve_ivp(lambda _, u: rate(u), (times[0], times[-1]), [start], t_eval=times, rtol=1e-9).y[0]
    return float(np.sqrt(((solved - series.mean[:, 0]) ** 2).mean()))


def peer(python: str | None, series: Any, degree: int) -> float | None:
    """PySINDy's error on the same mean."""
    if python is None:
        return None
    request = {"times": series.times.tolist(), "mean": series.mean[:, 0].tolist(), "degree": degree}
    script = str(Path(__file__).with_name("equations_pysindy.py"))
    out = subprocess.run([python, script], input=json.dumps(request), text=True, capture_output=True, check=True)
    return json.loads(out.stdout.splitlines()[-1])["rmse"]


def lattices(
    side: int, births: tuple[float, ...], runs: int, python: str | None
) -> tuple[list[list[Any]], dict[str, Any], list[str]]:
    """A row a birth rate."""
    import populace as pop

    rows, rmse, notes = [], {}, []
    for birth in births:
        start = time.process_time()
        series = mean_series(side, birth, runs)
        made = time.process_time() - start
        field, theirs = PAGE[birth]
        sindy = peer(python, series, 3)
        for zero in (False, True):
            learned = pop.learn_equation(series, jr.key(2), zero=zero)
            errors = [equation.rmse for equation in learned.equations]
            here = solution_error(lambda c: birth * c * (1 - c) - birth / 2 * c, series)  # noqa: B023
            label = f"birth {birth:g}" + (", nothing of nothing" if zero else "")
            rows.append([label, len(errors), max(errors), theirs, here, field, learned.noise, sindy, made])
            rmse[label] = {
                "ours": max(errors),
                "simplest": errors[0],
                "page": theirs,
                "mean_field": here,
                "pysindy": sindy,
            }
            notes.append(f"{label}:\n  " + str(learned).replace("\n", "\n  "))
    return rows, rmse, notes


def herding(runs: int) -> tuple[list[list[Any]], dict[str, Any], list[str]]:
    """The same equation for every strength of herding, and what it sees."""
    import populace as pop
    from populace.zoo.kirman import Kirman

    a1, a2 = RATES
    rows, rmse, notes = [], {}, []
    for b in (0.0, 0.02, 0.2):
        seen = pop.ensemble(Kirman(50, 140, b=b), jr.key(3), 60, runs=runs, progress=False)
        series = pop.MeanSeries.of(seen, ["share"], interval=0.5, start={"share": 0.0})
        learned = pop.learn_equation(series, jr.key(4), degree=3)
        errors = [equation.rmse for equation in learned.equations]
        exact = solution_error(lambda z: a1 - (a1 + a2) * z, series)
        rows.append([f"herding {b:g}", len(errors), max(errors), exact, exact, exact, learned.noise, None, None])
        rmse[f"herding {b:g}"] = {"ours": max(errors), "simplest": errors[0], "page": exact}
        notes.append(f"herding {b:g}:\n  " + str(learned).replace("\n", "\n  "))
    given = {"b": (0.0, 0.02, 0.2), "a1": (0.07, 0.13), "a2": (0.1, 0.2)}
    seen = pop.seen_by_equation(
        Kirman(50, 140), given, jr.key(5), variables=["share"], steps=60, runs=runs, interval=0.5, start={"share": 0.0}
    )
    return rows, {"rmse": rmse, "seen": {n: v.record() for n, v in seen.verdicts.items()}}, [*notes, str(seen)]


def epidemics(rates: tuple[float, ...], runs: int) -> tuple[list[list[Any]], dict[str, Any]]:
    """The reproduction number of dS/dt = -c S I, dI/dt = c S I - r I, fitted to the means: .5 c / r."""
    import populace as pop
    from populace.zoo.lattice_sir import LatticeSIR
    from populace.zoo.sublattices import Sublattices

    rows, record = [], {}
    form = {"susceptible": ["susceptible ill"], "ill": ["ill", "susceptible ill"]}
    for infect in rates:
        interval = 5 / (infect / 10) / POINTS
        turns = math.ceil(16 * (1 + 1.1 * infect) * interval)
        model = LatticeSIR(Sublattices(40, 40, 4), turns, infect=infect, recover=infect / 10, interval=interval)
        seen = pop.ensemble(model, jr.key(7), POINTS, runs=runs, progress=False)
        start = {"susceptible": 784 / 1600, "ill": 16 / 1600}
        series = pop.MeanSeries.of(seen, list(start), interval=interval, start=start)
        learned = pop.learn_equation(series, jr.key(8), degree=2, form=form).simplest
        found, errors = learned.coefficients, learned.errors  # terms: 1, S, I, S^2, S I, I^2
        spreads, recovers = found[1, 4], -found[1, 2]
        number = float(0.5 * spreads / recovers)
        error = float(number * np.hypot(errors[1, 4] / spreads, errors[1, 2] / recovers))
        rows.append([f"infect {infect:g}", number, error, R0[infect], 5.0, learned.rmse, float(spreads / infect)])
        record[f"{infect:g}"] = {"ours": number, "page": R0[infect], "rmse": learned.rmse}
    return rows, record


def lifts(model: Any) -> dict[str, Any]:
    """States of the same density: at random, in blocks of two by two, in stripes, and as the model grows them."""
    import populace as pop

    rows, columns = model.lattice.rows, model.lattice.columns

    def mixed(macro: dict[str, Array], draw: Any) -> Array:
        return model.filled(draw.uniform("where", size=(rows, columns)), macro["density"])

    def clustered(macro: dict[str, Array], draw: Any) -> Array:
        blocks = draw.uniform("where", size=(rows // 2, columns // 2))
        return model.filled(jnp.repeat(jnp.repeat(blocks, 2, 0), 2, 1), macro["density"])

    def sorted_(macro: dict[str, Array], draw: Any) -> Array:
        stripe = jnp.arange(columns) % 6
        return model.filled(stripe[None] + draw.uniform("where", size=(rows, columns)), macro["density"])

    return {"mixed": mixed, "clustered": clustered, "sorted": sorted_, "grown": pop.grown(model, "density", 55)}


def closures(side: int, copies: int) -> tuple[dict[str, Any], list[str]]:
    """Healed for a fifth of the time in which the density itself moves, 1 / (birth - death)."""
    import populace as pop

    verdicts, notes = {}, []
    for birth, answer in ((0.01, None), (0.5, "pairs")):
        model = lattice_model(side, birth, 0.05 / (birth / 2))
        tested = pop.closure_test(
            model,
            lifts(model),
            jr.key(6),
            at=[{"density": density} for density in (0.15, 0.2, 0.25, 0.3)],
            candidates=("pairs",),
            rates={"density": "growth"},
            heal=4,
            copies=copies,
            interval=float(model.interval),
        )
        right = tested.closed is (answer is None) and tested.missing == answer
        verdicts[f"birth {birth:g}"] = {"closed": tested.closed, "missing": tested.missing, "right": right}
        notes.append(f"birth {birth:g}: {tested}")
    return verdicts, notes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object on the last line")
    parser.add_argument("--quick", action="store_true", help="smaller lattices and fewer runs, under a minute")
    parser.add_argument("--pysindy", metavar="PYTHON", help="the Python of an environment that has PySINDy")
    given = parser.parse_args()
    if given.quick:
        hasty()
    births = (0.5, 0.1) if given.quick else (0.5, 0.1, 0.05, 0.01)
    rows, rmse, notes = lattices(60 if given.quick else 120, births, 32 if given.quick else 48, given.pysindy)
    more, herds, said = herding(200 if given.quick else 1000)
    verdicts, judged = closures(30 if given.quick else 120, 16 if given.quick else 32)
    ill, numbers = epidemics((0.1,) if given.quick else tuple(R0), 16 if given.quick else 32)
    columns = [
        "case",
        "tied",
        "worst tied",
        "published",
        "mean field",
        "published",
        "noise of the mean",
        "PySINDy",
        "processor s",
    ]
    show("Root mean square error of solutions against the mean", columns, rows + more)
    columns = ["case", "learned R0", "its error", "published", "mean field", "RMSE", "of the rate of infection"]
    show("An epidemic on a lattice of 40 x 40", columns, ill)
    print("\n".join(["", *notes, *said, *judged]))
    record = {
        "rmse": {**rmse, **herds["rmse"]},
        "closure": verdicts,
        "closure_right": all(one["right"] for one in verdicts.values()),
        "seen": herds["seen"],
        "r0": numbers,
    }
    finish(given, record)


if __name__ == "__main__":
    main()
