"""`populace describe`, and models of files of one's own in every verb that takes a model."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import populace as pop
from populace.cli.app import app
from populace.zoo.registry import MODELS

RUNNER = CliRunner()

FILE = '''"""Coins that are thrown."""

import jax.numpy as jnp

import populace as pop
from populace.zoo.random_walk import RandomWalk as Elsewhere


class Coins(pop.Model):
    """Heads are counted."""

    p: object = pop.parameter(default=0.5, domain=pop.unit, doc="of heads")

    def init(self, draw):
        return jnp.zeros(3)

    def step(self, draw, heads):
        return heads + draw.bernoulli("heads", self.p, size=3)

    def observe(self, heads):
        return {"heads": heads.sum()}


def biased(*, per_cent: int = 90):
    return Coins(per_cent / 100)


def broken():
    return 3


def needs(number):
    return Coins(number)
'''


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "coins.py"
    path.write_text(FILE, encoding="utf-8")
    return path


def invoke(*arguments: str | Path) -> Any:
    return RUNNER.invoke(app, [*map(str, arguments)])


def test_the_text_and_the_record_are_those_of_the_library():
    shown = invoke("describe", "boltzmann-wealth", "--set", "agents=7", "--json")
    assert shown.exit_code == 0, shown.output
    made = pop.describe(MODELS["boltzmann-wealth"].make(agents=7))
    assert json.loads(shown.stdout) == json.loads(json.dumps(made.record()))
    assert "Submodels" in invoke("describe", "boltzmann-wealth").stdout


def test_a_file_is_written_with_what_was_set(tmp_path: Path):
    out = tmp_path / "wealth.html"
    shown = invoke("describe", "boltzmann-wealth", "--set", "agents=7", "--out", out)
    assert shown.exit_code == 0 and f"written: {out}" in shown.stdout
    assert "BoltzmannWealth: ODD protocol" in out.read_text() and "settings.agents" in out.read_text()


def test_a_model_of_a_file_goes_to_every_verb(file: Path):
    assert "Coins. Heads are counted." in invoke("describe", file).stdout
    assert "Coins that are thrown." in invoke("describe", f"{file}:Coins").stdout
    assert "heads" in invoke("sites", file).stdout
    shown = invoke("simulate", f"{file}:Coins", "--set", "p=1", "--steps", "4", "--json")
    assert json.loads(shown.stdout)["last"] == {"heads": 12.0}
    shown = invoke("simulate", f"{file}:biased", "--set", "per_cent=100", "--steps", "4", "--json")
    assert (
        json.loads(shown.stdout)["last"] == {"heads": 12.0} and json.loads(shown.stdout)["settings"]["per_cent"] == 100
    )


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("{}:Coin", "did you mean 'Coins'"),
        ("{}:broken", "makes a int, and no pop.Model"),
        ("{}:needs", "needs number"),
        ("no.py", "there is no file 'no.py'"),
        ("coin", "no model is called 'coin'"),
    ],
)
def test_what_is_no_model_is_said(file: Path, name: str, said: str):
    shown = invoke("describe", name.format(file), "--json")
    assert shown.exit_code == 1
    assert said in json.loads(shown.stdout)["error"]["message"]


def test_a_file_of_several_models_wants_a_name(file: Path):
    file.write_text(FILE + "\n\nclass Dice(Coins):\n    pass\n", encoding="utf-8")
    shown = invoke("describe", file, "--json")
    assert "holds Coins, Dice: say which" in json.loads(shown.stdout)["error"]["message"]
