"""Runs in worker processes: the same numbers as here, and whatever goes wrong costs the run that it befalls."""

import os
import signal
import subprocess
import sys
import threading
import time

import jax.random as jr
import numpy as np
import numpyro.distributions as dist
import pytest
from pebble.pool.base_pool import PoolStatus
from tests.campaigns import outside_cases as cases

import populace as pop
from populace.campaigns import processes
from populace.core.executor import Ticker
from populace.core.host import split
from populace.testing.simulators import check_simulator
from populace.zoo.school_epidemic import SchoolEpidemic

from .conftest import gone, left_by


@pytest.fixture(scope="module", autouse=True)
def _closed():
    yield
    processes.close_workers()


def simulated(simulator, runs, **parameters):
    ticker = Ticker(None, "", runs)
    given = {name: np.asarray(values, np.float32) for name, values in parameters.items()}
    batch = simulator.simulate(given, split(jr.key(0), runs), ticker)
    assert ticker.done == runs
    return batch


def test_the_laws_hold():
    check_simulator(pop.InProcesses(pop.Seeded(cases.breaking)), pop.Space(mean=dist.Uniform(1.0, 3.0)), jr.key(0))


def keyed(parameters, key):
    return {"x": jr.normal(key, (3,)) + parameters["shift"]}


def test_a_function_of_a_key_gives_the_numbers_that_it_gives_here():
    """It stands in a script, as it would for a user: sent whole, not imported."""
    keyed.__module__ = "__main__"
    shift = np.linspace(0.0, 1.0, 7)
    elsewhere = simulated(pop.InProcesses(keyed, 1), 7, shift=shift)
    np.testing.assert_array_equal(
        elsewhere.observations["x"], simulated(pop.Callable(keyed), 7, shift=shift).observations["x"]
    )


@pytest.fixture(scope="module")
def troubled(tmp_path_factory):
    """A run of each trouble, and one that is sound before each."""
    logs = tmp_path_factory.mktemp("logs")
    kinds = np.stack([np.zeros(9, int), np.arange(1, 10)], axis=1).reshape(-1)
    limits = {"time_limit": 1.5, "memory_limit": 2e8, "retries": 0}
    simulator = pop.InProcesses(pop.Seeded(cases.troubled), 2, logs=logs, **limits)
    return kinds, simulated(simulator, 18, trouble=kinds), logs


WHY = {
    cases.KILLED: "its process was killed (SIGKILL, which is also what a system out of memory does)",
    cases.CRASHED: "its process was killed (SIGSEGV)",
    cases.HUNG: "the run was stopped at its time limit of 1.5 s",
    cases.STUCK: "the run was stopped at its time limit of 1.5 s",
    cases.LARGE: "the run was stopped at its memory limit of 0.2 GB",
    cases.RAISED: "the simulator raised ValueError: too much",
    cases.NAN: "an observation is NaN or infinite",
    cases.SHAPE: "the simulator returned shapes {'x': (3,)}, not {'x': (5,)}",
    cases.LEFT: "the simulator raised SystemExit: 3",
}


def test_trouble_costs_the_run_that_it_befalls(troubled):
    kinds, batch, _ = troubled
    np.testing.assert_array_equal(batch.excluded, kinds > 0)
    here = simulated(pop.Callable(pop.Seeded(cases.counts)), 18, mean=np.full(18, 3.0))
    np.testing.assert_array_equal(batch.observations["x"][kinds == 0], here.observations["x"][kinds == 0])
    assert batch.reasons == {why: list(WHY.values()).count(why) for why in WHY.values()}


def test_each_failure_leaves_a_log(troubled):
    """Why, the parameters, what was printed, and where it stood in the function."""
    texts = [file.read_text() for file in troubled[2].glob("*.log")]
    assert len(texts) == 9
    for trouble, why in WHY.items():
        text = next(text for text in texts if f'"trouble": {trouble}.0' in text)
        assert text.startswith(why)
        assert f"run of trouble {trouble}\n" in text or trouble == cases.KILLED  # before it wrote what it had printed
        late = "Timeout (0:00:01.500000)"
        stood = {cases.CRASHED: "Segmentation fault", cases.HUNG: late, cases.STUCK: late}
        stood[cases.RAISED] = "ValueError: too much\n"
        assert trouble not in stood or ("in troubled" in text and stood[trouble] in text)


def test_what_failed_by_chance_is_tried_again(tmp_path, monkeypatch):
    monkeypatch.setenv("POPULACE_TEST_MARKS", str(tmp_path))
    mean = np.full(3, 2.0)
    batch = simulated(pop.InProcesses(pop.Seeded(cases.once), 2), 3, mean=mean)
    assert not batch.excluded.any()
    here = simulated(pop.Callable(pop.Seeded(cases.counts)), 3, mean=mean)
    np.testing.assert_array_equal(batch.observations["x"], here.observations["x"])


