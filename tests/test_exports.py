"""The public names: each is re-exported once, can be imported, says what it is, and nothing else leaks."""

import ast
import dataclasses
import importlib
import inspect
import subprocess
import sys
import types
from pathlib import Path

import pytest

import populace

FRONT = Path(__file__).parents[1] / "src" / "populace" / "__init__.py"


def exports(text: str) -> tuple[dict[str, str], list[str]]:
    """Of the text of `__init__.py`: public name -> module, and the lines that should not be there."""
    names: dict[str, str] = {}
    wrong = []
    for position, node in enumerate(ast.parse(text).body):
        match node:
            case ast.Expr(value=ast.Constant(value=str())) if position == 0:
                continue
            case ast.Assign(targets=[ast.Name(id="__version__")]):
                continue
            case ast.ImportFrom(module=str(module), level=0) if module.startswith("populace."):
                for alias in node.names:
                    if alias.asname != alias.name or alias.name in names or alias.name.startswith("_"):
                        wrong.append(f"{node.lineno}: {ast.unparse(node)}")
                    names[alias.name] = module
            case _:
                wrong.append(f"{node.lineno}: {ast.unparse(node)}")
    return names, wrong


NAMES, WRONG = exports(FRONT.read_text(encoding="utf-8"))


def test_the_front_holds_nothing_else():
    assert WRONG == []
    assert populace.__doc__


@pytest.mark.parametrize(
    "line",
    [
        "import os",
        "from populace.core import *",
        "from populace.core import Model",
        "from populace.core import Model as M",
        "from populace.core import _hidden as _hidden",
        "from .core import Model as Model",
        "from jax import jit as jit",
        "x = 1",
        "if True:\n    from populace.core import Model as Model",
        "from populace.core import Model as Model\nfrom populace.problem import Model as Model",
    ],
)
def test_what_does_not_belong_is_found(line: str):
    assert len(exports(f'"""Front."""\n{line}\n')[1]) == 1


def test_what_belongs_passes():
    text = '"""Front."""\nfrom populace.core import Model as Model\n__version__ = "1"\n'
    assert exports(text) == ({"Model": "populace.core"}, [])


@pytest.mark.parametrize("name", sorted(NAMES))
def test_a_public_name_says_what_it_is(name: str):
    thing = getattr(populace, name)
    assert getattr(importlib.import_module(NAMES[name]), name) is thing
    if inspect.isclass(thing) or inspect.isroutine(thing):
        assert own_docstring(thing), f"populace.{name} has no docstring"


def own_docstring(thing: object) -> str:
    """The docstring written for `thing` itself: neither inherited nor generated from a dataclass's fields."""
    text = (thing.__dict__.get("__doc__") if inspect.isclass(thing) else inspect.getdoc(thing)) or ""
    generated = inspect.isclass(thing) and text.startswith(f"{thing.__name__}(")
    return "" if generated else text.strip()


def test_no_docstring_is_inherited_or_generated():
    @dataclasses.dataclass
    class Written:
        """Says what it is."""

    class Inherited(Written): ...

    @dataclasses.dataclass
    class Generated:
        size: int

    assert own_docstring(Written) == "Says what it is."
    assert not own_docstring(Inherited) and not own_docstring(Generated)


def test_nothing_else_leaks():
    """Read in a fresh process: tests import rooms that importing the front alone may leave out."""
    code = (
        "import populace, types\nprint(*[n for n, v in vars(populace).items() if not isinstance(v, types.ModuleType)])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    public = {name for name in shown if not name.startswith("_")}
    assert public == {name for name in NAMES if not isinstance(getattr(populace, name), types.ModuleType)}
    modules = [n for n, v in vars(populace).items() if isinstance(v, types.ModuleType) and not n.startswith("_")]
    foreign = [n for n in modules if not getattr(populace, n).__name__.startswith("populace.")]
    assert foreign == []
