"""Large populations against the frameworks that run them: gifts of money, and an epidemic on a static network.

Each contestant is a process of its own, so that its peak memory is its own; it gets seeds in turn with the others and
answers with seconds and summaries. No time without a proof of the same work: of agent-steps and of each summary the
means over seeds agree within three standard errors (of the pooled spread; wider for few seeds, as Student's law says),
or the row is not printed.

`seconds` and `ratio` are processor time of the steps alone, medians over seeds; `wall` and `wall_ratio` go by the
clock, for which a contestant may use every core. Set-up is the network and the first state; compiling is the first run
less the median of later ones.

Peers run in environments of their own (`pip install ambr`, `mesa-frames`, `mesa==3.3.1`, `agentpy`, `abmax`, `starsim`,
`covasim`):

    python large.py --ambr PYTHON --mesa-frames PYTHON --mesa PYTHON --agentpy PYTHON --abmax PYTHON \
        --starsim PYTHON --covasim PYTHON [--json]

A peer whose Python is not given is left out; a row without a peer has times and memory only. `--quick` runs a tenth of
the agents.
"""

import argparse
import json
import math
import statistics
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from measure import finish, show
from scipy.stats import norm, t

ERRORS = 3.0
HERE = Path(__file__).parent
PEERS = ("ambr", "mesa-frames", "mesa", "agentpy", "abmax", "starsim", "covasim")

Answers = list[dict[str, Any]]


@dataclass(frozen=True)
class Case:
    """A row: the case of `large_models.py`, its sizes, the cases of `large_peers.py` that stand against it, and on how
    many seeds.
    """

    name: str
    case: str
    sizes: dict[str, Any]
    peers: tuple[str, ...]
    seeds: int


def wealth(agents: int, peers: tuple[str, ...], seeds: int) -> Case:
    return Case(f"boltzmann, {agents:,} agents", "wealth", {"agents": agents, "steps": 100}, peers, seeds)


def epidemic(agents: int, steps: int, seeds: int) -> Case:
    days = [day for day in (10, 20, 30, 50, 100) if day <= steps]
    sizes = {"agents": agents, "steps": steps, "half": 5, "seeded": 0.01, "beta": 0.025, "days_ill": 10, "days": days}
    return Case(f"SIR, {agents:,} agents", "epidemic", sizes, ("starsim", "covasim"), seeds)


WHOLE = (
    wealth(100_000, ("ambr", "mesa-frames", "mesa", "agentpy", "abmax"), 8),
    wealth(1_000_000, ("ambr", "mesa-frames", "abmax"), 8),
    epidemic(100_000, 100, 10),
    epidemic(1_000_000, 50, 5),
    Case("layered epidemic, 1,000,000 people", "layered", {"agents": 1_000_000, "steps": 100}, (), 3),
)
QUICK = (wealth(10_000, ("ambr", "mesa-frames", "mesa", "agentpy", "abmax"), 8), epidemic(100_000, 100, 5))


class Contestant:
    """A process that answers seeds."""

    def __init__(self, command: list[str]):
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def asked(self, seed: int) -> dict[str, Any]:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(f"{seed}\n")
        self._process.stdin.flush()
        for line in self._process.stdout:
            if line.startswith("{"):
                return json.loads(line)
        raise SystemExit(f"a contestant ended without an answer: {self._process.args}")

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def answers(case: Case, pythons: dict[str, str]) -> dict[str, Answers]:
    """Of each contestant its answers, the first one, which compiles or warms up, before the seeds that count."""
    sizes = json.dumps(case.sizes)
    contestants = {"populace": Contestant([sys.executable, str(HERE / "large_models.py"), case.case, sizes])}
    for name in case.peers:
        if name in pythons:
            contestants[name] = Contestant([pythons[name], str(HERE / "large_peers.py"), name, sizes])
    found: dict[str, Answers] = {name: [] for name in contestants}
    for seed in range(case.seeds + 1):
        for name, contestant in contestants.items():
            if seed or name == "populace":
                found[name].append(contestant.asked(seed))
    for contestant in contestants.values():
        contestant.close()
    return found


