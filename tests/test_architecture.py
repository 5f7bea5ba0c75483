"""The house stands: who imports whom, how long things are, and what no file may hold.

Syntax trees are read, so an import counts wherever it stands: at the top, in a function, under TYPE_CHECKING, or as
`importlib.import_module("populace...")`. The second half tries the checks on small trees that break each rule.
"""

import ast
import graphlib
import re
import sys
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
HOUSE = REPOSITORY / "src" / "populace"

GROUND = {"_types", "_errors", "_codes", "_results", "_files", "_lazy"}
FLOORS = {
    "ground": 0,
    "core": 1,
    **dict.fromkeys(["interact", "problem"], 2),
    **dict.fromkeys(["gradients", "surrogates", "zoo"], 3),
    "calibration": 4,
    **dict.fromkeys(["identification", "learning"], 5),
    "coarse": 6,
    "campaigns": 7,
    "reporting": 8,
    **dict.fromkeys(["studies", "testing"], 9),
    "cli": 10,
}
TOP = "__init__"

FILE_WISH, FILE_LIMIT = 300, 500
FUNCTION_WISH, FUNCTION_LIMIT = 40, 100

IMPORT_NAMES = {"pillow": "PIL", "psycopg": "psycopg", "salib": "SALib"}
"""Distributions whose import name is not their own name in lower case, or is worth saying."""


def room_of(module: str) -> str:
    """The room of a dotted name; the files of the ground floor share one."""
    part = module.split(".")[1] if "." in module else TOP
    return "ground" if part in GROUND else part


@dataclass(frozen=True)
class Module:
    """One source file: its dotted name, its room, and its syntax tree."""

    name: str
    path: Path
    text: str
    tree: ast.Module

    @property
    def room(self) -> str:
        return room_of(self.name)

    @property
    def package(self) -> str:
        """What a relative import with one dot starts from."""
        return self.name if self.path.name == "__init__.py" else self.name.rpartition(".")[0]


def read_house(root: Path) -> dict[str, Module]:
    """Every module under `root` by dotted name."""
    modules = {}
    for path in sorted(root.rglob("*.py")):
        parts = [root.name, *path.relative_to(root).with_suffix("").parts]
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        text = path.read_text(encoding="utf-8")
        modules[name] = Module(name, path, text, ast.parse(text, str(path)))
    return modules


@dataclass(frozen=True)
class Import:
    """One import of one module by another."""

    source: Module
    target: str
    line: int

    def __str__(self) -> str:
        return f"{self.source.name}:{self.line} imports {self.target}"


def absolute_targets(module: Module, node: ast.AST) -> Iterator[tuple[str, str | None]]:
    """What `node` imports, as (module, name taken from it or None), with relative imports resolved."""
    match node:
        case ast.Import():
            for alias in node.names:
                yield alias.name, None
        case ast.ImportFrom():
            base = node.module or ""
            if node.level:
                above = module.package.split(".")
                above = above[: len(above) - node.level + 1]
                base = ".".join([*above, base] if base else above)
            for alias in node.names:
                yield base, alias.name
        case ast.Call(func=function, args=[ast.Constant(value=str(name)), *_]):
            if ast.unparse(function) in {"importlib.import_module", "import_module", "__import__"}:
                yield name, None


def imports(modules: dict[str, Module], module: Module) -> Iterator[Import]:
    """Every import in a module; `from package import name` goes to the module `package.name` where there is one."""
    for node in ast.walk(module.tree):
        for base, name in absolute_targets(module, node):
            inner = f"{base}.{name}"
            yield Import(module, inner if inner in modules else base, getattr(node, "lineno", 0))


def house_imports(modules: dict[str, Module]) -> list[Import]:
    """The imports of the package's own modules by each other."""
    top = next(iter(modules)).split(".")[0]
    return [i for m in modules.values() for i in imports(modules, m) if i.target.split(".")[0] == top]


def unknown_rooms(modules: dict[str, Module]) -> list[str]:
    """Rooms that stand on no floor."""
    return sorted({m.room for m in modules.values()} - {TOP, *FLOORS})