def test_workers_stay_and_a_dead_one_is_replaced():
    """A worker that is killed while it waits costs nothing; JAX and the script that runs here are not loaded there."""
    simulator = pop.InProcesses(pop.Seeded(cases.where), 1)
    first, again = (simulated(simulator, 2, a=np.zeros(2)).observations for _ in range(2))
    assert len({*first["process"], *again["process"]}) == 1 and first["process"][0] != os.getpid()
    assert not first["jax"].any() and not first["main"].any()
    os.kill(int(first["process"][0]), signal.SIGKILL)
    after = simulated(simulator, 2, a=np.zeros(2))
    assert not after.excluded.any() and after.observations["process"][0] != first["process"][0]


def test_what_a_worker_imports_is_free_of_jax():
    rooms = "mesa_run, spawning, templates, worker"
    told = f"import sys; from populace.campaigns import {rooms}; sys.exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", told], check=False).returncode == 0


def test_few_runs_are_sent_ahead(monkeypatch):
    flying, most = [], []
    submit = processes._Pool.submit

    def counted(self, job):
        flying[:] = [flight for flight in flying if not flight.future.done()] + [submit(self, job)]
        most.append(len(flying))
        return flying[-1]

    monkeypatch.setattr(processes._Pool, "submit", counted)
    simulated(pop.InProcesses(pop.Seeded(cases.counts), 2), 40, mean=np.ones(40))
    assert len(most) == 40 and max(most) <= 6


def test_runs_that_a_broken_pool_forgets_are_made_again(monkeypatch):
    """As the package's pool breaks where a worker is killed at the wrong moment: its threads end, and futures stay."""
    submit, pools = processes._Pool.submit, []

    def breaks(self, job):
        handle = submit(self, job)
        pools.append(handle.pool)
        if len(pools) == 4:
            handle.pool._context.status = PoolStatus.ERROR
        return handle

    monkeypatch.setattr(processes._Pool, "submit", breaks)
    began = time.monotonic()
    batch = simulated(pop.InProcesses(pop.Seeded(cases.counts), 2), 12, mean=np.ones(12))
    here = simulated(pop.Callable(pop.Seeded(cases.counts)), 12, mean=np.ones(12))
    np.testing.assert_array_equal(batch.observations["x"], here.observations["x"])
    assert time.monotonic() - began < 60.0 and len(set(pools)) == 2


def test_a_function_that_no_worker_can_load_says_so():
    def lost(parameters, key):
        return {}

    lost.__module__, lost.__qualname__ = "nowhere", "lost"
    sys.modules["nowhere"] = type(sys)("nowhere")
    sys.modules["nowhere"].lost = lost  # pyright: ignore[reportAttributeAccessIssue]
    try:
        with pytest.raises(
            pop.SimulatorError, match="cannot be loaded in a worker: ModuleNotFoundError: No module named 'nowhere'"
        ):
            simulated(pop.InProcesses(lost, 1), 2, a=np.zeros(2))
    finally:
        del sys.modules["nowhere"]


class Fatal:
    """Ends the process that loads it."""

    def __reduce__(self):
        return os._exit, (5,)


def test_workers_that_end_as_they_start_are_given_up():
    with pytest.raises(pop.SimulatorError, match="worker processes end before they make a run"):
        simulated(pop.InProcesses(lambda parameters, key, fatal=Fatal(): {}, 1), 2, a=np.zeros(2))


@pytest.mark.parametrize("package", ["pebble", "cloudpickle"])
def test_a_missing_package_is_named(package, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(pop.MissingExtraError, match=r"pip install 'populace\[processes\]'"):
        simulated(pop.InProcesses(cases.counts), 1, mean=[1.0])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: pop.InProcesses(cases.counts, 0), "workers is a whole number from 1, not 0"),
        (lambda: pop.InProcesses(cases.counts, retries=-1), "retries is a whole number from 0"),
        (lambda: pop.InProcesses(cases.counts, time_limit=0.0), "time_limit is a number above 0"),
        (
            lambda: pop.InProcesses(pop.Simulation(SchoolEpidemic(1.7, 0.45), steps=3)),
            "runs fastest as pop.Simulation, here",
        ),
        (
            lambda: simulated(pop.InProcesses(lambda p, key, lock=threading.Lock(): {}), 1, a=[0.0]),
            "cannot be sent to a worker",
        ),
    ],
)
def test_what_makes_no_sense_is_an_error(wrong, message):
    with pytest.raises(pop.SimulatorError, match=message):
        wrong()


def test_an_interrupt_leaves_nothing_running(tmp_path, monkeypatch):
    """Not the workers, and not what they have started."""
    monkeypatch.setenv("POPULACE_TEST_MARKS", str(tmp_path))
    groups = []

    def interrupt():
        groups.extend(left_by(tmp_path))
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        simulated(pop.InProcesses(pop.Seeded(cases.endless), 2), 8, a=np.zeros(8))
    thread.join()
    gone(groups)
