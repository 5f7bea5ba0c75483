"""What `pop.identify` says of the cases of `identification_cases.py`, against what is known of each.

    python benchmarks/identification_suite.py [--keys N] [--json] [--quick] [--peers]

Each case is drawn, fitted (`pop.EnsembleSmoother`, within the case's budget) and judged with as many keys. A verdict is
right if its class is the case's own; *identified* said of what is not, and *not identified* of what is, are counted
apart. `--peers` adds the same cases through lmfit, estimagic and pyPESTO, each in its own environment
(`identification_peers.py`; minutes). `--quick` takes four cases and two keys.

JSON: `cases` (name -> verdicts, a parameter to the classes found and how often; expected; right, the share;
combinations, named and how often; seconds, a fit and its report), `right`, `false_identified`, `false_not`, `peers`.
"""

import argparse
import json
import sys
import time
from collections import Counter
from typing import Any

import jax.random as jr
from identification_cases import CASES
from identification_recipes import Case
from measure import show

import populace as pop

QUICK = ("product", "sum", "local, not seen", "SIS, transient")
WORDS = {
    "prior returned": "not identified",
    "only in combination": "combination",
    "one of several points": "several points",
    "out of reach": "unreachable",
}
"""Classes of the report by the words of the cases; others are the same."""
LOST = frozenset({"not identified", "combination"})


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--keys", type=int, default=20)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--peers", action="store_true")
    given = parser.parse_args()
    keys = 2 if given.quick else given.keys
    cases = {name: CASES[name] for name in (QUICK if given.quick else CASES)}
    found = {}
    for name, case in cases.items():
        found[name] = judged(case, keys)
        print(f"{name}: {found[name]['right']:.2f} right, {found[name]['seconds']:.1f} s", file=sys.stderr, flush=True)
    report(found, cases)
    peers: list[Any] = []
    if given.peers:
        from identification_peers import peers as asked

        peers = asked(tuple(cases))
        show("peers", tuple(peers[0]) if peers else (), [tuple(row.values()) for row in peers])
    if given.json:
        print(json.dumps({"cases": found, **totals(found, cases), "peers": peers}))


def judged(case: Case, keys: int) -> dict[str, Any]:
    """The verdicts of one case over keys."""
    classes: dict[str, Counter[str]] = {name: Counter() for name in case.truth}
    named: Counter[str] = Counter()
    started = time.perf_counter()
    for number in range(keys):
        draw, fit_key, judge = jr.split(jr.key(number), 3)
        problem = case.problem(draw)
        fit = pop.calibrate(
            problem, pop.EnsembleSmoother(), fit_key, budget=case.budget, predictive=400, progress=False
        )
        report = pop.identify(problem, fit, judge, replicates=100)
        for name, verdict in report.verdicts.items():
            classes[name][WORDS.get(verdict.code.value, verdict.code.value)] += 1
        named.update(one.text for one in report.combinations)
    right = sum(count for name, seen in classes.items() for c, count in seen.items() if c in case.expected[name])
    return {
        "verdicts": {name: dict(seen) for name, seen in classes.items()},
        "expected": {name: sorted(one) for name, one in case.expected.items()},
        "right": right / (keys * len(classes)),
        "combinations": dict(named),
        "seconds": (time.perf_counter() - started) / keys,
    }


def totals(found: dict[str, dict[str, Any]], cases: dict[str, Case]) -> dict[str, Any]:
    """Over all cases: the share right, and swaps of identified and not identified, either way."""
    counts = Counter()
    for name, one in found.items():
        for parameter, seen in one["verdicts"].items():
            expected = cases[name].expected[parameter]
            for word, count in seen.items():
                counts["all"] += count
                counts["right"] += count * (word in expected)
                counts["false_identified"] += count * (word == "identified" and bool(expected & LOST))
                counts["false_not"] += count * (word == "not identified" and "identified" in expected)
    return {
        "right": counts["right"] / counts["all"],
        "false_identified": counts["false_identified"],
        "false_not": counts["false_not"],
    }


def report(found: dict[str, dict[str, Any]], cases: dict[str, Case]) -> None:
    """A table for people."""
    rows = []
    for name, one in found.items():
        for parameter, seen in one["verdicts"].items():
            words = ", ".join(f"{count} {word}" for word, count in sorted(seen.items(), key=lambda each: -each[1]))
            rows.append((name, parameter, " or ".join(one["expected"][parameter]), words))
    show("verdicts", ("case", "parameter", "expected", "found"), rows)
    shares = [(name, one["right"], one["seconds"]) for name, one in found.items()]
    show("cases", ("case", "right", "seconds a fit"), shares)
    for word, value in totals(found, cases).items():
        print(f"{word}: {value:.3g}")


if __name__ == "__main__":
    main()
