"""`populace simulate`: what it writes is what the library computes."""

import csv
import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr
from typer.testing import CliRunner

import populace as pop
from populace.cli.app import app
from populace.cli.series import write_series
from populace.zoo.school_epidemic import SchoolEpidemic

RUNNER = CliRunner()
SMALL = ["--set", "boys=60", "--set", "steps_per_day=2", "--steps", "20"]


def school(beta: float = 1.7) -> SchoolEpidemic:
    return SchoolEpidemic(jnp.float32(beta), jnp.float32(0.45), boys=60, steps_per_day=2)


def invoke(*arguments: str | Path) -> Any:
    return RUNNER.invoke(app, ["simulate", *map(str, arguments)])


def test_a_csv_holds_the_run_of_the_library(tmp_path: Path):
    out = tmp_path / "new" / "run.csv"
    shown = invoke("school-epidemic", *SMALL, "--set", "beta = 2.5", "--seed", "7", "--every", "3", "--out", out)
    assert shown.exit_code == 0, shown.output
    assert f"written: {out}" in shown.stdout and "in_bed" in shown.stdout
    run = pop.simulate(school(2.5), jax.random.key(7), 20, record=pop.EveryStep(3))
    with out.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["time"]) for row in rows] == run.times.tolist() == list(range(3, 20, 3))
    assert set(rows[0]) == {"time", *run.observations}
    for name, series in run.observations.items():
        np.testing.assert_array_equal(np.array([row[name] for row in rows], np.float32), series)


def test_a_netcdf_holds_the_run_and_what_made_it(tmp_path: Path):
    out = tmp_path / "run.nc"
    assert invoke("school-epidemic", *SMALL, "--out", out).exit_code == 0
    with xr.open_dataset(out) as seen:
        xr.testing.assert_equal(seen.load(), pop.simulate(school(), jax.random.key(0), 20).to_xarray())
        about = json.loads(seen.attrs["about"])
    assert about["model"] == "school-epidemic" and about["seed"] == 0
    assert about["settings"] == {"boys": 60, "first": 3, "stages": 1, "steps_per_day": 2}
    assert about["parameters"]["beta"] == pytest.approx(1.7)


def test_a_json_file_and_the_last_line_agree(tmp_path: Path):
    out = tmp_path / "run.json"
    shown = invoke("school-epidemic", *SMALL, "--out", out, "--json")
    assert len(shown.stdout.splitlines()) == 1
    line, file = json.loads(shown.stdout), json.loads(out.read_text())
    run = pop.simulate(school(), jax.random.key(0), 20)
    assert file["observations"] == {name: np.asarray(series).tolist() for name, series in run.observations.items()}
    assert line["out"] == str(out) and line["rows"] == 20 and line["seconds"] > 0
    assert line["last"] == {name: series[-1] for name, series in file["observations"].items()}
    shared = ("model", "parameters", "settings", "seed", "steps", "every")
    assert {name: line[name] for name in shared} == {name: file[name] for name in shared}


def test_without_a_file_the_run_is_shown():
    shown = invoke("sir", "--set", "agents=100", "--set", "rewire=0", "--steps", "5")
    assert shown.exit_code == 0
    assert "infected" in shown.stdout and "written" not in shown.stdout


def test_a_stride_beyond_the_run_records_nothing(tmp_path: Path):
    shown = invoke("school-epidemic", *SMALL, "--every", "30", "--out", tmp_path / "run.csv", "--json")
    assert shown.exit_code == 0, shown.output
    assert json.loads(shown.stdout)["rows"] == 0 and "Nothing was recorded" in shown.stderr
    assert len((tmp_path / "run.csv").read_text().splitlines()) == 1


def test_an_array_has_a_column_an_entry(tmp_path: Path):
    times, values = np.array([1, 2]), jnp.arange(8, dtype=jnp.float32).reshape(2, 2, 2) / 3
    run = pop.Run(times, {"price": values, "all": values[:, 0, 0]}, None, {}, {})  # type: ignore[arg-type]
    text = write_series(run, tmp_path / "run.csv", {"seed": 3}).read_text().splitlines()
    assert json.loads((tmp_path / "run.csv.manifest.json").read_text()) == {"seed": 3}
    assert text[0] == 'time,"price[0,0]","price[0,1]","price[1,0]","price[1,1]",all'
    assert np.float32(text[1].split(",")[2]) == values[0, 0, 1]


WRONG = {
    "boyz=3": ("UnknownParameterError", "no parameter or setting 'boyz'; did you mean 'boys'?"),
    "bet=3": ("UnknownParameterError", "did you mean 'beta'?"),
    "beta=-1": ("DomainError", "SchoolEpidemic.beta = -1.0 lies outside its domain (0, inf)"),
    "beta=nan": ("DomainError", "outside its domain"),
    "beta=fast": ("ParameterError", "parameter 'beta' takes a number"),
    "beta=[1, 2]": ("ParameterError", "parameter 'beta' has shape ()"),
    "beta=[1": ("ParameterError", "parameter 'beta' takes a number"),
    'beta=["a"]': ("ParameterError", "holds numbers"),
    "boys=2.5": ("ParameterError", "setting 'boys' takes a whole number, not '2.5'"),
    "boys=2": ("ModelError", "first, which may be 0, no more than boys"),
}


@pytest.mark.parametrize("assignment", WRONG)
def test_what_cannot_be_set_is_said_in_a_sentence(assignment: str):
    kind, words = WRONG[assignment]
    shown = invoke("school-epidemic", "--set", assignment, "--json")
    assert shown.exit_code == 1
    assert words in shown.stderr and shown.stderr.startswith("error: ") and len(shown.stderr.splitlines()) == 1
    error = json.loads(shown.stdout.splitlines()[-1])["error"]
    assert error["type"] == kind and words in error["message"]


@pytest.mark.parametrize("assignments", [["beta"], ["=3"], ["beta="], ["beta=1", "beta=2"]])
def test_what_is_no_assignment_is_wrong_usage(assignments: list[str]):
    shown = invoke("school-epidemic", *(word for each in assignments for word in ("--set", each)))
    assert shown.exit_code == 2
    assert "--set" in shown.stderr


def test_a_network_that_cannot_be_is_said():
    shown = invoke("sir", "--set", "degree=3")
    assert shown.exit_code == 1 and "degree is even" in shown.stderr
    assert invoke("sir", "--set", "rewire=often").exit_code == 1


def test_an_unknown_kind_of_file_is_said_before_any_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("populace.core.simulate.simulate", None)
    shown = invoke("sir", "--out", tmp_path / "run.xls")
    assert shown.exit_code == 1
    assert "its suffix tells the kind of file" in shown.stderr and "'.csv'" in shown.stderr


def test_a_folder_that_cannot_be_is_said(tmp_path: Path):
    (tmp_path / "file").write_text("")
    shown = invoke("school-epidemic", *SMALL, "--out", tmp_path / "file" / "run.csv", "--json")
    assert shown.exit_code == 1
    assert json.loads(shown.stdout.splitlines()[-1])["error"]["type"] == "OutputError"
    assert "a part of the path is a file" in shown.stderr
