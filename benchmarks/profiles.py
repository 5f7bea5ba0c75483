"""Profiles, robust sets and walks against closed forms, and on an epidemic seen early and late.

Closed forms: two parameters behind three linear moments (intervals from the inverse information, the set an ellipse), a
product on (0, 5]^2 (its profile ends at .2 (1 - 1.96 s) because the other is at its bound), a sum, and the size of a
number (two valleys). An end's miss is told in its own error bars, of which 95 % should be under 2, and as a part of the
interval's half-width; a set's share over the exact one. Walks: how near the ends of the product's valley they come.

The epidemic (identification_cases.py): four parameters, seen for 20 days, when only combinations are known, and for 60.

    python benchmarks/profiles.py [--json] [--quick] [--keys N] [--budget N]
"""

import argparse
import os
import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import measure


@dataclass
class Seen:
    """Over keys: misses of ends in error bars, and in half-widths; shares over the exact ones; whether the exact share
    was held; right classes and all; seconds of each verb.
    """

    misses: list[float] = field(default_factory=list)
    parts: list[float] = field(default_factory=list)
    shares: list[float] = field(default_factory=list)
    held: list[bool] = field(default_factory=list)
    right: list[bool] = field(default_factory=list)
    confirmed: list[bool] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object on the last line")
    parser.add_argument("--quick", action="store_true", help="few keys and the early epidemic only, about a minute")
    parser.add_argument("--keys", type=int, default=10, help="keys of each closed form (default 10)")
    parser.add_argument("--budget", type=int, default=2_000, help="simulator calls of a closed form (default 2000)")
    given = parser.parse_args()
    if given.quick:
        measure.hasty()
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    keys = 2 if given.quick else given.keys
    record: dict[str, Any] = {}
    for name in CLOSED:
        record |= closed(name, keys, given.budget)
    record |= walked(keys, given.budget)
    rows = [[name, value] for name, value in record.items()]
    measure.show(f"Closed forms: {keys} keys, {given.budget} calls a verb", ("", ""), rows)
    cases = [("SIR T = 20", 4_000)] if given.quick else [("SIR T = 20", 12_000), ("SIR T = 60", 12_000)]
    for name, budget in cases:
        record |= epidemic(name, budget, sets=not given.quick)
    measure.finish(given, record)


@dataclass(frozen=True)
class Closed:
    """`means` of the parameters (traceable), data, their errors, boxes, the point at the data, the class of each
    profile with its exact ends, and the exact share of the set at 95 %.
    """

    means: Any
    data: tuple[float, ...]
    errors: tuple[float, ...]
    ends: Mapping[str, tuple[float, float]]
    at: Mapping[str, float]
    classes: Mapping[str, str]
    exact: Mapping[str, tuple[tuple[float, float], ...]]
    share: float


def _linear() -> Closed:
    import numpy as np
    from scipy.stats import chi2

    rows, errors = np.array([[1.0, 1.0], [1.0, -1.0], [0.5, 0.0]]), np.array([0.1, 0.2, 0.3])
    white = rows / errors[:, None]
    half = 1.959964 * np.sqrt(np.diag(np.linalg.inv(white.T @ white)))
    share = float(np.pi * chi2.ppf(0.95, 3) / np.sqrt(np.linalg.det(white.T @ white)) / 16.0)
    data = tuple((rows @ [0.3, 0.2]).tolist())
    return Closed(
        lambda p: [r[0] * p["a"] + r[1] * p["b"] for r in rows.tolist()],
        data,
        tuple(errors.tolist()),
        {"a": (-2.0, 2.0), "b": (-2.0, 2.0)},
        {"a": 0.3, "b": 0.2},
        {"a": "BOUNDED", "b": "BOUNDED"},
        {"a": ((0.3 - half[0], 0.3 + half[0]),), "b": ((0.2 - half[1], 0.2 + half[1]),)},
        share,
    )


