"""What packages that people fit with say of parameters that the data cannot decide.

The cases of `identification_cases.py` that have closed forms of their moments, fitted by least squares on the same
whitened moments, with the bounds of the box, by lmfit, estimagic and pyPESTO, each in an environment of its own
(made under `--peers` where it is not there). An interval is read as *identified* where its ends are finite and it is
narrower than half of the box. That is right where the class is identified, and wrong elsewhere.

    python benchmarks/identification_peers.py [--json] [--quick] [--peers FOLDER]

`--quick` takes three cases and makes no environment.
"""

import argparse
import json
import math
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax.random as jr
import numpy as np
from identification_cases import CASES
from measure import show

SCRIPT = Path(__file__).with_name("identification_peers_fit.py")
FOLDER = Path.home() / ".cache" / "populace-peers"
RECIPES = {"lmfit": ("lmfit==1.3.4",), "estimagic": ("estimagic==0.5.1",), "pypesto": ("pypesto==0.7.0",)}
NAMES = (
    "product",
    "sum",
    "nothing",
    "birth-death, mean",
    "birth-death, mean and variance",
    "SIR T = 20",
    "SIR T = 60",
    "SIR T = 20, two known",
    "logit, fluctuations",
    "SIS, mean",
)
QUICK = ("product", "nothing", "birth-death, mean")
PATIENCE = 1_200


def peers(names: Sequence[str] = NAMES, *, folder: Path = FOLDER, make: bool = True) -> list[dict[str, Any]]:
    """A row for each case, peer, way and parameter: `case`, `peer`, `way`, `parameter`, `expected`, `estimate`,
    `interval` (None where there is no end), `read` (identified, not identified, nothing), `right`, `said`.

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
        chosen = [name for name in names if name in NAMES]
        answers = _asked(python, [_request(peer, name) for name in chosen])
        for name, answer in zip(chosen, answers, strict=True):
            rows += _rows(peer, name, answer)
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
        raise RuntimeError(f"does not install: {(made.stderr.strip().splitlines() or ['pip says nothing'])[-1]}")
    done.touch()
    return str(python)


def _request(peer: str, name: str) -> dict[str, Any]:
    problem = CASES[name].problem(jr.key(0))
    low, high = problem.space.bounds()
    start = np.asarray(problem.space.flat(problem.space.sample(jr.key(1), 1)), np.float64)[0]
    return {
        "peer": peer,
        "case": name,
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
    try:
        run = subprocess.run(
            [python, str(SCRIPT)], input=lines, capture_output=True, text=True, check=False, timeout=PATIENCE
        )
        printed, why = run.stdout, (run.stderr.strip().splitlines() or ["no reason given"])[-1]
    except subprocess.TimeoutExpired as late:
        printed, why = (late.stdout or b"").decode(), f"no answer in {PATIENCE} s"
    answers = [json.loads(line)["answer"] for line in printed.splitlines() if line.startswith('{"answer"')]
    return answers + [_silent(one, why) for one in requests[len(answers) :]]


def _silent(request: dict[str, Any], why: str) -> dict[str, Any]:
    empty = {"way": "", "estimate": None, "interval": [None, None], "said": why}
    return {"rows": [{**empty, "parameter": name} for name in request["names"]], "warnings": []}


def _rows(peer: str, name: str, answer: dict[str, Any]) -> list[dict[str, Any]]:
    case = CASES[name]
    low, high = case.problem(jr.key(0)).space.bounds()
    widths = dict(zip(case.truth, high - low, strict=True))
    warned = "; ".join(answer["warnings"])
    return [
        {"case": name, "peer": peer, **_read(row, widths[row["parameter"]], case.expected[row["parameter"]], warned)}
        for row in answer["rows"]
    ]


def _read(row: dict[str, Any], width: float, expected: frozenset[str], warned: str) -> dict[str, Any]:
    """A row of an answer, with how it is read."""
    ends = [end for end in row["interval"] if end is not None and math.isfinite(end)]
    narrow = len(ends) == 2 and ends[1] - ends[0] < 0.5 * width
    read = "nothing" if len(ends) < 2 else "identified" if narrow else "not identified"
    ends = ends if len(ends) == 2 else [None, None]
    right = None if "weak" in expected else (read == "identified") == ("identified" in expected)
    said = "; ".join(text for text in (row.get("said", ""), warned) if text)
    return {**row, "interval": ends, "expected": sorted(expected)[0], "read": read, "right": right, "said": said}


COLUMNS = ("case", "peer", "way", "parameter", "class", "estimate", "low", "high", "read as", "right", "said")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object on the last line")
    parser.add_argument("--quick", action="store_true", help="three cases; makes no environment")
    parser.add_argument("--peers", type=Path, default=FOLDER, help=f"where environments are, default {FOLDER}")
    given = parser.parse_args()
    names = QUICK if given.quick else NAMES
    rows = peers(names, folder=given.peers.expanduser(), make=not given.quick)
    table = []
    for row in rows:
        low, high = row.get("interval", (None, None))
        front = (row["case"], row["peer"], row.get("way", ""), row.get("parameter", ""), row.get("expected", ""))
        table.append((*front, row.get("estimate"), low, high, row.get("read", ""), row["right"], row["said"][:60]))
    show("What peers print of parameters, and how it is read", COLUMNS, table)
    wrong = {}
    for row in rows:
        if row["right"] is not None:
            count = wrong.setdefault(f"{row['peer']} {row['way']}".strip(), {"right": 0, "wrong": 0, "false": 0})
            count["right" if row["right"] else "wrong"] += 1
            count["false"] += row["read"] == "identified" and not row["right"]
    show(
        "Verdicts (false: identified is read where it is not)",
        ("peer", "right", "wrong", "false"),
        [(name, *one.values()) for name, one in wrong.items()],
    )
    if given.json:
        print(json.dumps({"rows": rows, "verdicts": wrong}))


if __name__ == "__main__":
    main()
