"""Runs as tasks on Ray: one node is started for all tests of this file."""

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

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import numpyro.distributions as dist
import pytest
import ray
from tests.campaigns import outside_cases as cases

import populace as pop
from populace.campaigns import on_ray
from populace.core.executor import Ticker
from populace.testing.simulators import check_simulator


@pytest.fixture(scope="module", autouse=True)
def node():
    """One node with two processors, which is ended after the tests."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    folder = tempfile.mkdtemp(prefix="ray-", dir="/tmp")  # its sockets have names of 107 characters at most
    with warnings.catch_warnings():
        # Ray starts its own programs with a function between fork and exec, which JAX warns of.
        warnings.filterwarnings("ignore", message=r"os\.fork\(\) was called", category=RuntimeWarning)
        ray.init(
            num_cpus=2, include_dashboard=False, log_to_driver=False, object_store_memory=80_000_000, _temp_dir=folder
        )
    yield
    ray.shutdown()
    shutil.rmtree(folder, ignore_errors=True)


def simulated(simulator, runs, **parameters):
    ticker = Ticker(None, "", runs)
    given = {name: jnp.asarray(values, jnp.float32) for name, values in parameters.items()}
    batch = simulator.simulate(given, jr.split(jr.key(0), runs), ticker)
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
