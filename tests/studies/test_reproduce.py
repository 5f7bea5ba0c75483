"""Reproduction: the same is found the same, what was made otherwise is named, and old folders open."""

import json
import shutil
from collections.abc import Callable as Function
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from tests.studies.small import COUNT, Small

import populace as pop
from populace._errors import CheckpointError, ProblemError, UnknownNameError
from populace._results import Code
from populace.campaigns.differences import differences
from populace.campaigns.sources import sources
from populace.cli.which import run_file
from populace.studies import compared as comparison
from populace.studies.folder import StudyFolder

FOLDERS = Path(__file__).parent / "folders"

OWN = '''
import jax
import numpy as np
from populace.studies.study import Findings, Study

SCALE = 1.0


def rule(x):
    """Doubles."""
    return 2.0 * x


class Own(Study):
    name, title, question, budget, files = "own", "Own", "How much?", 10, ("numbers.csv",)

    def run(self, key, budget, folder, progress):
        data = np.loadtxt("numbers.csv")
        draws = np.asarray(jax.random.normal(key, (budget,)), float)
        mean = float(SCALE * rule(data.mean()) + 1e-3 * draws.mean())
        return Findings((f"It is {mean:.3f}.",), (), {}, {"mean": mean, "draws": draws.tolist()})
'''


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("small")
    pop.run_study(Small(), folder, progress=False)
    return folder


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Function[[str], pop.Study]:
    """Makes the study `Own` of a text, in a file of its own; `done` holds the folder of it as it is."""
    monkeypatch.chdir(tmp_path)
    Path("numbers.csv").write_text("1.0\n2.0\n3.0\n")

    def make(text: str) -> pop.Study:
        Path("own.py").write_text(text)
        return run_file(Path("own.py")).Own()

    pop.run_study(make(OWN), "done", progress=False)
    return make


def again(own: Function[[str], pop.Study], text: str = OWN, **given: Any) -> pop.Reproduction:
    return pop.reproduce("done", study=own(text), progress=False, **given)


# The same


def test_equal_work_is_identical_to_the_last_bit(small: Path):
    found = pop.reproduce(small, study=Small(), progress=False)
    made, numbers = found.verdicts()
    assert (made.code, numbers.code) == (Code.MADE_ALIKE, Code.IDENTICAL) and found.same
    assert found.numbers is not None
    assert set(found.numbers.numbers) == {"summary.json", "fit.nc", "report.html"}
    with xr.open_datatree(small / "fit.nc") as tree:
        arrays = [v for group in tree.subtree for v in group.to_dataset().variables.values()]
    assert found.numbers.numbers["fit.nc"] == sum(v.size for v in arrays if v.dtype.kind in "biuf") > 4_000
    assert [row[1] for row in found.moved] == ["theta"] and found.moved[0][4] == 0.0
    json.dumps(found.record(), allow_nan=False)


def test_a_second_one_is_made_anew_and_a_stopped_one_goes_on(small: Path, monkeypatch: pytest.MonkeyPatch):
    def calls(stop_at: int) -> int:
        COUNT.update({"calls": 0, "stop at": stop_at})
        if stop_at:
            with pytest.raises(KeyboardInterrupt):
                pop.reproduce(small, study=Small(), progress=False)
        else:
            assert pop.reproduce(small, study=Small(), progress=False).same
        return COUNT["calls"]

    whole = calls(0)
    assert calls(0) == whole  # nothing of the first is taken up
    assert calls(whole - 30) == whole - 30
    assert 0 < calls(0) < whole


def test_what_a_stopped_one_did_is_dropped_when_the_code_is_another(own: Function[[str], pop.Study], tmp_path: Path):
    again(own)
    left = tmp_path / "done" / "reproduction" / "checkpoints" / "simple"
    left.mkdir(parents=True)
    again(own, OWN.replace("2.0 * x", "3.0 * x"))
    assert not left.exists()


# Made otherwise


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("return 2.0 * x", "return 2.5 * x", "rule (own.py) has other source"),
        ("SCALE = 1.0", "SCALE = 1.5", "SCALE (own.py) has other source"),
        ("data.mean()", "data.max()", "Own.run (own.py) has other source"),
        ("import jax\n", "import jax  # why\n", "own.py has other source (a comment, an import, or the order)"),
    ],
)
def test_a_changed_line_is_named(own: Function[[str], pop.Study], old: str, new: str, sentence: str):
    ahead = again(own, OWN.replace(old, new), run=False)
    assert [one.sentence for one in ahead.made.found] == [sentence] and not ahead.same
    assert not Path("done/reproduction").exists()
    found = again(own, OWN.replace(old, new))
    wrong = "why" not in new
    assert found.same is not wrong
    assert (sentence in found.verdicts()[1].sentence) is wrong


