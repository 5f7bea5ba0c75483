"""Tables of runs as files: what is read, what is left out and said, and what is refused with a reason."""

import gzip
import importlib.util
from pathlib import Path

import numpy as np
import numpyro.distributions as dist
import pytest

import populace as pop

HEAD = "random-seed,beta,scheme,gamma"
ROWS = ["7,0.1,1,3", "9,0.2,1,5", "4,0.3,1,4", "8,0.4,1,2"]
SUMS = ["run,mean size,never,peak,beta"] + [f"{i + 1},{2.5 * i},0,{i * i},0.{i + 1}" for i in range(4)]


def write(path: Path, lines: list[str]) -> Path:
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    return write(tmp_path / "p.csv", [HEAD, *ROWS]), write(tmp_path / "s.csv", SUMS)


def test_what_is_no_parameter_and_no_summary_is_left_out_and_said(files):
    table = pop.read_runs(*files)
    assert table.runs.space.labels == ("beta", "gamma")
    assert table.runs.labels == ("mean size", "peak")
    assert table.runs.moments[:, 1].tolist() == [0.0, 1.0, 4.0, 9.0]
    said = " ".join(table.notes)
    for text in ("'random-seed'", "'scheme'", "'run'", "'never'", "A parameter, and left out of the summaries: 'beta'"):
        assert text in said
    assert "Priors are uniform" in said
    assert said in " ".join(table.sections()[0].text)


def test_points_come_back_from_the_probability_scale(files):
    runs = pop.read_runs(*files).runs
    again = runs.space.from_unit(np.asarray(runs.unit, np.float32))
    np.testing.assert_allclose(again["beta"], [0.1, 0.2, 0.3, 0.4], rtol=1e-5)
    np.testing.assert_allclose(runs.unit[:, 1], [1 / 3, 1, 2 / 3, 0], atol=1e-5)


def test_a_space_names_the_parameters_and_their_priors(files):
    table = pop.read_runs(*files, space=pop.Space(beta=dist.Uniform(0.0, 1.0)))
    np.testing.assert_allclose(table.runs.unit[:, 0], [0.1, 0.2, 0.3, 0.4], rtol=1e-5)
    assert "Not in the space" in table.notes[0]
    with pytest.raises(pop.ProblemError, match="no parameter 'bet'; did you mean 'beta'"):
        pop.read_runs(*files, space=pop.Space(bet=dist.Uniform(0.0, 1.0)))


def test_packed_files_and_those_of_a_spreadsheet_are_read_too(files, tmp_path):
    packed = tmp_path / "p.csv.gz"
    packed.write_bytes(gzip.compress(b"\xef\xbb\xbf" + files[0].read_bytes().replace(b"\n", b"\r\n")))
    np.testing.assert_array_equal(pop.read_runs(packed, files[1]).runs.unit, pop.read_runs(*files).runs.unit)


def test_a_run_whose_summary_is_missing_has_failed(files):
    write(files[1], [SUMS[0], SUMS[1], "2,NA,0,1,0.2", "3,5.0,0,,0.3", SUMS[4]])
    runs = pop.read_runs(*files).runs
    assert runs.valid.tolist() == [True, False, False, True]
    assert runs.reasons == {"a moment is not finite": 2}


def test_a_summary_that_is_mostly_missing_is_left_out_and_the_runs_stay(files):
    write(files[1], ["a,b", "1,", "2,", "3,", "5,2"])
    table = pop.read_runs(*files)
    assert table.runs.labels == ("a",) and table.runs.valid.all()
    assert any("Not defined in more than half of the runs" in note and "'b'" in note for note in table.notes)


def test_a_run_whose_parameter_is_missing_is_left_out(files):
    write(files[0], [HEAD, *ROWS[:3], "8,,1,2"])
    table = pop.read_runs(*files)
    assert table.runs.size == 3
    assert any("1 runs have a parameter that is missing" in note for note in table.notes)


def test_an_uneven_design_is_said(tmp_path):
    values = np.exp(np.linspace(-6, 2, 200))
    parameters = write(tmp_path / "p.csv", ["rate,even", *(f"{v},{i}.5" for i, v in enumerate(values))])
    summaries = write(tmp_path / "s.csv", ["m", *(str(i % 7) for i in range(200))])
    notes = pop.read_runs(parameters, summaries).notes
    assert any("Not spread evenly over its range: 'rate'." in note for note in notes)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([HEAD, *ROWS[:3]], "has 3 rows and .* 4"),
        ([HEAD, *ROWS[:3], "8,warm,1,2"], "row 4, column 'beta': 'warm' is no number"),
        ([HEAD, *ROWS[:3], "8,0.4,1"], "row 4: 3 cells under 4 names"),
        (["seed,x", "1,2", "2,2", "3,2", "4,2"], "no column that is a parameter"),
        (["x,x", "1,2", "2,2", "3,2", "4,2"], "two columns 'x'"),
        ([""], "is empty"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(files, lines, message):
    write(files[0], lines)
    with pytest.raises(pop.ProblemError, match=message):
        pop.read_runs(*files)


def test_files_that_are_not_there_or_of_another_kind(files, tmp_path):
    with pytest.raises(pop.ProblemError, match="No such file"):
        pop.read_runs(tmp_path / "absent.csv", files[1])
    with pytest.raises(pop.ProblemError, match=r"\.csv, \.csv\.gz or \.parquet"):
        pop.read_runs(tmp_path / "p.xlsx", files[1])


def test_data_are_one_row_in_any_order(files, tmp_path):
    runs = pop.read_runs(*files).runs
    row = pop.read_data(write(tmp_path / "d.csv", ["peak,other,mean size", "3,8,0.5"]), runs)
    assert row.tolist() == [0.5, 3.0]
    with pytest.raises(pop.ProblemError, match="no summary 'peak'"):
        pop.read_data(write(tmp_path / "d.csv", ["mean size", "3"]), runs)
    with pytest.raises(pop.ProblemError, match="2 rows"):
        pop.read_data(write(tmp_path / "d.csv", ["peak,mean size", "3,1", "4,1"]), runs)
    with pytest.raises(pop.ProblemError, match="'peak' is not a finite number"):
        pop.read_data(write(tmp_path / "d.csv", ["peak,mean size", ",1"]), runs)


def test_parquet_needs_its_extra(files, tmp_path):
    if importlib.util.find_spec("pyarrow") is not None:
        pytest.skip("pyarrow is installed")
    (tmp_path / "p.parquet").write_bytes(b"PAR1")
    with pytest.raises(pop.MissingExtraError, match="parquet"):
        pop.read_runs(tmp_path / "p.parquet", files[1])


def test_parquet(files, tmp_path):
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    columns = {"random-seed": [7, 9, 4, 8], "beta": [0.1, 0.2, 0.3, 0.4], "gamma": [3.0, 5.0, 4.0, 2.0]}
    parquet.write_table(arrow.table(columns), tmp_path / "p.parquet")
    np.testing.assert_array_equal(
        pop.read_runs(tmp_path / "p.parquet", files[1]).runs.unit, pop.read_runs(*files).runs.unit
    )
    parquet.write_table(arrow.table({"beta": ["a", "b", "c", "d"]}), tmp_path / "p.parquet")
    with pytest.raises(pop.ProblemError, match="column 'beta'"):
        pop.read_runs(tmp_path / "p.parquet", files[1])
