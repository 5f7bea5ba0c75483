"""`populace draw`: what it writes is the film of the library."""

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import CliRunner

from populace.cli.app import app

RUNNER = CliRunner()
SMALL = ["boltzmann-wealth", "--set", "agents=20", "--steps", "4"]


def invoke(*arguments: str | Path) -> Any:
    return RUNNER.invoke(app, ["draw", *map(str, arguments)])


def test_a_gif_and_what_made_it(tmp_path: Path):
    out = tmp_path / "wealth.gif"
    shown = invoke(*SMALL, "--every", "2", "--seed", "5", "--out", out, "--json")
    assert shown.exit_code == 0, shown.output
    told = json.loads(shown.stdout)
    assert told["frames"] == [0, 2, 4] and told["files"] == [str(out)] and told["settings"] == {"agents": 20}
    with Image.open(out) as picture:
        assert getattr(picture, "n_frames", 1) == 3


def test_stills_and_series(tmp_path: Path):
    shown = invoke(*SMALL, "--out", tmp_path / "wealth.png")
    assert shown.exit_code == 0 and "wealth-stills.png" in shown.stdout and "wealth-series.png" in shown.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [([*SMALL, "--out", "wealth.jpeg"], "its suffix tells"), (["kirman", "--out", "k.gif"], "can be drawn")],
)
def test_what_cannot_be_drawn_is_said(arguments: list[str], said: str):
    shown = invoke(*arguments, "--json")
    assert shown.exit_code == 1 and said in json.loads(shown.stdout)["error"]["message"]
