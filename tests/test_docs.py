"""The documentation is true: its code runs, its links lead somewhere, its commands can be found."""

import re
import runpy
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
PAGES = sorted([*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").rglob("*.md")])
RUNNABLE = [page for page in PAGES if page.parent.name == "howto" or page.name == "index.md"]

FENCE = re.compile(r"^```(?P<kind>[^\n`]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?P<target>[^)\s]+)\)")


def read(name: str) -> str:
    return (REPOSITORY / name).read_text(encoding="utf-8")


def program(page: str) -> str:
    """The `python` blocks of a page as one program, each line where it stands on the page.

    A block fenced as `python skip` is for reading only.
    """
    lines = [""] * page.count("\n")
    for block in FENCE.finditer(page):
        if block["kind"].strip() == "python":
            first = page.count("\n", 0, block.start("text"))
            text = block["text"].splitlines()
            lines[first : first + len(text)] = text
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("page", RUNNABLE, ids=lambda page: page.stem)
def test_the_code_of_a_page_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    file = tmp_path / f"{page.stem}.py"
    file.write_text(program(page.read_text(encoding="utf-8")), encoding="utf-8")
    runpy.run_path(str(file), run_name="__main__")


def test_a_page_becomes_a_program():
    page = "Text.\n```python\nx = 1\n```\n```python skip\nx = 2\n```\n```\nx = 3\n```\n```python\ny = x\n```\n"
    assert program(page).splitlines()[2] == "x = 1"
    assert program(page).split() == ["x", "=", "1", "y", "=", "x"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_links_lead_somewhere(page: Path):
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    targets = [m["target"].split("#")[0] for m in LINK.finditer(text) if "://" not in m["target"]]
    assert [t for t in targets if t and not (page.parent / t).exists()] == []


def test_every_howto_is_listed():
    listed = {m["target"] for m in LINK.finditer(read("docs/index.md"))}
    assert {f"howto/{page.name}" for page in PAGES if page.parent.name == "howto"} <= listed


def test_the_readme_shows_the_quickstart():
    """The one Python block of the README is the quickstart without its remarks."""
    cells = [line for line in read("examples/quickstart.py").splitlines() if not line.startswith("#")]
    assert program(read("README.md")).split() == "\n".join(cells).split()


@pytest.mark.parametrize("name", ["study", "test"])
def test_the_readme_marks_its_commands(name: str):
    """A marker on its own line, then a fence with one line: what scripts read the command from."""
    blocks = re.findall(rf"^<!-- command: {name} -->\n```[a-z]*\n([^\n]+)\n```$", read("README.md"), re.MULTILINE)
    assert len(blocks) == 1
    assert blocks[0].startswith("python3 -m venv .venv && ")
