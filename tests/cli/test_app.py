"""The command itself: help, version, usage, and how soon it answers."""

import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from typer.testing import CliRunner

from populace.cli.app import app

RUNNER = CliRunner()
VERBS = ("study", "studies", "models", "sites", "simulate")


def entry() -> list[str]:
    """The installed command, or what it calls where the package is not installed beside this interpreter."""
    found = shutil.which("populace", path=Path(sys.executable).parent)
    return [found] if found else [sys.executable, "-c", "from populace.cli import main; main()"]


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], *([verb, "--help"] for verb in VERBS)])
def test_help(arguments: list[str]):
    shown = RUNNER.invoke(app, arguments)
    assert shown.exit_code == 0
    assert "Usage" in shown.stdout


def test_help_lists_every_verb():
    shown = RUNNER.invoke(app, ["--help"]).stdout
    assert [verb for verb in VERBS if verb not in shown] == []


def test_version():
    shown = RUNNER.invoke(app, ["--version"])
    assert (shown.exit_code, shown.stdout) == (0, f"populace {metadata.version('populace')}\n")


@pytest.mark.parametrize(
    "arguments",
    [
        ["simulat"],
        ["study"],
        ["simulate", "sir", "--steps", "0"],
        ["simulate", "sir", "--steps", "many"],
        ["simulate", "sir", "--seed", "-1"],
        ["simulate", "sir", "--unknown"],
        ["study", "influenza", "--budget", "0"],
    ],
)
def test_wrong_usage_is_status_2(arguments: list[str]):
    shown = RUNNER.invoke(app, arguments)
    assert shown.exit_code == 2
    assert "Error" in shown.stderr and not shown.stdout


def test_the_installed_command():
    done = subprocess.run([*entry(), "studies"], capture_output=True, text=True, check=True)
    assert "influenza" in done.stdout
    wrong = subprocess.run([*entry(), "study", "influensa"], capture_output=True, text=True, check=False)
    assert wrong.returncode == 1
    assert "did you mean 'influenza'?" in wrong.stderr and "Traceback" not in wrong.stderr


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["studies"], ["study", "nope"], ["simulate", "-h"]])
def test_what_computes_nothing_waits_for_no_jax(arguments: list[str]):
    code = (
        "import sys\n"
        "from populace.cli.app import main\n"
        "try:\n    main()\n"
        "finally:\n    assert not {'jax', 'numpy', 'matplotlib', 'xarray'} & set(sys.modules), 'imported'\n"
    )
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1)
    assert "AssertionError" not in done.stderr
