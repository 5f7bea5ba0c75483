"""A campaign makes each of its runs once, whatever is killed and however many work on it, and hands them out whole."""

import functools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import numpyro.distributions as dist
import pyarrow.parquet
import pytest
import xarray as xr
from tests.campaigns import outside_cases as cases

from populace._errors import MissingExtraError, OutputError, ProblemError, SimulatorError, SpaceError
from populace.campaigns import store as rooms
from populace.campaigns import stored as stored_runs
from populace.campaigns.campaign import Campaign, CampaignStatus, run_campaign
from populace.campaigns.identity import identified, simulator_digest
from populace.campaigns.plan import Plan
from populace.campaigns.processes import InProcesses, close_workers
from populace.campaigns.store import FinishedRun, Store
from populace.campaigns.worker import Seeded
from populace.core.executor import Ticker
from populace.problem.observation import ObservationModel
from populace.problem.simulators import Callable as CallableSimulator
from populace.problem.simulators import Observed, Traceable
from populace.problem.space import Space
from populace.surrogates.design import design

from .conftest import gone, left_by, load, wait_for

SCRIPT = Path(__file__).with_name("driven.py")
calls: list[float] = []
begun: set[int] = set()
meeting: dict[str, threading.Barrier] = {}
"""Of the module, and not closed over: what a simulator closes over is part of what its runs are."""


@pytest.fixture(autouse=True)
def _none_yet() -> None:
    calls.clear()
    begun.clear()


def cube(parameters: dict[str, Any], key: Any) -> dict[str, Any]:
    calls.append(parameters["a"])
    if parameters["a"] == 3.0:
        raise ValueError("three")
    if parameters["a"] == 4.0:
        return {"x": np.array([np.nan, 0.0])}
    return {"x": np.array([parameters["a"], parameters["a"] ** 3])}


def cubes(store: Store, points: Any = (0.0, 1.0, 2.0), **settings: Any) -> Campaign:
    return Campaign(cube, Plan({"a": points}, jr.key(0), **settings), store)


# --- each run once


def test_runs_are_made_once_and_have_the_simulator_s_numbers(store: Store):
    campaign = cubes(store, replicates=2)
    assert campaign.status().missing == 6 and calls == []
    done = run_campaign(campaign)
    assert (done.made, done.done, done.excluded, done.missing) == (6, 6, 0, 0)
    direct = campaign.simulator.simulate(campaign.asked().parameters, campaign.plan.keys, Ticker(None, "", 6))
    np.testing.assert_array_equal(campaign.table()["x"], direct.observations["x"])
    calls.clear()
    again = run_campaign(campaign)
    assert (again.made, calls) == (0, [])
    assert done.sections()[0].text[0] == "6 of 6 runs are stored, 0 are missing."


def test_more_points_or_replicates_make_only_the_new_runs(folder: Store):
    run_campaign(cubes(folder, [0.0, 1.0], replicates=2))
    calls.clear()
    done = run_campaign(cubes(folder, [1.0, 0.0, 2.0], replicates=3))
    assert (done.done, done.made) == (9, 5)
    assert sorted(calls) == [0.0, 1.0, 2.0, 2.0, 2.0]


def test_a_run_that_stands_twice_in_a_plan_is_made_once(folder: Store):
    campaign = cubes(folder, [1.0, 1.0, 2.0])
    assert run_campaign(campaign).planned == 2
    assert sorted(calls) == [1.0, 2.0]
    assert campaign.table()["x"][:, 0].tolist() == [1.0, 1.0, 2.0]


def test_failed_runs_are_stored_with_their_reasons_and_made_again_when_asked(store: Store):
    campaign = cubes(store, [1.0, 2.0, 3.0, 4.0])
    done = run_campaign(campaign)
    reasons = {"the simulator raised ValueError: three": 1, "an observation is NaN or infinite": 1}
    assert (done.done, done.excluded, dict(done.reasons)) == (2, 2, reasons)
    assert done.sections()[0].verdicts[0].numbers == {"excluded": 0.5}
    calls.clear()
    assert run_campaign(campaign).made == 0
    again = run_campaign(campaign, retry=True)
    assert (again.made, sorted(calls), again.excluded) == (2, [3.0, 4.0], 2)
    assert sum(again.notes.values()) == 2