def upward_imports(modules: dict[str, Module]) -> list[str]:
    """Imports that leave a room for anything but a lower floor."""
    found = []
    for i in house_imports(modules):
        source, target = i.source.room, room_of(i.target)
        if source in (TOP, target):
            continue
        if FLOORS.get(target, len(FLOORS)) >= FLOORS.get(source, 0):
            found.append(f"{i}: a room imports lower floors and itself only")
    return found


def cycles(modules: dict[str, Module]) -> list[str]:
    """One cycle of each room whose modules import each other in a circle."""
    found, imports = [], list(house_imports(modules))
    for room in sorted({m.room for m in modules.values()} - {TOP}):
        graph: dict[str, set[str]] = {m.name: set() for m in modules.values() if m.room == room}
        for i in imports:
            if i.source.name in graph and i.target in graph:
                graph[i.source.name].add(i.target)
        try:
            graphlib.TopologicalSorter(graph).prepare()
        except graphlib.CycleError as error:
            found.append(" <- ".join(error.args[1]))
    return found


def declared_packages(pyproject: Path) -> tuple[set[str], set[str]]:
    """Import names of the base dependencies, and of those that only an extra installs."""
    project = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]

    def names(requirements: list[str]) -> set[str]:
        plain = {re.split(r"[^\w.-]", r, maxsplit=1)[0].lower() for r in requirements}
        return {IMPORT_NAMES.get(name, name) for name in plain}

    extras = {k: v for k, v in project["optional-dependencies"].items() if k != "test"}
    base = names(project["dependencies"])
    return base, names([r for group in extras.values() for r in group]) - base


def foreign_imports(modules: dict[str, Module], base: set[str], extras: set[str]) -> list[str]:
    """Imports of packages that are not declared, and extras imported by more than one file."""
    top = next(iter(modules)).split(".")[0]
    users: dict[str, set[str]] = {}
    found = []
    for module in modules.values():
        for i in imports(modules, module):
            package = i.target.split(".")[0]
            if package in {top, *base, *sys.stdlib_module_names}:
                continue
            if package in extras:
                users.setdefault(package, set()).add(module.name)
            else:
                found.append(f"{i}: no declared dependency")
    shared = {package: names for package, names in users.items() if len(names) > 1}
    return found + [f"the extra {package} is imported by {sorted(names)}" for package, names in shared.items()]


def swallowed_errors(modules: dict[str, Module]) -> list[str]:
    """Bare `except:`, handlers that do nothing, and `suppress(Exception)`."""
    found = []
    for module in modules.values():
        for node in ast.walk(module.tree):
            where = f"{module.name}:{getattr(node, 'lineno', 0)}"
            match node:
                case ast.ExceptHandler(type=None):
                    found.append(f"{where}: a bare except")
                case ast.ExceptHandler(body=body) if all(does_nothing(statement) for statement in body):
                    found.append(f"{where}: an exception is swallowed")
                case ast.Call(func=function, args=args) if ast.unparse(function).endswith("suppress"):
                    if {ast.unparse(a) for a in args} & {"Exception", "BaseException"}:
                        found.append(f"{where}: every exception is suppressed")
    return found


def does_nothing(statement: ast.stmt) -> bool:
    """Whether a statement is `pass`, `continue` or a bare constant."""
    if isinstance(statement, ast.Expr):
        return isinstance(statement.value, ast.Constant)
    return isinstance(statement, ast.Pass | ast.Continue)


def unfinished_notes(modules: dict[str, Module]) -> list[str]:
    """Lines that put work off."""
    word = re.compile(r"\b(?:TO" + r"DO|FIX" + r"ME)\b")
    return [
        f"{module.name}:{number}: {line.strip()}"
        for module in modules.values()
        for number, line in enumerate(module.text.splitlines(), 1)
        if word.search(line)
    ]


def file_lengths(modules: dict[str, Module]) -> dict[str, int]:
    """Lines of each module."""
    return {m.name: len(m.text.splitlines()) for m in modules.values()}