def _product() -> Closed:
    import numpy as np

    end = 0.2 * (1.0 - 1.959964 * 0.02)
    low, high = 1.0 - 1.959964 * 0.02, 1.0 + 1.959964 * 0.02
    area = [c * (1.0 + np.log(25.0 / c)) for c in (low, high)]  # of a b <= c on (0, 5]^2
    return Closed(
        lambda p: [p["a"] * p["b"]],
        (1.0,),
        (0.02,),
        {"a": (0.0, 5.0), "b": (0.0, 5.0)},
        {"a": 1.0, "b": 1.0},
        {"a": "CUT", "b": "CUT"},
        {"a": ((end, 5.0),), "b": ((end, 5.0),)},
        float((area[1] - area[0]) / 25.0),
    )


def _sum() -> Closed:
    half = 1.959964
    top = 140.0 + half
    area = (60.0 + half) ** 2 / 2.0 - (60.0 - half) ** 2 / 2.0  # w1 + w2 within half of 220, both from 80 on
    return Closed(
        lambda p: [p["w1"] + p["w2"]],
        (220.0,),
        (1.0,),
        {"w1": (80.0, 150.0), "w2": (80.0, 150.0)},
        {"w1": 100.0, "w2": 120.0},
        {"w1": "CUT", "w2": "CUT"},
        {"w1": ((80.0, top),), "w2": ((80.0, top),)},
        area / 4_900.0,
    )


def _size() -> Closed:
    import jax.numpy as jnp

    half = 0.1959964
    return Closed(
        lambda p: [jnp.abs(p["x"])],
        (1.0,),
        (0.1,),
        {"x": (-3.0, 3.0)},
        {"x": 1.0},
        {"x": "SEVERAL"},
        {"x": ((-1.0 - half, -1.0 + half), (1.0 - half, 1.0 + half))},
        4.0 * half / 6.0,
    )


CLOSED = {"linear": _linear, "product": _product, "sum": _sum, "size": _size}


def problem_of(case: Closed) -> Any:
    import jax.random as jr
    import numpy as np
    import numpyro.distributions as dist

    import populace as pop

    def run(parameters: Any, key: Any) -> dict[str, Any]:
        noise = jr.normal(key, (len(case.errors),))
        parts = zip(case.means(parameters), case.errors, noise, strict=True)
        return {f"y{i}": mean + error * one for i, (mean, error, one) in enumerate(parts)}

    names = [f"y{i}" for i in range(len(case.data))]
    target = pop.Target(
        {name: np.float64(value) for name, value in zip(names, case.data, strict=True)},
        [pop.final(name) for name in names],
        covariance=pop.Given(np.array(case.errors)),
    )
    return pop.Problem(pop.Traceable(run), pop.Space({n: dist.Uniform(*e) for n, e in case.ends.items()}), target)


def fit_of(problem: Any, seed: int) -> Any:
    import jax.random as jr

    import populace as pop

    method = pop.EnsembleSmoother(draws=50, waves=4)
    return pop.calibrate(problem, method, jr.key(100 + seed), budget=600, predictive=50, progress=False)


