"""Runs in this process: limits, tries again, logs, and each stored when it has ended."""

import signal
import threading
import time
from pathlib import Path
from typing import Any

import jax.random as jr
import numpy as np
import pytest

import populace as pop
from populace.core.executor import Ticker

KEYS = jr.split(jr.key(0), 4)
AT = {"x": np.array([0.0, 1.0, 2.0, 3.0])}


def double(parameters: dict[str, Any], seed: int) -> dict[str, Any]:
    if parameters["x"] == 1.0:
        time.sleep(30.0)
    if parameters["x"] == 2.0:
        raise ValueError("two is not borne")
    return {"y": np.array([2.0 * parameters["x"], float(seed)])}


def _simulated(simulator: pop.Simulator, at: dict[str, Any] = AT) -> pop.Batch:
    return simulator.simulate(at, KEYS, Ticker(None, "", 4))


def test_a_run_that_hangs_or_fails_costs_that_run(tmp_path: Path):
    before = signal.getsignal(signal.SIGALRM)
    began = time.monotonic()
    batch = _simulated(pop.InThisProcess(pop.Seeded(double), time_limit=0.05, retries=1, logs=tmp_path))
    assert time.monotonic() - began < 10.0
    np.testing.assert_array_equal(batch.excluded, [False, True, True, False])
    assert "stopped at its time limit of 0.05 s, in the last of 2 attempts" in batch.why()[1]
    assert "two is not borne" in batch.why()[2]
    logs = "".join(log.read_text() for log in tmp_path.glob("*.log"))
    assert "Traceback" in logs and '"x": 2.0' in logs
    assert signal.getsignal(signal.SIGALRM) is before and signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_its_numbers_are_those_of_other_executors():
    at = {"x": np.array([0.0, 3.0, 4.0, 5.0])}
    here, plain = (
        _simulated(pop.InThisProcess(pop.Seeded(double)), at),
        _simulated(pop.Callable(pop.Seeded(double)), at),
    )
    np.testing.assert_array_equal(here.observations["y"], plain.observations["y"])
    assert pop.InThisProcess(pop.Seeded(double)).describe() == pop.Callable(pop.Seeded(double)).describe()


seen: list[int] = []


def counting(parameters: dict[str, Any], seed: int) -> dict[str, Any]:
    seen.append(seed)
    if len(seen) == 3:
        raise KeyboardInterrupt
    return {"y": np.array([parameters["x"]])}


def test_each_run_is_stored_when_it_has_ended(tmp_path: Path):
    store = pop.Store(tmp_path / "store")
    plan = pop.Plan({"x": np.array([0.0, 3.0, 4.0, 5.0])}, jr.key(0))
    campaign = pop.Campaign(pop.InThisProcess(pop.Seeded(counting)), plan, store)
    with pytest.raises(KeyboardInterrupt):
        pop.run_campaign(campaign, progress=False)
    assert campaign.status().done == 2
    pop.run_campaign(campaign, progress=False)
    assert campaign.status().done == 4 and len(seen) == 5


def test_a_limit_that_cannot_be_kept_is_refused():
    said: list[Exception] = []

    def elsewhere() -> None:
        try:
            _simulated(pop.InThisProcess(pop.Seeded(double), time_limit=1.0))
        except pop.SimulatorError as error:
            said.append(error)

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert "main thread" in str(said[0])
    with pytest.raises(pop.SimulatorError, match="time_limit"):
        pop.InThisProcess(double, time_limit=0.0)
