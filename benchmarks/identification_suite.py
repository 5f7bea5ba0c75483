"""What `pop.identify` says of the cases of `identification_cases.py`, against what is known of each.

    python benchmarks/identification_suite.py [--keys N] [--first K] [--only CASE ...] [--json] [--quick] [--peers]

Each case is drawn, fitted (`pop.EnsembleSmoother`, within the case's budget) and judged with as many keys. A verdict is
right if its class is the case's own; *identified* said of what is not, and *not identified* of what is, are counted
apart. `--peers` adds the same cases through lmfit, estimagic and pyPESTO, each in its own environment
(`identification_peers.py`; minutes): they have one data set, and the expected moments in closed form, which our fits
have not. `--first` is the number of the first key: rules that were tuned on some are tried on others. `--quick` takes
four cases and two keys.

JSON: `cases` (name -> verdicts, a parameter to the classes found and how often; expected; right, the share;
combinations, named and how often; seconds and processor seconds, a fit and its report), `right`, `false_identified`,
`false_not`, `peers` (rows, a case, peer, way and parameter each; and totals by peer and way).
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
    "bounded on one side": "not identified",
    "one of several points": "several points",
    "out of reach": "unreachable",
}
"""Classes of the report by the words of the cases; others are the same."""
LOST = frozenset({"not identified", "combination"})


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--keys", type=int, default=20)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--only", nargs="+", choices=tuple(CASES), metavar="CASE", help="these cases alone")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--peers", action="store_true")
    given = parser.parse_args()
    keys = 2 if given.quick else given.keys
    cases = {name: CASES[name] for name in given.only or (QUICK if given.quick else CASES)}
    found = {}
    for name, case in cases.items():
        found[name] = judged(case, range(given.first, given.first + keys))
        print(f"{name}: {found[name]['right']:.2f} right, {found[name]['seconds']:.1f} s", file=sys.stderr, flush=True)
    report(found, cases)
    peers: dict[str, Any] = {}
    if given.peers:
        import identification_peers as others

        rows = others.peers(tuple(cases))
        others.report(rows)
        together(found, rows, others.WAYS)
        peers = {"rows": others.plain(rows), "totals": others.totals(rows)}
    if given.json:
        print(json.dumps({"cases": found, **totals(found, cases), "peers": peers}))


def judged(case: Case, keys: range) -> dict[str, Any]:
    """The verdicts of one case over keys."""
    classes: dict[str, Counter[str]] = {name: Counter() for name in case.truth}
    named: Counter[str] = Counter()
    started, processor = time.perf_counter(), time.process_time()
    for number in keys:
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
        "right": right / (len(keys) * len(classes)),
        "combinations": dict(named),
        "seconds": (time.perf_counter() - started) / len(keys),
        "processor": (time.process_time() - processor) / len(keys),
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


def together(found: dict[str, dict[str, Any]], rows: list[dict[str, Any]], ways: dict[str, tuple[str, ...]]) -> None:
    """One table of all: our commonest verdict, and each peer's interval and how it is read; a star where it is wrong.
    And processor seconds a case.
    """
    said = {(row["case"], row["parameter"], row["peer"], row["way"]): row for row in rows if row["case"]}
    columns = [(peer, way) for peer in ways for way in ways[peer]]
    asked = dict.fromkeys(row["case"] for row in rows if row["case"])
    table = []
    for name in asked:
        for parameter, seen in found[name]["verdicts"].items():
            word = max(seen, key=lambda one: seen[one])
            cells = [word + ("" if word in found[name]["expected"][parameter] else " *")]
            for peer, way in columns:
                row = said.get((name, parameter, peer, way)) or said.get((name, parameter, peer, ""))
                cells.append("not run" if row is None else _cell(row))
            table.append((name, parameter, " or ".join(found[name]["expected"][parameter]), *cells))
    heads = (f"{peer} {way}" for peer, way in columns)
    show("All, side by side (*: wrong)", ("case", "parameter", "expected", "populace", *heads), table)
    took = {(row["case"], row["peer"]): row["seconds"] for row in rows if row["case"]}
    seconds = [
        (name, found[name]["processor"], *(took.get((name, peer), "not run") for peer in ways)) for name in asked
    ]
    show("Processor seconds a case (ours: a fit by simulation)", ("case", "populace", *ways), seconds)


def _cell(row: dict[str, Any]) -> str:
    """Such as `1.2 [1.1, 1.3] *`."""
    wrong = " *" if row["right"] is False else ""
    if row["read"] == "nothing":
        why = row["said"].split(":")[0] if row["estimate"] is None else f"{row['estimate']:.3g} [none]"
        return why[:24] + wrong
    low, high = row["interval"]
    return f"{row['estimate']:.3g} [{low:.3g}, {high:.3g}]{wrong}"


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
