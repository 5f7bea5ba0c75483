"""What holds for every study: its files, its folder, and that equal work ends alike. On a study of milliseconds."""

import json
import os
from collections.abc import Callable as Function
from pathlib import Path
from typing import Any

import jax.random as jr
import numpy as np
import numpyro.distributions as dist
import pytest
import xarray as xr

import populace as pop
from populace._errors import CheckpointError, MethodError, OutputError
from populace.studies.study import Findings, Part, Studied, Study, read_table, run_study

CALLS = 0
STOP_AT = 0


def noisy(parameters: dict[str, float], key: Any) -> dict[str, np.ndarray]:
    """A number near theta; the call number `STOP_AT` is interrupted."""
    global CALLS  # noqa: PLW0603
    CALLS += 1
    if CALLS == STOP_AT:
        raise KeyboardInterrupt
    noise = np.random.default_rng(np.asarray(jr.key_data(key))).normal(size=3)
    return {"y": parameters["theta"] + 0.1 * noise}


class Small(Study):
    """The mean of three numbers."""

    name = "small"
    title = "A small study"
    question = "How large is theta?"
    budget = 240

    def run(self, key: Any, budget: int, folder: Path, progress: Any) -> Findings:
        target = pop.Target({"y": np.full(3, 0.5)}, [pop.mean("y")], covariance=pop.Given([0.06]))
        problem = pop.Problem(pop.Callable(noisy), pop.Space(theta=dist.Normal(0, 1)), target)
        method = pop.SequentialABC(particles=40)
        fit = pop.calibrate(problem, method, key, budget=budget, folder=folder, predictive=20, progress=False)
        low, middle, high = fit.interval("theta")
        summary = {"theta": [low, middle, high]}
        return Findings(("Theta is near a half.",), (Part("Small", fit),), {"small": fit}, summary)


def run(folder: Path, **given: int) -> Studied:
    global CALLS  # noqa: PLW0603
    CALLS = 0
    return run_study(Small(), folder, progress=False, **given)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix in {".html", ".json"}}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    """The folder of an uninterrupted study, and the calls that it took."""
    folder = tmp_path_factory.mktemp("whole")
    run(folder)
    return folder, CALLS


@pytest.fixture
def stopping(monkeypatch: pytest.MonkeyPatch) -> Function[[int], None]:
    """Lets the call of that number be interrupted, until it is called with 0."""
    monkeypatch.setitem(globals(), "STOP_AT", 0)
    return lambda number: globals().__setitem__("STOP_AT", number)


def test_the_folder_holds_report_fit_and_summary(tmp_path: Path):
    done = run(tmp_path)
    assert [path.name for path in done.files] == ["report.html", "fit.nc", "summary.json"]
    assert json.loads((tmp_path / "summary.json").read_text()) == json.loads(json.dumps(done.summary))
    assert done.summary["study"] == "small" and done.summary["manifest"]["budget"] == 240
    assert abs(done.summary["theta"][1] - 0.5) < 4 * 0.06
    report = (tmp_path / "report.html").read_text()
    assert all(words in report for words in ("A small study", "How large is theta?", "Theta is near a half."))
    with xr.open_datatree(tmp_path / "fit.nc") as tree:
        assert "theta" in tree["posterior"]


def test_equal_work_ends_alike_and_another_seed_does_not(tmp_path: Path, whole: tuple[Path, int]):
    run(tmp_path / "same")
    run(tmp_path / "other", seed=7)
    one, same, other = (contents(folder) for folder in (whole[0], tmp_path / "same", tmp_path / "other"))
    assert one == same
    assert all(one[name] != other[name] for name in one)


@pytest.mark.parametrize("share", [0.1, 0.6, 0.98])
def test_an_interrupted_study_goes_on_and_ends_alike(
    tmp_path: Path, stopping: Function[[int], None], whole: tuple[Path, int], share: float
):
    stopping(int(share * whole[1]))
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path)
    assert not contents(tmp_path)
    stopping(0)
    run(tmp_path)
    assert contents(tmp_path) == contents(whole[0])
    assert share < 0.2 or whole[1] > CALLS


def test_a_finished_study_is_told_again(tmp_path: Path, whole: tuple[Path, int]):
    run(tmp_path)
    (tmp_path / "report.html").unlink()
    run(tmp_path)
    assert contents(tmp_path) == contents(whole[0]) and whole[1] > CALLS


@pytest.mark.parametrize("other", [{"seed": 3}, {"budget": 241}])
def test_the_folder_of_other_work_is_refused_and_left_alone(tmp_path: Path, other: dict[str, int]):
    run(tmp_path)
    before = contents(tmp_path)
    with pytest.raises(CheckpointError, match="holds other work \\(small, seed 1978, budget 240\\)"):
        run(tmp_path, **other)
    assert contents(tmp_path) == before and CALLS == 0


@pytest.mark.parametrize("text", ["", "[]", '{"study": "small"}', '{"seed": 1'])
def test_an_unreadable_folder_is_refused(tmp_path: Path, text: str):
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "study.json").write_text(text)
    with pytest.raises(CheckpointError, match="cannot be read"):
        run(tmp_path)


def test_a_folder_that_cannot_be_written_is_said_before_any_work(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="a part of the path is a file"):
        run(tmp_path / "file" / "folder")
    assert CALLS == 0


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is read-only for the superuser")
def test_a_read_only_folder_is_said_before_any_work(tmp_path: Path):
    run(tmp_path / "done")
    for folder in (tmp_path / "done" / "checkpoints", tmp_path / "done"):
        folder.chmod(0o500)
    try:
        with pytest.raises(OutputError, match="is not writable"):
            run(tmp_path / "done")
        assert CALLS == 0
    finally:
        for folder in (tmp_path / "done", tmp_path / "done" / "checkpoints"):
            folder.chmod(0o700)


def test_a_budget_that_is_too_small_is_said(tmp_path: Path):
    with pytest.raises(MethodError):
        run(tmp_path, budget=10)


def test_the_data_are_those_of_the_paper():
    table = read_table("influenza_school_1978.csv")
    assert {"in_bed", "convalescent"} < set(table)
    assert table["in_bed"].size == 14 and table["in_bed"][0] == 3 and table["in_bed"].max() == 298
