"""`models`, `sites` and `studies`, for people and as JSON."""

import json
from typing import Any

import pytest
from typer.testing import CliRunner

from populace.cli.app import app
from populace.core.model import Model, parameters
from populace.core.sites import sites
from populace.studies.registry import STUDIES
from populace.studies.study import Study
from populace.zoo.registry import MODELS

RUNNER = CliRunner()


def told(*arguments: str) -> Any:
    """The JSON object on the last line, and nothing else on standard output."""
    shown = RUNNER.invoke(app, [*arguments, "--json"])
    assert shown.exit_code == 0, shown.output
    assert len(shown.stdout.splitlines()) == 1
    return json.loads(shown.stdout)


@pytest.mark.parametrize("name", MODELS)
def test_a_model_is_listed_with_all_that_can_be_set(name: str):
    model = MODELS[name].make()
    assert isinstance(model, Model)
    listed = told("models")[name]
    assert list(listed["parameters"]) == list(parameters(model))
    assert listed["settings"] == {s.name: s.default for s in MODELS[name].settings.values()}
    assert all(isinstance(value, int | float) for value in listed["settings"].values())
    text = RUNNER.invoke(app, ["models"]).stdout
    assert f"{name}: {MODELS[name].text}" in text
    assert [word for word in (*listed["parameters"], *listed["settings"]) if f"  {word} = " not in text] == []


@pytest.mark.parametrize("name", STUDIES)
def test_a_study_goes_by_its_name_and_title(name: str):
    study = STUDIES[name].make()
    assert isinstance(study, Study)
    assert (study.name, study.title) == (name, STUDIES[name].text)
    assert told("studies")[name] == study.title
    assert study.title in RUNNER.invoke(app, ["studies"]).stdout


@pytest.mark.parametrize("name", MODELS)
def test_sites_are_those_of_the_model(name: str):
    found = sites(MODELS[name].make())
    assert told("sites", name) == json.loads(json.dumps(found.record()))
    text = RUNNER.invoke(app, ["sites", name], env={"COLUMNS": "160"}).stdout  # narrow terminals break long paths
    assert [row.path for row in found.rows if row.path not in text] == []


@pytest.mark.parametrize("arguments", [["sites", "scir"], ["simulate", "scir"]])
def test_an_unknown_model_is_named(arguments: list[str]):
    shown = RUNNER.invoke(app, [*arguments, "--json"])
    assert shown.exit_code == 1
    assert "error: no model is called 'scir'; did you mean 'sir'?" in shown.stderr
    error = json.loads(shown.stdout.splitlines()[-1])["error"]
    assert error["type"] == "UnknownNameError" and error["message"] in shown.stderr
