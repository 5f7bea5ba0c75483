"""The gallery of the zoo: a picture for every model, on the page, and of one kind."""

import importlib
from pathlib import Path
from types import ModuleType

import pytest
from PIL import Image

from populace.zoo.registry import MODELS

DOCS = Path(__file__).parents[1] / "docs"


@pytest.fixture
def gallery(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The program that draws it."""
    monkeypatch.syspath_prepend(str(DOCS / "pictures"))
    return importlib.import_module("gallery")


def test_every_model_has_a_function_a_picture_and_a_place_on_the_page(gallery: ModuleType):
    assert set(gallery.PICTURES) == set(MODELS)
    assert {path.stem for path in gallery.FOLDER.glob("*.png")} == set(MODELS)
    page = (DOCS / "howto" / "zoo.md").read_text(encoding="utf-8")
    assert [name for name in MODELS if f"../pictures/zoo/{name}.png" not in page] == []


def size(path: Path) -> tuple[int, int]:
    """Width and height, pixels."""
    with Image.open(path) as picture:
        return picture.size


def test_pictures_are_of_one_size_and_small(gallery: ModuleType):
    paths = list(gallery.FOLDER.glob("*.png"))
    sizes = {size(path) for path in paths}
    assert sizes == {tuple(round(side * gallery.DPI) for side in gallery.SIZE)}
    assert max(path.stat().st_size for path in paths) < 60_000


def test_a_picture_says_what_it_shows(gallery: ModuleType, tmp_path: Path):
    """The one that is drawn fastest: a title, two panels on one axis, lines, and words on all axes."""
    name = "franke-westerhoff"
    figure = gallery.drawn(name)
    assert figure.get_suptitle().startswith("Franke-Westerhoff: ")
    assert all(axes.get_ylabel() and len(axes.lines) > 0 for axes in figure.axes)
    assert figure.axes[-1].get_xlabel() == "day"
    assert gallery.write(name, tmp_path) < 60_000
    assert size(tmp_path / f"{name}.png") == size(gallery.FOLDER / f"{name}.png")
