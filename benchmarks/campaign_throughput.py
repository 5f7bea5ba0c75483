"""What it costs to store a run: the overhead a run, runs a second by executor and store, and peers at the same.

The simulator costs next to nothing (twenty normal numbers), so that all around it is measured. *Overhead* is the
time of `run_campaign` beyond that of the same runs by the bare simulator, in the same executor, by the wall and by this
program's processor time. SQLite and PostgreSQL flush each transaction to the disk. Peers make as many runs of the same
model and keep them so that a killed program goes on: optuna stores a number a run, black-it all its runs after each
batch of 50. A ratio above 1 is how many times as long they take as populace does, one by one, on SQLite.

    python benchmarks/campaign_throughput.py [--json] [--quick] [--peers FOLDER]

`--quick`: fewer runs. Peers' environments are made under `--peers` where they are not there, unless with `--quick`.
"""

import argparse
import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import jax.random as jr
import numpy as np
import postgres
from measure import show, timed

import populace as pop
from populace.core.executor import Ticker

SCRIPT = Path(__file__).with_name("campaign_peers.py")
FOLDER = Path.home() / ".cache" / "populace-peers"
RECIPES = {"optuna": ("optuna==5.0.0",), "black-it": ("black-it",)}
LENGTH = 20


def walk(parameters: dict[str, Any], key: Any) -> dict[str, Any]:
    words = np.asarray(jr.key_data(key))
    return {"x": parameters["drift"] + np.random.default_rng(words).standard_normal(LENGTH).cumsum()}


def compiled(parameters: dict[str, Any], key: Any) -> dict[str, Any]:
    return {"x": parameters["drift"] + jr.normal(key, (LENGTH,)).cumsum()}


EXECUTORS: dict[str, Callable[[], Any]] = {
    "one by one": lambda: pop.Callable(walk),
    "vectorised": lambda: pop.Traceable(compiled),
    "two processes": lambda: pop.InProcesses(walk, workers=2),
}


def plan(runs: int, seed: int) -> pop.Plan:
    return pop.Plan({"drift": np.linspace(0.1, 1.0, runs)}, jr.key(seed))


@contextlib.contextmanager
def stores(server: Any) -> Iterator[dict[str, Callable[[], pop.Store]]]:
    with tempfile.TemporaryDirectory() as folder:
        made: list[pop.Store] = []

        def store(url: str | None) -> pop.Store:
            made.append(pop.Store(Path(folder) / str(len(made)), database=url))
            return made[-1]

        kinds = {"sqlite": lambda: store(None)}
        if server is not None:
            kinds["postgresql"] = lambda: store(server.url)
        yield kinds
        for one in made:
            one.close()


def bare(simulator: Any, runs: int, seed: int, together: int) -> tuple[float, float]:
    """Seconds, by the wall and by the processor, that the same runs take without a store, as many at a time."""
    asked = plan(runs, seed)

    def work() -> None:
        for start in range(0, runs, together):
            some = slice(start, start + together)
            points = {name: value[some] for name, value in asked.parameters.items()}
            simulator.simulate(points, asked.keys[some], Ticker(None, "", runs))

    return timed(work)[:2]


def stored(simulator: Any, store: pop.Store, runs: int, seed: int) -> tuple[float, float]:
    """The same with a store."""
    campaign = pop.Campaign(simulator, plan(runs, seed), store)
    wall, processor, done = timed(lambda: pop.run_campaign(campaign, progress=False))
    assert done.made == done.done == runs
    return wall, processor


def ours(server: Any, runs: int, repeats: int) -> list[dict[str, Any]]:
    """A row an executor and store."""
    rows = []
    with stores(server) as kinds:
        for executor, make in EXECUTORS.items():
            simulator, together = make(), runs if executor == "one by one" else 128
            for kind, store in kinds.items():
                stored(simulator, store(), 128, 10**6 + len(rows))  # warm: compiled, workers started, tables made
                bare(simulator, 128, 10**7 + len(rows), together)
                seeds = [len(rows) * 100 + repeat for repeat in range(repeats)]
                pairs = [(stored(simulator, store(), runs, s), bare(simulator, runs, s, together)) for s in seeds]
                wall, processor = (
                    statistics.median((kept[i] - plain[i]) / runs * 1e3 for kept, plain in pairs) for i in (0, 1)
                )
                rate = statistics.median(runs / kept[0] for kept, _ in pairs)
                rows.append(
                    {
                        "executor": executor,
                        "store": kind,
                        "runs_per_second": rate,
                        "overhead_ms": wall,
                        "processor_ms": processor,
                    }
                )
    return rows


