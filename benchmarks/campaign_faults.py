"""A campaign whose driver, workers and nodes are killed, again and again: is every run stored, once, with its numbers?

A driver makes runs here, in two worker processes, or on a Ray of two nodes with a processor each, and stores them in
SQLite or PostgreSQL. The kills are spread over the runs, each at a random moment: SIGKILL to the driver, to one of its
workers, or to all processes of a node of Ray, which then comes back empty. Another driver has been loaded meanwhile and
takes over. At the end the campaign is finished undisturbed, and each stored run is compared with its numbers made here.
A run is *corrupt* where its checksum does not hold, it failed, or its numbers are others.

    python benchmarks/campaign_faults.py [--json] [--quick] [--only processes,sqlite] [--seed 0]

200 kills over 5,000 runs on each executor and store, four to eight minutes a row. `--quick` has 3 kills over 150 runs,
and takes each executor with one store only, in well under a minute.
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
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax.random as jr
import numpy as np
import postgres
from measure import show

import populace as pop
from populace.core.executor import Ticker

EXECUTORS = ("here", "processes", "ray")
PAUSE = {"here": 0.015, "processes": 0.03, "ray": 0.03}
"""Seconds that a run takes, so that it can be killed."""
QUICK = {("here", "sqlite"), ("processes", "postgresql"), ("ray", "sqlite")}
LENGTH, STANDBY = 20, 2
"""Numbers of a run; and drivers that are loaded ahead."""
SOON = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 200, "health_check_failure_threshold": 3}
"""Of Ray: a node that is gone is missed after a second, and not after fifteen."""


def walk(parameters: dict[str, Any], seed: int) -> dict[str, Any]:
    """Some numbers that hang on parameters and seed, after a while."""
    time.sleep(parameters["pause"])
    return {"x": parameters["drift"] + np.random.default_rng(seed).standard_normal(LENGTH).cumsum()}


def simulator(executor: str) -> Any:
    if executor == "processes":
        return pop.InProcesses(pop.Seeded(walk), workers=2, retries=5)
    if executor == "ray":
        return pop.OnRay(pop.Seeded(walk), address=os.environ["RAY_ADDRESS"], memory=1e8, retries=5)
    return pop.Callable(pop.Seeded(walk))


def plan(executor: str, runs: int) -> pop.Plan:
    return pop.Plan({"drift": np.linspace(0.1, 1.0, runs), "pause": np.full(runs, PAUSE[executor])}, jr.key(0))


def campaign(executor: str, store: pop.Store, runs: int) -> pop.Campaign:
    return pop.Campaign(simulator(executor), plan(executor, runs), store)


def drive(executor: str, folder: str, url: str, runs: int) -> None:
    """What a driver does: it loads all it needs, says so, and begins when it is told."""
    made = campaign(executor, pop.Store(folder, database=url or None), runs)
    made.asked()
    if executor == "ray":
        import ray

        ray.init(address=os.environ["RAY_ADDRESS"], log_to_driver=False)
    print("ready", flush=True)
    sys.stdin.readline()
    pop.run_campaign(made, progress=False)


def processes() -> Iterator[tuple[int, int, str]]:
    """Number, parent's number and command of each process."""
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError):  # it has ended meanwhile
                text = Path(f"/proc/{name}/stat").read_text()
                command = Path(f"/proc/{name}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                yield int(name), int(text[text.rindex(")") + 2 :].split()[1]), command


def below(pid: int) -> list[int]:
    """The processes that a process has started, and those that these have."""
    parents: dict[int, list[int]] = {}
    for child, parent, command in processes():
        if "resource_tracker" not in command:
            parents.setdefault(parent, []).append(child)
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


class Cluster:
    """A Ray on this machine: a head that makes no runs, and two nodes with a processor each that may be killed."""

    def __init__(self) -> None:
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        from ray.cluster_utils import Cluster as Nodes

        self._small = {"object_store_memory": 80_000_000}
        head = {"num_cpus": 0, "include_dashboard": False, "_system_config": SOON, **self._small}
        self._nodes = Nodes(initialize_head=True, head_node_args=head)
        self._killable = [self._nodes.add_node(num_cpus=1, **self._small) for _ in range(2)]
        os.environ["RAY_ADDRESS"] = self._nodes.address

    def workers(self) -> list[int]:
        """The processes that make runs, or are about to."""
        return [pid for pid, _, command in processes() if command.startswith("ray::on_node")]

    def kill(self, luck: random.Random) -> bool:
        """All processes of a node, which comes back empty."""
        node = self._killable.pop(luck.randrange(2))
        raylet = node.all_processes["raylet"][0].process.pid
        os.kill(raylet, signal.SIGSTOP)  # it starts no more workers
        its = below(raylet)
        done = kill(raylet)
        for pid in its:
            kill(pid)
        self._nodes.remove_node(node, allow_graceful=False)
        self._killable.append(self._nodes.add_node(num_cpus=1, **self._small))
        return done

    def end(self) -> None:
        del os.environ["RAY_ADDRESS"]
        self._nodes.shutdown()