def function_lengths(modules: dict[str, Module]) -> dict[str, int]:
    """Lines of each function from `def` to its end, without its docstring."""
    lengths = {}
    for module in modules.values():
        for node in ast.walk(module.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                first = node.body[0]
                text = first if ast.get_docstring(node) is not None else None
                silent = (text.end_lineno or 0) - text.lineno + 1 if text else 0
                length = (node.end_lineno or 0) - node.lineno + 1 - silent
                lengths[f"{module.name}:{node.lineno} {node.name}"] = length
    return lengths


def size_report(kind: str, lengths: dict[str, int], wish: int) -> str:
    """One line on a kind of thing: how many, the longest, and how many are longer than wished."""
    if not lengths:
        return f"{kind}: none"
    longest = max(lengths, key=lambda name: lengths[name])
    over = sum(n > wish for n in lengths.values())
    middle = sorted(lengths.values())[len(lengths) // 2]
    return (
        f"{len(lengths)} {kind}, {sum(lengths.values())} lines, median {middle}, {over} over {wish}; "
        f"longest {lengths[longest]}: {longest}"
    )


@pytest.fixture(scope="module")
def house() -> dict[str, Module]:
    return read_house(HOUSE)


@pytest.mark.parametrize("check", [unknown_rooms, upward_imports, cycles, swallowed_errors, unfinished_notes])
def test_the_house_stands(house: dict[str, Module], check: Callable[[dict[str, Module]], list[str]]):
    assert check(house) == []


def test_every_foreign_import_is_declared(house: dict[str, Module]):
    base, extras = declared_packages(REPOSITORY / "pyproject.toml")
    assert {"jax", "numpyro"} <= base and {"networkx", "SALib", "tinygp"} <= extras
    assert foreign_imports(house, base, extras) == []


def test_files_and_functions_are_short(house: dict[str, Module], record_property: Callable[[str, str], None]):
    files, functions = file_lengths(house), function_lengths(house)
    record_property("house", size_report("files", files, FILE_WISH))
    record_property("house", size_report("functions", functions, FUNCTION_WISH))
    too_long = {name: n for name, n in files.items() if n > FILE_LIMIT}
    too_long |= {name: n for name, n in functions.items() if n > FUNCTION_LIMIT}
    assert too_long == {}


# The checks themselves: each must find what it is there to find, and pass what is right.


def build(folder: Path, files: dict[str, str]) -> dict[str, Module]:
    """A small house written to disk and read back."""
    root = folder / "populace"
    for name, text in {"__init__.py": "", **files}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return read_house(root)


SOUND = {
    "__init__.py": "from populace.cli import main as main\n",
    "_errors.py": "class Wrong(Exception): ...\n",
    "core/__init__.py": "from populace.core.draw import Draw as Draw\n",
    "core/draw.py": "import jax\nfrom .. import _errors\nfrom populace._errors import Wrong\nclass Draw: ...\n",
    "core/model.py": "from .draw import Draw\ndef f():\n    from . import draw\n",
    "problem/space.py": "from populace import core\nfrom ..core import model\nimport populace.core.draw\n",
    "cli/__init__.py": "from ..problem.space import core\ndef main(): ...\n",
}


def test_a_sound_house_passes(tmp_path: Path):
    modules = build(tmp_path, SOUND)
    assert {i.target for i in house_imports(modules) if i.source.name == "populace.core.draw"} == {"populace._errors"}
    for check in (unknown_rooms, upward_imports, cycles, swallowed_errors, unfinished_notes):
        assert check(modules) == []
    assert foreign_imports(modules, {"jax"}, set()) == []


UPWARD = {
    "top of the file": "from populace.problem import space\n",
    "plain": "import populace.problem.space\n",
    "relative": "from ..problem.space import Space\n",
    "relative package": "from .. import problem\n",
    "in a function": "def f():\n    from populace.problem import space\n    return space\n",
    "in a method": "class A:\n    def f(self):\n        import populace.problem.space as s\n        return s\n",
    "for types": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from populace.problem.space import Space\n",
    "guarded": "try:\n    from populace.problem import space\nexcept ImportError:\n    space = None\n",
    "by name": "import importlib\nspace = importlib.import_module('populace.problem.space')\n",
    "from the top": "from populace import main\n",
    "the top": "import populace\n",
    "unknown room": "from populace.attic import chest\n",
}


@pytest.mark.parametrize("text", UPWARD.values(), ids=UPWARD.keys())
def test_an_upward_import_is_found(tmp_path: Path, text: str):
    found = upward_imports(build(tmp_path, {**SOUND, "problem/__init__.py": "", "core/late.py": text}))
    assert len(found) == 1 and "populace.core.late" in found[0]


def test_a_neighbour_on_the_same_floor_is_found(tmp_path: Path):
    files = {"interact/grid.py": "from populace.problem.space import Space\n"}
    assert len(upward_imports(build(tmp_path, {**SOUND, **files}))) == 1


def test_an_unknown_room_is_found(tmp_path: Path):
    assert unknown_rooms(build(tmp_path, {**SOUND, "attic/chest.py": "", "_tools.py": ""})) == ["_tools", "attic"]


CYCLES = {
    "on the ground": {"_types.py": "from . import _results\n", "_results.py": "from . import _types\n"},
    "two files": {"core/a.py": "from . import b\n", "core/b.py": "from . import a\n"},
    "in a function": {"core/a.py": "from .b import x\n", "core/b.py": "def f():\n    from .a import y\n"},
    "for types": {
        "core/a.py": "from populace.core.b import x\n",
        "core/b.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from populace.core.a import y\n",
    },
    "through the room": {"core/draw.py": "from populace.core import Draw\n"},
    "three files": {
        "core/a.py": "import populace.core.b\n",
        "core/b.py": "import populace.core.c\n",
        "core/c.py": "import populace.core.a\n",
    },
}


@pytest.mark.parametrize("files", CYCLES.values(), ids=CYCLES.keys())
def test_a_cycle_is_found(tmp_path: Path, files: dict[str, str]):
    modules = build(tmp_path, {**SOUND, **files})
    assert len(cycles(modules)) == 1
    assert upward_imports(modules) == []


def test_foreign_imports_are_found(tmp_path: Path):
    files = {"core/a.py": "def f():\n    import torch\n    import networkx\n", "core/b.py": "import networkx as nx\n"}
    undeclared, shared = foreign_imports(build(tmp_path, {**SOUND, **files}), {"jax"}, {"networkx"})
    assert "torch" in undeclared
    assert "populace.core.a" in shared and "populace.core.b" in shared


SWALLOWED = {
    "bare": "try:\n    x = 1\nexcept:\n    raise\n",
    "pass": "try:\n    x = 1\nexcept ValueError:\n    pass\n",
    "continue": "for i in []:\n    try:\n        x = 1\n    except (ValueError, TypeError):\n        continue\n",
    "ellipsis": "try:\n    x = 1\nexcept ValueError:\n    ...\n",
    "suppress": "import contextlib\nwith contextlib.suppress(Exception):\n    x = 1\n",
}


@pytest.mark.parametrize("text", SWALLOWED.values(), ids=SWALLOWED.keys())
def test_a_swallowed_error_is_found(tmp_path: Path, text: str):
    assert len(swallowed_errors(build(tmp_path, {**SOUND, "core/a.py": text}))) == 1


@pytest.mark.parametrize("word", ["TO" + "DO", "FIX" + "ME"])
def test_an_unfinished_note_is_found(tmp_path: Path, word: str):
    assert len(unfinished_notes(build(tmp_path, {**SOUND, "core/a.py": f"x = 1  # {word}: later\n"}))) == 1


def test_lengths_are_counted(tmp_path: Path):
    text = 'def f(\n    x,\n):\n    """One.\n\n    Two.\n    """\n    def g():\n        return x\n    return g\n'
    modules = build(tmp_path, {"core/a.py": text})
    assert file_lengths(modules)["populace.core.a"] == 10
    assert list(function_lengths(modules).values()) == [6, 2]
    assert size_report("functions", function_lengths(modules), 5).startswith("2 functions, 8 lines, median 6, 1 over 5")
