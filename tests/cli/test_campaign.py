"""`populace campaign`: run, stop, resume, status and export of a file's campaign, and what it refuses."""

import json
from pathlib import Path

import pyarrow.parquet
import pytest
from typer.testing import CliRunner

from populace.cli.app import app

RUNNER = CliRunner()
FILE = """
import jax.random as jr
import numpy as np
import populace as pop

def coin(parameters, key):
    if parameters["theta"] == 0.3:
        raise ValueError("no such coin")
    return {"x": np.full(2, parameters["theta"])}

def stops(parameters, key):
    if parameters["theta"] == 0.3:
        raise KeyboardInterrupt
    return {"x": np.full(2, parameters["theta"])}

store = pop.Store("runs")
plan = pop.Plan({"theta": [0.1, 0.2, 0.3]}, jr.key(0), replicates=2)
campaign = pop.Campaign(coin, plan, store)
stopped = pop.Campaign(stops, plan, store)
"""


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "coins.py").write_text(FILE)
    return tmp_path


def told(*arguments: str) -> dict:
    shown = RUNNER.invoke(app, ["campaign", *arguments, "--json"])
    assert shown.exit_code == 0, shown.output
    return json.loads(shown.stdout.splitlines()[-1])


def test_run_resume_and_status(folder: Path):
    assert told("status", "coins.py:campaign")["missing"] == 6
    done = told("run", "coins.py:campaign")
    assert (done["made"], done["done"], done["excluded"]) == (6, 4, 2)
    assert told("resume", "coins.py:campaign")["made"] == 0
    assert told("run", "coins.py:campaign", "--retry")["made"] == 2
    shown = RUNNER.invoke(app, ["campaign", "status", "coins.py:campaign"])
    assert "6 of 6 runs are stored" in shown.stdout and "no such coin" in shown.stdout
    assert told("status", "coins:campaign")["done"] == 4  # as a module


def test_another_store(folder: Path):
    told("run", "coins.py:campaign", "--store", "other")
    assert (folder / "other" / "runs.db").exists() and not (folder / "runs").exists()


def test_ctrl_c_says_what_is_kept(folder: Path):
    shown = RUNNER.invoke(app, ["campaign", "run", "coins.py:stopped", "--quiet"])
    assert shown.exit_code == 130
    assert "the same command goes on from there" in " ".join(shown.stderr.split())
    assert told("status", "coins.py:stopped")["done"] == 4


def test_export(folder: Path):
    told("run", "coins.py:campaign")
    assert told("export", "coins.py:campaign", "--to", "runs.parquet") == {"written": "runs.parquet"}
    assert pyarrow.parquet.read_table("runs.parquet").num_rows == 6
    shown = RUNNER.invoke(app, ["campaign", "export", "coins.py:campaign", "--to", "runs.csv"])
    assert shown.exit_code == 0 and "written: runs.csv" in shown.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["status", "coins.py"], "write FILE.py:NAME"),
        (["status", "absent.py:campaign"], "no file 'absent.py'"),
        (["status", "absent:campaign"], "no module 'absent'"),
        (["status", "coins.py:campain"], "did you mean 'campaign'"),
        (["status", "coins.py:plan"], "is a Plan, not a campaign"),
        (["status", "coins.py:campaign", "--database", "postgresql://a@b/c"], "--database goes with --store"),
        (["export", "coins.py:campaign", "--to", "runs.docx"], "its suffix tells the kind"),
    ],
)
def test_what_does_not_fit_is_one_sentence(folder: Path, arguments: list[str], message: str):
    shown = RUNNER.invoke(app, ["campaign", *arguments])
    assert shown.exit_code == 1
    assert message in " ".join(shown.stderr.split())