def peer_seconds(peer: str, runs: int, folder: Path, make: bool) -> tuple[float, str]:
    """Seconds a run, and what is to be said: the version, or why there is none."""
    home = folder / peer
    if not (home / "installed").exists():
        if not make:
            return float("nan"), f"no environment in {home}; once without --quick makes it"
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(home)], check=True)
        command = [str(home / "bin" / "python"), "-m", "pip", "install", "--quiet", *RECIPES[peer]]
        if subprocess.run(command, check=False).returncode:
            return float("nan"), "does not install"
        (home / "installed").touch()
    with tempfile.TemporaryDirectory() as scratch:
        command = [str(home / "bin" / "python"), str(SCRIPT), peer, str(runs), scratch]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        return float("nan"), (done.stderr.strip().splitlines() or ["silent"])[-1]
    told = json.loads(done.stdout.splitlines()[-1])
    return told["seconds"] / runs, told["version"]


def against(peer: str, runs: int, repeats: int, folder: Path, make: bool) -> dict[str, Any]:
    """A peer and populace on SQLite in turn: how many times as long the peer takes, by medians."""
    theirs, own, said = [], [], ""
    with stores(None) as kinds:
        stored(pop.Callable(walk), kinds["sqlite"](), 64, 0)
        for repeat in range(repeats):
            seconds, said = peer_seconds(peer, runs, folder, make)
            theirs.append(seconds)
            own.append(stored(pop.Callable(walk), kinds["sqlite"](), runs, repeat)[0] / runs)
    ratio = statistics.median(a / b for a, b in zip(theirs, own, strict=True))
    known = None if np.isnan(ratio) else ratio
    middle = statistics.median(own) * 1e3
    return {"peer": peer, "ms": statistics.median(theirs) * 1e3, "ours_ms": middle, "ratio": known, "said": said}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object on the last line")
    parser.add_argument("--quick", action="store_true", help="about a minute; makes no environment")
    parser.add_argument("--peers", type=Path, default=FOLDER, help=f"where environments are, default {FOLDER}")
    given = parser.parse_args()
    runs, repeats = (500, 3) if given.quick else (5_000, 5)
    why = postgres.available()
    with contextlib.nullcontext(None) if why else postgres.server(fsync=True) as server:
        rows = ours(server, runs, repeats)
    show(
        f"{runs} runs, medians of {repeats}; JAX on {jax.devices()[0].platform}",
        ("executor", "store", "runs a second", "overhead, ms a run", "of this processor"),
        [(r["executor"], r["store"], r["runs_per_second"], r["overhead_ms"], r["processor_ms"]) for r in rows],
    )
    folder, make = given.peers.expanduser(), not given.quick
    others = [against(peer, runs, repeats, folder, make) for peer in RECIPES]
    show(
        f"Peers, {runs} runs one by one, on SQLite or their own files",
        ("peer", "ms a run", "populace, ms a run", "times as long", "version"),
        [(o["peer"], o["ms"], o["ours_ms"], o["ratio"], o["said"]) for o in others],
    )
    if why:
        print(f"\nPostgreSQL was not measured: {why}")
    if given.json:
        rates = {f"{r['executor']}, {r['store']}": r["runs_per_second"] for r in rows}
        overheads = {f"{r['executor']}, {r['store']}": r["overhead_ms"] for r in rows}
        ratios = {o["peer"]: o["ratio"] for o in others}
        print(
            json.dumps(
                {
                    "overhead_ms_per_run": max(overheads.values()),
                    "overheads_ms_per_run": overheads,
                    "processor_ms_per_run": {f"{r['executor']}, {r['store']}": r["processor_ms"] for r in rows},
                    "runs_per_second": rates,
                    "optuna_ratio": ratios["optuna"],
                    "blackit_ratio": ratios["black-it"],
                }
            )
        )


if __name__ == "__main__":
    main()
