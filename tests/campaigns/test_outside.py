"""How runs are sent and heard of, whoever makes them: by a runner that is told how each ends."""

from collections import Counter
from pathlib import Path
from typing import Any

import jax.random as jr
import numpy as np
import pytest

import populace as pop
from populace.campaigns.outside import Patience, Runner, jobs, put_together, run_all
from populace.campaigns.worker import Job, Outcome
from populace.core.executor import Ticker


class Scripted(Runner[int]):
    """Ends the newest run first. `fates`: what becomes of each attempt at a run, None where it never began."""

    def __init__(self, fates: dict[float, list[Outcome | None]] | None = None):
        self.fates = fates or {}
        self.sent: list[float] = []
        self.most, self.abandoned = 0, False

    def submit(self, job: Job) -> int:
        self.sent.append(job.parameters["a"])
        return len(self.sent) - 1

    def wait(self, handles: list[int]) -> list[int]:
        self.most = max(self.most, len(handles))
        return handles[-1:]

    def outcome(self, handle: int) -> Outcome | None:
        left = self.fates.get(self.sent[handle])
        return left.pop(0) if left else Outcome({"x": np.float32(self.sent[handle])}, seconds=2.0)

    def abandon(self) -> None:
        self.abandoned = True


def wanted(runs: int) -> list[Job]:
    return jobs({"a": np.arange(float(runs))}, jr.split(jr.key(0), runs))


def made(runner: Scripted, runs: int, heard: Any = None) -> tuple[list[Outcome], Ticker]:
    ticker = Ticker(None, "", runs)
    return run_all(runner, wanted(runs), Patience(3, 1), ticker, heard or (lambda place, out: None)), ticker


def test_so_many_are_in_hand_and_each_is_heard_of_once():
    runner, heard = Scripted(), []
    outcomes, ticker = made(runner, 10, lambda place, out: heard.append((place, float(out.row["x"]), out.seconds)))
    assert runner.most == 3 and runner.sent == sorted(runner.sent)
    assert [float(out.row["x"]) for out in outcomes if out.row] == list(range(10)) and ticker.done == 10
    assert sorted(heard) == [(i, float(i), 2.0) for i in range(10)] and heard != sorted(heard)


def test_chance_is_tried_again_what_never_began_does_not_count_and_an_error_stays():
    chance = [Outcome(None, "killed", chance=True, output=f"said {i}\n") for i in range(3)]
    error = Outcome(None, "raised", output="why\n")
    runner = Scripted({0.0: [chance[0]], 1.0: list(chance), 2.0: [error], 3.0: [None, None, None]})
    outcomes, ticker = made(runner, 4)
    assert [out.failure for out in outcomes] == ["", "killed, in the last of 2 attempts", "raised", ""]
    assert Counter(runner.sent) == {0.0: 2, 1.0: 2, 2.0: 1, 3.0: 4} and ticker.done == 4
    assert "--- attempt 1: killed\nsaid 0" in outcomes[1].output and "said 1" in outcomes[1].output
    assert all(np.isfinite(out.seconds) for out in outcomes)  # of a dead process, since it was sent


def test_whoever_stops_listening_ends_what_is_under_way():
    def full(place: int, out: Outcome) -> None:
        raise pop.StoreError("the disk is full")

    runner = Scripted()
    with pytest.raises(pop.StoreError):
        made(runner, 5, full)
    assert runner.abandoned and len(runner.sent) == 3


@pytest.mark.parametrize(
    ("simulator", "in_hand"),
    [
        (pop.InProcesses(lambda parameters, key: {}, 4), 12),
        (pop.Command(["/bin/sh", "{a}"], {"x": pop.Parsed(float)}, workers=4), 8),
        (pop.OnRay(lambda parameters, key: {}, in_flight=5), 5),
    ],
)
def test_few_are_sent_ahead_everywhere(simulator: Any, in_hand: int):
    assert simulator.in_hand() == in_hand


def test_seeds_and_keys_of_jobs_are_those_of_the_keys():
    """Though they are made by programs of few sizes."""
    keys = jr.split(jr.key(5), 37)
    made_of = jobs({"a": np.arange(37.0), "b": np.ones((37, 2))}, keys)
    assert [job.seed for job in made_of] == [int(jr.bits(key)) for key in keys]
    np.testing.assert_array_equal(np.stack([job.words for job in made_of]), np.asarray(jr.key_data(keys)))
    assert made_of[3].parameters["a"] == 3.0 and made_of[3].parameters["b"].shape == (2,)


def test_a_folder_takes_a_thousand_logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("populace.campaigns.outside.LOGS", 2)
    failed = [Outcome(None, "no")] * 3 + [Outcome({"x": np.zeros(1, np.float32)})]
    put_together(wanted(4), failed, tmp_path)
    assert len(list(tmp_path.iterdir())) == 2
