"""MODEL on the command line: a model of the zoo by its name, or one of a file of yours, `my_model.py:SIR`."""

import importlib.util
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from .._errors import ModelError, UnknownNameError, did_you_mean
from ..zoo.registry import Entry, find

WHICH = "A model's name (see `populace models`), or FILE.py:NAME."


def which(name: str) -> Entry:
    """The entry of a name of the zoo, or of `FILE.py:NAME` (`FILE.py` where the file has one model).

    NAME is a model, a class of models whose fields all have defaults, or a function without required arguments that
    makes a model; whole numbers and shares that it takes by keyword are settings, as in the zoo. The file is run.

    **Raises:** `UnknownNameError` for a name or file that is not there; `ModelError` where it makes no model.
    """
    path, colon, inside = name.rpartition(":")
    path, inside = (path, inside) if colon and path.endswith(".py") else (name, "")
    if not path.endswith(".py"):
        return find(name)
    if not Path(path).is_file():
        raise UnknownNameError(f"there is no file '{path}'")
    found = _things(run_file(Path(path)))
    if not inside:
        own = [each for each in found if _is_model(found[each])]
        if len(own) != 1:
            held = f"holds {', '.join(own)}" if own else "holds no model"
            raise UnknownNameError(f"'{path}' {held}: say which, {path}:NAME")
        inside = own[0]
    if inside not in found:
        raise UnknownNameError(f"'{path}' has no '{inside}'; {did_you_mean(inside, list(found))}")
    return Entry(f"{inside} of {path}", _maker(f"{path}:{inside}", found[inside]))


def run_file(path: Path) -> ModuleType:
    """The module of a file; what stands beside the file can be imported by it."""
    name = f"populace file {path.stem}"  # no name that an import could mean
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    folder = str(path.resolve().parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    spec.loader.exec_module(module)
    return module


def _things(module: ModuleType) -> dict[str, Any]:
    """What a file itself makes that may be a model, or make one: models, classes of models, functions."""
    own = {name: thing for name, thing in vars(module).items() if not name.startswith("_")}
    return {
        name: thing
        for name, thing in own.items()
        if _is_model(thing, module.__name__) or (inspect.isfunction(thing) and thing.__module__ == module.__name__)
    }


def _is_model(thing: Any, module: str | None = None) -> bool:
    from ..core.model import Model

    if isinstance(thing, Model):
        return True
    own = module is None or getattr(thing, "__module__", None) == module
    return own and inspect.isclass(thing) and issubclass(thing, Model)


def _maker(name: str, thing: Any) -> Callable[..., Any]:
    """A function that makes the model; its keyword arguments are its settings."""
    from ..core.model import Model

    if isinstance(thing, Model):
        return lambda: thing
    needed = [p.name for p in inspect.signature(thing).parameters.values() if p.default is p.empty]
    if needed:
        raise ModelError(f"'{name}' needs {', '.join(needed)}: give them defaults, or name a function that makes it")
    if inspect.isclass(thing):
        return lambda: thing()
    made = thing()
    if not isinstance(made, Model):
        raise ModelError(f"'{name}' makes a {type(made).__name__}, and no pop.Model")
    return thing
