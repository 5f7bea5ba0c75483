import csv
import io
import json
import math
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from populace._errors import OutputError
from populace._results import Figure, Result, ScatterPanel, Section, Table
from populace.campaigns.manifest import environment
from populace.reporting import write
from populace.reporting.write import gather

KINDS = {".html": b"<!doctype html>", ".md": b"# ", ".json": b"{", ".csv": b"name,"}
KINDS |= {".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF"}


@pytest.mark.parametrize("suffix", KINDS)
def test_every_kind_of_file_twice_with_the_same_bytes(report: Result, tmp_path: Path, suffix: str) -> None:
    first = write(report, tmp_path / "new" / "folders" / f"flu{suffix}")
    second = write(report, str(tmp_path / f"flu{suffix.upper()}"))
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
    assert all(path.read_bytes().startswith(KINDS[path.suffix]) for path in first)
    assert sorted(first[0].parent.iterdir()) == sorted(first)  # no temporary file is left


def test_several_figures_and_tables_get_names(report: Result, tmp_path: Path) -> None:
    assert [p.name for p in write(report, tmp_path / "flu.png")] == ["flu-spread.png", "flu-what-else.png"]
    assert [p.name for p in write(report, tmp_path / "flu.csv")] == [
        "flu-moments-more.csv",
        "flu-sizes.csv",
        "flu.csv.manifest.json",
    ]


def test_equal_and_empty_names_stay_apart(make_report: Any, tmp_path: Path) -> None:
    table = Table("", ("a",), ((1,),))
    report = make_report((Section("s", tables=(table, table, Table("Table", ("a",), ()))),))
    written = [path.name for path in write(report, tmp_path / "x.csv")]
    assert written == ["x-table.csv", "x-table-2.csv", "x-table-3.csv", "x.csv.manifest.json"]


def test_one_figure_takes_the_path_itself(make_report: Any, tmp_path: Path) -> None:
    panel = ScatterPanel("t", "x", "y", np.arange(3), np.arange(3))
    report = make_report((Section("s", figures=(Figure("f", "c", (panel,)),)),))
    assert write(report, tmp_path / "a.svg") == (tmp_path / "a.svg",)


def test_tables_are_unrounded_in_csv(report: Result, tmp_path: Path) -> None:
    moments, sizes, manifest = write(report, tmp_path / "flu.csv", manifest={"seed": 7})
    with moments.open(newline="", encoding="utf-8") as stream:
        assert list(csv.reader(stream)) == [
            ["name", "runs", "z", "class"],
            ["a<b", "12000", "-0.5", "matched"],
            ["c|d", "7", "", "unmatched"],
        ]
    assert "1.23456789" in sizes.read_text() and "y,true" in sizes.read_text()
    assert {"seed": 7, **environment()} == json.loads(manifest.read_text())


def test_several_results_make_one_document(report: Result, make_report: Any, tmp_path: Path) -> None:
    other = make_report((Section("Another part"),), {"b": 2})
    (path,) = write([report, other], tmp_path / "both.html", title="Both", subtitle="sub", manifest={"k": "v"})
    text = path.read_text(encoding="utf-8")
    assert "<title>Both</title>" in text and "Another part" in text and "First &amp; foremost" in text
    assert text.index("First &amp;") < text.index("Another part")
    (path,) = write((report, other), tmp_path / "both.json")
    assert [record.get("b") for record in json.loads(path.read_text())] == [None, 2]
    assert len(gather([report, other])) == 3


def test_without_a_title_the_class_names_the_page(report: Result, tmp_path: Path) -> None:
    (path,) = write(report, tmp_path / "a.html")
    assert "<title>Fake report</title>" in path.read_text(encoding="utf-8")


def test_json_keeps_what_the_record_says(make_report: Any, tmp_path: Path) -> None:
    record = {"β": [1, 2.5, None, True], "n": np.int64(3), "x": np.float32(0.5), "t": (1, 2), "flag": np.True_, "d": {}}
    (path,) = write(make_report((), record), tmp_path / "a.json")
    plain = {"β": [1, 2.5, None, True], "n": 3, "x": 0.5, "t": [1, 2], "flag": True, "d": {}}
    written = json.loads(path.read_text(encoding="utf-8"))
    assert written.pop("manifest")["versions"]["jax"] and written == plain


def test_every_kind_says_what_made_it(make_report: Any, tmp_path: Path) -> None:
    panel = ScatterPanel("t", "x", "y", np.arange(3), np.arange(3))
    report = make_report((Section("s", figures=(Figure("f", "c", (panel,)),)),), {"a": 1})
    wanted = {"seed": 3, "flags": "--a --b"}
    held = {}
    for suffix in (".html", ".md", ".json", ".png", ".svg", ".pdf"):
        (path,) = write(report, tmp_path / f"a{suffix}", manifest=wanted)
        (again,) = write(report, tmp_path / f"b{suffix}", manifest=wanted)
        assert path.read_bytes() == again.read_bytes()
        held[suffix] = path.read_bytes()
    with Image.open(io.BytesIO(held[".png"])) as picture:
        png = json.loads(picture.info["Description"])
    svg = json.loads(held[".svg"].decode().rpartition("<!-- ")[2].rpartition(" -->")[0])
    assert png == svg == json.loads(held[".json"])["manifest"] and png["seed"] == 3 and svg["flags"] == "--a --b"
    ElementTree.fromstring(held[".svg"].decode())
    assert all(b"versions.numpy" in held[suffix] for suffix in (".html", ".md")) and b"/Subject" in held[".pdf"]


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"a": {"b": [1.0, math.nan]}}, r"'a\.b\[1\]' as JSON: its value is nan"),
        ({"a": math.inf}, r"'a' as JSON: its value is inf"),
        ({"a": np.float32("nan")}, r"'a' as JSON: its value is nan"),
        ({"a": np.zeros(3)}, r"'a' as JSON: it is a ndarray"),
        ({"a": {3: 1}}, r"'a' as JSON: its key 3 is no string"),
        ({"a": {1, 2}}, r"'a' as JSON: it is a set"),
    ],
)
def test_json_refuses_by_key_and_writes_nothing(make_report: Any, tmp_path: Path, record: Any, message: str) -> None:
    with pytest.raises(OutputError, match=message):
        write(make_report((), record), tmp_path / "a.json")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a.htm", "a", "a.xlsx", ".html"])
def test_an_unknown_suffix_is_refused_with_the_known_ones(report: Result, tmp_path: Path, name: str) -> None:
    with pytest.raises(OutputError, match=r"known: '\.html', '\.md', '\.json', '\.csv', '\.png', '\.svg', '\.pdf'"):
        write(report, tmp_path / name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", [".csv", ".png"])
def test_nothing_of_that_kind_is_said(make_report: Any, tmp_path: Path, suffix: str) -> None:
    with pytest.raises(OutputError, match=r"has no (table|figure); write"):
        write(make_report(), tmp_path / f"a{suffix}")


def test_no_result_is_said(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="no result was given"):
        write([], tmp_path / "a.html")
