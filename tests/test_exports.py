"""The public names: each is re-exported once, can be imported, says what it is, and nothing else leaks.

They stand in the stub `__init__.pyi`, and `__init__.py` imports a name when it is first used.
"""

import ast
import dataclasses
import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import populace

FRONT = Path(__file__).parents[1] / "src" / "populace" / "__init__.pyi"


def exports(text: str) -> tuple[dict[str, str], list[str]]:
    """Of the text of the stub: public name -> module, and the lines that should not be there."""
    names: dict[str, str] = {}
    wrong = []
    for position, node in enumerate(ast.parse(text).body):
        match node:
            case ast.Expr(value=ast.Constant(value=str())) if position == 0:
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


def test_the_stub_holds_nothing_else():
    assert WRONG == []


def test_the_package_imports_what_the_stub_lists():
    assert populace.__doc__
    documentation, *rest = ast.parse(FRONT.with_suffix(".py").read_text(encoding="utf-8")).body
    assert isinstance(documentation, ast.Expr)
    assert [ast.unparse(node) for node in rest] == [
        "from populace._lazy import lazy as _lazy",
        "__getattr__, __dir__, __all__ = _lazy(__name__, __file__)",
    ]
    assert populace.__all__ == sorted(NAMES)
    assert set(NAMES) <= set(dir(populace))


def test_an_unknown_name_is_an_error():
    with pytest.raises(AttributeError, match="'populace' has no attribute 'simulat'"):
        _ = populace.simulat  # pyright: ignore[reportAttributeAccessIssue]


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
        "__version__ = '1'",
        "if True:\n    from populace.core import Model as Model",
        "from populace.core import Model as Model\nfrom populace.problem import Model as Model",
    ],
)
def test_what_does_not_belong_is_found(line: str):
    assert len(exports(f'"""Front."""\n{line}\n')[1]) == 1


def test_what_belongs_passes():
    text = '"""Front."""\nfrom populace.core import Model as Model\n'
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


LEAKS = """
import populace, types

before = {name for name in vars(populace) if not name.startswith("_")}
assert not before, before
for name in populace.__all__:
    getattr(populace, name)
extra = {name: value for name, value in vars(populace).items() if name not in populace.__all__ and name[0] != "_"}
foreign = [n for n, v in extra.items() if not isinstance(v, types.ModuleType) or v.__name__ != f"populace.{n}"]
assert not foreign, foreign
assert set(populace.__all__) <= set(dir(populace))
"""


def test_nothing_else_leaks():
    """In a fresh process: tests import rooms, which are then attributes of the package."""
    done = subprocess.run([sys.executable, "-c", LEAKS], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
