"""`populace reproduce`: what it prints, and how it ends. What it finds is tested in tests/studies."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

import populace as pop
from populace.cli.app import app
from populace.cli.which import run_file
from populace.studies import reproduce as verb

RUNNER = CliRunner()
OWN = """
from populace.studies.study import Findings, Study

class Own(Study):
    name, title, question, budget = "own", "Own", "How much?", 10

    def run(self, key, budget, folder, progress):
        return Findings(("It is 2.",), (), {}, {"it": 2.0})
"""


@pytest.fixture(autouse=True)
def done(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    Path("own.py").write_text(OWN)
    pop.run_study(run_file(Path("own.py")).Own(), "done", progress=False)


WORDS = ["reproduce", "done", "--study", "own.py:Own"]


def test_the_same_ends_with_status_0():
    shown = RUNNER.invoke(app, WORDS)
    assert shown.exit_code == 0, shown.output
    text = " ".join(shown.stdout.split())
    assert text.index("before the run: Nothing differs") < text.index("the numbers: identical")
    assert "written: done/reproduction/comparison.html" in text
    assert "to the last bit" in Path("done/reproduction/comparison.html").read_text()


def test_what_differs_ends_with_status_1_and_is_the_last_line_too():
    Path("own.py").write_text(OWN.replace('"it": 2.0', '"it": 3.0'))
    shown = RUNNER.invoke(app, [*WORDS, "--json", "--out", "again"])
    assert shown.exit_code == 1
    record = json.loads(shown.stdout)
    assert record["made"][0]["what"] == "Own.run (own.py) has other source"
    assert [(row["where"], row["relative"]) for row in record["gaps"]] == [("it", 0.5)]
    assert "Own.run (own.py) has other source" in shown.stderr and Path("again/comparison.html").exists()


def test_only_check_runs_nothing():
    assert RUNNER.invoke(app, [*WORDS, "--only-check"]).exit_code == 0
    Path("own.py").write_text(OWN.replace("2.0", "3.0"))
    shown = RUNNER.invoke(app, [*WORDS, "--only-check", "--quiet", "--json"])
    assert shown.exit_code == 1 and "gaps" not in json.loads(shown.stdout)
    assert not Path("done/reproduction").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["reproduce", "nowhere"], "'nowhere' is no folder of a study"),
        (["reproduce", "done"], "a study of your own is given with it (study=, --study)"),
        (["reproduce", "done", "--study", "own.py:Owm"], "'own.py' has no study 'Owm'; did you mean 'Own'?"),
        (["reproduce", "done", "--study", "own"], "give FILE.py:NAME"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(words: list[str], message: str):
    shown = RUNNER.invoke(app, words)
    assert shown.exit_code == 1 and message in shown.stderr


def test_an_interruption_says_what_is_kept(monkeypatch: pytest.MonkeyPatch):
    def stopped(*_: object, **given: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(verb, "run_study", stopped)
    shown = RUNNER.invoke(app, WORDS)
    assert shown.exit_code == 130
    assert "kept in 'done/reproduction', and the same command goes on from there" in shown.stderr