def test_a_run_of_another_shape_is_excluded_and_says_so(folder: Store):
    def ragged(parameters: dict[str, Any], key: Any) -> dict[str, Any]:
        return {"x": np.zeros(3 if parameters["a"] == 0.0 else 2)}

    campaign = Campaign(ragged, Plan({"a": np.arange(4.0)}, jr.key(0)), folder)
    assert dict(run_campaign(campaign).reasons) == {"the simulator returned x (3,), not x (2,)": 1}
    assert campaign.table()["status"].tolist() == ["excluded", "done", "done", "done"]


def test_a_campaign_of_which_every_run_fails_ends(folder: Store):
    campaign = cubes(folder, [3.0, 3.0])
    assert run_campaign(campaign).excluded == 1
    assert campaign.table()["reason"].tolist() == ["the simulator raised ValueError: three"] * 2


def test_a_vectorised_simulator_is_asked_for_many_at_a_time(folder: Store):
    sizes: list[int] = []

    class Counted(Traceable):
        def simulate(self, parameters: Any, keys: Any, ticker: Any) -> Any:
            sizes.append(len(keys))
            return super().simulate(parameters, keys, ticker)

    simulator = Counted(lambda parameters, key: {"x": jnp.log(parameters["a"])})
    campaign = Campaign(simulator, Plan({"a": np.arange(7.0) - 1.0}, jr.key(0)), folder, together=3)
    done = run_campaign(campaign)
    assert sizes == [3, 3, 1] and (done.done, done.excluded) == (5, 2)
    np.testing.assert_allclose(campaign.table()["x"][2:], np.log(np.arange(1.0, 6.0)), rtol=1e-6)


# --- interrupted, killed, shared


def test_an_interrupt_keeps_what_had_ended(store: Store):
    def stops(parameters: dict[str, Any], key: Any) -> dict[str, Any]:
        calls.append(parameters["a"])
        if len(calls) == 5:
            raise KeyboardInterrupt
        return {"x": np.zeros(1)}

    campaign = Campaign(stops, Plan({"a": np.arange(8.0)}, jr.key(0)), store)
    with pytest.raises(KeyboardInterrupt):
        run_campaign(campaign)
    status = campaign.status()
    assert (status.done, status.missing, status.claimed) == (4, 4, 0)
    assert run_campaign(campaign).made == 4
    assert sorted(calls) == sorted([*range(8), 4])


def stored(store: Store) -> int:
    return len(store.database.every("id"))