def test_a_changed_data_byte_is_named(own: Function[[str], pop.Study]):
    Path("numbers.csv").write_text("1.0\n2.0\n3.1\n")
    found = again(own)
    assert [one.sentence for one in found.made.found] == ["the data file numbers.csv has other bytes"]
    assert found.numbers is not None and {gap.where for gap in found.numbers.gaps} >= {"mean"}
    assert found.verdicts()[1].code is Code.DIFFERS


def test_another_seed_is_named(own: Function[[str], pop.Study]):
    found = again(own, seed=7)
    assert [one.sentence for one in found.made.found] == ["the seed is another: 1978 then, 7 now"]
    assert not found.same and "the seed is another: 1978 then, 7 now" in found.verdicts()[1].sentence


def test_another_version_and_machine_are_named():
    then = {"versions": {"jax": "0.9"}, "machine": {"device": "gpu"}, "seed": 1}
    now = {"versions": {"jax": "0.10", "new": "1"}, "machine": {"device": "cpu"}, "seed": 1, "data": {}}
    made = differences(then, now)
    assert [one.sentence for one in made.found] == ["jax 0.9 then, 0.10 now", "the machine's device: gpu then, cpu now"]
    assert made.unknown == ("the bytes of the data files",)


def test_a_manifest_that_was_changed_afterwards_is_found_out(small: Path, tmp_path: Path):
    shutil.copytree(small, tmp_path / "x", ignore=shutil.ignore_patterns("reproduction", "checkpoints"))
    summary = json.loads((tmp_path / "x" / "summary.json").read_text())
    summary["manifest"]["seed"] = 5
    (tmp_path / "x" / "summary.json").write_text(json.dumps(summary))
    found = pop.reproduce(tmp_path / "x", study=Small(), run=False)
    assert found.contradictions == ("seed: 1978 in fit.nc, 5 in summary.json",) and not found.same


def test_a_number_that_was_changed_afterwards_is_found_and_nothing_explains_it(own: Function[[str], pop.Study]):
    summary = json.loads(Path("done/summary.json").read_text())
    summary["draws"][3] += 1e-7
    Path("done/summary.json").write_text(json.dumps(summary))
    found = again(own)
    assert found.verdicts()[1].code is Code.ALMOST_IDENTICAL and found.same
    found = again(own, tolerance=1e-12)
    assert "Nothing in the manifest explains it" in found.verdicts()[1].sentence
    assert found.numbers is not None and [gap.where for gap in found.numbers.gaps] == ["draws[3]"]


# Comparing


def folder(summary: dict[str, Any], report: str = "") -> StudyFolder:
    return StudyFolder("x", summary, {}, 1, {}, report, ())


@pytest.mark.parametrize(
    ("then", "now", "differ", "relative"),
    [
        (1.0, 1.0 + 1e-9, 1, 1e-9),
        (240, 240.0, 0, 0.0),
        (None, 1.0, 1, np.inf),
        (True, False, 1, np.inf),
        ("R0 is 3.62 (1 to 5)", "R0 is 3.63 (1 to 5)", 1, 0.0),
        ("R0 is 3.62", "R0 is 3.72", 1, (0.1 - 0.01) / 3.72),
        ("identified", "not identified", 1, np.inf),
        (np.array([0.0, 2.0, np.nan]), np.array([0.002, 2.0, np.nan]), 1, 1e-3),
        (np.zeros(3), np.zeros(4), 4, np.inf),
        (np.array(["a", "b"]), np.array(["a", "c"]), 1, np.inf),
    ],
)
def test_how_far_two_values_are_apart(then: Any, now: Any, differ: int, relative: float):
    gap = comparison._gap("file", "where", then, now)
    assert (differ, relative) == (0, 0.0) if gap is None else gap.differ == differ
    assert gap is None or gap.relative == pytest.approx(relative, rel=1e-4)


def test_what_is_new_is_no_difference_and_what_is_gone_is():
    found = comparison.compared(folder({"a": 1, "b": [1, 2]}), folder({"b": [1, 2], "c": {"d": 1}}))
    assert found.numbers == {"summary.json": 2} and found.new == {"summary.json": 1}
    assert [(gap.where, gap.now) for gap in found.gaps] == [("a", "none")]


def test_a_report_is_compared_row_by_row_where_one_was_added():
    page = "<h2>Fit</h2><p>It is {0}.</p>{1}<table><tr><th>a</th><td>{0}</td></tr></table><footer><p>{0}</p></footer>"
    found = comparison.compared(folder({}, page.format(1.5, "")), folder({}, page.format(2.5, "<p>Words.</p>")))
    assert [gap.where for gap in found.gaps] == ["Fit, text 2", "Fit, text 3"] and found.new == {"report.html": 1}
    assert not found.otherwise and [(gap.then, gap.now) for gap in found.apart][1] == ("a | 1.5", "a | 2.5")


