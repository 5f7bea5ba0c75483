"""`populace study`: what it prints, and how it ends. What a study computes is tested in tests/studies."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax.random as jr
import pytest
from typer.testing import CliRunner

from populace._errors import CheckpointError, MethodError
from populace._results import Code, Figure, Result, Section, Table, Verdict
from populace.cli.app import app
from populace.studies import registry
from populace.studies.study import Findings, Study

RUNNER = CliRunner()


@dataclass(frozen=True)
class Judged(Result):
    def sections(self) -> tuple[Section, ...]:
        verdict = Verdict("beta", Code.IDENTIFIED, "beta is 2.", {"median": 2.0})
        short = Table("Short", ("day", "boys"), ((1, 3), (2, 8)))
        long = Table("Long", ("day",), tuple((day,) for day in range(100)))
        again = Table("Again", ("parameter",), (("beta",),))
        figure = Figure("curve", "A caption.", ())
        return (
            Section("Parameters", ("A paragraph.",), (verdict,), (figure,), (short, long, again)),
            Section("Words only", ("Another paragraph.",)),
        )

    def record(self) -> dict[str, Any]:
        return {"beta": 2.0}


class Canned(Study):
    """A study that is done at once, or ends as `end` does."""

    name = "canned"
    title = "A canned study"
    question = "What is beta?"
    budget = 10

    def __init__(self, end: Callable[[], None] = lambda: None):
        self._end = end

    def run(self, key: Any, budget: int, folder: Path, progress: Any) -> Findings:
        self._end()
        summary = {"verdicts": {"beta": {"class": "identified", "sentence": "beta is 2."}}, "bits": str(jr.bits(key))}
        return Findings(("Beta is two.",), (Judged(),), {}, summary)


def ends(error: BaseException | None = None) -> Callable[[], Study]:
    def end() -> None:
        if error is not None:
            raise error

    return lambda: Canned(end)


@pytest.fixture(autouse=True)
def canned(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[BaseException | None], None]:
    """Registers the canned study; called with an error, one that ends in it."""
    monkeypatch.chdir(tmp_path)

    def register(error: BaseException | None = None) -> None:
        monkeypatch.setitem(registry.STUDIES, "canned", registry.Entry(Canned.title, ends(error)))

    register()
    return register


def test_verdicts_and_small_tables_are_shown_and_the_rest_is_in_the_report():
    shown = RUNNER.invoke(app, ["study", "canned"])
    assert shown.exit_code == 0, shown.output
    text = shown.stdout
    assert text.startswith("Beta is two.\n")
    wanted = ("beta: identified", "beta is 2.", "Short", "written: canned/report.html")
    assert [words for words in wanted if words not in text] == []
    assert [w for w in ("Long", "Again", "A paragraph", "Words only", "A caption") if w in text] == []
    report = Path("canned/report.html").read_text()
    assert "A paragraph." in report and "What is beta?" in report
    assert Path("canned/summary.json").exists()


def test_the_last_line_is_the_summary_with_its_seconds():
    shown = RUNNER.invoke(app, ["study", "canned", "--json", "--out", "here", "--seed", "4", "--budget", "12"])
    assert len(shown.stdout.splitlines()) == 1
    line, file = json.loads(shown.stdout), json.loads(Path("here/summary.json").read_text())
    assert line.pop("seconds") >= 0
    assert line == file and "seconds" not in file
    assert file["manifest"]["seed"] == 4 and file["manifest"]["budget"] == 12
    assert "Beta is two." in shown.stderr


def test_quiet_writes_and_says_nothing():
    shown = RUNNER.invoke(app, ["study", "canned", "--quiet"])
    assert (shown.exit_code, shown.output) == (0, "")
    assert Path("canned/report.html").exists()
    assert len(RUNNER.invoke(app, ["study", "canned", "--quiet", "--json"]).output.splitlines()) == 1


def test_the_seed_decides():
    def bits(*arguments: str) -> str:
        shown = RUNNER.invoke(app, ["study", "canned", "--json", *arguments])
        return json.loads(shown.stdout)["bits"]

    assert bits("--out", "a") == bits("--out", "b", "--seed", "1978") != bits("--out", "c", "--seed", "2")


def test_an_unknown_study_is_named():
    shown = RUNNER.invoke(app, ["study", "caned", "--json"])
    assert shown.exit_code == 1
    assert json.loads(shown.stdout)["error"]["type"] == "UnknownNameError"
    assert "no study is called 'caned'; did you mean 'canned'?" in shown.stderr
    assert not Path("caned").exists()


def test_an_error_made_on_purpose_is_one_sentence(canned: Callable[[BaseException | None], None]):
    canned(MethodError("a budget of 10 is too small: give 20"))
    shown = RUNNER.invoke(app, ["study", "canned", "--json"])
    assert shown.exit_code == 1
    assert shown.stderr == "error: a budget of 10 is too small: give 20\n"
    message = "a budget of 10 is too small: give 20"
    assert json.loads(shown.stdout) == {"error": {"type": "MethodError", "message": message}}
    assert not RUNNER.invoke(app, ["study", "canned"]).stdout


def test_debug_shows_where_it_was_made(canned: Callable[[BaseException | None], None]):
    canned(CheckpointError("other work"))
    shown = RUNNER.invoke(app, ["--debug", "study", "canned"])
    assert isinstance(shown.exception, CheckpointError)


def test_an_error_of_the_program_is_not_hidden(canned: Callable[[BaseException | None], None]):
    canned(ZeroDivisionError("a bug"))
    shown = RUNNER.invoke(app, ["study", "canned", "--json"])
    assert isinstance(shown.exception, ZeroDivisionError)


def test_an_interruption_says_what_is_kept(canned: Callable[[BaseException | None], None]):
    canned(KeyboardInterrupt())
    shown = RUNNER.invoke(app, ["study", "canned", "--json"])
    assert shown.exit_code == 130
    assert "what was done is kept in 'canned/checkpoints', and the same command goes on from there" in shown.stderr
    assert json.loads(shown.stdout)["error"]["type"] == "KeyboardInterrupt"
    canned(None)
    assert RUNNER.invoke(app, ["study", "canned"]).exit_code == 0


def test_the_folder_of_other_work_is_refused():
    assert RUNNER.invoke(app, ["study", "canned", "--seed", "1"]).exit_code == 0
    before = Path("canned/summary.json").read_bytes()
    for other in (["--seed", "2"], ["--seed", "1", "--budget", "11"]):
        shown = RUNNER.invoke(app, ["study", "canned", *other, "--json"])
        assert shown.exit_code == 1
        assert json.loads(shown.stdout)["error"]["type"] == "CheckpointError"
        assert "holds other work (canned, seed 1, budget 10): choose another folder" in shown.stderr
    assert Path("canned/summary.json").read_bytes() == before


def test_a_folder_that_cannot_be_written_is_said_before_any_work(canned: Callable[[BaseException | None], None]):
    canned(AssertionError("it worked"))
    Path("file").write_text("")
    shown = RUNNER.invoke(app, ["study", "canned", "--out", "file/folder", "--json"])
    assert shown.exit_code == 1
    assert json.loads(shown.stdout)["error"]["type"] == "OutputError"
    assert "a part of the path is a file" in shown.stderr