class Drivers:
    """Programs that make the campaign's runs: one that does, and others that are loaded to take over from it."""

    def __init__(self, executor: str, store: pop.Store, runs: int):
        self._command = [sys.executable, __file__, "--drive", executor, str(store.folder), store.url or "", str(runs)]
        self._loading = [self._load() for _ in range(STANDBY)]
        self.process = self._begin()

    def _load(self) -> "subprocess.Popen[str]":
        pipe = subprocess.PIPE
        return subprocess.Popen(self._command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True)

    def _begin(self) -> "subprocess.Popen[str]":
        process = self._loading.pop(0)
        self._loading.append(self._load())
        assert process.stdin is not None and process.stdout is not None
        if process.stdout.readline():
            process.stdin.write("go\n")
            process.stdin.flush()
        return process

    def kill(self) -> bool:
        """The driver only; what it leaves behind ends by itself, or is ended after a moment in which it could do
        harm. Then the next one begins.
        """
        orphans = below(self.process.pid)
        done = self.process.poll() is None and kill(self.process.pid)
        self._over(self.process)
        time.sleep(0.1)
        for orphan in orphans:
            kill(orphan)
        self.process = self._begin()
        return done

    def again(self) -> None:
        """The next one begins where the last has ended alone."""
        self._over(self.process)
        self.process = self._begin()

    def end(self) -> None:
        for process in [self.process, *self._loading]:
            orphans = below(process.pid)
            process.kill()
            self._over(process)
            for orphan in orphans:
                kill(orphan)

    def _over(self, process: "subprocess.Popen[str]") -> None:
        process.wait()
        for pipe in (process.stdin, process.stdout):
            assert pipe is not None
            with contextlib.suppress(BrokenPipeError):
                pipe.close()


def kill_one(executor: str, drivers: Drivers, cluster: Cluster | None, luck: random.Random) -> str:
    """Kill something: what it was, or nothing where there was nothing of that kind."""
    chance = luck.random()
    if cluster is not None and chance < 0.2:
        return "node" if cluster.kill(luck) else ""
    if executor != "here" and chance < 0.6:
        workers = below(drivers.process.pid) if cluster is None else cluster.workers()
        return "worker" if workers and kill(luck.choice(workers)) else ""
    return "driver" if drivers.kill() else ""


def disturbed(executor: str, store: pop.Store, runs: int, kills: int, luck: random.Random) -> dict[str, Any]:
    """Kill, finish, and look at what is stored. The k-th kill comes when k of (kills + 1) parts of the runs are."""
    began = time.perf_counter()
    store.check()  # made before its driver
    cluster = Cluster() if executor == "ray" else None
    drivers, count, alone = Drivers(executor, store, runs), {"driver": 0, "worker": 0, "node": 0}, 0
    while (killed := sum(count.values())) < kills:
        if drivers.process.poll() is not None:
            if stored(store) == runs:
                break
            alone += 1
            drivers.again()
        if stored(store) < killed * runs / (kills + 1):
            time.sleep(0.05)
            continue
        time.sleep(luck.uniform(0.0, 0.3))
        what = kill_one(executor, drivers, cluster, luck)
        if what:
            count[what] += 1
    drivers.end()
    left = runs - stored(store)
    told = pop.run_campaign(campaign(executor, store, runs), progress=False)
    assert told.made == left, "the last driver was given what was stored, or not all that was missing"
    if cluster is not None:
        import ray

        ray.shutdown()
        cluster.end()
    seconds = time.perf_counter() - began
    return {"kills": count, "alone": alone, "seconds": seconds, **judged(store, runs, executor)}


def stored(store: pop.Store) -> int:
    return len(store.database.every("number"))


def judged(store: pop.Store, runs: int, executor: str) -> dict[str, Any]:
    rows = store.database.every("id", "parameters", "key")
    torn = store.check()["torn"]
    asked = pop.Campaign(simulator("here"), plan(executor, runs), store)
    wanted = asked.asked().ids
    held = store.get(wanted)
    still = {**asked.plan.parameters, "pause": np.zeros(runs)}
    true = asked.simulator.simulate(still, asked.plan.keys, Ticker(None, "", runs)).observations["x"]
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
    parser.add_argument("--quick", action="store_true", help="well under a minute")
    parser.add_argument("--seed", type=int, default=0, help="of the moments of the kills")
    parser.add_argument("--only", default="", help="an executor, a store, or both with a comma between")
    parser.add_argument("--drive", nargs=4, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.drive:
        executor, folder, url, runs = given.drive
        drive(executor, folder, url, int(runs))
        return
    runs, kills = (150, 3) if given.quick else (5_000, 200)
    only = set(filter(None, given.only.split(",")))
    why, found = postgres.available(), {}
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        servers = {"sqlite": None, **({} if why else {"postgresql": postgres.server})}
        for executor in EXECUTORS:
            for kind, server in servers.items():
                if only <= {executor, kind} and (only or not given.quick or (executor, kind) in QUICK):
                    url = stack.enter_context(server(fsync=True)).url if server else None
                    store = pop.Store(Path(folder) / f"{executor}-{kind}", database=url)
                    luck = random.Random(f"{given.seed} {executor} {kind}")
                    found[executor, kind] = disturbed(executor, store, runs, kills, luck)
                    store.close()
    report(found, why, given.json)


COLUMNS = ("expected", "stored", "duplicates", "corrupt")


def report(found: dict[tuple[str, str], dict[str, Any]], why: str, as_json: bool) -> None:
    show(
        "Runs of a campaign that was killed",
        ("executor", "store", "drivers", "workers", "nodes killed", "ended alone", *COLUMNS, "minutes"),
        [
            (*which, *one["kills"].values(), one["alone"], *(one[name] for name in COLUMNS), one["seconds"] / 60)
            for which, one in found.items()
        ],
    )
    if why:
        print(f"\nPostgreSQL was not tried: {why}")
    if as_json:
        total = {name: sum(one[name] for one in found.values()) for name in COLUMNS}
        record = {
            "kills": sum(sum(one["kills"].values()) for one in found.values()),
            "runs_expected": total["expected"],
            "runs_stored": total["stored"],
            "duplicates": total["duplicates"],
            "corrupt": total["corrupt"],
            "rows": {", ".join(which): one for which, one in found.items()},
        }
        print(json.dumps(record))


if __name__ == "__main__":
    main()