# Sources


def test_the_sources_of_the_influenza_study_are_its_methods_model_and_data():
    found = sources(Path(comparison.__file__).parent / "influenza.py")
    assert {"zoo/school_epidemic.py", "calibration/sequential_abc.py", "core/draw.py"} <= set(found.files)
    assert not [name for name in found.files if name.startswith(("reporting", "cli", "learning"))]
    assert {"SchoolEpidemic.step", "SchoolEpidemic"} <= set(found.parts["zoo/school_epidemic.py"])
    assert {"EVER_IN_BED", "problem", "Influenza.run"} <= set(found.parts["studies/influenza.py"])


def test_names_of_the_package_and_neighbours_count(tmp_path: Path):
    (tmp_path / "helper.py").write_text("import numpy\nVALUE = 1\n")
    (tmp_path / "mine.py").write_text("import populace as pop\nfrom helper import VALUE\nm = pop.SequentialABC()\n")
    found = sources(tmp_path / "mine.py")
    assert {"helper.py", "mine.py", "calibration/sequential_abc.py"} <= set(found.files)
    assert "numpy" in found.packages and "calibration/accepted.py" not in found.files
    (tmp_path / "helper.py").write_text("import numpy\nVALUE = 22\n")
    changed = sources(tmp_path / "mine.py")
    assert {name for name in found.files if found.files[name] != changed.files[name]} == {"helper.py"}


# Folders of earlier versions


@pytest.mark.parametrize("number", [0, 1])
def test_a_folder_of_an_earlier_version_opens(number: int, tmp_path: Path):
    held = pop.read_study(FOLDERS / f"format-{number}" / "small")
    assert (held.format, held.study, held.manifest["seed"]) == (number, "small", 1978)
    assert held.fits["fit.nc"]["posterior"]["theta"].shape == (1, 20)
    assert held.record()["theta"] == held.summary["theta"]
    assert any("posterior" in row for row in held.sections()[0].tables[0].rows)
    found = pop.reproduce(FOLDERS / f"format-{number}" / "small", study=Small(), out=tmp_path / "out", progress=False)
    assert found.numbers is not None and sum(found.numbers.numbers.values()) > 4_000
    silent = {"the bytes of the data files", "the source of study, model and methods"}
    assert silent <= set(found.made.unknown) if number == 0 else found.made.unknown == ()
    assert abs(found.moved[0][3] - found.moved[0][2]) < 4 * 0.06
    assert any("silent" in text for text in found.sections()[0].text) is (number == 0)


def test_the_influenza_of_an_earlier_version_is_checked_as_far_as_it_goes():
    found = pop.reproduce(FOLDERS / "format-0" / "influenza", run=False)
    assert found.study == "influenza" and "the study's own settings" in found.made.unknown


def torn(name: str, text: str) -> Function[[Path], object]:
    return lambda folder: (folder / name).write_text(text)


def newer(folder: Path) -> None:
    summary = json.loads((folder / "summary.json").read_text())
    summary["manifest"]["format"] = 99
    (folder / "summary.json").write_text(json.dumps(summary))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (newer, r"written by a newer version .* \(folder format 99; this one reads up to 1\): pip install --upgrade"),
        (torn("fit.nc", "nothing"), r"fit.nc' cannot be read .*: restore it"),
        (torn("summary.json", "{"), r"summary.json' cannot be read"),
        (torn("summary.json", "[]"), "holds no JSON object"),
        (torn("summary.json", '{"a": 1}'), "names no study and manifest"),
        (torn("summary.json", '{"study": "small", "manifest": {"seed": 1}}'), "has no budget: it cannot be made again"),
        (lambda folder: (folder / "summary.json").unlink(), "no folder of a study"),
    ],
)
def test_a_folder_that_cannot_be_read_says_why(spoil: Function[[Path], object], message: str, tmp_path: Path):
    shutil.copytree(FOLDERS / "format-1" / "small", tmp_path / "x")
    spoil(tmp_path / "x")
    with pytest.raises(CheckpointError, match=message):
        pop.reproduce(tmp_path / "x", study=Small(), progress=False)


def test_other_work_is_refused_and_left_alone(small: Path, tmp_path: Path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(CheckpointError, match="holds something else: choose another folder"):
        pop.reproduce(small, study=Small(), out=tmp_path, progress=False)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
    with pytest.raises(UnknownNameError, match=r"a study of your own is given with it \(study=, --study\)"):
        pop.reproduce(small)
    other = Small()
    other.name = "other"
    with pytest.raises(ProblemError, match="of the study 'small', and 'other' was given"):
        pop.reproduce(small, study=other)


def test_an_unfinished_study_is_said(tmp_path: Path):
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "study.json").write_text("{}")
    with pytest.raises(CheckpointError, match="was not finished: give its command again"):
        pop.read_study(tmp_path)