def gaps(ours: Answers, theirs: Answers) -> dict[str, float]:
    """For each summary the difference of means in standard errors: pooled, and brought to the normal law's scale."""
    assert set(ours[0]["summaries"]) == set(theirs[0]["summaries"])
    found = {}
    for name in ours[0]["summaries"]:
        one, other = (np.array([row["summaries"][name] for row in rows]) for rows in (ours, theirs))
        free = len(one) + len(other) - 2
        pooled = ((one - one.mean()) ** 2).sum() + ((other - other.mean()) ** 2).sum()
        error = math.sqrt(pooled / free * (1 / len(one) + 1 / len(other)))
        off = abs(one.mean() - other.mean())
        student = 0.0 if off <= 1e-6 * abs(one.mean()) else math.inf if error == 0 else off / error
        found[name] = float(norm.isf(t.sf(student, free)))
    return found


def median(rows: Answers, name: str) -> float:
    return statistics.median(row[name] for row in rows)


def row(case: Case, pythons: dict[str, str]) -> dict[str, Any]:
    """One row of the table; a peer whose work is not the same has no time in it."""
    found = answers(case, pythons)
    first, *ours = found.pop("populace")
    seconds = median(ours, "run")
    row: dict[str, Any] = {"seconds": seconds, "wall": median(ours, "wall"), "setup": median(ours, "setup")}
    row |= {"compile": first["run"] - seconds, "peak_gb": ours[-1]["peak_gb"], "peers": {}}
    for name, theirs in found.items():
        apart = gaps(ours, theirs)
        if max(apart.values()) > ERRORS:
            print(f"{case.name}: {name} does not do the same work, no row. Standard errors apart: {apart}")
            continue
        spent = {"seconds": median(theirs, "run"), "wall": median(theirs, "wall"), "setup": median(theirs, "setup")}
        more = {"peak_gb": theirs[-1]["peak_gb"], "same_work": max(apart.values())}
        by = {"ratio": spent["seconds"] / seconds, "wall_ratio": spent["wall"] / row["wall"]}
        row["peers"][name] = {**spent, **more, **by}
    if row["peers"]:
        best = min(row["peers"], key=lambda name: row["peers"][name]["seconds"])
        row |= {"peer": best, "ratio": row["peers"][best]["ratio"], "wall_ratio": row["peers"][best]["wall_ratio"]}
        row["break_even_runs"] = row["compile"] / max(row["peers"][best]["seconds"] - seconds, 1e-9)
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object on the last line")
    parser.add_argument("--quick", action="store_true", help="small sizes only")
    parser.add_argument("--only", metavar="WORD", help="the rows whose name begins so")
    for name in PEERS:
        parser.add_argument(f"--{name}", metavar="PYTHON", help=f"the Python of an environment with {name}")
    given = parser.parse_args()
    named = {name: getattr(given, name.replace("-", "_")) for name in PEERS}
    pythons = {name: python for name, python in named.items() if python}
    rows: dict[str, dict[str, Any]] = {}
    for case in QUICK if given.quick else WHOLE:
        if given.only is None or case.name.startswith(given.only):
            rows[case.name] = row(case, pythons)
            print(f"{case.name}: {rows[case.name]['seconds']:.3g} s", flush=True)
    columns = ("seconds", "wall", "setup", "compile", "peak_gb", "peer", "ratio", "wall_ratio")
    table = [(name, *(found.get(column, "") for column in columns)) for name, found in rows.items()]
    show("Large populations", ["work", *columns], table)
    against = [(name, peer, *each.values()) for name, found in rows.items() for peer, each in found["peers"].items()]
    if against:
        columns = ("seconds", "wall", "setup", "peak_gb", "errors apart", "ratio", "wall ratio")
        show("Peers", ["work", "peer", *columns], against)
    finish(given, {"rows": rows})


if __name__ == "__main__":
    main()
