"""`populace identify`: from tables to a page, of a study its fits, and what it refuses."""

import json
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from populace._results import Code, Result, Section, Verdict
from populace.cli.app import app
from populace.studies import registry
from populace.studies.study import Findings

RUNNER = CliRunner()


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Two tables of 120 runs: `a` shows in `m`, `b` nowhere; and data."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    a, b = rng.random((2, 120))
    m = a + 0.02 * rng.standard_normal(120)
    n = rng.random(120)
    Path("P.csv").write_text("seed,a,b\n" + "".join(f"{i * 7},{a[i]},{b[i]}\n" for i in range(120)))
    Path("S.csv").write_text("m,n\n" + "".join(f"{m[i]},{n[i]}\n" for i in range(120)))
    Path("D.csv").write_text("n,m\n0.5,0.5\n")
    return tmp_path


TABLES = ["identify", "--parameters", "P.csv", "--summaries", "S.csv"]


def test_tables_make_a_page_and_sentences(folder: Path):
    shown = RUNNER.invoke(app, TABLES)
    assert shown.exit_code == 0, shown.output
    assert "a is identified on average" in shown.stdout
    assert "b is not identified" in shown.stdout
    assert "left out: 'seed'" in shown.stdout
    page = (folder / "identification.html").read_text()
    assert "Identification from a table of runs" in page and "a is identified" in page


def test_with_data_what_they_decide_stands_first(folder: Path):
    shown = RUNNER.invoke(app, [*TABLES, "--data", "D.csv", "--out", "x.json", "--json"])
    assert shown.exit_code == 0, shown.output
    record = json.loads(shown.stdout.splitlines()[-1])
    verdicts = record["identification"]["at the data"]["verdicts"]
    assert verdicts["a"]["class"] == "identified"
    assert abs(verdicts["a"]["numbers"]["median"] - 0.5) < 0.05
    assert (folder / "x.json").exists()
    assert "a is identified at these data" in shown.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["identify"], "give both tables"),
        (["identify", "--parameters", "P.csv"], "give both tables"),
        ([*TABLES, "influenza"], "not both"),
        ([*TABLES, "--budget", "3"], "nothing is run for tables"),
        ([*TABLES, "--out", "x.docx"], "its suffix tells the kind of file"),
        ([*TABLES[:3], "--summaries", "absent.csv"], "absent.csv"),
        (["identify", "influensa"], "did you mean 'influenza'"),
    ],
)
def test_what_does_not_fit_is_one_sentence(folder: Path, arguments: list[str], message: str):
    shown = RUNNER.invoke(app, arguments)
    assert shown.exit_code == 1
    assert message in " ".join(shown.stderr.split())
    assert not (folder / "identification.html").exists()


@dataclass(frozen=True)
class Judged(Result):
    name: str

    def sections(self) -> tuple[Section, ...]:
        return (Section("Identification", (), (Verdict(self.name, Code.WEAK, f"{self.name} is weak."),)),)

    def record(self) -> dict[str, Any]:
        return {"name": self.name}


def test_a_study_has_each_of_its_fits_judged(folder: Path, monkeypatch: pytest.MonkeyPatch):
    asked = {}

    def run(study: Any, out: Path, **arguments: Any) -> Any:
        asked.update(arguments, out=out, study=study)
        fits: Any = {"simple": SimpleNamespace(problem="one"), "rival": SimpleNamespace(problem="two")}
        return SimpleNamespace(findings=Findings((), (), fits, {}), summary={"manifest": {"seed": 3}})

    monkeypatch.setitem(registry.STUDIES, "canned", registry.Entry("Canned", lambda: "made"))  # type: ignore[arg-type]
    monkeypatch.setattr("populace.studies.study.run_study", run)
    monkeypatch.setattr(
        "populace.identification.dossier.dossier", lambda fit, key, **_: Judged(f"all of {fit.problem}")
    )
    monkeypatch.setattr("populace.identification.identify.identify", lambda problem, fit, key: Judged(problem))
    shown = RUNNER.invoke(app, ["identify", "canned", "--budget", "50", "--seed", "3", "--folder", "there"])
    assert shown.exit_code == 0, shown.output
    assert asked["study"] == "made" and asked["out"] == Path("there")
    assert (asked["budget"], asked["seed"]) == (50, 3)
    for text in ("Simple: identification", "one is weak.", "Rival: identification", "two is weak."):
        assert text in shown.stdout
    page = (folder / "identification.html").read_text()
    assert "Simple: identification" in page and "Rival: identification" in page
    full = RUNNER.invoke(app, ["identify", "canned", "--full"])
    assert full.exit_code == 0 and "all of one is weak." in full.stdout