def test_a_driver_that_is_killed_loses_nothing_and_leaves_nothing(
    schema: Callable[[], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """On both kinds of store at once: what was stored is whole, the same numbers as an undisturbed campaign's come in
    the end, and no run twice. Its worker processes end, and what these have started.
    """
    marks = tmp_path / "marks"
    marks.mkdir()
    monkeypatch.setenv("POPULACE_TEST_MARKS", str(marks))
    driven = load(SCRIPT)
    address, undisturbed = schema(), Store(tmp_path / "undisturbed")
    stores = [Store(tmp_path / "killed"), Store(tmp_path / "killed", database=address)]
    found = {**os.environ, "PYTHONPATH": str(SCRIPT.parents[2])}
    driver = subprocess.Popen([sys.executable, str(SCRIPT), str(tmp_path / "killed"), address], env=found)
    try:
        run_campaign(driven.campaign(undisturbed))
        expected, last = driven.campaign(undisturbed).table()["x"], time.monotonic() + 120.0
        groups = left_by(marks)
        while min(map(stored, stores)) < 20 and driver.poll() is None and time.monotonic() < last:
            time.sleep(0.01)
        assert driver.poll() is None
    finally:
        driver.send_signal(signal.SIGKILL)
        driver.wait()
    for store in stores:
        left = stored(store)
        assert 20 <= left < 200, "the campaigns ended before they could be killed: make them longer"
        assert store.check() == {"runs": left, "excluded": 0, "torn": 0}
        campaign = driven.campaign(store)
        assert run_campaign(campaign).made == 200 - left
        np.testing.assert_array_equal(campaign.table()["x"], expected)
        assert stored(store) == 200
    for store in (undisturbed, *stores):
        store.close()
    gone(groups)


class Doubled(ObservationModel):
    """Twice what was."""

    def __call__(self, observations: Any, draw: Any) -> dict[str, Any]:
        return {"x": 2.0 * observations["x"]}


def test_runs_in_processes_are_stored_as_each_ends(folder: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Though others of the same batch go on: also behind an observer, with the numbers that they have here."""
    monkeypatch.setenv("POPULACE_TEST_MARKS", str(tmp_path))
    monkeypatch.setattr(stored_runs, "_FLUSH", 0.0)
    plan = Plan({"a": [0.0, 2.0, 1.0, 3.0]}, jr.key(0), common=False)
    there = InProcesses(Seeded(cases.waits), 2, logs=tmp_path / "logs")
    campaign = Campaign(Observed(there, {"seen": Doubled()}), plan, folder)
    thread = threading.Thread(target=lambda: calls.append(run_campaign(campaign).made))
    thread.start()
    try:
        wait_for(lambda: folder.database.every("id"), 2)
        assert thread.is_alive() and campaign.status().done == 2
    finally:
        (tmp_path / "go").touch()
        thread.join()
        close_workers()
    assert calls == [4] and len(list((tmp_path / "logs").iterdir())) == 1
    table = campaign.table()
    assert dict(zip(table["a"], table["reason"], strict=True))[3.0] == "an observation is NaN or infinite"
    here = CallableSimulator(Seeded(cases.waits)).simulate(campaign.asked().parameters, plan.keys, Ticker(None, "", 4))
    np.testing.assert_array_equal(table["x"], 2.0 * here.observations["x"])
    assert (table["seconds"][[0, 2]] < table["seconds"][1]).all()


def test_a_server_that_is_gone_for_a_while_costs_a_campaign_nothing(
    server: Any, schema: Callable[[], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """It stops in the middle of a run, as a machine that fails does, and is started when runs wait to be stored."""
    monkeypatch.setattr(stored_runs, "_FLUSH", 0.0)
    store, back = Store(tmp_path, database=schema()), threading.Timer(0.3, server.start)

    def stops(parameters: dict[str, Any], key: Any) -> dict[str, Any]:
        calls.append(parameters["a"])
        if len(calls) == 3:
            server.stop()
            back.start()
        return {"x": np.array([parameters["a"]])}

    done = run_campaign(Campaign(stops, Plan({"a": np.arange(6.0)}, jr.key(0)), store))
    back.join()
    assert (done.made, done.done, sorted(calls)) == (6, 6, list(range(6)))
    assert store.check() == {"runs": 6, "excluded": 0, "torn": 0}
    store.close()


def test_time_left_is_told_by_the_pace_of_the_last_runs(folder: Store):
    """Two workers end a run each every second; a night in which nobody was at work does not count."""
    ends = np.concatenate([np.repeat(np.arange(1.0, 11.0), 2), 1e5 + np.repeat(np.arange(1.0, 6.0), 2)])
    campaign = cubes(folder, np.arange(40.0))
    rows = [
        FinishedRun(one, "d" * 64, "", "", None, "[]", {}, 1.0, float(end))
        for one, end in zip(campaign.asked().ids[:30], ends, strict=True)
    ]
    assert np.isnan(campaign.status().left)
    folder.put(rows)
    status = campaign.status()
    assert (status.seconds, status.missing) == (1.0, 10)
    assert status.left == pytest.approx(10 * 13 / 26)  # the first to end are before all gaps
    assert "at the pace of the last ones, 5.0 s are left" in " ".join(status.sections()[0].text)


def test_two_drivers_share_the_work(another: Callable[[], Store]):
    """Each run is made by one of them, and both see the end. The first run of each waits for that of the other."""
    made: list[CampaignStatus] = []
    meeting["at"] = threading.Barrier(2)

    def met(parameters: dict[str, Any], key: Any) -> dict[str, Any]:
        calls.append(parameters["a"])
        if threading.get_ident() not in begun:
            begun.add(threading.get_ident())
            meeting["at"].wait(60.0)
        return {"x": np.array(parameters["a"])}

    def drive() -> None:
        made.append(run_campaign(Campaign(met, Plan({"a": np.arange(60.0)}, jr.key(0)), another())))

    threads = [threading.Thread(target=drive) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [status.done for status in made] == [60, 60]
    assert sum(status.made for status in made) == 60 and all(status.made for status in made)
    assert sorted(calls) == list(range(60))


def test_a_torn_file_is_said_and_its_run_made_again(folder: Store, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(rooms.FILE_FROM, "sqlite", 1)
    campaign = cubes(folder)
    run_campaign(campaign)
    before, path = campaign.table()["x"], next(path for path in folder.folder.rglob("*.z"))
    path.write_bytes(path.read_bytes()[:-1])
    calls.clear()
    done = run_campaign(campaign)
    assert done.made == len(calls) == 1
    assert dict(done.notes) == {rooms.TORN: 1}
    assert "torn" in " ".join(done.sections()[0].text)
    np.testing.assert_array_equal(campaign.table()["x"], before)


# --- tables and files


@pytest.fixture
def partial(folder: Store) -> Campaign:
    """Two points done, one that failed, one missing."""
    run_campaign(cubes(folder, [1.0, 2.0, 3.0]))
    return cubes(folder, [1.0, 2.0, 3.0, 5.0])


def test_a_table_has_every_run_of_the_plan(partial: Campaign):
    table = partial.table()
    assert table["status"].tolist() == ["done", "done", "excluded", "missing"]
    np.testing.assert_array_equal(table["x"], [[1, 1], [2, 8], [np.nan] * 2, [np.nan] * 2])
    data = partial.dataset()
    assert set(data.data_vars) == {"x"} and data["x"].dims == ("run", "x_dim_0")
    assert data.sel(run=data["status"] == "done")["a"].values.tolist() == [1.0, 2.0]
    frame = partial.dataset()["x"].sel(x_dim_0=1).to_dataframe()
    assert frame["x"].tolist()[:2] == [1.0, 8.0]


def test_files_hold_the_same(partial: Campaign, tmp_path: Path):
    table = partial.table()
    read = pyarrow.parquet.read_table(partial.write(tmp_path / "runs.parquet")).to_pydict()
    assert read["x"] == [[1.0, 1.0], [2.0, 8.0], [None, None], [None, None]]
    assert read["status"] == table["status"].tolist() and read["a"] == table["a"].tolist()
    with xr.open_dataset(partial.write(tmp_path / "runs.nc"), engine="h5netcdf") as data:
        np.testing.assert_array_equal(data["x"].values, table["x"])
    lines = partial.write(tmp_path / "runs.csv").read_text().splitlines()
    assert lines[0] == "point,replicate,a,status,reason,seconds,x[0],x[1]"
    assert lines[2].startswith("1,0,2.0,done,,") and lines[2].endswith(",2.0,8.0")
    assert lines[4] == "3,0,5.0,missing,,,,"
    beside = json.loads((tmp_path / "runs.csv.manifest.json").read_text())
    assert beside["simulator"] == partial.simulator.describe() and "versions" in beside["written_with"]
    with pytest.raises(OutputError, match=r"known: '\.parquet'"):
        partial.write(tmp_path / "runs.docx")


def test_parquet_without_its_writer_names_the_extra(partial: Campaign, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("pandas.DataFrame.to_parquet", lambda *_, **__: (_ for _ in ()).throw(ImportError("pyarrow")))
    with pytest.raises(MissingExtraError, match=r"populace\[parquet\]"):
        partial.write(tmp_path / "runs.parquet")


def test_names_that_collide_are_said(folder: Store):
    campaign = Campaign(lambda parameters, key: {"status": np.zeros(1)}, Plan({"a": [1.0]}, jr.key(0)), folder)
    run_campaign(campaign)
    with pytest.raises(ProblemError, match="'status'"):
        campaign.table()


# --- plans


def test_replicates_share_their_keys_between_points_or_do_not():
    shared = Plan({"a": [1.0, 2.0], "b": [[1, 2], [3, 4]]}, jr.key(0), replicates=3)
    words = np.asarray(jr.key_data(shared.keys))
    assert shared.size == 6 and shared.parameters["b"].shape == (6, 2)
    assert shared.point.tolist() == [0, 0, 0, 1, 1, 1] and shared.replicate.tolist() == [0, 1, 2] * 2
    np.testing.assert_array_equal(words[:3], words[3:])
    own = np.asarray(jr.key_data(Plan({"a": [1.0, 2.0]}, jr.key(0), replicates=3, common=False).keys))
    assert len(np.unique(own, axis=0)) == 6


def test_a_design_is_a_plan_s_points():
    points = design(Space(a=dist.Uniform(0.0, 1.0)), jr.key(1), 4)
    np.testing.assert_array_equal(Plan(points, jr.key(0)).parameters["a"], np.asarray(points.parameters["a"]))


@pytest.mark.parametrize(
    ("points", "settings", "message"),
    [
        ({}, {}, "at least one parameter"),
        ({"a": 1.0}, {}, "no table of numbers"),
        ({"a": ["x"]}, {}, "no table of numbers"),
        ({"a": [1.0], "b": [1.0, 2.0]}, {}, "differ in length"),
        ({"a": []}, {}, "differ in length, or have none"),
        ({"a": [1.0]}, {"replicates": 0}, "one run a point at least"),
    ],
)
def test_what_is_no_plan_is_said(points: Any, settings: dict[str, Any], message: str):
    with pytest.raises(SpaceError, match=message):
        Plan(points, jr.key(0), **settings)


def test_no_runs_at_a_time_is_said(folder: Store):
    with pytest.raises(SimulatorError, match="one run at least"):
        Campaign(cube, Plan({"a": [1.0]}, jr.key(0)), folder, together=0)


# --- identity


def ids(parameters: dict[str, Any], keys: Any, digest: str = "d") -> tuple[str, ...]:
    return identified(digest, parameters, keys).ids


def test_a_run_is_its_simulator_its_parameters_and_its_key():
    keys = jr.split(jr.key(0), 2)
    base = ids({"a": [0.1, 0.2], "b": [1.0, 1.0]}, keys)
    assert base == ids({"b": [1.0, 1.0], "a": [0.1, 0.2]}, keys) and base[0] != base[1]
    assert ids({"a": [0.5, 0.25]}, keys) == ids({"a": np.array([0.5, 0.25], np.float32)}, keys)
    others = [
        ids({"a": [np.nextafter(0.1, 1), 0.2], "b": [1.0, 1.0]}, keys),
        ids({"a": [1.0, 1.0], "b": [0.1, 0.2]}, keys),
        ids({"a": [0.1, 0.2], "c": [1.0, 1.0]}, keys),
        ids({"a": [0.1, 0.2], "b": [1.0, 1.0]}, jr.split(jr.key(1), 2)),
        ids({"a": [0.1, 0.2], "b": [1.0, 1.0]}, jr.split(jr.key(0, impl="rbg"), 2)),
        ids({"a": [0.1, 0.2], "b": [1.0, 1.0]}, keys, "e"),
    ]
    assert len({base[0], *(other[0] for other in others)}) == 1 + len(others)
    assert ids({"a": [[0.1, 0.2]]}, keys[:1]) != ids({"a": [[0.2, 0.1]]}, keys[:1])


GAIN = 2.0


def helper(x: float) -> float:
    return GAIN * x


def through_helper(parameters: dict[str, Any], key: Any) -> dict[str, Any]:
    return {"x": np.array(helper(parameters["a"]))}


def digest(function: Any) -> str:
    return simulator_digest(CallableSimulator(function))


def test_other_code_makes_other_runs(monkeypatch: pytest.MonkeyPatch):
    """What a function closes over, its defaults, the helpers and constants of its module: all of it counts."""

    def made(gain: float, of: Any = None) -> Any:
        def simulate(parameters: dict[str, Any], key: Any, *, offset: float = gain) -> dict[str, Any]:
            return {"x": np.array(gain * parameters["a"] + offset if of is None else of(1.0))}

        return simulate

    assert digest(made(1.0)) == digest(made(1.0)) != digest(made(2.0))
    assert digest(made(1.0, helper)) != digest(made(1.0, made))
    assert digest(functools.partial(cube, b=1)) == digest(functools.partial(cube, b=1))
    assert digest(functools.partial(cube, b=1)) != digest(functools.partial(cube, b=2))
    assert digest(cube) == simulator_digest(InProcesses(cube)) != digest(through_helper)
    before = digest(through_helper)
    observed = simulator_digest(Observed(CallableSimulator(through_helper), {}))
    assert before == digest(through_helper)
    monkeypatch.setitem(globals(), "GAIN", 3.0)
    assert digest(through_helper) != before
    assert simulator_digest(Observed(CallableSimulator(through_helper), {})) != observed
    monkeypatch.undo()
    typed = [eval(f"lambda parameters, key: {{'x': {number}}}") for number in (1.0, 1.0, 2.0)]  # as at a prompt
    assert digest(typed[0]) == digest(typed[1]) != digest(typed[2])
    changed = lambda x: 3.0 * x  # noqa: E731
    changed.__module__ = helper.__module__
    monkeypatch.setitem(globals(), "helper", changed)
    assert digest(through_helper) != before
    monkeypatch.undo()
    assert digest(through_helper) == before


def test_a_description_that_is_no_json_is_said(folder: Store):
    class Odd(CallableSimulator):
        def describe(self) -> dict[str, Any]:
            return {"what": np.zeros(2)}

    with pytest.raises(SimulatorError, match="plain values"):
        simulator_digest(Odd(cube))
