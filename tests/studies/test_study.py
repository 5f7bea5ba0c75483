"""What holds for every study: its files, its folder, and that equal work ends alike. On a study of milliseconds."""

import json
import os
from collections.abc import Callable as Function
from collections.abc import Iterable
from pathlib import Path

import pytest
import xarray as xr
from tests.studies.small import COUNT, Small

from populace._errors import CheckpointError, MethodError, OutputError, TargetError
from populace.campaigns import manifest as manifests
from populace.campaigns.manifest import environment
from populace.studies.study import Studied, read_table, run_study


def run(folder: Path, **given: int) -> Studied:
    COUNT["calls"] = 0
    return run_study(Small(), folder, progress=False, **given)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix in {".html", ".json"}}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    """The folder of an uninterrupted study, and the calls that it took."""
    folder = tmp_path_factory.mktemp("whole")
    run(folder)
    return folder, COUNT["calls"]


@pytest.fixture
def stopping(monkeypatch: pytest.MonkeyPatch) -> Function[[int], None]:
    """Lets the call of that number be interrupted, until it is called with 0."""
    monkeypatch.setitem(COUNT, "stop at", 0)
    return lambda number: COUNT.__setitem__("stop at", number)


def test_the_folder_holds_report_fit_and_summary(tmp_path: Path):
    done = run(tmp_path)
    assert [path.name for path in done.files] == ["report.html", "fit.nc", "summary.json"]
    assert json.loads((tmp_path / "summary.json").read_text()) == json.loads(json.dumps(done.summary))
    assert done.summary["study"] == "small" and done.summary["manifest"]["budget"] == 240
    assert abs(done.summary["theta"][1] - 0.5) < 4 * 0.06
    report = (tmp_path / "report.html").read_text()
    assert all(words in report for words in ("A small study", "How large is theta?", "Theta is near a half."))
    with xr.open_datatree(tmp_path / "fit.nc") as tree:
        assert "theta" in tree["posterior"]


def test_equal_work_ends_alike_and_another_seed_does_not(tmp_path: Path, whole: tuple[Path, int]):
    run(tmp_path / "same")
    run(tmp_path / "other", seed=7)
    one, same, other = (contents(folder) for folder in (whole[0], tmp_path / "same", tmp_path / "other"))
    assert one == same
    assert all(one[name] != other[name] for name in one)


@pytest.mark.parametrize("share", [0.1, 0.6, 0.98])
def test_an_interrupted_study_goes_on_and_ends_alike(
    tmp_path: Path, stopping: Function[[int], None], whole: tuple[Path, int], share: float
):
    stopping(int(share * whole[1]))
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path)
    assert not contents(tmp_path)
    stopping(0)
    run(tmp_path)
    assert contents(tmp_path) == contents(whole[0])
    assert share < 0.2 or whole[1] > COUNT["calls"]


def test_a_finished_study_is_told_again(tmp_path: Path, whole: tuple[Path, int]):
    run(tmp_path)
    (tmp_path / "report.html").unlink()
    run(tmp_path)
    assert contents(tmp_path) == contents(whole[0]) and whole[1] > COUNT["calls"]


@pytest.mark.parametrize("other", [{"seed": 3}, {"budget": 241}])
def test_the_folder_of_other_work_is_refused_and_left_alone(tmp_path: Path, other: dict[str, int]):
    run(tmp_path)
    before = contents(tmp_path)
    with pytest.raises(CheckpointError, match="holds other work \\(small, seed 1978, budget 240\\)"):
        run(tmp_path, **other)
    assert contents(tmp_path) == before and COUNT["calls"] == 0


@pytest.mark.parametrize("text", ["", "[]", '{"study": "small"}', '{"seed": 1'])
def test_an_unreadable_folder_is_refused(tmp_path: Path, text: str):
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "study.json").write_text(text)
    with pytest.raises(CheckpointError, match="cannot be read"):
        run(tmp_path)


def test_a_folder_that_cannot_be_written_is_said_before_any_work(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="a part of the path is a file"):
        run(tmp_path / "file" / "folder")
    assert COUNT["calls"] == 0


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is read-only for the superuser")
def test_a_read_only_folder_is_said_before_any_work(tmp_path: Path):
    run(tmp_path / "done")
    for folder in (tmp_path / "done" / "checkpoints", tmp_path / "done"):
        folder.chmod(0o500)
    try:
        with pytest.raises(OutputError, match="is not writable"):
            run(tmp_path / "done")
        assert COUNT["calls"] == 0
    finally:
        for folder in (tmp_path / "done", tmp_path / "done" / "checkpoints"):
            folder.chmod(0o700)


def otherwise(name: str, value: str) -> Function[..., dict[str, object]]:
    """The environment with something else in it."""

    def described(packages: Iterable[str] = ()) -> dict[str, object]:
        real = environment(packages)
        return {part: {**held, **({name: value} if name in held else {})} for part, held in real.items()}

    return described


def test_work_that_was_begun_with_another_version_is_not_gone_on_with(
    tmp_path: Path, stopping: Function[[int], None], monkeypatch: pytest.MonkeyPatch
):
    stopping(100)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path)
    monkeypatch.setattr(manifests, "environment", otherwise("jax", "0.9.9"))
    with pytest.raises(CheckpointError, match=r"made otherwise \(jax \S+ then, 0.9.9 now\): choose another"):
        run(tmp_path)
    assert COUNT["calls"] == 0


def test_another_machine_goes_on_and_the_manifest_says_so(
    tmp_path: Path, stopping: Function[[int], None], monkeypatch: pytest.MonkeyPatch
):
    stopping(100)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path)
    stopping(0)
    monkeypatch.setattr(manifests, "environment", otherwise("model", "Another processor"))
    made_with = run(tmp_path).summary["manifest"]
    assert made_with["machine"]["model"] == "Another processor"
    assert [one["model"] for one in made_with["begun_on"]] == [environment()["machine"]["model"]]


def test_a_data_file_that_is_not_there_is_said(tmp_path: Path):
    lost = Small()
    lost.files = ("lost.csv",)
    with pytest.raises(TargetError, match=r"there is no data file 'lost.csv': mend the study's `files`"):
        run_study(lost, tmp_path, progress=False)


def test_a_budget_that_is_too_small_is_said(tmp_path: Path):
    with pytest.raises(MethodError):
        run(tmp_path, budget=10)


def test_the_data_are_those_of_the_paper():
    table = read_table("influenza_school_1978.csv")
    assert {"in_bed", "convalescent"} < set(table)
    assert table["in_bed"].size == 14 and table["in_bed"][0] == 3 and table["in_bed"].max() == 298
