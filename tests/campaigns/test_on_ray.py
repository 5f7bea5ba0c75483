"""Runs as tasks on Ray: one cluster is started for all tests of this file."""

import os
import shutil
import signal
import sys
import tempfile
import threading
import time
import warnings
from pathlib import Path
from types import SimpleNamespace

import jax.random as jr
import numpy as np
import numpyro.distributions as dist
import pytest
import ray
from ray.cluster_utils import Cluster
from tests.campaigns import outside_cases as cases

import populace as pop
from populace.campaigns import on_ray
from populace.core.executor import Ticker
from populace.core.host import split
from populace.testing.simulators import check_simulator

SOON = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 200, "health_check_failure_threshold": 3}
"""A node that is gone is missed after a second, and not after fifteen."""
SMALL = {"include_dashboard": False, "object_store_memory": 80_000_000}


@pytest.fixture(scope="module", autouse=True)
def cluster():
    """A cluster of one node with two processors, to which a test may add; it is ended after the tests."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    folder = tempfile.mkdtemp(prefix="ray-", dir="/tmp")  # its sockets have names of 107 characters at most
    with warnings.catch_warnings():
        # Ray starts its own programs with a function between fork and exec, which JAX warns of.
        warnings.filterwarnings("ignore", message=r"os\.fork\(\) was called", category=RuntimeWarning)
        head = {"num_cpus": 2, "temp_dir": folder, "_system_config": SOON, **SMALL}
        nodes = Cluster(initialize_head=True, head_node_args=head)
        ray.init(address=nodes.address, log_to_driver=False)
        yield nodes
    ray.shutdown()
    nodes.head_node.kill_all_processes(check_alive=False, allow_graceful=False)
    shutil.rmtree(folder, ignore_errors=True)


def simulated(simulator, runs, **parameters):
    ticker = Ticker(None, "", runs)
    given = {name: np.asarray(values, np.float32) for name, values in parameters.items()}
    batch = simulator.simulate(given, split(jr.key(0), runs), ticker)
    assert ticker.done == runs
    return batch


def test_the_laws_hold():
    check_simulator(pop.OnRay(pop.Seeded(cases.breaking)), pop.Space(mean=dist.Uniform(1.0, 3.0)), jr.key(0))


def test_trouble_costs_the_run_that_it_befalls(tmp_path):
    """A killed worker process, a hang, an error; the others come back with the numbers that they have here."""
    kinds = np.array([0, cases.KILLED, 0, cases.STUCK, 0, cases.RAISED])
    simulator = pop.OnRay(pop.Seeded(cases.troubled), time_limit=1.0, retries=0, logs=tmp_path)
    batch = simulated(simulator, 6, trouble=kinds)
    np.testing.assert_array_equal(batch.excluded, kinds > 0)
    here = simulated(pop.Callable(pop.Seeded(cases.counts)), 6, mean=np.full(6, 3.0))
    np.testing.assert_array_equal(batch.observations["x"][kinds == 0], here.observations["x"][kinds == 0])
    assert set(batch.reasons) == {
        "the worker that made the run was lost (WorkerCrashedError)",
        "the run was stopped at its time limit of 1 s",
        "the simulator raised ValueError: too much",
    }
    logs = [file.read_text() for file in tmp_path.iterdir()]
    assert len(logs) == 3 and sum("in troubled" in log for log in logs) == 2


def test_a_run_whose_worker_was_killed_is_tried_again(tmp_path):
    def once(parameters, seed):
        mark = tmp_path / str(seed)
        if not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return {"x": parameters["a"]}

    batch = simulated(pop.OnRay(pop.Seeded(once)), 2, a=[1.0, 2.0])
    assert batch.observations["x"].tolist() == [1.0, 2.0] and not batch.excluded.any()


@pytest.mark.filterwarnings(r"ignore:os\.fork\(\) was called:RuntimeWarning")
def test_a_node_that_is_lost_costs_no_run(cluster, tmp_path):
    """SIGKILL to all of a second node while it makes runs: they are made again on the first, with their own numbers."""

    def where(parameters, seed):
        node = os.getppid()  # the raylet that started this worker
        (tmp_path / f"{node}-{os.getpid()}").touch()
        while parameters["wait"] and not (node == parameters["first"] and (tmp_path / "lost").exists()):
            time.sleep(0.02)  # a run on the second node ends only with it
        return {"x": seed % 1000}

    def lose():
        pid = second.all_processes["raylet"][0].process.pid
        wait_for(lambda: list(tmp_path.glob(f"{pid}-*")))
        os.kill(pid, signal.SIGSTOP)  # it starts no more workers
        for each in [*map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()), pid]:
            os.kill(each, signal.SIGKILL)
        (tmp_path / "lost").touch()

    second = cluster.add_node(num_cpus=2, **SMALL)
    thread = threading.Thread(target=lose)
    thread.start()
    first = np.full(6, cluster.head_node.all_processes["raylet"][0].process.pid)
    batch = simulated(pop.OnRay(pop.Seeded(where), in_flight=4), 6, first=first, wait=np.ones(6))
    thread.join()
    cluster.remove_node(second, allow_graceful=False)
    here = simulated(pop.Callable(pop.Seeded(where)), 6, first=first, wait=np.zeros(6))
    assert not batch.excluded.any()
    np.testing.assert_array_equal(batch.observations["x"], here.observations["x"])


def test_an_interrupt_ends_what_is_under_way(tmp_path):
    def endless(parameters, seed):
        (tmp_path / str(os.getpid())).touch()
        time.sleep(100)
        return {}

    def interrupt():
        wait_for(lambda: len(list(tmp_path.iterdir())) == 2)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        simulated(pop.OnRay(pop.Seeded(endless), in_flight=2), 3, a=np.zeros(3))
    thread.join()
    wait_for(lambda: not any(Path(f"/proc/{file.name}").exists() for file in tmp_path.iterdir()))


def wait_for(holds):
    until = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.05)


def test_ray_is_started_quietly(monkeypatch):
    """Where the program has not started it: for the address, without usage statistics or a dashboard."""
    monkeypatch.delenv("RAY_USAGE_STATS_ENABLED")
    asked = []
    on_ray._connect(SimpleNamespace(init=lambda **settings: asked.append(settings)), "head:6379")
    assert asked == [{"address": "head:6379", "log_to_driver": False, "include_dashboard": False}]
    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(pop.MissingExtraError, match=r"pip install 'populace\[ray\]'"):
        simulated(pop.OnRay(cases.counts), 1, mean=[1.0])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: pop.OnRay(cases.counts, in_flight=0), "in_flight is a whole number from 1, not 0"),
        (
            lambda: simulated(pop.OnRay(lambda p, key, lock=threading.Lock(): {}), 1, a=[0.0]),
            "cannot be sent to a worker",
        ),
    ],
)
def test_what_makes_no_sense_is_an_error(wrong, message):
    with pytest.raises(pop.SimulatorError, match=message):
        wrong()
