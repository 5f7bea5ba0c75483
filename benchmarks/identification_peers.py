"""What packages that people fit with say of parameters that the data cannot decide.

The cases of `identification_cases.py` that have closed forms of their moments, fitted by least squares on the same
whitened moments, with the bounds of the box, by lmfit, estimagic and pyPESTO, each in an environment of its own
(made under `--peers` where it is not there). A parameter is read as *identified* where both ends of its 95 % interval
are finite and inside the box. Where it is not identified, or only together with others, that is false confidence; how
much of the box the interval takes is shown beside, and whether it holds the truth. So is an interval of no width, *a
point*, which is right nowhere. To give no interval is not wrong there. Where a class is weak, nothing is wrong.

    python benchmarks/identification_peers.py [--json] [--quick] [--peers FOLDER]

`--quick` takes three cases and makes no environment. Beside our own verdicts: `identification_suite.py --peers`.
"""

import argparse
import functools
import json
import math
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax.random as jr
import numpy as np
from identification_cases import CASES
from identification_closed_forms import EXPECTED
from measure import show

SCRIPT = Path(__file__).with_name("identification_peers_fit.py")
FOLDER = Path.home() / ".cache" / "populace-peers"
RECIPES = {"lmfit": ("lmfit==1.3.4",), "estimagic": ("estimagic==0.5.1",), "pypesto": ("pypesto==0.7.0",)}
WAYS = {
    "lmfit": ("covariance", "conf_interval"),
    "estimagic": ("ci",),
    "pypesto": ("profile",),
}
"""Of each peer: the ways in which it gives an interval."""
NAMES = tuple(name for name in CASES if name in EXPECTED)
QUICK = ("product", "nothing", "birth-death, mean")
PATIENCE = 120
"""Processor seconds that a peer may take for a case."""
WAIT = 10
"""How many times as long a peer is waited for, where others use the machine."""
LOST = ("not identified", "combination", "several points", "unreachable")
_AT_BOUND = 1e-4
"""An end nearer to a bound than this share of the box has reached it; an interval narrower than that has no width."""


def peers(names: Sequence[str] = NAMES, *, folder: Path = FOLDER, make: bool = True) -> list[dict[str, Any]]:
    """A row for each case, peer, way and parameter: `case`, `peer`, `version`, `way`, `parameter`, `expected`,
    `estimate`, `interval` (None where there is no end), `share` of the box, `holds` the truth, `read` (identified,
    a point, not identified, nothing), `right`, `said`, and processor `seconds` of the case.

    Names of cases that have no closed form here are passed over. `right` is None where the class is weak. A peer that
    cannot be had gives one row that says why.
    """
    rows = []
    for peer in RECIPES:
        try:
            python = _python(peer, folder, make)
        except RuntimeError as why:
            rows.append({"case": "", "peer": peer, "said": str(why), "right": None})
            continue
        asked = [{"peer": peer, **_case(name)} for name in names if name in NAMES]
        for request, answer in zip(asked, _asked(python, asked), strict=True):
            rows += _rows(request, answer)
    return rows


def _python(peer: str, folder: Path, make: bool) -> str:
    """The interpreter of a peer's environment, which is made if it is not there."""
    home = folder / peer
    python, done = home / "bin" / "python", home / "installed"
    if done.exists():
        return str(python)
    if not make:
        raise RuntimeError(f"not run: no environment in {home}; once without --quick makes it")
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(home)], check=True)
    command = [str(python), "-m", "pip", "install", "--quiet", *RECIPES[peer]]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    if made.returncode:
        raise RuntimeError(f"not run, does not install: {(made.stderr.strip().splitlines() or ['pip is silent'])[-1]}")
    done.touch()
    return str(python)


@functools.cache
def _case(name: str) -> dict[str, Any]:
    """What a peer is told of a case."""
    problem = CASES[name].problem(jr.key(0))
    low, high = problem.space.bounds()
    start = np.asarray(problem.space.flat(problem.space.sample(jr.key(1), 1)), np.float64)[0]
    return {
        "case": name,
        "patience": PATIENCE,
        "data": problem.target.values.tolist(),
        "covariance": np.asarray(problem.target.covariance).tolist(),
        "names": list(problem.space.names),
        "low": low.tolist(),
        "high": high.tolist(),
        "start": start.tolist(),
    }


def _asked(python: str, requests: Sequence[dict[str, Any]]) -> list[Any]:
    """An answer a request; a peer that falls silent gives none to those that are left."""
    lines = "".join(json.dumps(one) + "\n" for one in requests)
    longest = WAIT * PATIENCE * len(requests)
    try:
        run = subprocess.run(
            [python, str(SCRIPT)],
            input=lines,
            capture_output=True,
            text=True,
            check=False,
            timeout=longest,
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
        )
        printed, why = run.stdout, (run.stderr.strip().splitlines() or ["no reason given"])[-1]
    except subprocess.TimeoutExpired as late:
        printed, why = (late.stdout or b"").decode(), f"no answer in {longest} s"
    answers = [json.loads(line)["answer"] for line in printed.splitlines() if line.startswith('{"answer"')]
    return answers + [_silent(one, why) for one in requests[len(answers) :]]


