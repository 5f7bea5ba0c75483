"""A fit that is killed goes on where it was and ends with the same numbers; another's checkpoint is refused."""

import importlib.util
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
import pytest

from populace._errors import CheckpointError, MethodError
from populace.calibration.differences import DifferencesDescent
from populace.calibration.estimates import Point
from populace.calibration.sequential_abc import SequentialABC
from populace.core.checkpoint import Checkpoint
from populace.core.executor import Ticker
from populace.core.rounds import Done, Method, rounds
from populace.problem.problem import Problem, Simulate

SCRIPT = Path(__file__).with_name("resumed.py")
KILLS = 3


def load_script() -> Any:
    spec = importlib.util.spec_from_file_location("resumed", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def written(path: Path) -> int:
    """When the file was last replaced; 0 while there is none."""
    return path.stat().st_mtime_ns if path.exists() else 0


def killed(folder: Path, luck: random.Random) -> int:
    """Start the fit, kill it at a random moment after a few rounds, and return the rounds that its checkpoint holds."""
    path = folder / "checkpoint.npz"
    process = subprocess.Popen([sys.executable, str(SCRIPT), str(folder)])
    try:
        seen, left, last = written(path), luck.randint(1, 6), time.monotonic() + 120.0
        while left and process.poll() is None and time.monotonic() < last:
            now = written(path)
            left, seen = (left - 1, now) if now != seen else (left, seen)
            time.sleep(0.001)
        time.sleep(luck.uniform(0.0, 0.03))
        assert process.poll() is None, "the fit ended before it could be killed: make it longer"
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert not (folder / "numbers.npy").exists()
    return held(path)


def held(path: Path) -> int:
    with np.load(path) as file:
        return int(bytes(file["head"]).decode().split('"number": ')[1].split(",")[0])


def test_a_fit_that_is_killed_ends_with_the_same_numbers(tmp_path: Path):
    luck = random.Random(0)
    rounds_done = [killed(tmp_path, luck) for _ in range(KILLS)]
    assert rounds_done == sorted(set(rounds_done)) and rounds_done[0] > 0
    subprocess.run([sys.executable, str(SCRIPT), str(tmp_path)], check=True)
    assert held(tmp_path / "checkpoint.npz") > rounds_done[-1]
    np.testing.assert_array_equal(np.load(tmp_path / "numbers.npy"), load_script().run(None))


# The checkpoint itself


def fit(problem: Problem, folder: Path, method: Method | None = None, seed: int = 0, budget: int = 1_000) -> Any:
    return rounds(
        method or SequentialABC(particles=100, adjust=False),
        problem,
        jr.key(seed),
        budget=budget,
        ticker=Ticker(None, "", 0),
        folder=folder,
        identity=problem.identity(),
    )


def test_the_checkpoint_of_other_work_is_refused(normal: Any, coins: Problem, tmp_path: Path):
    problem, _ = normal
    done = fit(problem, tmp_path)
    again = fit(problem, tmp_path)
    np.testing.assert_array_equal(again.estimate.real, done.estimate.real)
    assert (again.calls, again.rounds, again.done) == (done.calls, done.rounds, done.done)
    other = problem.with_target(problem.target.with_values(problem.target.values + 1.0))
    for work in (
        lambda: fit(other, tmp_path),
        lambda: fit(coins, tmp_path),
        lambda: fit(problem, tmp_path, SequentialABC(particles=101, adjust=False)),
        lambda: fit(problem, tmp_path, seed=1),
        lambda: fit(problem, tmp_path, budget=1_001),
    ):
        with pytest.raises(CheckpointError, match="other work"):
            work()


def test_another_learning_rate_is_other_work(normal: Any, tmp_path: Path):
    """Optax keeps its rates inside functions: they count all the same."""
    method = DifferencesDescent(optimiser=optax.adam(0.1), starts=1, judged=10)
    fit(normal[0], tmp_path, method)
    fit(normal[0], tmp_path, DifferencesDescent(optimiser=optax.adam(0.1), starts=1, judged=10))
    with pytest.raises(CheckpointError, match="other work"):
        fit(normal[0], tmp_path, DifferencesDescent(optimiser=optax.adam(0.2), starts=1, judged=10))


class State(eqx.Module):
    x: np.ndarray
    y: np.ndarray


STATE = State(np.linspace(0.0, 1.0, 50), np.array(3))


def test_a_checkpoint_gives_back_what_it_took(tmp_path: Path):
    checkpoint = Checkpoint(tmp_path, "mine")
    assert checkpoint.load(STATE) is None
    checkpoint.save(STATE, 4, 500)
    saved = checkpoint.load(State(np.zeros(2), np.array(0)))
    assert saved is not None and (saved.number, saved.calls) == (4, 500)
    np.testing.assert_array_equal(saved.state.x, STATE.x)
    assert saved.state.y == 3 and saved.state.y.dtype == STATE.y.dtype
    with pytest.raises(CheckpointError, match="2 arrays, not 1"):
        checkpoint.load((np.zeros(1),))


def test_a_torn_or_changed_file_is_refused(tmp_path: Path):
    """A write in one step cannot tear a file; a disk, or a copy, can."""
    checkpoint = Checkpoint(tmp_path, "mine")
    checkpoint.save(STATE, 4, 500)
    whole, luck = checkpoint.path.read_bytes(), random.Random(1)
    for length in {0, 1, len(whole) // 2, len(whole) - 1, *(luck.randrange(len(whole)) for _ in range(40))}:
        checkpoint.path.write_bytes(whole[:length])
        with pytest.raises(CheckpointError, match="cannot be read"):
            checkpoint.load(STATE)
    for text in (b"", b"no archive", b"\x93NUMPY\x01\x00v\x00"):
        checkpoint.path.write_bytes(text)
        with pytest.raises(CheckpointError, match="cannot be read"):
            checkpoint.load(STATE)
    for _ in range(200):
        place = luck.randrange(len(whole))
        checkpoint.path.write_bytes(
            whole[:place] + bytes([whole[place] ^ (1 << luck.randrange(8))]) + whole[place + 1 :]
        )
        try:
            saved = checkpoint.load(STATE)
        except CheckpointError:
            continue
        assert saved is not None and (saved.number, saved.calls) == (4, 500)  # a bit that nothing reads
        np.testing.assert_array_equal(saved.state.x, STATE.x)


# The loop


class Greedy(Method):
    """Asks for as many calls as it is told to, and never stops."""

    wanted: int = eqx.field(static=True)

    def start(self, task: Any, key: Any, budget: int) -> Any:
        return np.array(0)

    def ask(self, task: Any, state: Any, key: Any) -> Simulate:
        return Simulate({"theta": jnp.zeros(self.wanted)}, jr.split(key, self.wanted))

    def tell(self, task: Any, state: Any, ask: Any, answer: Any) -> Any:
        return state

    def done(self, task: Any, state: Any, left: int) -> Done | None:
        return None

    def finish(self, task: Any, state: Any, key: Any) -> Point:
        raise AssertionError("it never stops")


@pytest.mark.parametrize(("wanted", "says"), [(0, "asked for no work"), (40, "asked for 40 calls with 20 left")])
def test_a_method_may_not_idle_or_overspend(normal: Any, wanted: int, says: str):
    with pytest.raises(MethodError, match=says):
        rounds(Greedy(wanted), normal[0], jr.key(0), budget=100, ticker=Ticker(None, "", 0))
