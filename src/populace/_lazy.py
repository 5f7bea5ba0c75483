"""Public names that are imported when they are first used.

Importing every room takes seconds, most of them JAX's, and a command line that answers `--help` needs none of them.
A stub next to the package says where each name lives (`__init__.pyi`, which type checkers and editors read too), as in
Scientific Python's SPEC 1.
"""

import importlib
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

_LINE = re.compile(r"^from (?P<module>[\w.]+) import (?P<name>\w+) as (?P=name)$", re.MULTILINE)


def lazy(package: str, front: str) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """The `__getattr__`, `__dir__` and `__all__` of a package whose stub stands next to `front`, its `__init__.py`."""
    stub = Path(front).with_suffix(".pyi").read_text(encoding="utf-8")
    homes = {match["name"]: match["module"] for match in _LINE.finditer(stub)}

    def get(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module '{package}' has no attribute '{name}'")
        value = getattr(importlib.import_module(homes[name]), name)
        setattr(sys.modules[package], name, value)
        return value

    return get, lambda: sorted({*vars(sys.modules[package]), *homes}), sorted(homes)