def _silent(request: dict[str, Any], why: str) -> dict[str, Any]:
    empty = {"way": "", "estimate": None, "interval": [None, None], "said": why}
    rows = [{**empty, "parameter": name} for name in request["names"]]
    return {"rows": rows, "warnings": [], "seconds": None, "version": ""}


def _rows(request: dict[str, Any], answer: dict[str, Any]) -> list[dict[str, Any]]:
    case, ends = CASES[request["case"]], zip(request["low"], request["high"], strict=True)
    boxes = dict(zip(request["names"], ends, strict=True))
    shared = {"case": case.name, "peer": request["peer"], "version": answer["version"], "seconds": answer["seconds"]}
    warned = "; ".join(answer["warnings"])
    out = []
    for row in answer["rows"]:
        label = row["parameter"]
        said = "; ".join(text for text in (row.get("said", ""), warned) if text)
        read = _read(row["interval"], boxes[label], case.truth[label], case.expected[label])
        out.append({**shared, **row, **read, "said": said})
    return out


def _read(interval: Sequence[Any], box: tuple[float, float], truth: float, expected: frozenset[str]) -> dict[str, Any]:
    """How an interval is read."""
    ends, width = [end for end in interval if end is not None], box[1] - box[0]
    whole = len(ends) == 2
    inside = whole and ends[0] > box[0] + _AT_BOUND * width and ends[1] < box[1] - _AT_BOUND * width
    within = [min(max(end, box[0]), box[1]) for end in ends]
    point = whole and ends[1] - ends[0] < _AT_BOUND * width
    read = "a point" if point else "identified" if inside else "not identified" if whole else "nothing"
    wanted = read == "identified" if "identified" in expected else read in ("not identified", "nothing")
    return {
        "interval": ends if whole else [None, None],
        "expected": sorted(expected)[0],
        "share": (within[1] - within[0]) / width if whole else None,
        "holds": ends[0] <= truth <= ends[1] if whole else None,
        "read": read,
        "right": None if "weak" in expected else wanted,
    }


def totals(rows: Sequence[dict[str, Any]]) -> dict[str, dict[str, int]]:
    """By peer and way: how many were right, falsely confident (of these in less than half of the box, and beside the
    truth), what was identified and not seen to be, and those with no interval at all.
    """
    found: dict[str, dict[str, int]] = {}
    for row in rows:
        if not row["case"]:
            continue
        names = ("right", "false confidence", "in half the box", "beside the truth", "not seen", "no interval")
        count = found.setdefault(f"{row['peer']} {row['way']}".strip(), dict.fromkeys(names, 0))
        false = row["read"] in ("identified", "a point") and row["expected"] in LOST
        count["right"] += bool(row["right"])
        count["false confidence"] += false
        count["in half the box"] += bool(false and row["share"] < 0.5)
        count["beside the truth"] += bool(false and not row["holds"])
        count["not seen"] += row["expected"] == "identified" and row["read"] != "identified"
        count["no interval"] += row["read"] == "nothing"
    return found


def plain(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows as JSON has them: without an end where it is infinite."""

    def ends(row: dict[str, Any]) -> list[float | None]:
        return [None if end is None or not math.isfinite(end) else end for end in row["interval"]]

    return [{**row, "interval": ends(row)} if "interval" in row else row for row in rows]


def report(rows: Sequence[dict[str, Any]]) -> None:
    """Tables for people."""
    for row in rows:
        if not row["case"]:
            print(f"{row['peer']}: {row['said']}")
    table = [
        (row["case"], row["peer"], row["way"], row["parameter"], row["expected"], row["estimate"], *row["interval"],
         row["share"], row["read"], row["right"], row["said"][:70])
        for row in rows if row["case"]
    ]  # fmt: skip
    columns = (
        "case", "peer", "way", "parameter", "class", "estimate", "low", "high", "of the box", "read as", "right",
        "said",
    )  # fmt: skip
    show("What peers print of parameters, and how it is read", columns, table)
    counted = totals(rows)
    if counted:
        title = "Parameters, by how they are read"
        show(title, ("peer", *next(iter(counted.values()))), [(name, *one.values()) for name, one in counted.items()])
    versions = sorted({f"{row['peer']} {row['version']}" for row in rows if row.get("version")})
    print("\nVersions: " + ", ".join(versions))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object on the last line")
    parser.add_argument("--quick", action="store_true", help="three cases; makes no environment")
    parser.add_argument("--peers", type=Path, default=FOLDER, help=f"where environments are, default {FOLDER}")
    given = parser.parse_args()
    names = QUICK if given.quick else NAMES
    rows = peers(names, folder=given.peers.expanduser(), make=not given.quick)
    report(rows)
    if given.json:
        print(json.dumps({"rows": plain(rows), "verdicts": totals(rows)}))


if __name__ == "__main__":
    main()