def closed(name: str, keys: int, budget: int) -> dict[str, Any]:
    import jax.random as jr

    import populace as pop

    case = CLOSED[name]()
    problem, seen, sets = problem_of(case), Seen(), Seen()
    for seed in range(keys):
        fit = fit_of(problem, seed)
        begun = time.perf_counter()
        found = pop.profiles(problem, fit, jr.key(seed), budget=budget, progress=False)
        seen.seconds.append(time.perf_counter() - begun)
        begun = time.perf_counter()
        kept = pop.robust_set(problem, jr.key(seed), budget=budget, progress=False)
        sets.seconds.append(time.perf_counter() - begun)
        sets.shares.append(kept.share[1] / case.share)
        sets.held.append(kept.share[0] <= case.share <= kept.share[2])
        seen.confirmed.append(found.checks[1].code is pop.Code.CONFIRMED)
        sets.confirmed.append(kept.checks[0].code is pop.Code.CONFIRMED)
        for label, profile in found.profiles.items():
            seen.right.append(profile.verdict.code is pop.Code[case.classes[label]])
            if len(profile.intervals) != len(case.exact[label]):
                continue
            for one, (low, high) in zip(profile.intervals, case.exact[label], strict=True):
                for value, exact, error in ((one.low, low, one.low_error), (one.high, high, one.high_error)):
                    if error > 0.0:
                        seen.misses.append(abs(value - exact) / error)
                        seen.parts.append(abs(value - exact) / ((high - low) / 2.0))
    under = sum(miss < 2.0 for miss in seen.misses) / max(len(seen.misses), 1)
    return {
        f"{name}: classes right": sum(seen.right) / len(seen.right),
        f"{name}: ends within two errors": under,
        f"{name}: miss of an end, of the half-width (median)": statistics.median(seen.parts),
        f"{name}: share of the set over the exact (median)": statistics.median(sets.shares),
        f"{name}: share of the set over the exact (range)": [min(sets.shares), max(sets.shares)],
        f"{name}: exact share held": sum(sets.held) / len(sets.held),
        f"{name}: confirmed by fresh runs": sum(seen.confirmed + sets.confirmed) / (2 * keys),
        f"{name}: seconds of profiles (median)": statistics.median(seen.seconds),
        f"{name}: seconds of a set (median)": statistics.median(sets.seconds),
    }


def walked(keys: int, budget: int) -> dict[str, Any]:
    import jax.random as jr
    import numpy as np

    import populace as pop

    problem = problem_of(_product())
    ends, off, seconds = 0, [], []
    for seed in range(keys):
        fit = fit_of(problem, seed)
        begun = time.perf_counter()
        walk = pop.walks(problem, fit, jr.key(seed), budget=budget, progress=False).walks[0]
        seconds.append(time.perf_counter() - begun)
        ends += set(walk.ends) == {"the upper bound of a", "the upper bound of b"}
        off.append(float(np.abs(walk.path.prod(1) - 1.0).max() / 0.02))
    return {
        "walk along the product: from bound to bound": ends / keys,
        "walk along the product: farthest off, in errors of the data (median)": statistics.median(off),
        "walk along the product: seconds (median)": statistics.median(seconds),
    }


def epidemic(name: str, budget: int, *, sets: bool) -> dict[str, Any]:
    import jax.random as jr
    from identification_cases import CASES

    import populace as pop

    case = CASES[name] if isinstance(CASES, dict) else next(one for one in CASES if one.name == name)
    problem = case.problem(jr.key(3))
    fit = pop.calibrate(problem, pop.EnsembleSmoother(), jr.key(0), budget=8_000, predictive=200, progress=False)
    record: dict[str, Any] = {}
    verbs: dict[str, Any] = {
        "profiles": lambda: pop.profiles(problem, fit, jr.key(1), budget=budget, progress=False),
        "walks": lambda: pop.walks(problem, fit, jr.key(1), budget=budget, directions=2, progress=False),
    }
    if sets:
        verbs["set"] = lambda: pop.robust_set(problem, jr.key(1), fit=fit, budget=budget, progress=False)
    for verb, work in verbs.items():
        wall, _, found = measure.timed(work)
        verdicts = [verdict for section in found.sections() for verdict in section.verdicts]
        rows = [[verdict.subject, verdict.code.value, verdict.sentence] for verdict in verdicts]
        measure.show(f"{name}: {verb}, {found.calls} runs, {wall:.1f} s", ("", "", ""), rows)
        record |= {f"{name}, {verb}: runs": found.calls, f"{name}, {verb}: seconds": wall}
        record |= {f"{name}, {verb}: {verdict.subject}": verdict.code.value for verdict in verdicts}
    return record


if __name__ == "__main__":
    main()
