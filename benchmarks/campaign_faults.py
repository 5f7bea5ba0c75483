"""A campaign whose driver and workers are killed, again and again: is every run stored, once, with its own numbers?

A driver makes runs in two worker processes and stores them in SQLite, then in PostgreSQL. Each time that it has stored
more, the driver or one of its workers gets SIGKILL at a random moment; a driver that was killed is started again. At
the end the campaign is finished undisturbed, and each stored run is compared with its numbers made here. A run is
*corrupt* where its checksum does not hold, it failed, or its numbers are others.

    python benchmarks/campaign_faults.py [--json] [--quick]

200 kills over 5,000 runs on each store, half an hour or so; `--quick`: 4 kills over 200.
"""

import argparse
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import jax.random as jr
import numpy as np
import postgres
from measure import show

import populace as pop
from populace.core.executor import Ticker

PAUSE = 0.05
LENGTH = 20


def walk(parameters: dict[str, Any], key: Any) -> dict[str, Any]:
    """Some numbers that hang on parameters and key, after a while."""
    time.sleep(parameters["pause"])
    words = np.asarray(jr.key_data(key))
    return {"x": parameters["drift"] + np.random.default_rng(words).standard_normal(LENGTH).cumsum()}


def campaign(store: pop.Store, runs: int) -> pop.Campaign:
    points = {"drift": np.linspace(0.1, 1.0, runs), "pause": np.full(runs, PAUSE)}
    simulator = pop.InProcesses(walk, workers=2, retries=5)
    return pop.Campaign(simulator, pop.Plan(points, jr.key(0)), store, together=8)


def below(pid: int) -> list[int]:
    """The processes that a process has started, and those that these have."""
    parents: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError):  # it has ended meanwhile
                text = Path(f"/proc/{name}/stat").read_text()
                parents.setdefault(int(text[text.rindex(")") + 2 :].split()[1]), []).append(int(name))
    found, front = [], [pid]
    while front:
        front = [child for parent in front for child in parents.get(parent, [])]
        found += front
    return found


def kill(pid: int) -> bool:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
        return True
    return False


class Driver:
    """A program that makes the campaign's runs, started again when it has been killed."""

    def __init__(self, store: pop.Store, runs: int):
        self.command = [sys.executable, __file__, "--drive", str(store.folder), store.url or "", str(runs)]
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(self.command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def kill(self) -> bool:
        """The driver only; what it leaves behind is ended after a moment in which it could do harm."""
        orphans = below(self.process.pid)
        done = self.process.poll() is None and kill(self.process.pid)
        self.process.wait()
        time.sleep(0.1)
        for orphan in orphans:
            kill(orphan)
        return done


def disturbed(store: pop.Store, runs: int, kills: int, luck: random.Random) -> dict[str, Any]:
    """Kill, finish, and look at what is stored."""
    store.check()  # made before its driver
    driver, count, seen, restarts = Driver(store, runs), {"driver": 0, "worker": 0}, 0, 0
    while sum(count.values()) < kills:
        now = stored(store)
        if driver.process.poll() is not None:
            if now == runs:
                break
            restarts += 1
            driver.start()
        if now == seen:
            time.sleep(0.02)
            continue
        seen = now
        time.sleep(luck.uniform(0.0, 0.3))
        workers = below(driver.process.pid)
        if workers and luck.random() < 0.5:
            count["worker"] += kill(luck.choice(workers))
        else:
            count["driver"] += driver.kill()
            driver.start()
    driver.kill()
    began = time.perf_counter()
    pop.run_campaign(campaign(store, runs), progress=False)
    return {"kills": count, "restarts": restarts, "finish": time.perf_counter() - began, **judged(store, runs)}


def stored(store: pop.Store) -> int:
    return len(store.database.every("number"))


def judged(store: pop.Store, runs: int) -> dict[str, Any]:
    rows = store.database.every("id", "parameters", "key")
    torn = store.check()["torn"]
    asked = campaign(store, runs)
    wanted = asked.asked().ids
    held = store.get(wanted)
    still = {**asked.plan.parameters, "pause": np.zeros(runs)}
    true = pop.Callable(walk).simulate(still, asked.plan.keys, Ticker(None, "", runs)).observations["x"]
    right = sum(
        one in held and held[one].status == "done" and np.array_equal(held[one].observations["x"], numbers)
        for one, numbers in zip(wanted, true, strict=True)
    )
    different = len({(row.parameters, row.key) for row in rows})
    corrupt = torn + sum(one in held for one in wanted) - right
    return {"expected": runs, "stored": len(held), "duplicates": len(rows) - different, "corrupt": corrupt}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object on the last line")
    parser.add_argument("--quick", action="store_true", help="about a minute")
    parser.add_argument("--seed", type=int, default=0, help="of the moments of the kills")
    parser.add_argument("--drive", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.drive:
        folder, url, runs = given.drive
        pop.run_campaign(campaign(pop.Store(folder, database=url or None), int(runs)), progress=False)
        return
    runs, kills = (200, 4) if given.quick else (5_000, 200)
    luck, why, found = random.Random(given.seed), postgres.available(), {}
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        urls = {"sqlite": None}
        if not why:
            urls["postgresql"] = stack.enter_context(postgres.server(fsync=True)).url
        for kind, url in urls.items():
            store = pop.Store(Path(folder) / kind, database=url)
            found[kind] = disturbed(store, runs, kills, luck)
            store.close()
    columns = ("expected", "stored", "duplicates", "corrupt")
    show(
        "Runs of a campaign that was killed",
        ("store", "drivers killed", "workers killed", "driver ended alone", *columns, "last part, s"),
        [
            (kind, *one["kills"].values(), one["restarts"], *(one[name] for name in columns), one["finish"])
            for kind, one in found.items()
        ],
    )
    if why:
        print(f"\nPostgreSQL was not tried: {why}")
    if given.json:
        total = {name: sum(one[name] for one in found.values()) for name in columns}
        record = {
            "kills": sum(sum(one["kills"].values()) for one in found.values()),
            "runs_expected": total["expected"],
            "runs_stored": total["stored"],
            "duplicates": total["duplicates"],
            "corrupt": total["corrupt"],
        }
        print(json.dumps(record))


if __name__ == "__main__":
    main()
