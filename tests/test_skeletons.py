"""The skeletons to copy run as they are, and there is one for each kind of thing that people add."""

import runpy
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "docs" / "skeletons"


@pytest.mark.parametrize("name", ["model", "topology", "moment", "method"])
def test_a_skeleton_runs(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(FOLDER / f"{name}.py"), run_name="__main__")


def test_every_skeleton_is_tested():
    assert {path.stem for path in FOLDER.glob("*.py")} == {"model", "topology", "moment", "method"}
