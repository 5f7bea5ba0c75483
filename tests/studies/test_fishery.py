"""The fish war at a small budget, of five who begin greedily: its files, and an audit that names the ration."""

import json
from pathlib import Path
from typing import Any

import pytest

from populace.studies import fishery
from populace.studies.study import run_study


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = tmp_path_factory.mktemp("fishery")
    study = fishery.FishWar()
    study.waters = study.waters[1:]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fishery, "SEEDS", 2)
        run_study(study, where, budget=32 * 10, progress=False)
    return where


@pytest.fixture(scope="module")
def summary(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "summary.json").read_text())


def test_the_benchmarks_are_the_paper_s(summary: dict[str, Any]):
    taken = summary["harvesters_5"]["taken"]
    assert taken["the rule"] == pytest.approx(0.64, abs=1e-4)
    assert taken["Nash"] == pytest.approx(5 * 0.18089, abs=1e-3)
    assert taken["cooperation"] == pytest.approx(1 - 0.36 * 0.96, abs=1e-3)


def test_the_ration_is_named(summary: dict[str, Any], folder: Path):
    assert summary["harvesters_5"]["audit"]["verdicts"]["limit 'ration'"]["class"] == "leans on a limit"
    text = (folder / "report.html").read_text()
    assert "This is not the game of the paper: the limit &#x27;ration&#x27;" in text


def test_a_short_training_does_not_pass_as_a_long_one(summary: dict[str, Any]):
    assert summary["harvesters_5"]["learning"]["verdicts"]["harvest"]["class"] == "not judged"
    assert len(summary["harvesters_5"]["learned"]) == 2


def test_what_was_learned_is_read_as_a_rule(summary: dict[str, Any], folder: Path):
    rule = summary["harvesters_5"]["rule"]
    assert len(rule["texts"]["harvest"]) == 1 and rule["texts"]["harvest"][0].startswith("harvest = ")
    assert "The first training of 5 reads: harvest = " in (folder / "report.html").read_text()
