"""Every example runs as it stands, as a program in an empty folder."""

import runpy
from pathlib import Path

import pytest

import populace as pop

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.py"))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_runs(example: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    made = runpy.run_path(str(example), run_name="__main__")
    if example.stem == "quickstart":
        assert (tmp_path / "flu.html").stat().st_size > 1000
    if example.stem == "segregation":
        assert (abs(made["errors"]) < 4).all()
        assert {verdict.code for verdict in made["audit"].verdicts.values()} == {pop.Code.NO_DERIVATIVE}


def test_there_are_examples():
    assert "quickstart" in {example.stem for example in EXAMPLES}
