"""Does the audit of learned policies find what was planted, and leave clean twins alone?

Thirteen pairs of games (planted.py), in each of which agents learn by PPO, five trainings each; every training is
audited by itself. A planted loophole is found when the audit names it: the verdict that was to be found is an
objection. A clean twin is accused when the audit has any objection. Three further pairs (planted_blind.py) were written
by somebody who had not seen how the audit works, after it was frozen, and are reported apart.

    python benchmarks/audit_suite.py [--quick] [--json]
"""

import argparse
import json
import time
from typing import Any

import jax.random as jr
from planted import PAIRS, Case
from planted_blind import PAIRS as BLIND

import populace as pop

SEEDS = 5


def audits(case: Case, seeds: int) -> list[pop.PolicyAudit]:
    algorithm = pop.PPO(hidden=(16, 16), rate=1e-2, decay=0.9)
    learned = pop.learn(
        case.game, algorithm, jr.key(0), budget=algorithm.runs * case.updates, seeds=seeds, runs=16, progress=False
    )
    return [
        pop.audit_policy(
            case.game,
            policies,
            jr.key(1 + seed),
            variants=case.variants,
            splits=case.splits,
            beyond=case.beyond,
            progress=False,
        )
        for seed, policies in enumerate(learned.policies)
    ]


def asked(name: str, make: Any, seeds: int) -> dict[str, Any]:
    """One pair: how often the planted loophole was named, and how often the clean twin was accused of anything."""
    begun = time.perf_counter()
    planted, clean = make(True), make(False)
    found, sentences = 0, []
    for audit in audits(planted, seeds):
        verdict = audit.verdicts[planted.subject]
        found += verdict.code is planted.code
        sentences.append(verdict.sentence)
    accused = [[v.sentence for v in audit.objections()] for audit in audits(clean, seeds)]
    return {
        **{"pair": name, "found": found, "accused": sum(bool(one) for one in accused), "seeds": seeds},
        **{"says": sentences[0], "accusations": [s for one in accused for s in one]},
        "seconds": time.perf_counter() - begun,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one training each")
    parser.add_argument("--json", action="store_true", help="one JSON object on the last line")
    parser.add_argument("--only", default="", help="pairs whose name holds this")
    settings = parser.parse_args()
    pop.use_all_cores()
    seeds = 1 if settings.quick else SEEDS
    chosen = {name: make for name, make in PAIRS.items() if settings.only in name}
    blind = {name: make for name, make in BLIND.items() if settings.only in name}
    print(f"{'pair':22} {'found':>8} {'accused':>8} {'s':>6}  what the audit says of the planted twin")
    results = counted(chosen, seeds)
    if blind:
        print("written blind:")
    results["blind"] = counted(blind, seeds)
    if settings.json:
        print(json.dumps(results))


def counted(pairs: dict[str, Any], seeds: int) -> dict[str, Any]:
    """Ask the audit of pairs, and count."""
    rows = []
    for name, make in pairs.items():
        row = asked(name, make, seeds)
        rows.append(row)
        counts = f"{row['found']:>3} of {seeds} {row['accused']:>3} of {seeds} {row['seconds']:6.1f}"
        print(f"{name:22} {counts}  {row['says']}", flush=True)
        for sentence in row["accusations"]:
            print(f"{'':22} clean twin: {sentence}", flush=True)
    total = seeds * len(rows)
    found, accused = sum(row["found"] for row in rows), sum(row["accused"] for row in rows)
    print(f"planted found {found} of {total}; clean accused {accused} of {total}")
    return {"planted_found": found, "clean_accused": accused, "of": total, "findings": rows}


if __name__ == "__main__":
    main()
