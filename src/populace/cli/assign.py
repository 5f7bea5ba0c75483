"""`--set NAME=VALUE`: what is given, bound to a model's parameters and settings."""

import json
from collections.abc import Sequence
from typing import Any

import typer

from .._errors import ParameterError, UnknownParameterError, did_you_mean
from ..zoo.registry import Entry


def assigned(entry: Entry, assignments: Sequence[str]) -> tuple[Any, dict[str, Any]]:
    """The model with everything set, and its settings.

    **Raises:** `UnknownParameterError`, `ParameterError`, `DomainError`, and `ModelError` from the model; what is not
    NAME=VALUE is an error of usage.
    """
    from ..core.model import bind, parameters

    given = _split(assignments)
    settings = {name: field.default for name, field in entry.settings.items()}
    settings |= {name: _setting(entry, name, text) for name, text in given.items() if name in settings}
    model = entry.make(**settings)
    known = list(parameters(model))
    for name in given:
        if name not in settings and name not in known:
            hint = did_you_mean(name, [*known, *settings])
            raise UnknownParameterError(f"{type(model).__name__} has no parameter or setting '{name}'; {hint}")
    return bind(model, {name: _number(name, text) for name, text in given.items() if name in known}), settings


def _split(assignments: Sequence[str]) -> dict[str, str]:
    given: dict[str, str] = {}
    for assignment in assignments:
        name, equals, text = (part.strip() for part in assignment.partition("="))
        if not (name and equals and text):
            raise typer.BadParameter(f"'{assignment}' is not NAME=VALUE", param_hint="--set")
        if name in given:
            raise typer.BadParameter(f"'{name}' is set twice", param_hint="--set")
        given[name] = text
    return given


def _setting(entry: Entry, name: str, text: str) -> Any:
    kind = entry.settings[name].annotation
    try:
        return kind(text)
    except ValueError as error:
        wanted = "a whole number" if kind is int else "a number"
        raise ParameterError(f"setting '{name}' takes {wanted}, not '{text}'") from error


def _number(name: str, text: str) -> Any:
    """A number, or a list of numbers in brackets."""
    try:
        value = json.loads(text) if text.startswith("[") else float(text)
    except ValueError as error:
        raise ParameterError(f"parameter '{name}' takes a number (or numbers in brackets), not '{text}'") from error
    return value
