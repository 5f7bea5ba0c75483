"""The boarding school at a small budget, through the command line: its files, its findings, and that it is found again.

All tests share two runs: one that nobody disturbs, and its reproduction in another process and folder, which is killed.
"""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import xarray as xr

import populace

BUDGET = 6000
GROUPS = {"posterior", "posterior_predictive", "prior", "observed_data"}


def start(*words: str, home: Path | None = None) -> "subprocess.Popen[str]":
    """Starts `populace` with these words; `home`: where the package is, that of the tests by default."""
    return subprocess.Popen(
        [sys.executable, "-m", "populace.cli", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, **({"PYTHONPATH": str(home)} if home else {})},
        text=True,
    )


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str]:
    """The folder of an uninterrupted run, and what it printed."""
    folder = tmp_path_factory.mktemp("influenza")
    process = start("study", "influenza", "--budget", str(BUDGET), "--out", str(folder), "--json")
    said, aside = process.communicate()
    assert process.returncode == 0, aside
    return folder, said, aside


@pytest.fixture(scope="module")
def summary(done: tuple[Path, str, str]) -> dict[str, Any]:
    return json.loads((done[0] / "summary.json").read_text())


@pytest.fixture
def arviz() -> Iterator[Any]:
    """ArviZ 0.x warns of its own future when it is imported."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        import arviz

        yield arviz


# Files


def test_the_files_are_there(done: tuple[Path, str, str]):
    folder, _, aside = done
    names = ["report.html", "fit.nc", "fit-rival.nc", "summary.json"]
    assert {path.name for path in folder.iterdir()} == {*names, "checkpoints"}
    assert [name for name in names if f"written: {folder / name}" not in aside] == []


def test_the_report_is_one_file_that_tells_of_the_failure(done: tuple[Path, str, str]):
    text = (done[0] / "report.html").read_text()
    assert not re.search(r"<script|<link|<iframe|@import|javascript:|\son\w+\s*=\s*[\"']", text, re.IGNORECASE)
    sources = re.findall(r"(?:src|href|xlink:href|srcset|data|action)\s*=\s*[\"']([^\"']*)", text, re.IGNORECASE)
    sources += re.findall(r"url\(\s*[\"']?([^\"')]*)", text)
    assert [source for source in sources if not source.startswith(("#", "data:"))] == []
    assert "It is wrong about the end" in text and "512" in text
    assert "final(ever_in_bed)" in text and "held out, unmatched" in text


@pytest.mark.parametrize("name", ["fit.nc", "fit-rival.nc"])
def test_xarray_opens_a_fit(done: tuple[Path, str, str], name: str):
    with xr.open_datatree(done[0] / name) as tree:
        assert set(tree.children) >= GROUPS
        assert {"beta", "recovery", "convalescence"} <= set(tree["posterior"].data_vars)
        assert set(tree["posterior"].data_vars) == set(tree["prior"].data_vars)
        seen, predicted = tree["observed_data"], tree["posterior_predictive"]
        assert seen["ever_in_bed"].item() == 512
        assert predicted["in_bed"].shape[-1] == seen["in_bed"].size == 13
        assert predicted.sizes["draw"] == tree["posterior"].sizes["draw"]


def test_arviz_opens_a_fit(done: tuple[Path, str, str], arviz: Any, summary: dict[str, Any]):
    found = arviz.from_netcdf(str(done[0] / "fit.nc"))
    assert set(found.groups()) >= GROUPS
    table = arviz.summary(found, var_names=["beta", "recovery"], kind="stats")
    median = float(found.posterior["R0"].median())
    assert list(table.index) == ["beta", "recovery"]
    assert median == pytest.approx(summary["r0_median"], rel=0.1)


# Findings


def test_the_summary_holds_what_programs_ask_for(summary: dict[str, Any]):
    for found in (summary, summary["rival"]):
        low, high = found["r0_interval"]
        assert 0 < low < found["r0_median"] < high
        assert found["infectious_days_median"] > 0
        assert all(set(moment) == {"gap", "held_out"} for moment in found["moments"].values())
        assert len(found["moments"]) == 13 + 1 + 13
        assert all(set(verdict) >= {"class", "sentence"} for verdict in found["verdicts"].values())
        assert len(found["counterfactual"]["spared"]) >= 3
    assert set(summary["verdicts"]) == {"beta", "recovery", "convalescence"}
    assert set(summary["rival"]["verdicts"]) == {"beta", "recovery", "convalescence", "immune", "silent"}
    assert summary["manifest"]["seed"] == 1978 and summary["manifest"]["budget"] == BUDGET
    assert "seconds" not in summary


def test_the_last_line_is_the_summary_with_its_seconds(done: tuple[Path, str, str], summary: dict[str, Any]):
    line = json.loads(done[1].splitlines()[-1])
    assert line.pop("seconds") > 0
    assert line == summary


def test_the_simple_model_fails_where_it_was_not_fitted(done: tuple[Path, str, str], summary: dict[str, Any]):
    held_out = {name for name, moment in summary["moments"].items() if moment["held_out"]}
    assert "final(ever_in_bed)" in held_out and len(held_out) == 14
    assert summary["moments"]["final(ever_in_bed)"]["gap"] > 2
    assert "held out, unmatched" in (done[0] / "report.html").read_text()
    assert not summary["rival"]["moments"]["final(ever_in_bed)"]["held_out"]
    assert abs(summary["rival"]["moments"]["final(ever_in_bed)"]["gap"]) < 2


def test_what_the_fitted_moments_do_not_touch_is_not_identified(summary: dict[str, Any]):
    for found in (summary, summary["rival"]):
        assert found["verdicts"]["convalescence"]["class"] in {"prior returned", "not identified"}
    assert summary["verdicts"]["beta"]["class"] == "identified"


def test_the_terminal_tells_the_verdicts(done: tuple[Path, str, str], summary: dict[str, Any]):
    aside = " ".join(done[2].split())
    for found in (summary, summary["rival"]):
        for name, verdict in found["verdicts"].items():
            assert f"{name}: {verdict['class']}" in aside
            assert " ".join(verdict["sentence"].split()) in aside


# Again


def test_a_reproduction_that_is_killed_goes_on_and_is_identical(done: tuple[Path, str, str], tmp_path: Path):
    moment = random.Random().uniform(0.0, 6.0)
    words = ["reproduce", str(done[0]), "--out", str(tmp_path), "--json"]
    killed = start(*words)
    try:
        last = time.monotonic() + 300
        while not list(tmp_path.rglob("checkpoint.npz")) and killed.poll() is None and time.monotonic() < last:
            time.sleep(0.01)
        time.sleep(moment)
    finally:
        killed.send_signal(signal.SIGKILL)
        killed.communicate()
    assert killed.returncode == -signal.SIGKILL
    checkpoints = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("checkpoint.npz")}
    assert checkpoints and not (tmp_path / "summary.json").exists()
    again = start(*words)
    said, aside = again.communicate()
    assert again.returncode == 0, aside
    for name in ("summary.json", "report.html"):
        same = (tmp_path / name).read_bytes() == (done[0] / name).read_bytes()
        assert same, f"{name} differs after a kill {moment:.2f} s after the first checkpoint"
    found = json.loads(said)
    assert found["verdicts"]["the numbers"]["class"] == "identical" and found["made"] == found["unknown"] == []
    assert found["compared"].keys() == {"summary.json", "fit.nc", "fit-rival.nc", "report.html"}
    assert sum(found["compared"].values()) > 200_000
    assert "before the run: Nothing differs, from the seed to the source." in aside
    assert "identical" in (tmp_path / "comparison.html").read_text()


def test_a_changed_seed_data_byte_and_model_line_are_named(done: tuple[Path, str, str], tmp_path: Path):
    """In a copy of the package."""
    home = shutil.copytree(Path(populace.__file__).parent, tmp_path / "populace")
    for file, old, new in (
        ("studies/data/influenza_school_1978.csv", "298", "299"),
        ("zoo/school_epidemic.py", "def step(self, draw: Draw", "def step(self,  draw: Draw"),
        ("calibration/sequential_abc.py", "1e300", "2e300"),
    ):
        text = (home / file).read_text()
        assert old in text, file
        (home / file).write_text(text.replace(old, new, 1))
    check = start("reproduce", str(done[0]), "--only-check", "--seed", "7", "--json", home=tmp_path)
    said, aside = check.communicate()
    assert check.returncode == 1, aside
    assert [one["what"] for one in json.loads(said)["made"]] == [
        "the seed is another: 1978 then, 7 now",
        "the data file influenza_school_1978.csv has other bytes",
        "SchoolEpidemic.step (zoo/school_epidemic.py) has other source",
        "calibration/sequential_abc.py has other source",
    ]
