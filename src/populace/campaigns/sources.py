"""The source files that a piece of work may run, and a hash of each: so that a changed line is named.

They are found by reading, and nothing is imported: from a file to what it imports, anywhere in it, and so on. So the
answer is the same in every process, whatever else that has loaded. It counts files that a run may never reach, and text
rather than meaning: a changed comment is a change.
"""

import ast
import functools
import hashlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_HOUSE = Path(__file__).parents[1]
_ONLY_TELL = ("reporting", "cli", "testing")
"""Rooms that change no number."""
_TAKEN_APART = ("studies", "zoo")
_DIGITS = 16


@dataclass(frozen=True)
class Sources:
    """Files by name (`calibration/sequential_abc.py`; a file outside the package by its last name) with the hash of
    each; the parts (`SchoolEpidemic.step`) of those that hold studies and models; and the foreign packages that any of
    them imports.
    """

    files: dict[str, str]
    parts: dict[str, dict[str, str]]
    packages: tuple[str, ...]


def sources(start: Path) -> Sources:
    """The sources of the work that a file describes.

    **Arguments:** `start`: the file of a study or model. Of the package all that is imported counts but what only tells
    (`reporting`, `cli`); of other code the files that stand beside it. A file that imports populace as a whole counts
    for the names that it takes from it.
    """
    waiting, files, parts, packages = [start.resolve()], {}, {}, set()
    while waiting:
        path = waiting.pop()
        name = _name(path)
        if name in files:
            continue
        read = _read(path, path.read_text(encoding="utf-8"))
        files[name] = read.digest
        if not path.is_relative_to(_HOUSE) or name.startswith(_TAKEN_APART):
            parts[name] = read.parts
        packages |= read.packages
        waiting += read.imports
    ordered = dict(sorted(files.items()))
    return Sources(ordered, {name: parts[name] for name in ordered if name in parts}, tuple(sorted(packages)))


def digest(data: bytes) -> str:
    """The first sixteen digits of SHA-256, as hexadecimal."""
    return hashlib.sha256(data).hexdigest()[:_DIGITS]


@dataclass(frozen=True)
class _File:
    digest: str
    parts: dict[str, str]
    imports: tuple[Path, ...]
    packages: frozenset[str]


@functools.cache
def _read(path: Path, text: str) -> _File:
    """One file, which is taken apart once for each text that it has had."""
    tree = ast.parse(text, str(path))
    imports, packages = [], set()
    for module in _modules(path, tree):
        found = _file(module, path.parent)
        top = module.split(".")[0]
        if found is not None:
            imports.append(found)
        elif top != "populace" and top not in sys.stdlib_module_names:
            packages.add(top)
    return _File(digest(text.encode()), _parts(text, tree), tuple(dict.fromkeys(imports)), frozenset(packages))


def _name(path: Path) -> str:
    return path.relative_to(_HOUSE).as_posix() if path.is_relative_to(_HOUSE) else path.name


def _modules(path: Path, tree: ast.Module) -> Iterator[str]:
    """The dotted names that a file imports, each as deep as it may be a module."""
    package = ["populace", *path.parent.relative_to(_HOUSE).parts] if path.is_relative_to(_HOUSE) else []
    whole = set()
    for node in ast.walk(tree):
        match node:
            case ast.Import():
                yield from (alias.name for alias in node.names)
                whole |= {alias.asname or alias.name for alias in node.names if alias.name == "populace"}
            case ast.ImportFrom(level=0, module="populace"):
                yield from (_homes().get(alias.name, "populace") for alias in node.names)
            case ast.ImportFrom():
                above = package[: len(package) - node.level + 1] if node.level else []
                base = ".".join([*above, *([node.module] if node.module else [])])
                yield base
                yield from (f"{base}.{alias.name}" for alias in node.names)
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=ast.Name(id=name), attr=attribute) if name in whole and attribute in _homes():
                yield _homes()[attribute]


def _file(module: str, beside: Path) -> Path | None:
    """The file of a module of the package, or of one that stands `beside`; None for others, and for what only tells."""
    top, *rest = module.split(".")
    if top == "populace":
        if rest and rest[0] in _ONLY_TELL:
            return None
        path = _HOUSE.joinpath(*rest).with_suffix(".py")
        return path if rest and path.is_file() else None
    path = beside.joinpath(top, *rest)
    if path.with_suffix(".py").is_file():
        return path.with_suffix(".py").resolve()
    return None


@functools.cache
def _homes() -> dict[str, str]:
    """The public names of the package, with the module of each."""
    stub = ast.parse((_HOUSE / "__init__.pyi").read_text(encoding="utf-8"))
    return {a.name: node.module or "" for node in stub.body if isinstance(node, ast.ImportFrom) for a in node.names}


def _parts(text: str, tree: ast.Module) -> dict[str, str]:
    """What a file defines: functions, methods, what else a class says, and names that are given a value."""
    lines = text.splitlines()
    found: dict[str, str] = {}

    def add(name: str, node: ast.stmt) -> None:
        first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))])
        held = "\n".join(lines[first - 1 : node.end_lineno])
        found[name] = digest((found.get(name, "") + held).encode())

    for node in tree.body:
        match node:
            case ast.ClassDef():
                for inner in node.body:
                    method = isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef)
                    add(f"{node.name}.{inner.name}" if method else node.name, inner)
                heads = [*node.bases, *(word.value for word in node.keywords), *node.decorator_list]
                said = " ".join(ast.unparse(head) for head in heads)
                found[node.name] = digest((found.get(node.name, "") + said).encode())
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                add(node.name, node)
            case ast.Assign() | ast.AnnAssign() | ast.AugAssign():
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                add(", ".join(ast.unparse(target) for target in targets), node)
            case ast.Import() | ast.ImportFrom() | ast.Expr(value=ast.Constant()):
                continue  # what is imported counts by its own file
            case _:
                add("other statements", node)
    return found
